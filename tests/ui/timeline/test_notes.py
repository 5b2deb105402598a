"""Footnotes are gone to from the text and left again, with the mouse and by keyboard."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QTextDocument
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from qwen_desktop.ui.timeline.leaf import Leaf
from qwen_desktop.ui.timeline.markdown import NOTE
from qwen_desktop.ui.timeline.notes import NoteButton, reference
from tests.ui.timeline.conftest import answer, click, point_of, settle, user

FILLER = "words and words\n\n" * 60
TEXT = f"Said[^1] and more[^long&name].\n\n{FILLER}[^1]: One.\n\n[^long&name]: Two.\n"


def in_view(timeline, widget) -> bool:
    y = widget.mapTo(timeline.viewport(), QPoint(0, 0)).y()
    return 0 <= y < timeline.viewport().height()


def shown(timeline, text=TEXT, **kinds):
    timeline.set_messages([user("q"), answer(text, **kinds)])
    timeline.verticalScrollBar().setValue(0)
    settle()
    return list(timeline.view_at(1).leaves())


def test_a_click_on_a_reference_leads_to_its_note_and_nowhere_else(timeline, mouse, qtbot):
    leaf = shown(timeline)[0]
    outside = []
    timeline.link_activated.connect(outside.append)
    begin, _ = reference(leaf, "long&name")
    mouse.click(point_of(timeline, 1, 0, begin) + QPoint(3, 2))
    focused = QApplication.focusWidget()
    assert isinstance(focused, NoteButton)
    assert focused.accessibleName() == "Back to the reference of footnote long&name"
    assert in_view(timeline, focused)
    assert not in_view(timeline, leaf)
    click(focused)
    assert in_view(timeline, leaf)
    assert QApplication.focusWidget() is leaf
    assert leaf.textCursor().selectedText() == "long&name"
    assert not outside


def test_the_name_of_a_note_is_no_markup_in_its_tip(timeline):
    shown(timeline, "Said[^<b>bold].\n\n[^<b>bold]: One.\n")
    (button,) = timeline.findChildren(NoteButton)
    tip = QTextDocument()
    tip.setHtml(button.toolTip())
    assert tip.toPlainText() == "Back to the reference of footnote <b>bold"


def test_the_keyboard_goes_there_and_back(timeline):
    leaf = shown(timeline)[0]
    while QApplication.focusWidget() is not leaf:
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
    assert leaf.textCursor().charFormat().anchorHref() == NOTE + "1"
    QTest.keyClick(leaf, Qt.Key.Key_Return)
    button = QApplication.focusWidget()
    assert button.label == "1"
    assert in_view(timeline, button)
    QTest.keyClick(button, Qt.Key.Key_Space)
    assert QApplication.focusWidget() is leaf
    QTest.keyClick(leaf, Qt.Key.Key_Return)
    assert QApplication.focusWidget() is button


def test_one_comes_back_to_where_one_was(timeline):
    leaves = shown(timeline, f"A[^1].\n\n{FILLER}B[^1].\n\n{FILLER}[^1]: One.\n")
    second = next(leaf for leaf in leaves if leaf.toPlainText() == "B1.")
    second.follow(NOTE + "1")
    click(QApplication.focusWidget())
    assert QApplication.focusWidget() is second
    assert in_view(timeline, second)


def test_reasoning_and_answer_have_notes_of_their_own(timeline):
    timeline.set_collapse_reasoning(False)
    leaves = shown(timeline, "B[^1].\n\n[^1]: Answer.\n", reasoning="A[^1].\n\n[^1]: Thought.\n")
    for text, leaf in (("Thought.", leaves[0]), ("Answer.", leaves[2])):
        leaf.follow(NOTE + "1")
        button = QApplication.focusWidget()
        note = button.parentWidget().findChild(Leaf)
        assert note.toPlainText() == text
        click(button)
        assert QApplication.focusWidget() is leaf


def test_a_note_that_is_not_shown_yet_is_shown_first(timeline, qtbot):
    table = "| a | b |\n|-|-|\n" + "| 1 | 2 |\n" * 60 + "\n"
    leaf = shown(timeline, "A[^1].\n\n" + table * 12 + "[^1]: One.\n")[0]
    assert timeline.view_at(1).shown_end is not None
    assert leaf.toPlainText() == "A1."
    leaf.follow(NOTE + "1")
    qtbot.waitUntil(lambda: isinstance(QApplication.focusWidget(), NoteButton), timeout=20_000)


def test_a_reference_without_a_note_stays_text(timeline):
    (leaf,) = shown(timeline, "Said[^1].")
    assert leaf.toPlainText() == "Said[^1]."
    assert not leaf.has_links


def test_other_addresses_within_a_message_lead_nowhere(timeline):
    (leaf,) = shown(timeline, "[a](#note:1) <#note:2>")
    assert not leaf.has_links
    leaf.follow("file:///etc/passwd")
    leaf.follow(NOTE + "7")
    assert QApplication.focusWidget() is timeline
