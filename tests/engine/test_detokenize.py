"""Streaming text: no half characters, nothing held back, nothing lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.engine.detokenize import Detokenizer
from tests.engine.helpers import tokenizer_of


@pytest.fixture(scope="module")
def tokenizer(made):
    return tokenizer_of(made("qwen3"))


def streamed(tokenizer, ids) -> list[str]:
    detokenizer = Detokenizer(tokenizer.piece)
    return [*(detokenizer.step(token) for token in ids), detokenizer.flush()]


@given(ids=st.lists(st.integers(0, 280), max_size=40))
def test_joined_it_is_the_full_decode(tokenizer, ids):
    """Any ids at all: broken UTF-8, special tokens, ids without a token."""
    assert "".join(streamed(tokenizer, ids)) == tokenizer.decode(ids)


@given(text=st.text())
def test_every_character_comes_with_its_last_byte(tokenizer, text):
    detokenizer = Detokenizer(tokenizer.piece)
    so_far, raw = "", b""
    for token in tokenizer.encode(text):
        so_far += detokenizer.step(token)
        raw += tokenizer.piece(token)
        assert so_far == raw.decode("utf-8", "ignore")
    assert so_far == text
    assert detokenizer.flush() == ""


def test_unfinished_characters_are_replaced_at_the_end(tokenizer):
    ids = tokenizer.encode("a€")[:-1]
    assert streamed(tokenizer, ids)[-1] == "\N{REPLACEMENT CHARACTER}"
