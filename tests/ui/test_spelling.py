"""Spelling in the message field: marks, the menu, the settings."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QContextMenuEvent, QInputMethodEvent, QTextCursor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu

from qwen_desktop.storage import hunspell
from qwen_desktop.ui import fields
from qwen_desktop.ui.message_edit import LONG_PARAGRAPH
from qwen_desktop.ui.settings_dialog import SettingsDialog
from tests.dictionaries import make, needs_hunspell, own_dictionaries  # noqa: F401

# raise() and grabs of the offscreen platform, at every menu
pytestmark = pytest.mark.qt_log_ignore("does not support")


@pytest.fixture
def composer(own_dictionaries, application, window):  # noqa: F811
    application.preferences.set("spelling_language", "en_US")
    window.composer.focus_edit()
    return window.composer


def selections(window) -> list:
    return window.composer.edit.extraSelections()


def marked(window) -> list[str]:
    return [one.cursor.selectedText() for one in selections(window)]


def wait_for(qtbot, window, *words) -> None:
    qtbot.waitUntil(lambda: marked(window) == list(words))


def menu(qtbot, composer, *, at: int | None = None) -> list[str]:
    """The menu by its key, or by the mouse at a place of the text; the words of its actions."""
    edit = composer.edit
    reason, place = QContextMenuEvent.Reason.Keyboard, edit.cursorRect().center()
    if at is not None:
        cursor = QTextCursor(edit.document())
        cursor.setPosition(at)
        reason = QContextMenuEvent.Reason.Mouse
        place = edit.cursorRect(cursor).center() + QPoint(2, 0)
    target = edit if at is None else edit.viewport()
    event = QContextMenuEvent(reason, place, edit.viewport().mapToGlobal(place))
    QApplication.sendEvent(target, event)
    qtbot.waitUntil(lambda: shown_menu() is not None)
    return [action.text() for action in shown_menu().actions() if not action.isSeparator()]


def shown_menu() -> QMenu | None:
    found = QApplication.activePopupWidget()
    return found if isinstance(found, QMenu) else None


def choose(text: str) -> None:
    opened = shown_menu()
    action = next(one for one in opened.actions() if one.text() == text)
    opened.setActiveAction(action)
    QTest.keyClick(opened, Qt.Key.Key_Return)


@needs_hunspell
def test_misspelt_words_are_underlined_and_nothing_else_is_changed(composer, window, qtbot):
    QTest.keyClicks(composer.edit, "the aple is godo red ")
    wait_for(qtbot, window, "aple", "godo")
    first = composer.edit.extraSelections()[0]
    style = first.format
    assert style.underlineStyle() == style.UnderlineStyle.WaveUnderline
    steps = composer.edit.document().availableUndoSteps()
    composer.edit.undo()
    composer.edit.redo()
    assert composer.text() == "the aple is godo red "
    assert composer.edit.document().availableUndoSteps() == steps


@needs_hunspell
def test_a_word_is_wrong_when_it_is_written_to_its_end(composer, window, qtbot):
    QTest.keyClicks(composer.edit, "gren aple")
    wait_for(qtbot, window, "gren")
    QTest.keyClick(composer.edit, Qt.Key.Key_Home)
    wait_for(qtbot, window, "gren", "aple")
    QTest.keyClick(composer.edit, Qt.Key.Key_End)
    QTest.keyClicks(composer.edit, "s")
    wait_for(qtbot, window, "gren")


@needs_hunspell
def test_what_is_pasted_is_marked_around_signs_that_count_twice(composer, window, qtbot):
    composer.edit.insert("😀😀 aple 苹果 `aple`\n```\naple\n```\nbnana ")
    wait_for(qtbot, window, "aple", "bnana")


@needs_hunspell
def test_a_suggestion_takes_the_place_of_the_word_and_can_be_undone(composer, window, qtbot):
    composer.edit.insert("the 😀 aple is")
    wait_for(qtbot, window, "aple")
    words = menu(qtbot, composer, at=8)
    assert words[0] == "apple"
    assert {"Add to dictionary", "Ignore", "Check spelling"} <= set(words)
    choose("apple")
    assert composer.text() == "the 😀 apple is"
    wait_for(qtbot, window)
    composer.edit.undo()
    assert composer.text() == "the 😀 aple is"


@needs_hunspell
def test_by_the_keyboard_the_word_at_the_cursor_is_meant(composer, window, qtbot):
    QTest.keyClicks(composer.edit, "red aple")
    qtbot.waitUntil(lambda: window.spelling.is_wrong("aple"))
    assert menu(qtbot, composer)[0] == "apple"
    choose("Add to dictionary")
    assert not window.spelling.is_wrong("aple")
    assert menu(qtbot, composer)[0] == "Remove from dictionary"
    choose("Remove from dictionary")
    assert menu(qtbot, composer)[0] == "apple"
    choose("Ignore")
    assert "Remove from dictionary" not in menu(qtbot, composer)
    shown_menu().close()


@needs_hunspell
def test_a_word_that_resembles_none_has_no_suggestions(composer, window, qtbot):
    QTest.keyClicks(composer.edit, "qqqqqqqqq ")
    wait_for(qtbot, window, "qqqqqqqqq")
    assert menu(qtbot, composer, at=2)[0] == "No suggestions"
    assert not shown_menu().actions()[0].isEnabled()
    shown_menu().close()


@needs_hunspell
def test_the_menu_of_a_good_word_is_the_usual_one(composer, window, qtbot):
    QTest.keyClicks(composer.edit, "apple aple ")
    wait_for(qtbot, window, "aple")
    words = menu(qtbot, composer, at=2)
    assert "Add to dictionary" not in words
    assert words[-1] == "Check spelling"
    choose("Check spelling")
    wait_for(qtbot, window)
    assert window.spelling.is_on is False
    menu(qtbot, composer, at=2)
    choose("Check spelling")
    wait_for(qtbot, window, "aple")


@needs_hunspell
def test_text_of_another_language_is_left_alone(composer, window, qtbot):
    QTest.keyClicks(composer.edit, "das ist ein guter roter Apfel aus Berlin ")
    qtbot.waitUntil(lambda: window.spelling.is_wrong("Apfel"))
    QTest.keyClick(composer.edit, Qt.Key.Key_Home)
    qtbot.waitUntil(lambda: not window.spell_marks._timer.isActive())
    assert marked(window) == []


@needs_hunspell
def test_a_very_long_text_is_marked_where_it_is_seen(composer, window, qtbot):
    composer.edit.insert("\n".join(["aple"] * 5_000))
    qtbot.waitUntil(lambda: 0 < len(marked(window)) < 20)
    composer.edit.verticalScrollBar().setValue(0)
    qtbot.waitUntil(lambda: [one.cursor.blockNumber() for one in selections(window)][:1] == [0])


@needs_hunspell
def test_a_word_that_is_cut_for_display_is_not_judged(composer, window, qtbot):
    composer.edit.insert("apple " + "x" * LONG_PARAGRAPH)
    qtbot.waitUntil(lambda: window.spelling.spellers is not None)
    qtbot.waitUntil(lambda: not window.spell_marks._timer.isActive())
    assert marked(window) == []


@needs_hunspell
def test_while_an_input_method_composes_marks_stay_where_they_are(composer, window, qtbot):
    QTest.keyClicks(composer.edit, "aple ")
    wait_for(qtbot, window, "aple")
    QApplication.sendEvent(composer.edit, QInputMethodEvent("pingguo", []))
    event = QInputMethodEvent("", [])
    event.setCommitString("苹果")
    QApplication.sendEvent(composer.edit, event)
    assert composer.text() == "aple 苹果"
    wait_for(qtbot, window, "aple")


@needs_hunspell
def test_the_settings_offer_the_languages_there_are(
    composer,
    application,
    window,
    qtbot,
    own_dictionaries,  # noqa: F811
):
    make(own_dictionaries, "de_DE", ("gut",))
    window.commanding.show_settings()
    dialog = window.findChild(SettingsDialog)
    box = dialog.fields["spelling_language"].control
    qtbot.waitUntil(lambda: box.count() == 3)
    assert [box.itemText(n) for n in range(3)] == [
        "As the system",
        "American English",
        "Deutsch (Deutschland)",
    ]
    assert box.currentData() == "en_US"
    box.setCurrentIndex(2)
    assert application.preferences.get("spelling_language") == "de_DE"
    dialog.close()


def test_without_a_library_the_settings_say_so_and_nothing_is_marked(
    composer, window, qtbot, monkeypatch
):
    monkeypatch.setattr(hunspell, "library", lambda: None)
    QTest.keyClicks(composer.edit, "aple ")
    qtbot.waitUntil(lambda: window.spelling.spellers is not None)
    assert marked(window) == []
    assert "Check spelling" not in menu(qtbot, composer)
    shown_menu().close()
    window.commanding.show_settings()
    dialog = window.findChild(SettingsDialog)
    field = dialog.fields["spelling"]
    assert not field.control.isEnabled()
    assert "Hunspell is not installed" in field.control.accessibleDescription()
    dialog.close()


def test_without_a_dictionary_the_settings_say_so(
    composer,
    window,
    qtbot,
    own_dictionaries,  # noqa: F811
):
    for file in own_dictionaries.iterdir():
        file.unlink()
    window.commanding.show_settings()
    dialog = window.findChild(SettingsDialog)
    field = dialog.fields["spelling"]
    qtbot.waitUntil(lambda: not field.control.isEnabled())
    assert field.control.accessibleDescription().startswith("Not available: ")
    dialog.close()


def test_languages_are_called_by_their_own_names():
    assert fields.language_name("de_DE") == "Deutsch (Deutschland)"
    assert fields.language_name("xx_YY") == "xx_YY"
