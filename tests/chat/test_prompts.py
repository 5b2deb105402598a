"""Saved prompts: fields are found and filled, everything else stays as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.prompts import SavedPrompt, literal, made_of, merged

NAMES = st.from_regex(r"[A-Za-z你][A-Za-z0-9_]{0,8}( [a-z]{1,5}){0,2}", fullmatch=True)
TEXTS = st.text(max_size=30) | st.text("{}ab ", max_size=20)
# A text with fields, as (literal piece, field) pairs and an end.
PIECES = st.lists(st.tuples(TEXTS, NAMES), max_size=4)


def prompt_of(pieces, end):
    said = "".join(f"{literal(text)}{{{name}}}" for text, name in pieces)
    return SavedPrompt("p", said + literal(end))


@given(PIECES, TEXTS)
def test_every_field_is_found_once_in_its_order(pieces, end):
    assert list(prompt_of(pieces, end).fields) == list(dict.fromkeys(n for _, n in pieces))


@given(PIECES, TEXTS, st.data())
def test_what_is_filled_in_stands_where_its_name_did(pieces, end, data):
    prompt = prompt_of(pieces, end)
    values = {name: data.draw(TEXTS.filter(bool)) for name in prompt.fields}
    expected = "".join(text + values[name] for text, name in pieces) + end
    assert prompt.filled(values) == expected


@given(PIECES, TEXTS)
def test_a_field_without_a_value_stays_as_it_is_written(pieces, end):
    expected = "".join(f"{text}{{{name}}}" for text, name in pieces) + end
    assert prompt_of(pieces, end).filled({}) == expected


@given(TEXTS)
def test_any_text_can_be_said(text):
    assert SavedPrompt("p", literal(text)).filled({}) == text
    assert SavedPrompt("p", literal(text)).fields == ()


@pytest.mark.parametrize(
    "text", ['{"a": 1}', "{ a }", "if (x) { return 1; }", "{}", "{1}", "{a.b}", "{a\nb}"]
)
def test_code_has_no_fields(text):
    prompt = SavedPrompt("p", text)
    assert prompt.fields == ()
    assert prompt.filled({}) == text


def test_values_are_not_looked_through_for_fields():
    prompt = SavedPrompt("p", "{a} {b}")
    assert prompt.filled({"a": "{b}", "b": "{a}"}) == "{b} {a}"


@pytest.mark.parametrize(("name", "text"), [("", "x"), ("x", " "), ("x", "y" * 20_001)])
def test_a_prompt_needs_a_name_and_a_text(name, text):
    with pytest.raises(ValueError):
        made_of(name, text)


def test_merging_loses_no_text_and_takes_nothing_twice():
    there = (SavedPrompt("a", "one"), SavedPrompt("b", "two"))
    more = (SavedPrompt("a", "one"), SavedPrompt("b", "other"), SavedPrompt("c", "three"))
    both, count = merged(there, more)
    assert count == 2
    assert {p.name: p.text for p in both} == {
        "a": "one",
        "b": "two",
        "b (2)": "other",
        "c": "three",
    }
    assert merged(both, more) == (both, 0)
