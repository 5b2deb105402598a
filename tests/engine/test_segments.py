"""Reasoning and answer are told apart, however the text is cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.messages import PartKind
from qwen_desktop.engine.segments import Mark, Segmenter


def split(pieces, *, inside: bool, by_text: bool) -> tuple[str, str]:
    """(reasoning, answer) of `pieces`, strings and marks."""
    segmenter = Segmenter(inside=inside, by_text=by_text)
    found = []
    for piece in pieces:
        found += segmenter.mark(piece) if isinstance(piece, Mark) else segmenter.text(piece)
    found += segmenter.flush()
    assert all(text for _, text in found)
    return tuple(
        "".join(text for kind, text in found if kind is wanted)
        for wanted in (PartKind.REASONING, PartKind.TEXT)
    )


TEXTS = [
    ("plain answer", False, "", "plain answer"),
    ("  indented", False, "", "  indented"),
    ("<think>\nhm\n\nso\n</think>\n\nyes\n", False, "hm\n\nso", "yes\n"),
    ("\n <think>hm</think>yes", False, "hm", "yes"),
    ("<think>\n\n</think>\n\nyes", False, "", "yes"),
    ("hm\n</think>\n\nyes", True, "hm", "yes"),
    ("hm, cut off\n", True, "hm, cut off", ""),
    ("</think>\nyes", False, "", "yes"),
    ("I write <think> and </think> here", False, "", "I write <think> and </think> here"),
    ("<think>a < b </thin k> c</think>d", False, "a < b </thin k> c", "d"),
    ("<thinker>", False, "", "<thinker>"),
    ("<thi", False, "", "<thi"),
    ("x</thi", True, "x</thi", ""),
    ("<think>a</think>b</think>c", False, "a", "b</think>c"),
]


@pytest.mark.parametrize(("text", "inside", "reasoning", "answer"), TEXTS)
def test_tags_in_the_text(text, inside, reasoning, answer):
    expected = (reasoning, answer)
    assert split([text], inside=inside, by_text=True) == expected
    assert split(list(text), inside=inside, by_text=True) == expected


ALPHABET = st.sampled_from(["<think>", "</think>", "<", "/", "think", ">", "\n", "a", " b", "字"])


@given(parts=st.lists(ALPHABET), cuts=st.lists(st.integers(0, 60)), inside=st.booleans())
def test_cuts_change_nothing(parts, cuts, inside):
    text = "".join(parts)
    ends = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    pieces = [text[a:b] for a, b in zip(ends, ends[1:])]
    whole = split([text], inside=inside, by_text=True)
    assert split(pieces, inside=inside, by_text=True) == whole


@given(parts=st.lists(ALPHABET | st.sampled_from(list(Mark))), inside=st.booleans())
def test_nothing_but_newlines_and_leading_space_is_lost(parts, inside):
    reasoning, answer = split(parts, inside=inside, by_text=False)
    said = "".join(part for part in parts if isinstance(part, str))
    for text in (reasoning, answer):
        assert [c for c in text if not c.isspace()] == [
            c for c in text if c in said and not c.isspace()
        ]
    assert sum(not c.isspace() for c in reasoning + answer) == sum(not c.isspace() for c in said)


MARKED = [
    ([Mark.OPEN, "\nhm\n", Mark.CLOSE, "\n\nyes"], False, "hm", "yes"),
    (["\n", Mark.OPEN, "hm", Mark.CLOSE, "yes"], False, "hm", "yes"),
    (["hm\n", Mark.CLOSE, "\n\n", "yes"], True, "hm", "yes"),
    (["the tag </think> as text"], True, "the tag </think> as text", ""),
    (["<think> as text"], False, "", "<think> as text"),
    ([Mark.CLOSE, "\nyes"], False, "", "yes"),
    (["yes\n", Mark.CLOSE, "\nmore"], False, "", "yes\n\nmore"),
    (["one", Mark.OPEN, "hm", Mark.CLOSE, "two"], False, "hm", "onetwo"),
    ([Mark.OPEN, "a", Mark.OPEN, "b", Mark.CLOSE], False, "ab", ""),
]


@pytest.mark.parametrize(("pieces", "inside", "reasoning", "answer"), MARKED)
def test_marks_that_are_tokens(pieces, inside, reasoning, answer):
    assert split(pieces, inside=inside, by_text=False) == (reasoning, answer)
