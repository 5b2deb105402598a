"""Which keys an action has, and how a user changes them."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QKeyCombination, Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu, QWidget
from shiboken6 import isValid

from qwen_desktop.ui import keys
from qwen_desktop.ui.actions import BY_NAME, SPECS, Scope

CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
ALT = Qt.KeyboardModifier.AltModifier
# The platform of the tests has no keyboard to grab.
MENUS = pytest.mark.qt_log_ignore("This plugin does not support")
MINE = [spec for spec in SPECS if spec.scope is Scope.WINDOW]

some_keys = st.builds(
    lambda modifiers, key: f"{modifiers}{key}",
    st.sampled_from(["", "Ctrl+", "Shift+", "Ctrl+Shift+", "Alt+", "Ctrl+Alt+"]),
    st.sampled_from([*"ABNKPQ07+,/", "F1", "F5", "Tab", "Esc", "Del", "", "nonsense"]),
)
own_keys = st.dictionaries(
    st.sampled_from([*(spec.name for spec in SPECS), "unknown"]), st.lists(some_keys, max_size=3)
)


# --- the table -----------------------------------------------------------------------------------


def test_the_keys_asked_for_are_the_usual_ones():
    bound = keys.resolve({})
    for name, key in {
        "new": "Ctrl+N",
        "search": "Ctrl+K",
        "open": "Ctrl+O",
        "next_conversation": "Ctrl+Tab",
        "previous_conversation": "Ctrl+Shift+Tab",
        "stop": "Esc",
        "regenerate": "Ctrl+R",
        "sidebar": "Ctrl+B",
        "panel": "Ctrl+J",
        "find": "Ctrl+F",
        "palette": "Ctrl+Shift+P",
        "shortcuts": "F1",
        "zoom_in": "Ctrl++",
        "zoom_out": "Ctrl+-",
    }.items():
        assert key in bound[name]
    assert "Ctrl+?" in bound["shortcuts"]


def test_the_usual_keys_are_each_of_one_action_and_may_be_so():
    used = [key for spec in MINE for key in map(keys.normal, spec.keys)]
    assert len(set(used)) == len(used)
    assert all(used)
    assert [keys.refused(key) for key in used] == [""] * len(used)


@given(own_keys)
def test_whatever_stands_in_the_file_no_key_has_two_actions(own):
    bound = keys.resolve(own)
    assert bound.keys() == BY_NAME.keys()
    used = [key for spec in MINE for key in bound[spec.name]]
    assert len(set(used)) == len(used)
    for spec in MINE:
        for key in bound[spec.name]:
            assert keys.normal(key) == key
            assert not keys.refused(key)


@given(own_keys, st.sampled_from(MINE), some_keys)
def test_keys_that_are_taken_leave_whoever_had_them(own, spec, typed):
    key = keys.normal(typed)
    if not key or keys.refused(key):
        return
    now = keys.with_keys(own, spec.name, (key,))
    bound = keys.resolve(now)
    assert bound[spec.name] == (key,)
    assert keys.user_of(key, bound, but=spec.name) is None
    before = keys.resolve(own)
    for other in MINE:
        if other is not spec and key not in before[other.name]:
            kept = set(before[other.name])
            assert kept <= set(bound[other.name])  # nobody else loses any
    again = keys.resolve(keys.without(now, spec.name))
    assert again[spec.name] == tuple(map(keys.normal, spec.keys))


def test_what_makes_no_sense_is_passed_over_with_a_line_in_the_log(caplog):
    with caplog.at_level(logging.WARNING):
        bound = keys.resolve({"new": ("X", "Ctrl+Y"), "fly": ("Ctrl+U",), "stop": ("F9",)})
    assert bound["new"] == ()
    assert bound["stop"] == ("F9",)
    assert len(caplog.records) == 2
    assert "'fly'" in caplog.text


@pytest.mark.parametrize(
    ("modifiers", "key", "text"),
    [
        (CONTROL, Qt.Key.Key_N, "Ctrl+N"),
        (CONTROL | SHIFT, Qt.Key.Key_Backtab, "Ctrl+Shift+Tab"),
        (CONTROL | SHIFT, Qt.Key.Key_Question, "Ctrl+?"),
        (CONTROL | Qt.KeyboardModifier.KeypadModifier, Qt.Key.Key_Plus, "Ctrl++"),
        (CONTROL, Qt.Key.Key_Control, ""),
        (CONTROL | SHIFT, Qt.Key.Key_Shift, ""),
    ],
)
def test_what_is_pressed_is_read(modifiers, key, text):
    assert keys.pressed(QKeyCombination(modifiers, key)) == text


# --- in the window -------------------------------------------------------------------------------


@pytest.fixture
def dialog(window):
    QTest.keyClick(window, Qt.Key.Key_F1)
    made = window.findChild(QWidget, "shortcutsDialog")
    assert made.isVisible()
    yield made
    if isValid(made):
        made.close()


def choose(dialog, name: str) -> None:
    dialog.table.setCurrentItem(dialog._items[name])


def shown(dialog, name: str) -> str:
    return dialog._items[name].text(1)


def test_every_action_is_listed_with_its_keys(dialog):
    for spec in SPECS:
        assert dialog._items[spec.name].text(0) == spec.label
        native = QKeySequence(spec.keys[0]).toString(QKeySequence.SequenceFormat.NativeText)
        assert shown(dialog, spec.name).startswith(native)


def test_a_key_is_changed_by_pressing_another_and_is_kept(
    qtbot, application, window, dialog, tmp_path
):
    choose(dialog, "new")
    QTest.mouseClick(dialog.change, Qt.MouseButton.LeftButton)
    assert dialog.field.hasFocus()
    QTest.keyClick(dialog.field, Qt.Key.Key_N, CONTROL | ALT)
    assert shown(dialog, "new") == "Ctrl+Alt+N"
    assert dialog.table.hasFocus()
    dialog.close()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    window.sidebar.search.setFocus()
    QTest.keyClick(window, Qt.Key.Key_N, CONTROL)
    assert not window.composer.edit.hasFocus()
    QTest.keyClick(window, Qt.Key.Key_N, CONTROL | ALT)
    assert window.composer.edit.hasFocus()
    assert "Ctrl+Alt+N" in window.sidebar.new_button.toolTip()
    application.files.close()
    kept = json.loads((tmp_path / "profile" / "settings.json").read_text(encoding="utf-8"))
    assert kept["shortcuts"] == {"new": ["Ctrl+Alt+N"]}


def test_a_key_of_another_action_is_named_and_can_be_taken(window, dialog):
    choose(dialog, "new")
    QTest.mouseClick(dialog.change, Qt.MouseButton.LeftButton)
    QTest.keyClick(dialog.field, Qt.Key.Key_K, CONTROL)
    assert dialog.said.text() == "Ctrl+K is used by “Search chats”."
    assert shown(dialog, "new") == "Ctrl+N"  # nothing has changed yet
    QTest.mouseClick(dialog.take, Qt.MouseButton.LeftButton)
    assert shown(dialog, "new") == "Ctrl+K"
    assert shown(dialog, "search") == "Ctrl+Shift+F"
    QTest.mouseClick(dialog.reset, Qt.MouseButton.LeftButton)
    assert shown(dialog, "new") == "Ctrl+N"
    choose(dialog, "search")
    QTest.mouseClick(dialog.reset, Qt.MouseButton.LeftButton)
    assert shown(dialog, "search") == "Ctrl+K, Ctrl+Shift+F"
    assert not dialog.reset_all.isEnabled()  # everything is as usual


@pytest.mark.parametrize(
    ("key", "modifiers", "words"),
    [
        (Qt.Key.Key_X, SHIFT, "types a character"),
        (Qt.Key.Key_C, CONTROL, "is used for editing"),
        (Qt.Key.Key_F2, Qt.KeyboardModifier.NoModifier, "is used for editing"),
    ],
)
def test_keys_that_would_do_harm_are_refused(dialog, key, modifiers, words):
    choose(dialog, "export")
    dialog._begin()
    QTest.keyClick(dialog.field, key, modifiers)
    assert words in dialog.said.text()
    assert not dialog.take.isVisible()
    QTest.keyClick(dialog.field, Qt.Key.Key_Escape)
    assert not dialog.field.isVisible()
    assert dialog.isVisible()
    assert shown(dialog, "export") == "Ctrl+Shift+E"


def test_keys_are_added_removed_and_all_reset(dialog):
    choose(dialog, "sidebar")
    QTest.mouseClick(dialog.add, Qt.MouseButton.LeftButton)
    QTest.keyClick(dialog.field, Qt.Key.Key_F9)
    assert shown(dialog, "sidebar") == "Ctrl+B, F9"
    QTest.mouseClick(dialog.remove, Qt.MouseButton.LeftButton)
    assert shown(dialog, "sidebar") == ""
    QTest.mouseClick(dialog.reset_all, Qt.MouseButton.LeftButton)
    assert shown(dialog, "sidebar") == "Ctrl+B"


def test_keys_of_one_place_are_told_but_stay(dialog):
    choose(dialog, "rename")
    assert not dialog.change.isEnabled()
    assert dialog.said.text() == "These keys cannot be changed."


@MENUS
def test_the_menu_has_every_action_once_with_its_keys(window):
    QTest.mouseClick(window.header.menu, Qt.MouseButton.LeftButton)
    menu = window.findChild(QMenu, "mainMenu")
    found = []
    for action in menu.actions():
        found += action.menu().actions() if action.menu() is not None else [action]
    names = [action.objectName() for action in found if not action.isSeparator()]
    wanted = {f"action_{spec.name}" for spec in MINE} - {"action_menu"}
    assert sorted(names) == sorted(wanted)
    menu.close()


@MENUS
def test_a_key_of_the_model_menu_is_the_one_that_works(application, window):
    application.preferences.set_shortcuts({"open": ("Ctrl+Alt+O",)})
    window.header.show_menu()
    menu = window.header.findChild(QMenu, "modelMenu")
    assert menu.actions()[0].shortcut().toString() == "Ctrl+Alt+O"
    menu.close()
