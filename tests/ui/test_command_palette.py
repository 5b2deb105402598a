"""The command palette: what a few letters find, and what Enter does with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from shiboken6 import isValid

from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.ui import fuzzy
from qwen_desktop.ui.command_palette import CommandPalette

CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


# --- finding -------------------------------------------------------------------------------------


@given(st.text(max_size=6), st.text(max_size=20))
def test_what_fits_has_every_letter_in_order(query, text):
    fit = fuzzy.match(query, text)
    letters = [letter for letter in query.casefold() if not letter.isspace()]
    if fit is None:
        rest = iter([letter.casefold() for letter in text])
        assert not all(letter in rest for letter in letters)
        return
    _, places = fit
    assert list(places) == sorted(set(places))
    assert [text[at].casefold() for at in places] == letters


@given(st.text(max_size=20), st.lists(st.booleans(), min_size=20, max_size=20))
def test_any_letters_of_a_text_in_order_find_it(text, chosen):
    query = "".join(letter for letter, take in zip(text, chosen, strict=False) if take)
    if all(len(letter.casefold()) == 1 for letter in text):
        assert fuzzy.match(query, text) is not None


@pytest.mark.parametrize(
    ("query", "texts", "first"),
    [
        ("ss", ["Messages", "Search settings"], "Search settings"),
        ("set", ["Reset the list", "Settings"], "Settings"),
        ("kb", ["Back to all", "Keyboard shortcuts"], "Keyboard shortcuts"),
        ("导出", ["导入对话", "导出全部"], "导出全部"),
    ],
)
def test_starts_of_words_come_first(query, texts, first):
    number, _ = fuzzy.ranked(query, texts)[0]
    assert texts[number] == first


def test_nothing_typed_keeps_the_order():
    assert [number for number, _ in fuzzy.ranked(" ", ["b", "a"])] == [0, 1]


# --- in the window -------------------------------------------------------------------------------


def opened(window) -> CommandPalette:
    QTest.keyClick(window, Qt.Key.Key_P, CONTROL | SHIFT)
    made = [one for one in window.findChildren(CommandPalette) if one.isVisible()]
    assert len(made) == 1
    return made[0]


def titles(palette) -> list[str]:
    return [palette.list.entry(row)[0].title for row in range(palette.list.rowCount())]


def test_an_action_is_found_and_done(window):
    palette = opened(window)
    assert palette.field.hasFocus()
    QTest.keyClicks(palette.field, "hide chat")
    assert titles(palette)[0] == "Show or hide the chat list"
    QTest.keyClick(palette.field, Qt.Key.Key_Return)
    assert not palette.isVisible()
    assert not window.sidebar.isVisible()
    assert window.composer.edit.hasFocus()


def test_where_no_title_fits_the_english_name_does(application, window):
    palette = opened(window)
    QTest.keyClicks(palette.field, "zoom")
    assert titles(palette) == ["Larger", "Smaller", "Usual size"]
    QTest.keyClick(palette.field, Qt.Key.Key_Return)
    assert application.preferences.get("zoom") > 100


def test_a_setting_is_switched(application, window):
    palette = opened(window)
    QTest.keyClicks(palette.field, "theme dark")
    assert titles(palette)[0] == "Theme: Dark"
    assert "Theme: Light" not in titles(opened_again(window, palette))
    palette = opened(window)
    QTest.keyClicks(palette.field, "theme dark")
    QTest.keyClick(palette.field, Qt.Key.Key_Return)
    assert application.preferences.get("theme") == "dark"


def opened_again(window, palette):
    QTest.keyClick(palette.field, Qt.Key.Key_Escape)
    made = opened(window)
    made.leave()
    return made


def test_a_conversation_is_opened(qtbot, application, window):
    from tests.ui.test_main_window import conversation

    made = [conversation("Bees", "bees?"), conversation("Ants", "ants?")]
    for one in made:
        application.store.submit(lambda store, one=one: store.create(one))
    application.chats.list.refresh()
    qtbot.waitUntil(lambda: len(application.chats.list.top()) == 2)
    palette = opened(window)
    QTest.keyClicks(palette.field, "ants")
    assert titles(palette)[0] == "Ants"
    QTest.keyClick(palette.field, Qt.Key.Key_Enter)
    qtbot.waitUntil(lambda: application.chats.current.id == made[1].id)


def test_what_cannot_be_done_now_is_not_offered(window):
    palette = opened(window)
    assert not window.actions_by_name["stop"].isEnabled()
    assert "Stop the answer" not in titles(palette)
    assert "Command palette" not in titles(palette)
    palette.leave()


def test_arrows_choose_and_go_round(window):
    palette = opened(window)
    last = palette.list.rowCount() - 1
    QTest.keyClick(palette.field, Qt.Key.Key_Up)
    assert palette.view.currentIndex().row() == last
    QTest.keyClick(palette.field, Qt.Key.Key_Down)
    assert palette.view.currentIndex().row() == 0
    QTest.keyClick(palette.field, Qt.Key.Key_PageDown)
    assert palette.view.currentIndex().row() == 10
    QTest.keyClicks(palette.field, "zzzzqqq")
    assert palette.none.isVisible()
    QTest.keyClick(palette.field, Qt.Key.Key_Return)  # nothing to do
    assert palette.isVisible()
    palette.leave()


def test_escape_closes_it_and_gives_the_focus_back_and_stops_nothing(application, window):
    window.sidebar.search.setFocus()
    stopped = []
    window.actions_by_name["stop"].setEnabled(True)
    window.actions_by_name["stop"].triggered.connect(lambda: stopped.append(1))
    palette = opened(window)
    QTest.keyClick(palette.field, Qt.Key.Key_Escape)
    assert not palette.isVisible()
    assert window.sidebar.search.hasFocus()
    assert stopped == []


def test_it_goes_when_the_focus_or_a_click_goes_elsewhere(qtbot, window):
    palette = opened(window)
    window.composer.edit.setFocus()
    qtbot.waitUntil(lambda: not isValid(palette) or not palette.isVisible())
    assert window.composer.edit.hasFocus()
    palette = opened(window)
    QTest.mouseClick(palette, Qt.MouseButton.LeftButton, pos=palette.rect().bottomLeft())
    assert not palette.isVisible()
    assert window.composer.edit.hasFocus()


def test_a_row_is_chosen_by_mouse(application, window):
    palette = opened(window)
    QTest.keyClicks(palette.field, "usual size")
    application.preferences.set("zoom", 125)
    row = palette.view.visualRect(palette.list.index(0)).center()
    QTest.mouseClick(palette.view.viewport(), Qt.MouseButton.LeftButton, pos=row)
    assert application.preferences.get("zoom") == 100


# --- from one conversation to the next -----------------------------------------------------------


@pytest.fixture
def three(qtbot, application, window):
    """Three conversations, used in the order of their names: the last one is shown."""
    from tests.ui.test_main_window import conversation

    made = [conversation(title, f"{title}?") for title in ("Ants", "Bees", "Cats")]
    for one in made:
        application.store.submit(lambda store, one=one: store.create(one))
    application.chats.list.refresh()
    qtbot.waitUntil(lambda: len(application.chats.list.top()) == 3)
    for one in made:
        application.chats.open(one.id)
        qtbot.waitUntil(lambda one=one: application.chats.current.id == one.id)
    return made


def shown(application) -> str:
    return application.chats.current.title


def test_a_key_goes_back_and_forth_between_the_last_two(qtbot, application, window, three):
    for title in ("Bees", "Cats", "Bees"):
        press_and_let_go(window, Qt.Key.Key_Tab, CONTROL)
        qtbot.waitUntil(lambda title=title: shown(application) == title)


def press_and_let_go(window, key, modifiers) -> None:
    QTest.keyPress(window, key, modifiers)
    QTest.keyRelease(window, key, modifiers)
    QTest.keyRelease(window, Qt.Key.Key_Control)


def test_while_control_is_held_it_goes_on_in_the_order_of_use(qtbot, application, window, three):
    keys = window.windowHandle()  # by way of the platform, which knows what is held
    for title in ("Bees", "Ants"):
        QTest.keyPress(keys, Qt.Key.Key_Tab, CONTROL)
        qtbot.waitUntil(lambda title=title: shown(application) == title)
    QTest.keyPress(keys, Qt.Key.Key_Backtab, CONTROL | SHIFT)
    qtbot.waitUntil(lambda: shown(application) == "Bees")
    QTest.keyPress(keys, Qt.Key.Key_Tab, CONTROL)
    qtbot.waitUntil(lambda: shown(application) == "Ants")
    QTest.keyRelease(keys, Qt.Key.Key_Tab, CONTROL)
    assert window.switching.order[:3] == tuple(one.id for one in (three[0], three[2], three[1]))


def test_from_a_new_chat_it_goes_to_the_last_one_and_never_to_a_deleted_one(
    qtbot, application, window, three
):
    application.chats.list.delete([three[1].id])
    QTest.keyClick(window, Qt.Key.Key_N, CONTROL)
    press_and_let_go(window, Qt.Key.Key_Tab, CONTROL)
    qtbot.waitUntil(lambda: shown(application) == "Cats")
    press_and_let_go(window, Qt.Key.Key_Tab, CONTROL)
    qtbot.waitUntil(lambda: shown(application) == "Ants")
    assert three[1].id not in window.switching.order


def test_alone_it_stays(application, window):
    application.chats._shown  # noqa: B018 - there is one, and it is empty
    QTest.keyClick(window, Qt.Key.Key_Tab, CONTROL)
    assert application.chats.current.tree == Tree()
    assert isinstance(application.chats.current, Conversation)
    assert QApplication.focusWidget() is not None
