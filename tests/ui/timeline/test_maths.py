"""Formulas in the timeline: pictures in their lines, sources where there are none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from qwen_desktop.chat.messages import PartKind, Status
from qwen_desktop.export.mathrules import Formula
from qwen_desktop.ui.theme import DARK, LIGHT
from qwen_desktop.ui.timeline.leaf import PICTURE
from qwen_desktop.ui.timeline.maths import Maths, Wanted
from qwen_desktop.ui.timeline.view import Timeline
from tests.ui.timeline.conftest import answer, settle, user

INLINE = "The roots of $ax^2+bx+c$ and \\(\\sum_{i=1}^n i\\) are there."
WIDE = "$$" + " + ".join(f"a_{{{i}}}" for i in range(40)) + "$$"


def shown(timeline, source, **kinds):
    """The leaves of an answer, with its formulas drawn."""
    timeline.set_messages([user("q"), answer(source, **kinds)])
    settle()
    return list(timeline.view_at(1).leaves())


def select_all(timeline) -> None:
    QTest.keyClick(timeline, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)


def ink(widget) -> set[str]:
    image = widget.grab().toImage()
    return {
        image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())
    }


def test_formulas_stand_in_their_lines(timeline):
    (leaf,) = shown(timeline, INLINE)
    assert leaf.toPlainText() == f"The roots of {PICTURE} and {PICTURE} are there."
    assert leaf.formulas == ["$ax^2+bx+c$", "\\(\\sum_{i=1}^n i\\)"]


def test_the_source_is_shown_until_the_formula_is_drawn(timeline):
    timeline.set_messages([user("q"), answer(INLINE)])
    (leaf,) = timeline.view_at(1).leaves()
    assert "$ax^2+bx+c$" in leaf.toPlainText()
    assert timeline.drawing
    settle()
    assert PICTURE in leaf.toPlainText()


def test_copying_gives_latex(timeline):
    shown(timeline, f"{INLINE}\n\n$$\n\\frac12\n$$\n\n| $a$ | b |\n|-|-|\n| c | $d$ |")
    select_all(timeline)
    text = timeline.selected_text()
    assert "The roots of $ax^2+bx+c$ and \\(\\sum_{i=1}^n i\\) are there." in text
    assert "$$\n\\frac12\n$$" in text
    assert "$a$\tb\nc\t$d$" in text
    assert PICTURE not in text


def test_part_of_a_line_is_copied_with_its_own_formula(timeline):
    (leaf,) = shown(timeline, "🎉 $a$ b $c$ d")
    assert leaf.text_between(4, leaf.length) == " b $c$ d"
    assert leaf.text_between(0, 4) == "🎉 $a$"
    assert leaf.text_between(5, 6) == "b"


def test_markdown_is_copied_as_it_was_written(timeline):
    shown(timeline, INLINE)
    select_all(timeline)
    menu = timeline.context_menu(QPoint(100, 100))
    next(one for one in menu.actions() if one.text() == "Copy as Markdown").trigger()
    assert INLINE in QGuiApplication.clipboard().text()


def test_screen_readers_are_given_latex(timeline):
    text, display = shown(timeline, f"{INLINE}\n\n$$\\frac12$$")
    assert "$ax^2+bx+c$" in text.accessibleDescription()
    assert display.accessibleName() == "Formula: \\frac12"


@pytest.mark.parametrize(
    "source", ["$\\text{面積}$", "$\\ce{H2O}$", "$\\nosuchthing$", "$\\frac{1}$", "$面$"]
)
def test_what_cannot_be_drawn_stays_as_its_source(timeline, source):
    (leaf,) = shown(timeline, f"a {source} b")
    assert leaf.toPlainText() == f"a {source} b"
    assert "font-family" in leaf.toHtml().split(source[:2])[0].rsplit("<span", 1)[1]  # as code
    (leaf,) = shown(timeline, f"${source}$")
    assert leaf.toPlainText() == f"${source}$"


def test_other_text_stays_text(timeline):
    (leaf,) = shown(timeline, "It costs $5 and $10, \ufffc.")
    assert leaf.toPlainText() == "It costs $5 and $10, \ufffd."
    assert not leaf.formulas


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_formulas_have_the_colour_of_the_text(timeline, theme):
    (leaf,) = shown(timeline, "$$\\rule{3em}{3em}$$")
    timeline.set_theme(theme)
    settle()
    assert theme.text in ink(leaf)
    timeline.set_unseen([timeline.messages()[1].id])
    settle()
    assert theme.dim in ink(leaf)
    assert theme.text not in ink(leaf)


def test_a_quote_has_dim_formulas(timeline):
    (leaf,) = shown(timeline, "> $$\\rule{3em}{3em}$$")
    assert LIGHT.dim in ink(leaf)


def test_a_wide_formula_scrolls_sideways_in_its_block(timeline):
    (leaf,) = shown(timeline, WIDE)
    view = timeline.view_at(1)
    assert leaf.horizontalScrollBar().maximum() > 0
    assert leaf.mapTo(view, QPoint(leaf.width(), 0)).x() <= view.width()


def test_a_formula_wider_than_its_line_shows_its_source(timeline):
    (leaf,) = shown(timeline, f"a {WIDE[1:-1]} b")
    assert leaf.toPlainText().startswith("a $a_{0} + ")
    assert leaf.horizontalScrollBar().maximum() == 0


def test_a_tall_formula_lies_over_nothing(timeline):
    plain = shown(timeline, "a\nb\nc")[0].height()
    small = shown(timeline, "a\n$x$\nc")[0].height()
    tall = shown(timeline, "a\n$\\begin{pmatrix}1\\\\2\\\\3\\\\4\\end{pmatrix}$\nc")[0].height()
    assert small == plain
    assert tall > plain + 40


def test_what_follows_moves_when_a_formula_is_drawn(timeline):
    timeline.set_messages(
        [user("q"), answer("$$\n\\frac{\\frac12}{\\frac34}\n$$\n\n> - $$x$$\n\nend")]
    )
    settle()
    view = timeline.view_at(1)
    blocks = view.block_views
    for above, below in zip(blocks, blocks[1:]):
        assert below.y() == above.geometry().bottom() + 1 + 12
        assert above.height() == above.height_for(above.width())
    assert view.height() >= blocks[-1].geometry().bottom()


def test_the_end_is_still_followed_when_formulas_come(timeline):
    timeline.set_messages([user("q"), answer("text\n\n" * 60 + "$$\\frac{\\frac12}{3}$$\n\n" * 8)])
    settle()
    bar = timeline.verticalScrollBar()
    assert bar.value() == bar.maximum() > 0


def test_a_streamed_formula_is_literal_until_it_is_closed(timeline):
    message = answer("$$\n\\frac", Status.STREAMING)
    timeline.set_messages([user("q"), message])
    settle()
    (leaf,) = timeline.view_at(1).leaves()
    assert leaf.toPlainText() == "$$\n\\frac"
    assert not timeline.drawing
    message = message.appended(PartKind.TEXT, "12\n$$\n")
    timeline.change(message)
    settle()
    (leaf,) = timeline.view_at(1).leaves()
    assert leaf.toPlainText() == PICTURE
    timeline.change(replace(message, status=Status.COMPLETE))
    assert leaf.toPlainText() == PICTURE


def test_a_formula_is_drawn_once(timeline):
    shown(timeline, "$x$ $x$\n\n- $x$")
    maths = timeline.findChild(Maths)
    known = len(maths._known)
    shown(timeline, "again $x$")
    assert len(maths._known) == known == 1


def test_a_screen_of_another_kind_gets_sharper_pictures(timeline):
    maths = timeline.findChild(Maths)
    one = Wanted(Formula("x", False), 16, "#000000", 1.0)
    two = replace(one, ratio=2.0)
    for wanted in (one, two):
        assert maths.picture(wanted) is None
    while maths.busy:
        QApplication.processEvents()
    first, second = maths.picture(one), maths.picture(two)
    assert second.image.width() > 1.5 * first.image.width()
    assert abs(second.width - first.width) <= 1
    assert abs(second.ascent - first.ascent) <= 1


# The exception that ends the thread's work may come while a callback of the collector runs.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_takes_too_long_is_left_and_the_others_are_drawn(qtbot, looks):
    maths = Maths(seconds=0.05)
    slow = Wanted(Formula("+".join([r"\frac{\sqrt{x}}{y^{2}}"] * 100), True), 16, "#000000")
    others = [replace(slow, formula=Formula(f"x_{n}", True)) for n in range(5)]
    maths.picture(others[0])
    qtbot.waitUntil(lambda: maths.is_known(others[0]), timeout=20_000)  # ziamath is imported
    for wanted in (*others[1:], slow):  # the latest is drawn first
        assert maths.picture(wanted) is None
    qtbot.waitUntil(lambda: not maths.busy, timeout=20_000)
    assert maths.is_known(slow)
    assert maths.picture(slow) is None
    assert all(maths.picture(wanted) is not None for wanted in others[1:])
    maths.deleteLater()


def test_a_window_that_closes_waits_for_no_formula(qtbot, looks):
    timeline = Timeline()
    timeline.resize(800, 600)
    timeline.set_messages([user("q"), answer("\n\n".join(f"$x_{{{i}}}$" for i in range(50)))])
    timeline.show()
    QApplication.processEvents()
    assert timeline.drawing
    timeline.hide()
    timeline.deleteLater()
    QApplication.sendPostedEvents(timeline, QEvent.Type.DeferredDelete)


def test_a_move_to_another_screen_keeps_the_formulas(timeline):
    (leaf,) = shown(timeline, INLINE)
    QApplication.sendEvent(timeline, QEvent(QEvent.Type.DevicePixelRatioChange))
    settle()
    assert leaf.formulas == ["$ax^2+bx+c$", "\\(\\sum_{i=1}^n i\\)"]
