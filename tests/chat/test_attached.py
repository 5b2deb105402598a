"""The form in which attached files are read, and what stands for a message in a list."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from qwen_desktop.chat.attached import attached, content, fenced, read_as, tidy_name
from qwen_desktop.chat.messages import Part, PartKind, user_message
from qwen_desktop.chat.tree import Conversation, Tree

TEXT = st.text(max_size=60) | st.text("`~\n a", max_size=40)


@given(TEXT)
@example("```")
@example("``````\n`````")
@example("")
def test_a_text_never_ends_its_own_fence(text):
    lines = fenced(text).split("\n")
    fence = lines[0]
    assert set(fence) == {"`"}
    assert len(fence) >= 3
    assert fence not in text
    assert lines[-1] == fence
    body = "\n".join(lines[1:-1])
    assert body == text.removesuffix("\n")


@given(st.text(max_size=400))
def test_a_name_is_one_short_line(name):
    tidy = tidy_name(name)
    assert len(tidy) <= 120
    assert len(tidy.splitlines()) <= 1
    assert tidy_name(tidy) == tidy


def test_a_long_name_keeps_its_ending():
    assert tidy_name("x" * 300 + ".csv").endswith("xx.csv")


def test_files_stand_before_the_text_in_their_order():
    files = [attached("a.txt", "one\n"), attached("b\n.txt", "two")]
    told = content(user_message("Compare.", None, files))
    assert told == "File: a.txt\n```\none\n```\n\nFile: b .txt\n```\ntwo\n```\n\nCompare."
    assert content(user_message("", None, files[:1])) == read_as(files[0])
    assert content(user_message("plain", None)) == "plain"


def test_the_own_text_of_a_message_has_no_files_in_it():
    message = user_message("Compare.", None, [attached("a.txt", "one")])
    assert message.text == "Compare."
    assert [file.name for file in message.files] == ["a.txt"]


def test_files_name_a_conversation_only_where_nothing_was_said():
    def title(text: str) -> str:
        files = [attached("a.txt", "one"), attached("b.txt", "two")]
        return Conversation(tree=Tree().added(user_message(text, None, files))).summary().title

    assert title("Compare") == "Compare"
    assert title("") == "a.txt, b.txt"


@given(st.lists(st.builds(Part, st.just(PartKind.FILE), TEXT, TEXT), max_size=3), TEXT)
def test_every_line_of_a_file_is_in_the_prompt(files, text):
    told = content(user_message(text, None, files))
    at = 0
    for file in files:
        at = told.index(file.text, at) + len(file.text)
    assert told.endswith(text)
    assert len(re.findall("^File: ", told, re.MULTILINE)) >= len(files)
