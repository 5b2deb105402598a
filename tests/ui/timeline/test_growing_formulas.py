"""A paragraph with formulas that grows: set from its end, and shown as if it were set whole."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QTextCursor
from PySide6.QtTest import QTest

from qwen_desktop.chat.messages import PartKind, Status
from qwen_desktop.ui.theme import DARK
from qwen_desktop.ui.timeline.leaf import PICTURE
from qwen_desktop.ui.timeline.markdown import MarkdownTail, parse
from qwen_desktop.ui.timeline.pictured import PicturedText
from tests.ui.timeline.conftest import answer, settle, user

FORMULAS = ("$x$", "$x_1$", "\\(\\frac{a}{b}\\)", "$$\\sqrt2$$", "$n^2$")
WORDS = ("the cache keeps", "one **key** and", "*two*\nvalues of `code`", "🎉 for", "𝔘 every")
MIXED = " ".join(f"{WORDS[n % 5]} {FORMULAS[n % 7 % 5]}" for n in range(90))
PIECES = st.sampled_from(
    (*FORMULAS, *WORDS, " ", "\n", "$", "$5", "[", "](https://a.b)", "*", "`", "\\", "&amp;", "a"
     "\\(", "**", "_", "<", "~~", "[^1]", "  \n", "- ", "中文", "$x$ ", "\\text{", "שלום", "\n\n")
)  # fmt: skip


def grown(timeline, text, size=37):
    """The widget of a paragraph that grew to `text`, its formulas drawn meanwhile."""
    message = answer(text[:size], Status.STREAMING)
    timeline.set_messages([user("q"), message])
    for at in range(size, len(text), size):
        message = message.appended(PartKind.TEXT, text[at : at + size])
        timeline.change(message)
        if at % 5 == 0:
            settle()
    settle()
    return next(iter(timeline.view_at(1).leaves())), message


def whole(timeline, message):
    """The same, set at once."""
    timeline.set_messages([])
    timeline.set_messages([user("q"), message])
    settle()
    return next(iter(timeline.view_at(1).leaves()))


def looks(leaf):
    """How it looks on what is behind it."""
    view = leaf.parentWidget()
    return view.grab(leaf.geometry()).toImage()


def test_a_grown_paragraph_looks_as_if_set_whole(timeline):
    leaf, message = grown(timeline, MIXED)
    assert leaf.document().blockCount() > 2  # its full lines are set apart
    before = looks(leaf), leaf.height(), leaf.raw_text(), list(leaf.formulas)
    leaf = whole(timeline, message)
    assert leaf.document().blockCount() == 1
    assert leaf.height() == before[1]
    assert leaf.raw_text() == before[2]
    assert leaf.formulas == before[3]
    assert looks(leaf) == before[0]


def test_what_was_painted_once_follows_theme_width_and_selection(timeline):
    leaf, message = grown(timeline, MIXED)
    looks(leaf)
    timeline.set_theme(DARK)
    timeline.resize(700, 600)
    settle()
    message = message.appended(PartKind.TEXT, " and so on")
    timeline.change(message)
    settle()
    leaf = next(iter(timeline.view_at(1).leaves()))
    unselected = looks(leaf)
    QTest.keyClick(timeline, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    selected = looks(leaf)
    edge = leaf.width() // 2
    assert selected.copy(0, 0, edge, 60) != unselected.copy(0, 0, edge, 60)
    assert looks(whole(timeline, message)) == unselected


def test_copying_from_a_growing_paragraph_gives_what_was_written(timeline):
    plain = " ".join(f"some words $x_{{{n % 9}}}$" for n in range(120))
    leaf, _ = grown(timeline, plain)
    assert leaf.document().blockCount() > 2
    assert leaf.text_between(0, leaf.length) == plain
    QTest.keyClick(timeline, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClick(timeline, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert plain in QGuiApplication.clipboard().text()
    start, end = leaf.range_at(leaf.length // 2, QTextCursor.SelectionType.BlockUnderCursor)
    assert (start, end) == (0, leaf.length)


def test_words_are_found_across_lines_that_are_set_apart(timeline):
    leaf, _ = grown(timeline, " ".join(f"some words $x_{{{n % 9}}}$" for n in range(120)))
    timeline.seek("some words")
    settle()
    assert len(leaf.marks) == 120


def test_only_the_end_is_set_again(timeline, monkeypatch):
    rendered = []
    render = PicturedText._render
    monkeypatch.setattr(
        PicturedText, "_render", lambda self: (rendered.append(self), render(self))[1]
    )
    leaf, message = grown(timeline, MIXED)
    rendered.clear()
    for word in ("more ", "words $x$", " and **bold", "** ones $y$ ", "end"):
        message = message.appended(PartKind.TEXT, word)
        timeline.change(message)
        settle()
    assert not rendered
    assert leaf.formulas[-2:] == ["$x$", "$y$"]
    assert leaf.toPlainText().endswith(f" and bold ones {PICTURE} end")


def test_text_from_the_right_is_one_block(timeline):
    leaf, message = grown(timeline, "שלום " + MIXED)
    assert leaf.document().blockCount() == 1
    before = leaf.raw_text()
    assert whole(timeline, message).raw_text() == before


@given(st.lists(PIECES, max_size=60), st.integers(1, 9), st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_paragraph_is_read_on_as_it_is_read_at_once(pieces, size, long):
    text = ("word " * 90 if long else "") + " ".join(pieces)
    tail = MarkdownTail()
    for end in range(size, len(text) + size, size):
        tail.feed(text[:end])
        # A definition that comes later is the business of the parse at the end.
        if "]:" not in text[:end]:
            assert tail.blocks == parse(text[:end])


@pytest.mark.parametrize(
    "source",
    [
        "[a $x$ b](https://a.b) c",
        "*a $x$ b* c",
        "**a $x$ b** $y$ *c",
        "`a $x$ b` c",
        "~~a $x$ b~~ c",
        "it costs $5 or \\(x\\) or 6$ c",
        "\\(a $x$ b\\) c",
        "**b** `c` $x$ [a $y$ b] c",
        "<a $x$ b> c",
    ],
)
def test_what_is_open_before_a_formula_can_be_closed_after_it(source):
    text = "word " * 90 + source
    tail = MarkdownTail()
    for end in range(len(text) - len(source), len(text) + 1):
        tail.feed(text[:end])
        assert tail.blocks == parse(text[:end])


@given(st.lists(PIECES, min_size=30, max_size=60), st.integers(5, 60))
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_paragraph_ends_as_it_would_be_set(timeline, pieces, size):
    text = MIXED[:600] + " " + " ".join(pieces)
    _, message = grown(timeline, text, size)
    before = [(leaf.raw_text(), leaf.height()) for leaf in timeline.view_at(1).leaves()]
    whole(timeline, message)
    after = [(leaf.raw_text(), leaf.height()) for leaf in timeline.view_at(1).leaves()]
    assert before == after


@pytest.mark.parametrize("source", ["$\\ce{H2O}$", "$" + "+".join(["x"] * 90) + "$"])
def test_what_cannot_be_shown_as_a_picture_grows_as_its_source(timeline, source):
    leaf, message = grown(timeline, f"{MIXED[:500]} {source} {MIXED[:400]}")
    before = leaf.raw_text()
    assert source in before
    assert whole(timeline, message).raw_text() == before
