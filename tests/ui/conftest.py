"""The look of the application for tests of widgets, all of it for tests of the window."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QLocale

from qwen_desktop.ui import theme


@pytest.fixture
def looks(qapp) -> Iterator[None]:
    """Fusion in the light theme, as the application starts it."""
    qapp.setStyle("Fusion")
    theme.use_look(theme.Look())
    qapp.setFont(theme.body_font())
    theme.use(theme.LIGHT)
    before = QLocale()
    QLocale.setDefault(QLocale("en_US"))
    yield
    QLocale.setDefault(before)
    theme.use(theme.LIGHT)
    theme.use_look(theme.Look())


@pytest.fixture
def application(qtbot, looks, tmp_path):
    """The real application on a new profile; its engine thread is not started."""
    from qwen_desktop import cli
    from qwen_desktop.app import App

    built = App(cli.parse(["--profile", str(tmp_path / "profile"), "--theme", "light"]))
    built.build()
    built.store.start()
    built.window.show()
    qtbot.waitExposed(built.window)
    built.window.activateWindow()
    built.window.finish_building()
    built.chats.start("")
    qtbot.waitUntil(lambda: not built.window.empty.isHidden())
    yield built
    built.window.close()
    built.close()
    # Now, on this thread: left to the garbage collector they may be found on another one, where
    # a QTimer cannot be stopped.
    for made in (built.window, built):
        made.deleteLater()
        QCoreApplication.sendPostedEvents(made, QEvent.Type.DeferredDelete.value)


@pytest.fixture
def window(application):
    """The window of the application."""
    return application.window
