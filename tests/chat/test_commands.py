"""What is a command, what is a message, and how values of settings are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.commands import Typed, typed, value_of
from qwen_desktop.chat.settings import BY_NAME, SETTINGS


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("/seed 7", Typed("seed", "7")),
        ("/Seed\n 7 ", Typed("seed", "7")),
        ("/top-k 5", Typed("top_k", "5")),
        ("/system You are\n\na pirate.", Typed("system", "You are\n\na pirate.")),
        ("/help", Typed("help", "")),
        ("/unknown thing", Typed("unknown", "thing")),
    ],
)
def test_what_looks_like_a_command_is_one(text, asked):
    assert typed(text) == asked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "//seed 7",
        "/usr/bin",
        "/usr/bin is a folder",
        "/etc.d",
        " /seed 7",
        "/ seed",
        "a /b",
        "/7 of them",
        "/r/python",
        "/*comment*/",
    ],
)
def test_paths_and_other_texts_are_messages(text):
    assert typed(text) is None


@pytest.mark.parametrize(
    ("name", "words", "value"),
    [
        ("thinking", "on", True),
        ("thinking", "OFF", False),
        ("seed", "12,345", 12345),
        ("seed", "auto", None),
        ("temperature", "0,7", 0.7),
        ("temperature", "1", 1.0),
        ("context_policy", "Keep first", "keep_first"),
        ("system_prompt", "Be brief.", "Be brief."),
        ("stop_strings", "END\\nSTOP", "END\nSTOP"),
    ],
)
def test_values_are_read(name, words, value):
    assert value_of(BY_NAME[name], words) == value


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("thinking", "maybe"),
        ("seed", "-1"),
        ("seed", "7.5"),
        ("temperature", "3"),
        ("temperature", "nan"),
        ("temperature", "hot"),
        ("context_policy", "all"),
        ("max_new_tokens", "auto"),
    ],
)
def test_other_values_are_refused(name, words):
    with pytest.raises(ValueError):
        value_of(BY_NAME[name], words)


@given(st.sampled_from(SETTINGS), st.text(max_size=12))
def test_only_what_a_setting_accepts_comes_out(setting, words):
    try:
        value = value_of(setting, words)
    except ValueError:
        return
    assert setting.accepts(value)
