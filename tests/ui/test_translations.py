"""The translations: every string of the sources is translated and the compiled files are current.

After changing a string: `python -m tests.ui.test_translations` takes the strings of all sources
into resources/translations/*.ts and compiles them; translate what is unfinished there (by hand or
with pyside6-linguist) and run it again.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "resources" / "translations"
CHINESE = FOLDER / "qwen_desktop_zh_CN.ts"
ENGLISH = FOLDER / "qwen_desktop_en.ts"  # only what depends on a number
FIELD = re.compile(r"\{\w+\}|%L?n|%L?\d")


def tool(name: str) -> str:
    """The Qt tool that PySide6 installs beside Python."""
    beside = Path(sys.executable).parent
    found = shutil.which(name, path=str(beside)) or shutil.which(name)
    assert found is not None, f"{name} is not installed"
    return found


def sources() -> list[str]:
    """Every source file, in a stable order."""
    return sorted(str(f.relative_to(ROOT)) for f in (ROOT / "qwen_desktop").rglob("*.py"))


def update(ts: Path, *options: str) -> None:
    """Take the strings of the sources into `ts`; translations that are there stay."""
    command = [tool("pyside6-lupdate"), *sources(), "-no-obsolete", "-locations", "none", *options]
    subprocess.run([*command, "-ts", str(ts)], cwd=ROOT, check=True, capture_output=True)


def update_all(chinese: Path, english: Path) -> None:
    """Update both languages."""
    update(chinese, "-source-language", "en", "-target-language", "zh_CN")
    update(english, "-source-language", "en", "-target-language", "en", "-pluralonly")


def release(ts: Path, qm: Path) -> None:
    """Compile `ts`."""
    subprocess.run(
        [tool("pyside6-lrelease"), str(ts), "-qm", str(qm)], check=True, capture_output=True
    )


def messages(ts: Path) -> dict[tuple[str, str], list[str | None]]:
    """Translations by (context, source); None for an unfinished one."""
    found: dict[tuple[str, str], list[str | None]] = {}
    for context in ElementTree.parse(ts).getroot().iter("context"):
        for message in context.iter("message"):
            translation = message.find("translation")
            assert translation is not None
            done = translation.get("type") is None
            forms = [form.text for form in translation.iter("numerusform")] or [translation.text]
            key = (context.findtext("name", ""), message.findtext("source", ""))
            found[key] = [form if done and form else None for form in forms]
    return found


def main() -> None:
    """Update and compile both files."""
    update_all(CHINESE, ENGLISH)
    for ts in (CHINESE, ENGLISH):
        release(ts, ts.with_suffix(".qm"))
        open_ones = [key for key, forms in messages(ts).items() if None in forms]
        print(f"{ts.name}: {len(messages(ts))} strings, {len(open_ones)} not translated")


def test_every_string_of_the_sources_is_translated():
    with tempfile.TemporaryDirectory() as folder:
        chinese, english = Path(folder, CHINESE.name), Path(folder, ENGLISH.name)
        shutil.copy(CHINESE, chinese)
        shutil.copy(ENGLISH, english)
        update_all(chinese, english)
        for kept, fresh in ((CHINESE, chinese), (ENGLISH, english)):
            now, before = messages(fresh), messages(kept)
            missing = [key for key, forms in now.items() if None in forms]
            assert missing == [], f"translate these in {kept.name}"
            assert set(now) == set(before), f"{kept.name} is not up to date"


def test_the_compiled_files_are_current(tmp_path):
    for ts in (CHINESE, ENGLISH):
        fresh = tmp_path / "fresh.qm"
        release(ts, fresh)
        assert fresh.read_bytes() == ts.with_suffix(".qm").read_bytes(), f"{ts.name} was changed"


def test_translations_have_the_same_fields_as_their_sources():
    for ts in (CHINESE, ENGLISH):
        for (_, source), forms in messages(ts).items():
            for form in forms:
                assert sorted(FIELD.findall(form or "")) == sorted(FIELD.findall(source)), source


def test_chinese_is_used(qtbot, looks, qapp):
    from PySide6.QtCore import QLocale, QTranslator

    from qwen_desktop.bridge.words import translated
    from qwen_desktop.errors import Known
    from qwen_desktop.ui import i18n
    from qwen_desktop.ui.composer import Composer
    from qwen_desktop.ui.problem_dialog import ProblemDialog

    before = set(qapp.findChildren(QTranslator))
    i18n.install(qapp, "zh_CN")
    try:
        assert QLocale().language() == QLocale.Language.Chinese
        composer = Composer()
        qtbot.addWidget(composer)
        assert composer.edit.accessibleName() == "消息"
        assert i18n.setting_text("Temperature") == "温度"
        dialog = ProblemDialog(Known("{file} is empty.", file="a").report())
        qtbot.addWidget(dialog)
        close = dialog.findChild(object, "closeDialog")
        assert close.text() == "关闭"  # said by the class that it inherits from
        known = Known("{file} is empty.", "Download this file again.", file="模型.safetensors")
        assert "模型.safetensors" in translated(known.report())
        assert "Download" not in translated(known.report())
    finally:
        for translator in set(qapp.findChildren(QTranslator)) - before:
            qapp.removeTranslator(translator)
            translator.deleteLater()


if __name__ == "__main__":
    main()
