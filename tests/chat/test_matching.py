"""Comparing text without case, width and accents, and finding words in it."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qwen_desktop.chat import folding
from qwen_desktop.chat.folding import Places, folded, plain
from qwen_desktop.chat.matching import Matcher, Needle

# Letters of many scripts, with what joins, widens and shrinks them.
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=30) | st.text(
    st.sampled_from("aAbZ 9_-.éÉe\u0301ßẞﬁ…ＡａŒかが゛ｶﾞ한\u1112\u1161漢学習𠀀🎉İ①\n"), max_size=30
)


def found(text: str, *words: str) -> list[str]:
    return [text[begin:end] for begin, end in Matcher.of_words(words).spans(text)]


def test_both_forms_are_of_one_length_for_every_character():
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if unicodedata.category(character) != "Cs":
            assert len(plain(character)) == len(folded(character)), hex(code)


@given(TEXTS)
@example("e\u0301…한")
def test_places_lead_back_to_the_characters_they_came_from(text):
    result, places = plain(text), Places(text)
    for at, character in enumerate(result):
        begin, end = places.begin(at), places.end(at + 1)
        assert 0 <= begin < end <= len(text)
        assert character in plain(text[begin:end])
    assert places.end(len(result)) == len(text) or not result


@pytest.mark.parametrize(
    ("text", "word", "hits"),
    [
        ("One list, two Lists", "list", ["list"]),
        ("One list, two Lists", "list*", ["list", "List"]),
        ("ConversationList and enlist", "list", ["List"]),
        ("ConversationList", "conversation", ["Conversation"]),
        ("HTTPServer", "server", ["Server"]),
        ("Qwen3-4B", "qwen", ["Qwen"]),
        ("Qwen3-4B", "qwen3", ["Qwen3"]),
        ("snake_case_name", "case", ["case"]),
        ("snake_case_name", "snake_case", ["snake_case"]),
        ("Café CAFE\u0301 cafe", "cafe", ["Café", "CAFE\u0301", "cafe"]),
        ("Straße", "strasse", ["Straße"]),
        ("ＱＷＥＮ Qwen", "qwen", ["ＱＷＥＮ", "Qwen"]),
        ("我在学习机器学习。", "学习", ["学习", "学习"]),
        ("我在学习", "学", ["学"]),
        ("用 Python 学习", "用python", ["用 Python"]),
        ("C and C++", "c++", ["C++"]),
        ("to be,\nor  not\n to be", "to be", ["to be", "to be"]),
        ("to be,\nor  not\n to be", "not to", ["not\n to"]),
        ("don't", "don't", ["don't"]),
        ("한국어를 배우다", "국어", ["국어"]),
        ("がか", "か", ["か"]),
        ("fine", "ﬁne", []),  # words of `Found` come folded
        ("a3f9b2c4d8e1f7a6", "f", []),  # a number in base 16, not words
    ],
)
def test_words_are_found_as_people_mean_them(text, word, hits):
    assert found(text, word) == hits


def test_what_overlaps_is_marked_once():
    assert found("学习机器学习", "学习机", "机器") == ["学习机器"]
    assert found("aa bb", "bb", "aa bb") == ["aa bb"]


@given(TEXTS, st.data())
def test_whole_words_and_pieces_of_unspaced_writing_are_found_in_their_text(text, data):
    tokens = list(folding.TOKEN.finditer(plain(text)))
    if not tokens:
        return
    token = data.draw(st.sampled_from(tokens))[0]
    if folding.is_unspaced(token[0]):
        begin = data.draw(st.integers(0, len(token) - 1))
        token = token[begin : data.draw(st.integers(begin + 1, len(token)))]
    needle = Needle.of(token)
    assert needle is not None
    assert needle.is_in(plain(text), folded(text))
    assert Matcher([needle]).spans(text)


@given(TEXTS, TEXTS, st.booleans())
def test_nothing_that_is_looked_for_breaks(text, typed, prefix):
    needle = Needle.of(typed, prefix=prefix)
    if needle is not None:
        assert Needle.of_word(needle.word) == needle
        for begin, end in Matcher([needle]).spans(text):
            assert 0 <= begin < end <= len(text)
