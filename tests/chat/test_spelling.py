"""Which words of a text are judged, and by which dictionary."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.spelling import (
    LONGEST,
    chosen,
    is_fence,
    is_foreign,
    looked_up,
    supported,
    words,
)


def found(line: str, language: str = "en_US") -> list[str]:
    return [word.text for word in words(line, language)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("The quick (brown) fox's “jump”, well-known.", "The quick brown fox's jump well known"),
        ("don’t and naïve", "don’t and naïve"),
        ("use `pritn()` and ``a ` b`` here", "use and here"),
        ("an open ` mark stays", "an open mark stays"),
        ("see https://example.org/wrnog or www.exmaple.org now", "see or now"),
        ("mail to jo@exmaple.org or @jo", "mail to or"),
        ("open /usr/lbi/x and ~/fooo and ./foo and C:\\Usres\\x", "open and and and"),
        ("run src/mian.py with config.jsno soon", "run with soon"),
        ("either and/or both", "either and or both"),
        ("call getValeu and my_varibale or foo() and NASA or iPhnoe", "call and or and or"),
        ("use --verbsoe or -x and $HOEM and #tgas <dvi>", "use or and and"),
        ("no 3rd or abc123 or h2o at x2", "no or or at"),
        ("在Python里写hello吧 こんにちは 안녕", "Python hello"),
        ("Привет and Ελλάδα", "and"),
        ("ends here.Then", "ends"),
        ("I a x", ""),
        ("/temperature 0.5", ""),
        ("- a list item: yes", "list item yes"),
        ("e\u0301tude", "e\u0301tude"),
    ],
)
def test_what_is_no_word_is_passed_over(line, expected):
    assert found(line) == expected.split()


def test_words_are_of_the_script_of_the_dictionary():
    assert found("Привет hello", "ru_RU") == ["Привет"]
    assert found("Γειά σου hello", "el_GR") == ["Γειά", "σου"]
    assert found("смесьmix", "ru_RU") == []


@given(st.text(max_size=200), st.sampled_from(["en_US", "ru_RU", "de_DE", ""]))
def test_words_stand_where_they_say_in_order_and_without_digits(line, language):
    behind = 0
    for word in words(line, language):
        assert line[word.start : word.end] == word.text
        assert word.start >= behind
        assert 1 < len(word.text) <= LONGEST
        assert not any(sign.isdigit() or sign.isspace() for sign in word.text)
        behind = word.end


@given(st.text(alphabet="ab \n'", max_size=40))
def test_nothing_in_backticks_is_a_word(inside):
    inside = inside.replace("\n", " ") or "x"
    assert found(f"one `{inside}` two") == ["one", "two"]


def test_fences_and_forms():
    assert is_fence("  ```python")
    assert is_fence("~~~")
    assert not is_fence("a ```")
    assert looked_up("don’t") == "don't"
    assert looked_up("e\u0301") == "é"


def test_a_text_of_another_language_is_told_by_most_of_its_words():
    assert is_foreign(10, 8)
    assert not is_foreign(10, 3)
    assert not is_foreign(4, 4)


@pytest.mark.parametrize(
    ("wanted", "system", "expected"),
    [
        ("de_DE", "en_US", "de_DE"),
        ("fr_FR", "en_US", ""),  # it was chosen, and is no longer there
        ("", "en_GB", "en_GB"),
        ("", "en_AU", "en_US"),
        ("", "de_AT", "de_DE"),
        ("", "zh_CN", "en_US"),
        ("", "ja_JP", "en_US"),
        ("", "es_ES", ""),
        ("", "C", "en_US"),
    ],
)
def test_the_language_is_the_chosen_one_or_that_of_the_system(wanted, system, expected):
    assert chosen(wanted, ("de_DE", "en_GB", "en_US"), system) == expected


def test_languages_whose_words_are_not_found_are_not_offered():
    assert supported(["en_US", "hi_IN", "de_DE", "ar", "ru_RU"]) == ("de_DE", "en_US", "ru_RU")
