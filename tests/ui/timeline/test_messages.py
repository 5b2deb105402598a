"""How messages look and what they offer: endings, errors, names, themes, keys."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, QLocale, QPoint, QPointF, Qt
from PySide6.QtGui import QEnterEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel

from qwen_desktop.chat.attached import attached
from qwen_desktop.chat.messages import Status, user_message
from qwen_desktop.ui.file_chips import FileChip
from qwen_desktop.ui.file_text import FileTextDialog
from qwen_desktop.ui.theme import DARK, LIGHT
from qwen_desktop.ui.timeline.footer import Footer
from qwen_desktop.ui.timeline.message import MessageView
from tests.ui.timeline.conftest import answer, button, click, has_button, settle, user

NUMBERS = {"answer_tokens": 1214, "first_token_seconds": 0.31, "decode_seconds": 28.81}
MIX = "Text `code`.\n\n```py\nx = 1\n```\n\n|a|\n|-|\n|b|\n\n> q\n\n---\n\n- [x] t\n\n$$\nx\n$$"


def status_line(timeline, index: int) -> str:
    (footer,) = timeline.view_at(index).findChildren(Footer)
    return footer.status


@pytest.mark.parametrize(
    ("status", "start"),
    [
        (Status.COMPLETE, ""),
        (Status.STOPPED, "Stopped · "),
        (Status.INTERRUPTED, "Interrupted: the application closed · "),
        (Status.LENGTH, "Longest answer reached · "),
        (Status.CONTEXT_FULL, "The context is full · "),
        (Status.LOOPING, "Stopped: it repeated itself · "),
        (Status.FAILED, ""),
    ],
)
def test_the_ending_and_the_cost_are_told(timeline, status, start):
    timeline.set_messages([user("q"), answer("text", status, error="No.", **NUMBERS), user("r")])
    numbers = "1,214 tokens · 42.1 tok/s · 0.3 s to first token"
    assert status_line(timeline, 1) == start + numbers


def test_a_quick_first_token_is_not_told_as_none(timeline):
    timeline.set_messages([user("q"), answer("text", **{**NUMBERS, "first_token_seconds": 0.0154})])
    assert status_line(timeline, 1).endswith("0.015 s to first token")


@pytest.mark.parametrize("width", [240, 320, 480])
def test_the_line_is_whole_in_a_narrow_pane(timeline, width):
    message = answer("text", Status.LENGTH, **NUMBERS)
    timeline.set_messages([user("q"), message])
    timeline.resize(width, 600)
    settle()
    (footer,) = timeline.view_at(1).findChildren(Footer)
    (label,) = footer.findChildren(QLabel)
    lines = label.fontMetrics().boundingRect(
        label.contentsRect(), int(Qt.TextFlag.TextWordWrap), label.text()
    )
    assert lines.width() <= label.width()
    assert lines.height() <= label.height() <= footer.height()
    right = max(child.geometry().right() for child in footer.findChildren(QAbstractButton))
    assert right < footer.width() or width == 240
    assert timeline.view_at(1).height() >= footer.geometry().bottom()


def test_the_end_does_not_touch_what_is_below(timeline):
    timeline.set_messages([user("q"), answer("word " * 3000, **NUMBERS)])
    settle()
    (footer,) = timeline.view_at(1).findChildren(Footer)
    bottom = footer.mapTo(timeline.viewport(), footer.rect().bottomLeft()).y()
    assert 12 <= timeline.viewport().height() - bottom <= 32


def test_numbers_follow_the_language(timeline):
    QLocale.setDefault(QLocale("de_DE"))
    timeline.set_messages([user("q"), answer("text", **NUMBERS)])
    assert status_line(timeline, 1) == "1.214 tokens · 42,1 tok/s · 0,3 s to first token"


def test_without_numbers_there_is_no_line(timeline):
    timeline.set_messages([user("q"), answer("text")])
    assert status_line(timeline, 1) == ""


@pytest.mark.parametrize("status", [Status.STOPPED, Status.INTERRUPTED, Status.FAILED])
def test_retry_is_offered_where_an_answer_is_incomplete(timeline, qtbot, status):
    message = answer("part", status, error="It broke.")
    timeline.set_messages([user("q"), message])
    with qtbot.waitSignal(timeline.retry_requested) as caught:
        click(button(timeline.view_at(1), "Retry"))
    assert caught.args == [message.id]


def test_every_answer_can_be_tried_again(timeline, qtbot):
    first, last = answer("one"), answer("two")
    timeline.set_messages([user("q"), first])
    timeline.add(user("q2"))
    timeline.add(last)
    settle()
    for index, message in ((1, first), (3, last)):
        with qtbot.waitSignal(timeline.retry_requested) as caught:
            click(button(timeline.view_at(index), "Retry"))
        assert caught.args == [message.id]


def test_a_streaming_answer_offers_nothing(timeline):
    timeline.set_messages([user("q"), answer("tex", Status.STREAMING)])
    assert not has_button(timeline.view_at(1), "Retry")
    assert not has_button(timeline.view_at(1), "Copy message")


def test_a_failure_keeps_the_text_and_tells_why(timeline, qtbot):
    message = answer("part", Status.FAILED, error="GPU ran out of memory.")
    timeline.set_messages([user("q"), message])
    view = timeline.view_at(1)
    assert next(view.leaves()).toPlainText() == "part"
    cards = [c for c in view.children() if getattr(c, "accessibleName", str)() == message.error]
    assert len(cards) == 1
    assert cards[0].isVisible()
    with qtbot.waitSignal(timeline.details_requested) as caught:
        click(button(view, "Error details"))
    assert caught.args == [message.id]


def test_a_failure_without_text_has_only_its_card(timeline):
    timeline.set_messages([user("q"), answer(status=Status.FAILED, error="No.")])
    view = timeline.view_at(1)
    assert has_button(view, "Error details")
    assert not has_button(view, "Copy message")


def test_a_long_error_is_wrapped(timeline):
    timeline.set_messages([user("q"), answer(status=Status.FAILED, error="short")])
    short = timeline.view_at(1).height()
    timeline.set_messages([user("q"), answer(status=Status.FAILED, error="many words " * 60)])
    assert timeline.view_at(1).height() > short + 30


def test_every_message_and_control_has_a_name(timeline):
    timeline.resize(828, 1500)
    timeline.set_messages(
        [
            user("x\n" * 60),
            answer(MIX, reasoning="r", model="Qwen3-0.6B"),
            user("q"),
            answer("t", Status.FAILED, error="No."),
            user("q"),
            answer("t", model=""),
        ]
    )
    settle()
    names = [timeline.view_at(i).accessibleName() for i in range(6)]
    assert names[:2] == ["Your message", "Answer by Qwen3-0.6B"]
    assert names[5] == "Answer by Qwen"
    for control in timeline.findChildren(QAbstractButton):
        assert control.accessibleName(), control
    assert timeline.accessibleName() == "Chat"
    assert {"Copy code", "Copy message", "Show all", "Error details", "Retry", "Thought"} <= {
        control.accessibleName() for control in timeline.findChildren(QAbstractButton)
    }


def colours(widget) -> set[str]:
    image = widget.grab().toImage()
    return {
        image.pixelColor(x, y).name()
        for x in range(0, image.width(), 2)
        for y in range(0, image.height(), 2)
    }


def test_themes_switch_while_shown(timeline):
    timeline.resize(828, 900)
    timeline.set_messages([user("q"), answer(MIX, Status.FAILED, error="No.", **NUMBERS)])
    settle()
    light = colours(timeline)
    timeline.set_theme(DARK)
    settle()
    dark = colours(timeline)
    for theme, seen, other in ((LIGHT, light, dark), (DARK, dark, light)):
        for colour in (theme.background, theme.user, theme.code, theme.error_background):
            assert colour in seen
            assert colour not in other
        assert theme.accent in seen  # bar of the quote
    timeline.set_theme(LIGHT)
    settle()
    assert colours(timeline) == light


def test_a_theme_reaches_messages_that_were_out_of_sight(timeline):
    timeline.set_messages([m for i in range(30) for m in (user(f"{i}"), answer(MIX))])
    settle()
    bar = timeline.verticalScrollBar()
    bar.setValue(0)
    settle()
    timeline.set_theme(DARK)
    bar.setValue(bar.maximum())
    settle()
    assert LIGHT.user not in colours(timeline)


def test_quiet_buttons_show_under_the_pointer_and_with_the_focus(timeline):
    timeline.set_messages([user("q"), answer("text")])
    view = timeline.view_at(1)
    copy = button(view, "Copy message")
    QApplication.sendEvent(view, QEvent(QEvent.Type.Leave))
    assert colours(copy) == {LIGHT.background}
    copy.setFocus(Qt.FocusReason.TabFocusReason)
    assert LIGHT.accent in colours(copy)
    timeline.setFocus()
    QTest.mouseMove(view)
    QApplication.sendEvent(view, QEnterEvent(QPointF(5, 5), QPointF(5, 5), QPointF(5, 5)))
    assert len(colours(copy)) > 1


def test_tab_goes_through_the_controls_from_the_top(timeline):
    timeline.resize(828, 900)
    code = "```\n1\n```"
    timeline.set_messages([user("q"), answer(f"{code}\n\ntext\n\n{code}"), user("r"), answer("t")])
    settle()
    timeline.activateWindow()
    timeline.setFocus()
    names, heights = [], []
    for _ in range(30):
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        focused = QApplication.focusWidget()
        if not timeline.viewport().isAncestorOf(focused):
            break
        names.append(focused.accessibleName())
        heights.append(focused.mapTo(timeline, focused.rect().center()).y())
    asked = ["Edit message", "Pin message", "Copy message", "More actions"]
    said = ["Retry", "Copy message", "Pin message", "More actions"]
    code = ["Save code as…", "Copy code"]
    assert names == [*asked, *code, *code, *said, *asked, *said]
    assert heights == sorted(heights)


def test_tab_shows_what_it_reaches(timeline):
    timeline.set_messages(
        [user("q"), answer("text\n\n" * 40 + "```\n1\n```\n\n" + "text\n\n" * 40)]
    )
    timeline.verticalScrollBar().setValue(0)
    settle()
    timeline.activateWindow()
    timeline.setFocus()
    for _ in range(6):
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
    copy = QApplication.focusWidget()
    assert copy.accessibleName() == "Copy code"
    assert 0 <= copy.mapTo(timeline.viewport(), copy.rect().center()).y() <= 600
    QTest.keyClick(copy, Qt.Key.Key_Space)
    assert copy.text() == "Copied"


def test_another_language_builds_the_messages_anew(timeline):
    timeline.set_messages([user("q"), answer("text")])
    before = timeline.view_at(1)
    QApplication.sendEvent(timeline, QEvent(QEvent.Type.LanguageChange))
    settle()
    assert timeline.view_at(1) is not before
    assert len(timeline.findChildren(MessageView)) == 2


def test_the_focus_of_the_keyboard_is_seen_on_the_pane_itself(timeline):
    timeline.set_messages([user("q"), answer("text " * 200)])
    settle()
    timeline.setFocus(Qt.FocusReason.MouseFocusReason)
    plain = timeline.grab().toImage()
    corner = timeline.width() // 2, 3
    timeline.clearFocus()
    timeline.setFocus(Qt.FocusReason.TabFocusReason)
    assert timeline.grab().toImage().pixelColor(*corner).name() == LIGHT.accent
    assert plain.pixelColor(*corner).name() != LIGHT.accent
    timeline.clearFocus()
    assert timeline.grab().toImage() == plain


def test_files_of_a_message_are_chips_that_open_their_text(timeline):
    files = [attached("prices.csv", "name,price\ntea,4\n"), attached("notes.md", "n" * 1200)]
    timeline.set_messages([user_message("Sum it up.", None, files), answer("Four.")])
    settle()
    card = timeline.view_at(0).card
    chips = card.findChildren(FileChip)
    assert [chip.name for chip in chips] == ["prices.csv", "notes.md"]
    assert chips[1].detail == "1,200 characters"
    (text,) = card.leaves()
    top = text.mapTo(card, QPoint(0, 0)).y()
    assert all(chip.geometry().bottom() < top and chip.cross is None for chip in chips)
    assert text.toPlainText() == "Sum it up."
    chips[0].setFocus()
    QTest.keyClick(chips[0], Qt.Key.Key_Return)
    dialog = timeline.window().findChild(FileTextDialog)
    assert dialog.text.toPlainText() == "name,price\ntea,4\n"
    assert dialog.windowTitle() == "prices.csv"
    dialog.accept()


def test_files_stay_beside_the_editor_and_need_no_text(timeline):
    timeline.set_can_answer(True)
    timeline.set_messages([user_message("", None, [attached("a.txt", "one")]), answer("Yes.")])
    settle()
    view = timeline.view_at(0)
    (chip,) = view.findChildren(FileChip)
    assert chip.geometry().bottom() < view.card.height()
    timeline.begin_edit(view.message.id)
    settle()
    assert chip.isVisible()
    assert view.card.editor.geometry().top() > chip.geometry().bottom()


def test_many_files_stand_in_rows_within_the_card(timeline):
    files = [attached(f"a rather long name of file {n}.txt", "x") for n in range(9)]
    timeline.set_messages([user_message("q", None, files)])
    settle()
    card = timeline.view_at(0).card
    chips = card.findChildren(FileChip)
    assert max(chip.geometry().right() for chip in chips) < card.width()
    assert len({chip.y() for chip in chips}) >= 3
    for one in chips:
        assert not any(one.geometry().intersects(o.geometry()) for o in chips if o is not one)
