"""Footnotes, tasks, tags and quotes as they are shown, read aloud and copied."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from qwen_desktop.ui.theme import LIGHT
from qwen_desktop.ui.timeline.markdown import MarkdownTail, parse
from tests.ui.timeline.conftest import answer, settle, shown_text, user


def shown(timeline, source):
    timeline.set_messages([user("q"), answer(source)])
    settle()
    return timeline.view_at(1)


def copied(timeline) -> str:
    QTest.keyClick(timeline, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    return timeline.selected_text().removeprefix("q\n\n")


NOTES = (
    "One[^1] two[^long name] three[^b].\n\n[^1]: First *note*\nwith a second line.\n\n    And more."
)


def test_a_footnote_stands_where_it_is_written(timeline):
    view = shown(timeline, NOTES + "\n[^b]: Second\n\nAfter.")
    assert [block.kind for block in view.blocks] == ["text", "note", "note", "text"]
    assert '<sup><a href="#note:1">1</a></sup>' in view.blocks[0].html
    assert "[^long name]" in view.blocks[0].html  # nobody says what that is
    text, first, more, second, after = view.leaves()
    assert (first.toPlainText(), more.toPlainText()) == (
        "First note with a second line.",
        "And more.",
    )
    assert first.accessibleName() == "Footnote 1"
    assert second.mapTo(view, QPoint(0, 0)).x() > text.mapTo(view, QPoint(0, 0)).x()
    assert copied(timeline).split("\n\n")[1].startswith("[^1]: First note")
    assert after.toPlainText() == "After."


@pytest.mark.parametrize(
    "source",
    ["[^1]", "[^]: x", "[^a b]: x", "x [^1]: y", "    [^1]: x", "`[^1]`\n\n[^1]: x", "[^1]:"],
)
def test_what_is_no_footnote(source):
    assert "<sup>" not in "".join(block.html for block in parse(source))


def test_a_growing_text_knows_the_notes_before(timeline):
    tail = MarkdownTail()
    for end in range(1, 40):
        tail.feed("[^1]: note\n\npara\n\nSee [^1] and more of it."[:end])
    assert '<sup><a href="#note:1">1</a></sup>' in tail.blocks[-1].html


def test_tasks_are_read_with_their_state(timeline):
    view = shown(timeline, "- [x] done\n- [ ] open\n- plain")
    assert [leaf.accessibleName() for leaf in view.leaves()] == ["Done", "To do", ""]
    assert copied(timeline) == "- [x] done\n- [ ] open\n- plain"


def test_tags_are_text_but_for_the_line_break(timeline):
    view = shown(
        timeline, 'a <b>x</b> <a href="**">*y*</a>\n\n| h |\n|-|\n| one<br>two<BR/>three |'
    )
    first, table = view.leaves()
    assert first.toPlainText() == 'a <b>x</b> <a href="**">y</a>'
    assert table.toPlainText().count("\u2028") + table.toPlainText().count("\n") >= 3
    assert "<br" not in table.toPlainText().lower()


@pytest.mark.parametrize("source", ["<div>\n*a*\n</div>", "<!-- *a* -->", "```mermaid\n*a*\n```"])
def test_html_and_diagrams_are_shown_as_code(timeline, source):
    view = shown(timeline, source)
    assert [block.kind for block in view.blocks] == ["code"]
    assert "*a*" in shown_text(view)


def test_pictures_are_named(timeline):
    source = "![a *dog*](https://a.b/c.png) ![](https://a.b/d.png)"
    assert shown_text(shown(timeline, source)) == "a dog (https://a.b/c.png) https://a.b/d.png"


def test_a_link_to_nowhere_is_none(timeline):
    view = shown(timeline, "[words]()")
    (leaf,) = view.leaves()
    assert not leaf.has_links
    assert leaf.focusPolicy() == Qt.FocusPolicy.NoFocus


def test_notes_and_quotes_are_dim(timeline):
    view = shown(timeline, "> quote\n\n[^1]: note")
    for leaf in view.leaves():
        assert leaf.palette().text().color().name() == LIGHT.dim


def test_hard_breaks_and_nested_lists_keep_their_lines(timeline):
    view = shown(timeline, "one  \ntwo\\\nthree\n\n- a\n  - b\n    1. c\n\n> x\n> > y")
    assert "one\ntwo\nthree" in shown_text(view)
    assert copied(timeline).split("\n\n")[1] == "- a\n  - b\n    1. c"
