"""What the index keeps of a text has all that a needle is asked for by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.folding import folded, plain
from qwen_desktop.chat.matching import Needle
from qwen_desktop.storage.terms import asked_for, terms_of

TEXTS = st.text(
    st.sampled_from("abAB Z9_-.'éßﬁ…Ａか゛ガ한\u1112\u1161漢学習中文𠀀🎉กา\n"), max_size=40
) | st.text(max_size=40)


def is_held(asked: str, terms: set[str]) -> bool:
    """Whether the index, asked for one term, would give a text with these."""
    word, star = asked.rsplit('"', 1)
    word = word.removeprefix('"')
    return any(term.startswith(word) for term in terms) if star else word in terms


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("One one ONE", {"one"}),
        ("ConversationList", {"conversationlist", "conversation", "list"}),
        ("Qwen3-4B", {"qwen3", "qwen", "3", "4b", "4", "b"}),
        ("snake_case", {"snake", "case"}),
        ("Café ＡＢ", {"cafe", "ab"}),
        ("学习机器", {"学习", "习机", "机器", "器"}),
        ("学习Python学", {"学习", "习", "python", "学"}),
        ("한국어", {"한국", "국어", "어"}),
        ("", set()),
        ("!? …", set()),
        ("x" * 100, {"x" * 64}),
    ],
)
def test_terms(text, terms):
    assert terms_of(text) == terms


@given(TEXTS, st.data())
def test_all_that_is_found_in_a_text_is_asked_for_by_its_terms(text, data):
    """Whatever stretch of a text is looked for: where the text has it, the index leads to it."""
    whole = folded(text)
    begin = data.draw(st.integers(0, len(whole)))
    typed = whole[begin : data.draw(st.integers(begin, len(whole)))]
    needle = Needle.of(typed, prefix=data.draw(st.booleans()))
    if needle is None or not needle.is_in(plain(text), folded(text)):
        return
    terms = terms_of(text)
    assert [asked for asked in asked_for(needle) if not is_held(asked, terms)] == []


@given(TEXTS)
def test_terms_can_be_given_to_the_index(text):
    for term in terms_of(text):
        assert term
        # The tokenizer of the index parts at what is no letter or digit of ASCII, and folds case.
        assert all(c.isalnum() and not c.isupper() for c in term if c.isascii())
