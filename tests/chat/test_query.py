"""What is typed into the search field, and what it is taken for."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.messages import Role
from qwen_desktop.chat.query import Query, parse
from qwen_desktop.chat.summary import Place

NOW = datetime(2026, 11, 27, 15, 30).timestamp()


def read(text: str) -> Query:
    return parse(text, NOW)


def at(*date: int) -> float:
    return datetime(*date).timestamp()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sky", ("sky*",)),
        ("sky ", ("sky",)),
        ("Blue SKY", ("blue", "sky*")),
        ('"exact Phrase"', ("exact phrase",)),
        ('"as it is ty', ("as it is ty*",)),
        ("“中文 引号”", ("中文 引号",)),
        ("「学习」", ("学习",)),
        ("学*", ("学*",)),
        ("sk* x ", ("sk*", "x")),
        ("why? ", ("why",)),
        ("C++: why", ("c++", "why*")),
        ("http://x.org ", ("http://x.org",)),
        ("std::vector ", ("std::vector",)),
        ("note:this ", ("note:this",)),
        ("12:30 ", ("12:30",)),
        ("from://x ", ("from://x",)),
        ("--verbose ", ("--verbose",)),
        ("same same ", ("same",)),
        ("!! ", ("!!",)),
        ("*** ", ()),
        ("a"*3000, ("a"*1000 + "*",)),
    ],
)  # fmt: skip
def test_words_and_phrases(text, words):
    query = read(text)
    assert query.words == words
    assert not query.unknown


def test_without():
    query = read('sky -blue -"deep sea"')
    assert query.words == ("sky",)
    assert [needle.word for needle in query.exclude] == ["blue", "deep sea"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("role:user", Query(role=Role.USER)),
        ("role:me", Query(role=Role.USER)),
        ("ROLE:Assistant", Query(role=Role.ASSISTANT)),
        ("role:model", Query(role=Role.ASSISTANT)),
        ("role:u", Query(role=Role.USER)),  # while it is typed
        ("角色：我", Query(role=Role.USER)),
        ("model:Qwen3", Query(models=("qwen3",))),
        ("模型：qwen model:4b", Query(models=("qwen", "4b"))),
        ('tag:"My Tag"', Query(tags=("my tag",))),
        ("标签:学习", Query(tags=("学习",))),
        ("folder:Work", Query(folders=("work",))),
        ("文件夹：旅行", Query(folders=("旅行",))),
        ("in:archive", Query(place=Place.ARCHIVE)),
        ("in:bin", Query(place=Place.BIN)),
        ("is:pinned", Query(pinned=True)),
        ("has:reasoning", Query(reasoning=True)),
        ("before:2026-11", Query(before=at(2026, 11, 1))),
        ("after:2026-11-27", Query(after=at(2026, 11, 27))),
        ("after:2026/1/5", Query(after=at(2026, 1, 5))),
        ("on:2025", Query(after=at(2025, 1, 1), before=at(2026, 1, 1))),
        ("on:2026-12", Query(after=at(2026, 12, 1), before=at(2027, 1, 1))),
        ("on:yesterday", Query(after=at(2026, 11, 26), before=at(2026, 11, 27))),
        ("on:今天", Query(after=at(2026, 11, 27), before=at(2026, 11, 28))),
        ("after:7d", Query(after=at(2026, 11, 20))),
        ("after:2w", Query(after=at(2026, 11, 13))),
        ("before:1y", Query(before=at(2025, 11, 27))),
        ("before:9m", Query(before=at(2026, 2, 27))),
        ("之前：2026年11月", Query(before=at(2026, 11, 1))),
        ("after:2026-01 after:2026-03", Query(after=at(2026, 3, 1))),
        ("role:", Query()),  # its value is about to be typed
    ],
)
def test_filters(text, what):
    assert read(text) == what


def test_a_month_ago_is_its_last_day_where_it_is_shorter():
    now = datetime(2026, 3, 31, 12).timestamp()
    assert parse("before:1m", now).before == at(2026, 2, 28)


@pytest.mark.parametrize(
    "text",
    ["before:soon", "role:nobody", "in:space", "on:2026-13", "on:2026-02-30", "-tag:x", "is:red",
     "after:9999y", "before:0000"],
)  # fmt: skip
def test_what_says_nothing_is_told_and_left_out(text):
    query = read(f"{text} sky")
    assert query == Query(include=query.include, unknown=(text,))
    assert query.words == ("sky*",)


def test_a_filter_without_a_value_is_told_once_it_is_left():
    assert read("role: sky").unknown == ("role:",)


def test_filters_and_words_mix():
    query = read('sky role:user "deep blue" after:7d se')
    assert query.words == ("sky", "deep blue", "se*")
    assert query.role is Role.USER
    assert query.after == at(2026, 11, 20)


PIECES = st.sampled_from(
    [
        '"',
        "“",
        "-",
        ":",
        "：",
        "role:",
        "before:",
        "2026-11",
        "7d",
        "*",
        " ",
        "学习",
        "x",
        "//",
        "「",
    ]
)


@given(st.text(max_size=40) | st.lists(PIECES, max_size=12).map("".join))
def test_anything_can_be_typed(text):
    query = read(text)
    assert all(needle.text for needle in (*query.include, *query.exclude))
    assert isinstance(query.is_empty, bool)
