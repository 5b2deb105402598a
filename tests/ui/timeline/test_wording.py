"""Long texts are looked through piece by piece, and what is found is the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.matching import Matcher, Needle
from qwen_desktop.ui.timeline import wording
from qwen_desktop.ui.timeline.leaf import PICTURE
from qwen_desktop.ui.timeline.spans import found_spans

TEXTS = st.lists(
    st.sampled_from(["bee", "beehive", "Bée", " ", "\n", "x", "🎉", "缓存", "bee  bee", "ＢＥＥ"]),
    max_size=120,
).map("".join)
NEEDLES = st.sampled_from(["bee", "b", "bee bee", "缓", "🎉", "eb"])


@pytest.fixture(autouse=True, scope="module")
def short_pieces():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wording, "_PIECE", 16)
        patch.setattr(wording, "_AROUND", 24)
        yield


@given(TEXTS, NEEDLES, st.integers(0, 300))
def test_pieces_have_what_the_whole_has(text, word, place):
    matcher = Matcher((Needle.anywhere_of(word),))
    whole = matcher.spans(text)
    found = [span for spans in wording.found_in(matcher, text) for span in spans]
    assert found == whole
    assert wording.last_in(matcher, text) == (whole[-1] if whole else None)
    behind = [span for span in whole if span[1] > place]
    assert wording.first_behind(matcher, text, place) == (behind[0] if behind else None)


@given(st.lists(st.sampled_from(["bee ", "🎉", "a", "$b$", "$bee + bee$"]), max_size=30), NEEDLES)
def test_spans_with_formulas_are_those_of_their_sources(pieces, word):
    """Each span is the text that was found, or covers the formulas in which it lies."""
    sources = [piece for piece in pieces if piece.startswith("$")]
    shown = "".join(PICTURE if piece.startswith("$") else piece for piece in pieces)
    matcher = Matcher((Needle.anywhere_of(word),))
    expected = []
    starts = []  # of each piece: in the text with sources, in UTF-16 units as shown
    at = units = 0
    for piece in pieces:
        width = 1 if piece.startswith("$") else len(piece.encode("utf-16-le")) // 2
        starts.append((at, units, piece, width))
        at, units = at + len(piece), units + width
    for begin, end in matcher.spans("".join(pieces)):
        low = high = 0
        for start, unit, piece, width in starts:
            formula = piece.startswith("$")
            if start <= begin < start + len(piece):
                low = unit if formula else unit + _units(piece[: begin - start])
            if start < end <= start + len(piece):
                high = unit + (width if formula else _units(piece[: end - start]))
        expected.append((low, high))
    assert found_spans(matcher, shown, sources, PICTURE) == expected


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
