"""The language of the interface: loads the translations. QtCore only."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QTranslator

from qwen_desktop.chat.settings import CONTEXT as SETTINGS_CONTEXT
from qwen_desktop.errors import QT_TRANSLATE_NOOP
from qwen_desktop.paths import resources_dir

# Words of Qt's own file dialog that Qt's translation lacks; ours has them.
OF_QT = (
    QT_TRANSLATE_NOOP("QFileDialog", "&Look in:"),
    QT_TRANSLATE_NOOP("QFileDialog", "Files of &type:"),
)

TRANSLATED = {QLocale.Language.Chinese: "zh_CN"}


def folder() -> Path:
    """Where the translation files lie."""
    return resources_dir() / "translations"


def locale_for(choice: str) -> QLocale:
    """The locale for a `language` setting: `system`, `en` or `zh_CN`.

    A system in a language without translation gets English words and keeps its own numbers.
    """
    if choice != "system":
        return QLocale(choice)
    system = QLocale.system()
    # The "C" locale of a bare machine writes numbers without separators.
    return QLocale("en_US") if system.language() == QLocale.Language.C else system


def install(app: QCoreApplication, choice: str) -> QLocale:
    """Translate `app` from here on. Call it before the first widget is made."""
    locale = locale_for(choice)
    QLocale.setDefault(locale)
    name = TRANSLATED.get(locale.language(), "en")
    qt = QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)
    for stem, where in ((f"qtbase_{name}", qt), (f"qwen_desktop_{name}", str(folder()))):
        translator = QTranslator(app)
        if translator.load(stem, where):  # English has words only for its plurals
            app.installTranslator(translator)
    return locale


def setting_text(text: str) -> str:
    """A name or help of the settings table in the language of the interface."""
    return QCoreApplication.translate(SETTINGS_CONTEXT, text)
