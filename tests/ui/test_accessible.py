"""All of the window by keyboard: everything is reached, named, and seen to have the focus."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from qwen_desktop.bridge.models import ModelState, Phase
from tests.ui.test_main_window import conversation
from tests.ui.test_memory_panel import INFO


def reached(window) -> list[QWidget]:
    """What Tab comes by, until it is round."""
    found: list[QWidget] = []
    for _ in range(120):
        focused = QApplication.focusWidget()
        if found and focused is found[0]:
            return found
        found.append(focused)
        QTest.keyClick(focused, Qt.Key.Key_Tab)
    raise AssertionError("Tab never comes back")


def can_be_reached(widget: QWidget) -> bool:
    tab = widget.focusPolicy() & Qt.FocusPolicy.TabFocus
    return bool(tab) and widget.isVisible() and widget.isEnabled() and widget.focusProxy() is None


@pytest.fixture(params=["first page", "a chat"])
def state(request, qtbot, application, window):
    """The window without and with a conversation."""
    if request.param == "a chat":
        made = conversation("Bees", "bees?")
        application.store.submit(lambda store: store.create(made))
        application.chats.list.refresh()
        qtbot.waitUntil(lambda: len(application.chats.list.top()) == 1)
        application.chats.open(made.id)
        qtbot.waitUntil(lambda: window.timeline.isVisible())
        application.models._set(ModelState(Phase.READY, info=INFO))
    window.composer.edit.setFocus()
    return window


def test_tab_reaches_everything_and_everything_has_a_name(state):
    found = reached(state)
    assert [type(widget).__name__ for widget in found if not widget.accessibleName()] == []
    seen = [widget for widget in state.findChildren(QWidget) if can_be_reached(widget)]
    missed = [widget.accessibleName() for widget in seen if widget not in found]
    assert missed == []


def test_the_order_is_that_of_the_columns(state):
    found = reached(state)
    column = {state.sidebar: 0, state.centre: 1, state.panel: 2}
    places = [
        number for widget in found for part, number in column.items() if part.isAncestorOf(widget)
    ]
    # Round in a circle: each column is left once.
    changes = sum(one != other for one, other in zip(places, places[1:] + places[:1], strict=True))
    assert changes <= 3


def test_back_goes_the_same_way_back(state):
    forward = reached(state)
    backward: list[QWidget] = []
    for _ in forward:
        backward.append(QApplication.focusWidget())
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Backtab)
    assert backward == [forward[0], *reversed(forward[1:])]


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize("contrast", ["off", "on"])
def test_the_focus_is_seen_on_every_control(application, state, name, contrast):
    application.preferences.set("theme", name)
    application.preferences.set("high_contrast", contrast)
    for widget in reached(state):
        other = state.header.menu if widget is not state.header.menu else state.header.panel
        area = QRect(widget.mapTo(state, QPoint()), widget.size()).adjusted(-16, -16, 16, 16)
        other.setFocus(Qt.FocusReason.TabFocusReason)
        state.timeline.show_focused()
        before = state.grab(area).toImage()
        widget.setFocus(Qt.FocusReason.TabFocusReason)
        assert widget.hasFocus()
        assert state.grab(area).toImage() != before, widget.accessibleName()
