"""Tokens become text the same way in one go and where an answer is cut and continued."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.messages import PartKind
from qwen_desktop.engine.output import OutputParser
from qwen_desktop.engine.segments import Piece, joined
from tests.engine.checkpoints import THINKING
from tests.engine.helpers import tokenizer_of

REASONING, TEXT = PartKind.REASONING, PartKind.TEXT


@pytest.fixture(scope="module")
def tokens(made):
    """A tokenizer with think markers as tokens."""
    return tokenizer_of(made("qwen3", template=THINKING))


@pytest.fixture(scope="module")
def texts(made):
    """A tokenizer with think markers as mere text."""
    return tokenizer_of(made("qwen3", template=THINKING, think_tokens=False))


def whole(tokenizer, ids, stops=(), *, inside=False) -> list[Piece]:
    parser = OutputParser(tokenizer, thinking_open=inside)
    parser.begin(stops, [])
    return ended(parser, ids)


def ended(parser, ids) -> list[Piece]:
    pieces: list[Piece] = []
    for token in ids:
        if not parser.stopped:
            pieces += parser.feed(token)
    return joined(pieces + parser.flush())


def continued(tokenizer, old, new, stops=(), *, inside=False) -> tuple[list[Piece], list[Piece]]:
    """(what `old` gave when it ended there, what `new` gives after it)."""
    parser = OutputParser(tokenizer, thinking_open=inside)
    said = joined([piece for token in old for piece in parser.feed(token)])
    told = joined(said + parser.begin(stops, said))
    return told, ended(parser, new)


def characters(pieces) -> list[tuple[PartKind, str]]:
    return [(kind, char) for kind, text in pieces for char in text]


WORDS = st.sampled_from(
    ["<think>", "</think>", "\n", " ", "a", "ab", "the", "字", "😀", "</", "thi", "nk>", "EN", "D"]
)
STOPS = st.lists(st.sampled_from(["END", "ab", "字a", "\n\n", "the the"]), max_size=3)


def ids_of(tokenizer, words) -> list[int]:
    marks = {"<think>": tokenizer.think_open, "</think>": tokenizer.think_close}
    ids: list[int] = []
    for word in words:
        mark = marks.get(word)
        ids += tokenizer.encode(word) if mark is None else [mark]
    return ids


@given(
    words=st.lists(WORDS, max_size=14),
    more=st.lists(st.integers(0, 262), max_size=6),
    cut=st.integers(0, 60),
    stops=STOPS,
    inside=st.booleans(),
    by_text=st.booleans(),
)
def test_old_and_new_join_exactly(tokens, texts, words, more, cut, stops, inside, by_text):
    tokenizer = texts if by_text else tokens
    ids = ids_of(tokenizer, words) + more + ids_of(tokenizer, words[:4])
    cut = min(cut, len(ids))
    expected = characters(whole(tokenizer, ids, inside=inside))
    old, new = continued(tokenizer, ids[:cut], ids[cut:], inside=inside)
    assert old == whole(tokenizer, ids[:cut], inside=inside)
    # What comes is what was missing, also where a half character had to be told as one.
    assert characters(new) == expected[len(expected) - len(characters(new)) :]
    if characters(old) == expected[: len(characters(old))]:
        assert characters(joined(old + new)) == expected


@given(words=st.lists(WORDS, max_size=14), cut=st.integers(0, 60), stops=STOPS)
def test_stop_strings_reach_into_what_was_said(tokens, words, cut, stops):
    ids = ids_of(tokens, words)
    cut = min(cut, len(ids))
    before = whole(tokens, ids[:cut])
    if any(stop in text for kind, text in before if kind is TEXT for stop in stops):
        return  # the answer would have ended before
    expected = characters(whole(tokens, ids, stops))
    old, new = continued(tokens, ids[:cut], ids[cut:], stops)
    assert characters(new) == expected[len(expected) - len(characters(new)) :]
    if characters(old) == expected[: len(characters(old))]:
        assert characters(joined(old + new)) == expected


def test_a_character_cut_in_half_comes_out_whole(tokens):
    start, char, end = (tokens.encode(text) for text in ("a", "😀", "b"))
    for at in range(1, len(char)):
        old, new = continued(tokens, start + char[:at], char[at:] + end)
        assert old == [(TEXT, "a\N{REPLACEMENT CHARACTER}")]
        assert new == [(TEXT, "😀b")]


def test_what_stood_before_the_half_character_is_not_told_twice(tokens):
    char = tokens.encode("😀")
    start = ids_of(tokens, ["a", "EN"])
    old, new = continued(tokens, start + char[:2], char[2:], ["END"])
    assert old == [(TEXT, "aEN\N{REPLACEMENT CHARACTER}")]
    assert new == [(TEXT, "😀")]
    start = ids_of(tokens, ["<think>", "a", "\n"])
    old, new = continued(tokens, start + char[:2], char[2:])
    assert old == [(REASONING, "a\n\N{REPLACEMENT CHARACTER}")]
    assert new == [(REASONING, "😀")]


def test_what_follows_a_half_character_that_stays_one(tokens):
    old, new = continued(tokens, tokens.encode("😀")[:2], tokens.encode("b"))
    assert old == [(TEXT, "\N{REPLACEMENT CHARACTER}")]
    assert new == [(TEXT, "b")]


def test_reasoning_goes_on_as_reasoning(tokens):
    old, new = continued(
        tokens, ids_of(tokens, ["<think>", "\n", "ab", "\n"]), ids_of(tokens, ["the", "</think>"])
    )
    assert old == [(REASONING, "ab")]
    assert new == [(REASONING, "\nthe")]
    old, new = continued(
        tokens, tokens.encode("ab"), ids_of(tokens, ["</think>", "a"]), inside=True
    )
    assert (old, new) == ([(REASONING, "ab")], [(TEXT, "a")])


def test_stop_strings_end_the_answer_but_no_reasoning(tokens):
    ids = ids_of(tokens, ["<think>", "END", "</think>", "the ", "EN", "D", "ab"])
    assert whole(tokens, ids, ["END"]) == [(REASONING, "END"), (TEXT, "the ")]
    ids = ids_of(tokens, ["the", "字", "a"])
    assert whole(tokens, ids, ["字a"]) == [(TEXT, "the")]


def test_a_stop_string_may_begin_before_the_cut(tokens):
    old, new = continued(tokens, ids_of(tokens, ["a", "EN"]), ids_of(tokens, ["D", "b"]), ["END"])
    assert old == [(TEXT, "aEN")]
    assert new == []
    _, new = continued(tokens, ids_of(tokens, ["a", "EN"]), ids_of(tokens, ["ab"]), ["END"])
    assert new == [(TEXT, "ab")]


def test_a_stop_string_that_is_there_already_ends_nothing(tokens):
    _, new = continued(tokens, ids_of(tokens, ["END", "a"]), ids_of(tokens, ["b"]), ["END"])
    assert new == [(TEXT, "b")]


def test_it_says_when_characters_and_tags_are_whole(tokens, texts):
    parser = OutputParser(tokens, thinking_open=True)
    assert [(parser.feed(t), parser.whole)[1] for t in tokens.encode("字")] == [False, False, True]
    parser = OutputParser(texts, thinking_open=True)
    assert [(parser.feed(t), parser.whole)[1] for t in texts.encode("a </b")] == [
        True,
        True,
        False,
        False,
        True,
    ]
    assert parser.thinking
    for token in texts.encode("</think>"):
        parser.feed(token)
    assert parser.closings == 1
    assert not parser.thinking
