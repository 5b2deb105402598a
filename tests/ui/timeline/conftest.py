"""A shown timeline, and the ways to look at it and to drive it."""

from __future__ import annotations

import time

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QTextCursor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication

from qwen_desktop.chat.messages import AnswerStats, Message, Part, PartKind, Role, Status
from qwen_desktop.chat.messages import user_message as _user_message
from qwen_desktop.ui.theme import LIGHT
from qwen_desktop.ui.timeline.view import Timeline


def user(text: str) -> Message:
    return _user_message(text, None)


def answer(text="", status=Status.COMPLETE, reasoning="", error="", model="Qwen-7B-Chat", **stats):
    parts = [Part(PartKind.REASONING, reasoning)] if reasoning else []
    parts += [Part(PartKind.TEXT, text)] if text else []
    return Message(
        Role.ASSISTANT,
        tuple(parts),
        status=status,
        error=error,
        stats=AnswerStats(model=model, **stats),
    )


def settle() -> None:
    """Let everything happen that waits for nothing but its turn, or for formulas being drawn."""
    for _ in range(40):
        QApplication.processEvents()
    shown = [one for one in QApplication.topLevelWidgets() if isinstance(one, Timeline)]
    end = time.monotonic() + 20  # only ever waited for in full by a test that fails
    while any(one.drawing for one in shown) and time.monotonic() < end:
        QApplication.processEvents()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def button(parent, name: str) -> QAbstractButton:
    """The one shown button called `name`."""
    found = [
        child
        for child in parent.findChildren(QAbstractButton)
        if child.accessibleName() == name and child.isVisible()
    ]
    assert len(found) == 1, f"{len(found)} buttons called {name!r}"
    return found[0]


def has_button(parent, name: str) -> bool:
    return any(
        child.accessibleName() == name and child.isVisible()
        for child in parent.findChildren(QAbstractButton)
    )


def click(widget) -> None:
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton)


def shown_text(view) -> str:
    """All text of a message's blocks as it reads."""
    return "\n".join(leaf.toPlainText() for leaf in view.leaves())


def point_of(timeline, index: int, leaf: int, char: int) -> QPoint:
    """Where a character stands, in the viewport."""
    widget = list(timeline.view_at(index).leaves())[leaf]
    cursor = QTextCursor(widget.document())
    cursor.setPosition(char)
    rect = widget.cursorRect(cursor)
    return widget.viewport().mapTo(timeline.viewport(), rect.center())


class Mouse:
    """Presses, moves and releases where a hand would: on the innermost widget."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._grabber = timeline.viewport()

    def _target(self, point: QPoint):
        viewport = self._timeline.viewport()
        return viewport.childAt(point) or viewport

    def press(self, point: QPoint, modifiers=Qt.KeyboardModifier.NoModifier) -> None:
        self._grabber = self._target(point)
        spot = self._grabber.mapFrom(self._timeline.viewport(), point)
        QTest.mousePress(self._grabber, Qt.MouseButton.LeftButton, modifiers, spot)

    def move(self, point: QPoint) -> None:
        spot = QPointF(self._grabber.mapFrom(self._timeline.viewport(), point))
        where = QPointF(self._timeline.viewport().mapToGlobal(point))
        left = Qt.MouseButton.LeftButton
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            spot,
            where,
            Qt.MouseButton.NoButton,
            left,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(self._grabber, event)

    def release(self, point: QPoint, modifiers=Qt.KeyboardModifier.NoModifier) -> None:
        spot = self._grabber.mapFrom(self._timeline.viewport(), point)
        QTest.mouseRelease(self._grabber, Qt.MouseButton.LeftButton, modifiers, spot)

    def drag(self, start: QPoint, end: QPoint) -> None:
        self.press(start)
        self.move((start + end) / 2)
        self.move(end)
        self.release(end)

    def click(self, point: QPoint, modifiers=Qt.KeyboardModifier.NoModifier) -> None:
        self.press(point, modifiers)
        self.release(point, modifiers)

    def double_click(self, point: QPoint) -> None:
        target = self._target(point)
        spot = target.mapFrom(self._timeline.viewport(), point)
        QTest.mouseDClick(target, Qt.MouseButton.LeftButton, pos=spot)


@pytest.fixture
def timeline(qtbot, looks):
    built = Timeline()
    qtbot.addWidget(built)
    built.set_theme(LIGHT)
    built.resize(828, 600)
    built.show()
    qtbot.waitExposed(built)
    built.setFocus()
    return built


@pytest.fixture
def mouse(timeline):
    return Mouse(timeline)
