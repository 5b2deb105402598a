"""What a model is asked for a title, and what is taken of what it says."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.titles import (
    MAX_CHARACTERS,
    MAX_LENGTH,
    MAX_WORDS,
    SHOWN,
    clean,
    request_text,
)


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ('"Quick **Sort** in Python."', "Quick Sort in Python"),
        ("Title: Baking bread", "Baking bread"),
        ("# 标题：快速排序", "快速排序"),
        ("《红烧肉的做法》", "红烧肉的做法"),
        ("“怎么做红烧肉？”", "怎么做红烧肉？"),
        ("Here is a title:\nBread", "Bread"),
        ("\n\n1. Bread\n2. Butter", "Bread"),
        ("<b>Bread</b>", "Bread"),
        ("Don't stop", "Don't stop"),
        ("```text\nBread\n```", "Bread"),
        ("```Bread```", "Bread"),
        ("'quoted'", "quoted"),
        ("3D printing", "3D printing"),
        ("How to bake bread at home for very large parties", "How to bake bread at home"),
        ("快速排序算法的实现与分析以及优化方法", "快速排序算法的实现与分析"),
        ("Python 快速排序", "Python 快速排序"),
        ("tab\tand\x07bell\u200b", "tab and bell"),
    ],
)
def test_a_title_is_one_plain_short_line(said, title):
    assert clean(said) == title


@pytest.mark.parametrize(
    "said", ["", " \n", "...", "***", "😀😀", "the the the the", "a b a b a b", "哈哈哈哈哈哈"]
)
def test_what_says_nothing_or_says_it_again_and_again_is_no_title(said):
    assert clean(said) == ""


@given(st.text() | st.text(alphabet="ab 标题:\"'*_\n。", max_size=200))
def test_whatever_is_said_the_title_is_bounded_and_stays_as_it_is(said):
    title = clean(said)
    assert len(title) <= MAX_LENGTH
    assert len(title.split()) <= max(MAX_WORDS, MAX_CHARACTERS)
    assert not any(unicodedata.category(c)[0] == "C" or c in '"*`#\n' for c in title)
    assert title == title.strip()
    assert not title or any(c.isalnum() for c in title)


def test_it_is_asked_in_the_language_of_the_question_and_shown_only_the_beginning():
    english = request_text("How do I sort?", "x" * 10_000)
    chinese = request_text("怎么用 Python 排序？", "这样。")
    assert "How do I sort?" in english
    assert english.count("x") < SHOWN + 20
    assert "标题" in chinese
    assert "标题" not in english
