"""Drives the real window in this process as a person would: by what is shown, clicks and keys.

Controls are found by their accessible names, which are what a screen reader says. Waiting is for a
condition, never for a time; one that does not come true ends the process with what was shown.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QWEN_DESKTOP_QT_DIALOGS", "1")

from PySide6.QtCore import QEventLoop, QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)

from qwen_desktop import app, cli

W = TypeVar("W", bound=QWidget)
PATIENCE_S = 90
LOOK_MS = 20  # between two looks


class NotShown(AssertionError):
    """What was waited for never came."""


class Driver:
    """One start of the application with a profile and further arguments."""

    def __init__(self, profile: Path, *arguments: str) -> None:
        self.qt = app.application()
        self.app = app.App(cli.parse(["--profile", str(profile), *arguments]))
        self.window = self.app.window
        self.app.show()
        self.wait("the window at work", lambda: hasattr(self.app, "chats"))

    # -- looking ---------------------------------------------------------------------------

    def wait(self, what: str, condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
        """Let the program run until `condition` holds."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise NotShown(f"waited for {what}; shown is:\n{self.shown()}")
            # Not QTest.qWait: it keeps the interpreter from every other thread.
            turn = QEventLoop()
            QTimer.singleShot(LOOK_MS, turn.quit)
            turn.exec()

    def _visible(self, kind: type[W]) -> list[W]:
        tops = [w for w in QApplication.topLevelWidgets() if w.isVisible()]
        return [
            w
            for top in tops
            for w in ([top] if isinstance(top, kind) else []) + top.findChildren(kind)
            if w.isVisible()
        ]

    def shown(self) -> str:
        """Every text a person can read in the visible windows."""
        texts = []
        for widget in self._visible(QWidget):
            if isinstance(widget, (QTextEdit, QPlainTextEdit)):
                texts.append(widget.toPlainText())
            elif isinstance(widget, (QLineEdit, QLabel, QAbstractButton)):
                texts.append(widget.text())
        return "\n".join(text for text in texts if text)

    def widget(self, name: str, kind: type[W] = QWidget, at: int | None = None) -> W:
        """The visible control a screen reader calls `name`; of several that `at`, from the top."""
        found = [w for w in self._visible(kind) if w.accessibleName() == name]
        if not found:
            raise NotShown(f"no control “{name}”; shown is:\n{self.shown()}")
        if at is None:
            return found[0]
        return sorted(found, key=lambda w: w.mapToGlobal(w.rect().center()).y())[at]

    def has(self, name: str) -> bool:
        """Whether a control of that name is visible."""
        return any(w.accessibleName() == name for w in self._visible(QWidget))

    def wait_shown(self, text: str) -> None:
        """Wait until `text` can be read somewhere."""
        self.wait(f"the text “{text}”", lambda: text in self.shown())

    def wait_ready(self) -> None:
        """Wait until a checkpoint is open."""
        self.wait("a loaded checkpoint", lambda: self.app.models.state.phase.value == "ready")

    def wait_idle(self) -> None:
        """Wait until no answer is being written."""
        self.wait("the end of the answer", lambda: not self.app.chats.run.running)

    def answers(self) -> list[str]:
        """The answers of the shown conversation."""
        path = self.app.chats.current.tree.path()
        return [m.text for m in path if m.role.value == "assistant"]

    # -- acting ----------------------------------------------------------------------------

    def click(self, name: str, at: int | None = None) -> None:
        """Click the middle of a control; of several that `at`, from the top."""
        widget = self.widget(name, at=at)
        assert widget.isEnabled(), f"“{name}” cannot be clicked now"
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton, pos=widget.rect().center())

    def click_text(self, text: str) -> None:
        """Click the button that shows `text`, once it is there: a new one is shown a turn later."""

        def found() -> list[QAbstractButton]:
            shown = self._visible(QAbstractButton)
            return [b for b in shown if text in (b.text(), b.text().replace("&", ""))]

        self.wait(f"the button “{text}”", found)
        QTest.mouseClick(found()[0], Qt.MouseButton.LeftButton)

    def combo(self, name: str) -> QComboBox:
        """The list to choose from that a screen reader calls `name`."""
        return self.widget(name, QComboBox)

    def pick(self, name: str, text: str) -> None:
        """Choose from a list by its keyboard."""
        box = self.combo(name)
        box.setFocus()
        QTest.keyClick(box, Qt.Key.Key_Home)
        for _ in range(box.count()):
            if box.currentText() == text:
                return
            QTest.keyClick(box, Qt.Key.Key_Down)
        raise NotShown(f"“{text}” cannot be reached in “{name}”; shown is:\n{self.shown()}")

    def to_front(self) -> None:
        """Make the window the active one again, as a desktop does when a dialog is closed."""
        self.window.activateWindow()
        self.wait("the window in front", self.window.isActiveWindow)

    def type(self, text: str, into: str = "Message") -> None:
        """Click a field and type."""
        self.click(into)
        QTest.keyClicks(self._keyboard(into), text)

    def press(
        self,
        key: Qt.Key,
        modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
        into: str = "Message",
    ) -> None:
        """Press a key in a field."""
        QTest.keyClick(self._keyboard(into), key, modifiers)

    def _keyboard(self, name: str) -> QWidget:
        return self.widget(name)

    def send(self, text: str) -> None:
        """Type a message and press Enter."""
        self.type(text)
        self.press(Qt.Key.Key_Return)

    def drop_folder(self, folder: Path) -> None:
        """Drag a folder from a file manager onto the middle of the window."""
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(folder))])
        at = self.window.rect().center()
        actions = Qt.DropAction.CopyAction
        buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        enter = QDragEnterEvent(QPoint(at), actions, data, buttons, keys)
        QApplication.sendEvent(self.window, enter)
        assert enter.isAccepted(), "the window does not take folders"
        drop = QDropEvent(QPointF(at), actions, data, buttons, keys)
        QApplication.sendEvent(self.window, drop)

    def picture(self, file: Path) -> None:
        """Save what the window looks like."""
        file.parent.mkdir(parents=True, exist_ok=True)
        assert self.window.grab().save(str(file))

    def close(self) -> None:
        """Close the window by its close button and end the program."""
        self.window.close()
        self.app.close()


def say(text: str) -> None:
    """A line the parent process waits for."""
    print(text, flush=True)
