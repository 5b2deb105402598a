"""Tokens as text that wraps: where each stands, moving, selecting, searching, copying."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QColor, QGuiApplication, QHelpEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QToolTip

from qwen_desktop.chat.tokens import Tokens
from qwen_desktop.ui import theme
from qwen_desktop.ui.token_layout import TokenLayout
from qwen_desktop.ui.token_text import Mode, Span, TokenText
from tests.engine.helpers import tiles

MARK = 900
SHIFT = Qt.KeyboardModifier.ShiftModifier
CONTROL = Qt.KeyboardModifier.ControlModifier


def tokens_of(*pieces: str | bytes) -> Tokens:
    raw = [piece.encode() if isinstance(piece, str) else piece for piece in pieces]
    ids = [MARK if piece == b"<|end|>" else number for number, piece in enumerate(raw)]
    return Tokens.of(ids, raw, {MARK})


@pytest.fixture
def view(qtbot, looks):
    made = TokenText("Tokens")
    qtbot.addWidget(made)
    made.resize(400, 200)
    made.show()
    qtbot.waitExposed(made)
    made.setFocus()
    return made


PIECES = st.lists(
    st.one_of(
        st.sampled_from([" the", "\n\n", "a\n b", "中", "x" * 90, "", "<|end|>", "🎉", "\t", " "]),
        st.text(max_size=6),
        st.binary(max_size=5),
    ),
    max_size=60,
)


@given(pieces=PIECES, cuts=st.sets(st.integers(0, 60)))
def test_cells_tile_the_tokens_and_spell_their_bytes(pieces, cuts):
    raw = [piece.encode() if isinstance(piece, str) else piece for piece in pieces]
    ids = [MARK if piece == b"<|end|>" else number for number, piece in enumerate(raw)]
    tokens = Tokens.of(ids, raw, {MARK}, cuts)
    assert tiles([(cell.start, cell.end) for cell in tokens.cells], len(ids))
    for cell in tokens.cells:
        assert cell.text == b"".join(raw[cell.start : cell.end]).decode("utf-8", "replace")
        assert not any(cell.start < cut < cell.end for cut in cuts)
        if cell.end - cell.start > 1:
            assert MARK not in ids[cell.start : cell.end]


def test_parts_of_a_character_are_one_cell():
    party = "🎉".encode()
    tokens = tokens_of("a", party[:1], party[1:3], party[3:], "b", b"\xff", "c")
    assert [(c.start, c.end, c.text) for c in tokens.cells] == [
        (0, 1, "a"),
        (1, 4, "🎉"),
        (4, 5, "b"),
        (5, 6, "�"),
        (6, 7, "c"),
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=PIECES, width=st.integers(40, 300), mode=st.sampled_from(list(Mode)))
def test_every_token_has_its_place_in_order_and_none_is_beyond_the_edge(pieces, width, mode):
    tokens = tokens_of(*pieces)
    layout = TokenLayout(
        tokens, mode, width, lambda text: 8.0 * len(text), lambda text: 6.0 * len(text), 10, 5
    )
    while not layout.done:
        layout.extend(7)
    seen: list[int] = []
    for line in range(layout.count):
        end = 0.0
        for fragment in layout.fragments(line):
            assert layout.xs[fragment] >= end - 0.01
            end = layout.xs[fragment] + layout.widths[fragment]
            assert (
                end <= layout.width + 0.01 or len(layout.texts[fragment]) == 1 or mode is Mode.BOTH
            )
            seen.append(layout.cell_of[fragment])
    assert seen == sorted(seen)
    assert set(seen) == set(range(len(layout.cells)))
    for index in range(len(tokens)):
        line, x, token_width = layout.place(index)
        assert layout.token_at(line, x + token_width / 2) == index


def test_lines_are_full_and_punctuation_stays_with_its_word():
    tokens = tokens_of("One", " two", " thr", "ee", " four", " five", ",", " six")
    layout = TokenLayout(tokens, Mode.TEXT, 96, lambda text: 8.0 * len(text), len, 10, 5)
    layout.extend(99)
    lines = ["".join(layout.texts[n] for n in layout.fragments(m)) for m in range(layout.count)]
    assert lines == ["One two", " three four", " five, six"]


def test_keys_go_from_token_to_token(view):
    view.set_tokens(tokens_of("One", " two", "\n", "three", " four", "<|end|>"))
    went = []
    view.current_changed.connect(went.append)
    view.set_current(0)
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_End, Qt.Key.Key_Up, Qt.Key.Key_Home):
        QTest.keyClick(view, key)
    assert went == [0, 1, 3, 5, 2, 0]
    QTest.keyClick(view, Qt.Key.Key_End, CONTROL)
    assert view.current == 5
    assert "Control token <|end|>" in view.accessibleDescription()
    activated = []
    view.token_activated.connect(activated.append)
    QTest.keyClick(view, Qt.Key.Key_Return)
    assert activated == [5]


def test_what_is_selected_is_copied_as_it_is_shown(view):
    view.set_tokens(tokens_of("One", " two", "\n", "three"))
    view.set_current(1)
    QTest.keyClick(view, Qt.Key.Key_Right, SHIFT)
    QTest.keyClick(view, Qt.Key.Key_Right, SHIFT)
    assert view.selection == (1, 4)
    QTest.keyClick(view, Qt.Key.Key_C, CONTROL)
    assert QGuiApplication.clipboard().text() == " two\nthree"
    view.set_mode(Mode.IDS)
    QTest.keyClick(view, Qt.Key.Key_A, CONTROL)
    view.copy()
    assert QGuiApplication.clipboard().text() == "0, 1, 2, 3"


def test_the_mouse_selects_and_points(view):
    view.set_tokens(tokens_of("One", " two", " three"))
    places = [view.place_of(index).center() for index in range(3)]
    assert [view.token_under(place) for place in places] == [0, 1, 2]
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=places[1])
    assert view.current == 1
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, SHIFT, places[2])
    assert view.selection == (1, 3)
    assert view.token_under(QPoint(5, 190)) == -1


def test_a_tip_tells_id_text_and_bytes(view):
    party = "🎉".encode()
    view.set_tokens(tokens_of("<b>", party[:2], party[2:]))
    view.set_lookalikes([(0, 1)])
    view.describe = lambda index: f"more of {index}"
    words = view.words_of(0)
    assert "“<b>”" in words
    assert "Token 1, id 0" in words
    assert "3c 62 3e" in words
    assert "reads like a control token" in words
    assert words.endswith("more of 0")
    assert "Part 2 of 2 of “🎉”" in view.words_of(2)
    place = view.place_of(0).center()
    event = QHelpEvent(QEvent.Type.ToolTip, place, view.viewport().mapToGlobal(place))
    view.viewportEvent(event)
    assert QToolTip.text().startswith("<p>“&lt;b&gt;”")  # never markup


def test_what_is_searched_is_found_across_tokens_and_by_ids(view):
    view.set_tokens(tokens_of("One", " tw", "o", " Two", " 2"))
    told = []
    view.found_changed.connect(lambda at, count: told.append((at, count)))
    assert view.search("two") == 2
    view.step()
    assert view.current == 1
    view.step()
    view.step()
    assert [at for at, _ in told] == [0, 1, 2, 1]
    assert view.search("3") == 1  # no text has it, an id is it
    view.step()
    assert view.current == 3
    view.set_mode(Mode.IDS)
    assert view.search("2, 3") == 1
    view.step()
    assert view.current == 2
    assert view.search("nowhere") == 0


def pixel(view: TokenText, index: int) -> QColor:
    """The ground of a token, near its top edge."""
    box = view.place_of(index)
    return view.viewport().grab().toImage().pixelColor(box.center().x(), box.top() + 3)


@pytest.mark.parametrize("name", ["LIGHT", "DARK"])
def test_colours_of_spans_and_heat_lie_behind_their_tokens(view, name):
    theme.use(getattr(theme, name))
    view.set_tokens(tokens_of("One", " two", " three"))
    plain = pixel(view, 0)
    view.set_spans([Span(1, 2, "accent")])
    assert pixel(view, 0) == plain
    assert pixel(view, 1) not in (plain, pixel(view, 0))
    view.set_spans([])
    view.set_heat([0.0, None, 1.0])
    assert pixel(view, 1) == plain
    assert pixel(view, 2) != plain


def test_long_texts_are_placed_in_portions_and_jumped_into(qtbot, view):
    view.set_tokens(tokens_of(*[f" w{n}" for n in range(30_000)]))
    view.set_current(29_999)
    assert view.viewport().rect().intersects(view.place_of(29_999))
    view.scroll_to(15_000)
    assert view.first_visible() <= 15_000 < view.first_visible() + 20
    view.resize(300, 200)
    assert view.first_visible() <= 15_000 < view.first_visible() + 20
    bar = view.verticalScrollBar()
    qtbot.waitUntil(lambda: not view._more.isActive())
    bar.setValue(bar.maximum())
    assert view.viewport().rect().contains(view.place_of(29_999).center())
