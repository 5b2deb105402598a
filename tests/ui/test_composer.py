"""Writing a message: keys, input methods, growing, pasting, what stands beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QEvent, QMimeData, QObject, Qt, QTimer, QUrl
from PySide6.QtGui import QFont, QGuiApplication, QInputMethodEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from qwen_desktop.chat.events import Usage
from qwen_desktop.chat.messages import AnswerStats
from qwen_desktop.ui.composer import Composer
from qwen_desktop.ui.message_edit import BREAK, MOST_LINES, with_breaks, without_breaks

ENTER, SHIFT = Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def composer(qtbot, looks):
    made = Composer()
    qtbot.addWidget(made)
    made.resize(700, 200)
    made.show()
    made.activateWindow()
    made.focus_edit()
    qtbot.waitUntil(made.edit.hasFocus)
    made.sent = []
    made.send_requested.connect(made.sent.append)
    return made


class PaintCount(QObject):
    """Counts what is painted."""

    count = 0

    def eventFilter(self, watched, event) -> bool:
        self.count += event.type() == QEvent.Type.Paint
        return False


def compose(composer, preedit: str) -> None:
    QApplication.sendEvent(composer.edit, QInputMethodEvent(preedit, []))


def commit(composer, text: str) -> None:
    event = QInputMethodEvent("", [])
    event.setCommitString(text)
    QApplication.sendEvent(composer.edit, event)


@pytest.mark.parametrize("key", [Qt.Key.Key_Return, Qt.Key.Key_Enter])
def test_enter_sends_and_the_text_stays_until_it_is_cleared(composer, key):
    QTest.keyClicks(composer.edit, "hello")
    QTest.keyClick(composer.edit, key)
    assert composer.sent == ["hello"]
    assert composer.text() == "hello"
    composer.clear()
    assert composer.text() == ""


def test_shift_enter_starts_a_new_line(composer):
    QTest.keyClicks(composer.edit, "one")
    QTest.keyClick(composer.edit, ENTER, SHIFT)
    QTest.keyClicks(composer.edit, "two")
    assert composer.sent == []
    QTest.keyClick(composer.edit, ENTER)
    assert composer.sent == ["one\ntwo"]


@pytest.mark.parametrize("typed", ["", "   ", " \n\t\n"])
def test_a_blank_message_is_not_sent_and_a_hint_says_so(composer, typed):
    composer.set_text(typed)
    QTest.keyClick(composer.edit, ENTER)
    assert composer.sent == []
    assert composer.hint.text() == "Type a message first."


def test_enter_during_a_composition_does_not_send(composer):
    QTest.keyClicks(composer.edit, "a")
    compose(composer, "nihao")
    QTest.keyClick(composer.edit, ENTER)
    assert composer.sent == []


def test_the_enter_that_commits_a_composition_does_not_send(composer):
    """Some input methods deliver it after the commit."""
    compose(composer, "nihao")
    commit(composer, "你好")
    QTest.keyPress(composer.edit, ENTER)
    assert composer.sent == []
    QTest.keyRelease(composer.edit, ENTER)
    QTest.keyClick(composer.edit, ENTER)
    assert composer.sent == ["你好"]
    assert composer.text() == "你好"  # no line end came in


def test_enter_sends_at_once_after_a_commit_by_another_key(composer):
    compose(composer, "nihao")
    commit(composer, "你好")
    QTest.keyRelease(composer.edit, Qt.Key.Key_Space)  # its press went to the input method
    QTest.keyClick(composer.edit, ENTER)
    assert composer.sent == ["你好"]


def test_a_composition_ends_with_the_focus(composer):
    compose(composer, "nihao")
    composer.button.setFocus()
    composer.focus_edit()
    composer.set_text("text")
    QTest.keyClick(composer.edit, ENTER)
    assert composer.sent == ["text"]


def test_a_held_enter_sends_once(composer):
    composer.set_text("text")
    QTest.keyPress(composer.edit, ENTER)
    from PySide6.QtCore import QEvent
    from PySide6.QtGui import QKeyEvent

    again = QKeyEvent(
        QEvent.Type.KeyPress, ENTER.value, Qt.KeyboardModifier.NoModifier, "\r", autorep=True
    )
    QApplication.sendEvent(composer.edit, again)
    assert composer.sent == ["text"]


def test_the_reason_switches_send_off_and_is_said(composer):
    composer.set_state(running=False, reason="Open a checkpoint first")
    assert not composer.button.isEnabled()
    assert composer.button.toolTip() == "Open a checkpoint first"
    assert composer.hint.text() == "Open a checkpoint first"
    QTest.keyClicks(composer.edit, "hello")
    QTest.keyClick(composer.edit, ENTER)
    assert composer.sent == []
    assert composer.text() == "hello"


def test_while_an_answer_is_written_the_button_stops(composer, qtbot):
    assert composer.button.accessibleName() == "Send message"
    composer.set_text("next")
    composer.set_state(running=True)
    assert composer.button.accessibleName() == "Stop"
    QTest.keyClick(composer.edit, ENTER)
    assert composer.sent == []
    with qtbot.waitSignal(composer.stop_requested):
        QTest.mouseClick(composer.button, Qt.MouseButton.LeftButton)
    composer.set_state(running=True, stopping=True)
    assert not composer.button.isEnabled()
    composer.set_state(running=False)
    QTest.mouseClick(composer.button, Qt.MouseButton.LeftButton)
    assert composer.sent == ["next"]


def test_the_button_keeps_the_focus_in_the_field(composer):
    composer.set_text("text")
    QTest.mouseClick(composer.button, Qt.MouseButton.LeftButton)
    assert composer.edit.hasFocus()


def test_it_grows_from_one_line_to_eight(composer, qtbot):
    heights = []
    for lines in range(1, MOST_LINES + 3):
        composer.set_text("\n".join(["line"] * lines))
        heights.append(composer.edit.height())
    assert heights[:MOST_LINES] == sorted(set(heights[:MOST_LINES]))
    assert len(set(heights[MOST_LINES - 1 :])) == 1
    composer.clear()
    assert composer.edit.height() == heights[0]


def test_a_wrapped_line_counts_as_it_is_shown(composer):
    composer.set_text("word " * 60)
    two = composer.edit.height()
    composer.set_text("word")
    assert two > composer.edit.height()


def test_only_plain_text_is_pasted(composer):
    data = QMimeData()
    data.setHtml("<b>bold</b><img src='file:///etc/passwd'>")
    data.setText("bold")
    QGuiApplication.clipboard().setMimeData(data)
    composer.edit.paste()
    assert composer.text() == "bold"
    cursor = composer.edit.textCursor()
    assert cursor.charFormat().fontWeight() == QFont.Weight.Normal
    assert "<img" not in composer.edit.document().toHtml()


def test_a_dragged_file_is_left_to_the_window(composer):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile("/tmp")])
    data.setText("/tmp")
    assert not composer.edit.canInsertFromMimeData(data)
    link = QMimeData()
    link.setUrls([QUrl("https://example.com")])
    link.setText("https://example.com")
    assert composer.edit.canInsertFromMimeData(link)


@pytest.mark.parametrize(
    "megabyte", ["word " * 200_000, "字" * 350_000, "a line of text that is not long\n" * 33_000]
)
def test_a_megabyte_is_pasted_and_sent_as_it_is(composer, megabyte):
    QGuiApplication.clipboard().setText(megabyte)
    composer.edit.paste()
    QTest.keyClicks(composer.edit, "end")
    assert composer.text() == megabyte + "end"
    longest = max(len(line) for line in composer.edit.document().toRawText().split("\u2029"))
    assert longest < 10_000  # what makes typing on possible
    composer.edit.undo()
    composer.edit.undo()
    composer.edit.redo()
    composer.edit.redo()
    assert composer.text() == megabyte + "end"
    composer.edit.selectAll()
    composer.edit.copy()
    assert QGuiApplication.clipboard().text() == megabyte + "end"
    QTest.keyClick(composer.edit, ENTER)
    assert composer.sent == [megabyte + "end"]


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\r\u2060\u200b"), max_size=50), max_size=6
    ).map("\n".join),
    st.integers(0, 30_000),
    st.integers(0, 6),
)
def test_cutting_for_display_loses_nothing(text, length, where):
    lines = text.split("\n")
    lines.insert(where % (len(lines) + 1), "x" * length)
    text = "\n".join(lines)
    shown = with_breaks(text)
    assert without_breaks(shown) == text
    assert max(len(line) for line in shown.split("\n")) <= 10_000 + len(BREAK)


def test_line_ends_of_other_systems_are_line_ends(composer):
    composer.set_text("one\r\ntwo\rthree")
    assert composer.text() == "one\ntwo\nthree"


def test_drafts_are_told_once_and_not_when_they_are_set(composer, qtbot):
    drafts = []
    composer.draft_changed.connect(drafts.append)
    composer.set_text("from disk")
    composer.flush_draft()
    assert drafts == []
    QTest.keyClicks(composer.edit, " more")
    qtbot.waitUntil(lambda: drafts[-1:] == ["from disk more"])
    count = len(drafts)
    composer.flush_draft()
    assert len(drafts) == count


def test_typing_without_a_pause_is_told_too(composer, qtbot):
    told = []
    composer.draft_changed.connect(told.append)
    key = QTimer()
    key.timeout.connect(lambda: QTest.keyClicks(composer.edit, "x"))
    key.start(50)
    qtbot.waitUntil(lambda: bool(told))
    key.stop()


def test_the_context_bar_tells_and_warns(composer):
    composer.set_usage(Usage(AnswerStats(), 3217, 8192))
    assert composer.count.text() == "3,217 / 8,192 tokens"
    assert composer.bar.colour == "accent"
    assert composer.bar.value() == round(1000 * 3217 / 8192)
    composer.set_usage(Usage(AnswerStats(), 7000, 8192))
    assert (composer.bar.colour, composer.count.tint) == ("warning", "warning")
    composer.set_usage(None)
    assert composer.count.text() == ""
    assert composer.bar.isHidden()


def test_the_context_bar_tells_of_messages_that_were_left_out(composer):
    composer.set_usage(Usage(AnswerStats(), 3217, 8192, unseen=("a", "b", "c")))
    told = "The model no longer sees 3 messages of this chat."
    assert composer.bar.toolTip() == composer.count.toolTip() == told
    assert composer.bar.accessibleDescription() == f"3,217 / 8,192 tokens. {told}"
    composer.set_usage(Usage(AnswerStats(), 3217, 8192))
    assert composer.bar.toolTip() == composer.count.toolTip() == ""


def test_the_field_says_who_reads_it(composer):
    composer.set_model_name("Qwen3-4B")
    assert composer.edit.placeholderText() == "Message Qwen3-4B…"
    composer.set_model_name("")
    assert composer.edit.placeholderText() == "Message…"


def test_another_reader_is_seen_in_the_empty_field(composer):
    edit = composer.edit
    composer.set_model_name("One")
    before = edit.viewport().grab().toImage()
    painted = PaintCount()
    QApplication.processEvents()
    edit.viewport().installEventFilter(painted)
    composer.set_model_name("Quite another")
    QApplication.processEvents()
    assert painted.count == 1
    assert edit.viewport().grab().toImage() != before


def test_a_hint_that_has_no_room_can_be_read_in_its_tooltip(composer, qtbot):
    assert composer.hint.toolTip() == ""
    composer.resize(300, 200)
    qtbot.waitUntil(lambda: composer.hint.toolTip() == composer.hint.text() != "")


def test_that_nothing_is_typed_is_said_until_something_stands_there(composer):
    composer.history.earlier = lambda: ("said before",)
    QTest.keyClick(composer.edit, ENTER)
    assert composer.hint.text() == "Type a message first."
    QTest.keyClick(composer.edit, Qt.Key.Key_Up)
    assert composer.text() == "said before"
    assert composer.hint.text().startswith("Enter to send")
    composer.say("something else")
    QTest.keyClicks(composer.edit, "x")
    assert composer.hint.text() == "something else"
