"""Where window and columns are: brought back into view, made wider by hand and by key, kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtTest import QTest

from qwen_desktop.ui.places import in_view

ONE = QRect(0, 0, 1920, 1040)
LEFT = QRect(-1280, 0, 1280, 1024)
CONTROL = Qt.KeyboardModifier.ControlModifier


def test_a_window_that_is_seen_stays():
    for frame in (
        QRect(100, 100, 1400, 900),
        QRect(-1200, 50, 1000, 700),
        QRect(1800, 0, 900, 600),
    ):
        assert in_view(frame, [ONE, LEFT]) == frame


def test_a_window_of_a_monitor_that_has_gone_comes_to_the_middle_of_another():
    frame = QRect(-1200, 50, 1000, 700)
    assert in_view(frame, [ONE]) == QRect(460, 170, 1000, 700)


@pytest.mark.parametrize(
    "frame",
    [
        QRect(0, -300, 1000, 700),  # its title bar is above the screen
        QRect(1900, 100, 1000, 700),  # a sliver of it is left
        QRect(300, 1030, 1000, 700),
        QRect(-950, 0, 1000, 700),
    ],
)
def test_a_title_bar_can_always_be_taken_hold_of(frame):
    seen = in_view(frame, [ONE])
    assert ONE.contains(seen)
    assert seen.size() == frame.size()


rects = st.builds(
    QRect,
    st.integers(-5000, 5000),
    st.integers(-5000, 5000),
    st.integers(300, 4000),
    st.integers(300, 4000),
)


@given(rects, st.lists(rects, max_size=3))
def test_whatever_the_screens_are_a_window_can_be_reached(frame, screens):
    seen = in_view(frame, screens)
    if not screens:
        assert seen == frame
        return
    bar = QRect(seen.topLeft(), seen.size())
    bar.setHeight(32)
    shown = [screen.intersected(bar) for screen in screens]
    assert any(part.width() >= 96 and part.height() >= 32 for part in shown)
    assert in_view(seen, screens) == seen  # it is at rest there


# --- the columns ---------------------------------------------------------------------------------


def drag(window, handle, by: int) -> None:
    middle = handle.rect().center()
    QTest.mousePress(handle, Qt.MouseButton.LeftButton, pos=middle)
    QTest.mouseMove(handle, middle + QPoint(by, 0))
    QTest.mouseRelease(handle, Qt.MouseButton.LeftButton, pos=middle + QPoint(by, 0))


def test_columns_are_dragged_within_limits_and_a_double_click_resets_them(window):
    window.resize(1600, 900)
    drag(window, window.left_handle, 60)
    assert window.sidebar.width() == 324
    assert window.centre.x() == 325
    drag(window, window.left_handle, 5000)
    assert window.sidebar.width() == 480
    drag(window, window.left_handle, -5000)
    assert window.sidebar.width() == 200
    drag(window, window.right_handle, -40)  # to the left: wider
    assert window.panel.width() == 328
    assert window.centre.geometry().right() == window.width() - 328 - 2
    QTest.mouseDClick(window.left_handle, Qt.MouseButton.LeftButton)
    QTest.mouseDClick(window.right_handle, Qt.MouseButton.LeftButton)
    assert (window.sidebar.width(), window.panel.width()) == (264, 288)


def test_columns_are_moved_by_keys_and_tell_their_width(window):
    window.resize(1600, 900)
    for handle, column, wider in (
        (window.left_handle, window.sidebar, Qt.Key.Key_Right),
        (window.right_handle, window.panel, Qt.Key.Key_Left),
    ):
        before = column.width()
        handle.setFocus(Qt.FocusReason.TabFocusReason)
        QTest.keyClick(handle, wider)
        assert column.width() == before + 16
        assert handle.value() == column.width()
        QTest.keyClick(handle, Qt.Key.Key_End)
        assert column.width() == handle.maximum()
        QTest.keyClick(handle, Qt.Key.Key_Home)
        assert column.width() == handle.minimum()
        QTest.keyClick(handle, Qt.Key.Key_Return)
        assert column.width() == before


def test_a_small_window_keeps_room_for_the_conversation(window):
    window.resize(1600, 900)
    drag(window, window.left_handle, 5000)
    window.resize(900, 600)
    assert window.centre.width() >= 419
    window.resize(1600, 900)
    assert window.sidebar.width() == 480  # what was wanted comes back


def test_the_sidebar_is_hidden_and_shown_by_key_and_by_button(window):
    window.sidebar.new_button.setFocus()
    QTest.keyClick(window, Qt.Key.Key_B, CONTROL)
    assert not window.sidebar.isVisible()
    assert window.centre.x() == 0
    assert window.composer.edit.hasFocus()  # not anywhere at all
    QTest.mouseClick(window.header.sidebar, Qt.MouseButton.LeftButton)
    assert window.sidebar.isVisible()
    QTest.keyClick(window, Qt.Key.Key_B, CONTROL)
    QTest.keyClick(window, Qt.Key.Key_K, CONTROL)  # what is looked for has to be seen
    assert window.sidebar.search.hasFocus()


def test_places_are_kept_for_the_next_start(application, window, tmp_path):
    import json

    window.resize(1600, 900)
    drag(window, window.left_handle, 60)
    drag(window, window.right_handle, -40)
    window.toggle_sidebar()
    application.close()
    kept = json.loads((tmp_path / "profile" / "state.json").read_text(encoding="utf-8"))
    assert (kept["sidebar_width"], kept["panel_width"]) == (324, 328)
    assert kept["sidebar_visible"] is False


def test_a_width_is_kept_at_100_percent(application, window):
    window.resize(1900, 900)
    drag(window, window.left_handle, 36)  # 300 px
    application.preferences.set("zoom", 150)
    assert window.sidebar.width() == 450
    application.preferences.set("zoom", 100)
    assert window.sidebar.width() == 300
