"""Prompts id by id as `make_context` made them, and which turns the window leaves out."""

from __future__ import annotations

import copy
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.messages import Message, Part, PartKind, Role, user_message
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.prompt import build_prompt
from qwen_desktop.engine.qwen1.prompt import ChatFormat
from qwen_desktop.engine.qwen1.tokenizer import Qwen1Tokenizer
from qwen_desktop.engine.tokenizer import load_tokenizer
from tests.engine.qwen1.conftest import golden

CASES = golden("context")
START, END = 151644, 151645


def conversation(history, query: str, system: str | None = None) -> list[Message]:
    """Messages as the window has them; `system` as the conversation's own first message."""
    rows = [(Role.USER, query)]
    for asked, said in reversed(history):
        rows = [(Role.USER, asked), (Role.ASSISTANT, said), *rows]
    if system is not None:
        rows = [(Role.SYSTEM, system), *rows]
    return [Message(role=role, parts=(Part(PartKind.TEXT, text),)) for role, text in rows]


def with_window(tokenizer: Qwen1Tokenizer, window: int) -> Qwen1Tokenizer:
    other = copy.copy(tokenizer)
    other.format = dataclasses.replace(tokenizer.format, window=window)
    return other


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_prompts_are_the_original_ones(tokenizer, case):
    talk = conversation(case["history"], case["query"], case["system"])
    prompt = build_prompt(with_window(tokenizer, case["max_window_size"]), talk, "", thinking=True)
    assert list(prompt.ids) == case["ids"]
    assert len(prompt.unseen) == 2 * (len(case["history"]) - case["kept_turns"])
    assert not prompt.thinking_open


def test_the_system_prompt_of_the_settings(tokenizer):
    """Empty, it is the one that `chat` took; a system message of the conversation goes before."""
    case = next(case for case in CASES if case["name"] == "one-turn")
    assert case["system"] == "You are a helpful assistant."
    talk = conversation(case["history"], case["query"])
    for system in ("", "  ", case["system"]):
        assert list(build_prompt(tokenizer, talk, system, thinking=False).ids) == case["ids"]
    other = build_prompt(tokenizer, talk, "Be brief.", thinking=False)
    assert tokenizer.decode(list(other.ids)).startswith("system\nBe brief.")


def test_the_prompt_without_the_answer_begins_the_one_with_it(tokenizer):
    talk = conversation([("a", "b")], "c")
    prompt = build_prompt(tokenizer, talk, "", thinking=False)
    assert prompt.ids[prompt.boundary - 2 : prompt.boundary + 1] == (END, 198, START)
    assert tokenizer.decode(list(prompt.ids[prompt.boundary :])) == "assistant\n"


def words(text: str) -> list[int]:
    return [ord(char) for char in text]


texts = st.text(st.sampled_from("ab"), max_size=8)
roles = st.sampled_from([role.value for role in Role])


@given(
    messages=st.lists(st.tuples(roles, texts), max_size=8),
    window=st.integers(0, 200),
    question=texts,
)
def test_what_the_window_keeps(messages, window, question):
    """Any conversation: the system and the question stay, whole turns go from the oldest on."""
    rows = [{"role": role, "content": text} for role, text in messages]
    rows.append({"role": "user", "content": question})
    made = ChatFormat(words, START, END, window).make(rows)
    first = next((i for i, row in enumerate(rows) if row["role"] != "system" or i), len(rows))
    head = rows[:first] or [{"role": "system", "content": "You are a helpful assistant."}]
    kept = [*head, *rows[first + made.dropped :]]
    text = "\n".join(f"<{row['role']}\n{row['content']}>" for row in kept) + "\n<assistant\n"
    assert made.ids == [{"<": START, ">": END}.get(c, ord(c)) for c in text]
    if made.dropped:
        assert rows[first + made.dropped]["role"] == "user"
        everything = ChatFormat(words, START, END, 10**6).make(rows)
        assert everything.dropped == 0
        assert len(everything.ids) >= window
    block = len(words("<system\n>")) + len(head[0]["content"])
    turns = "\n".join(f"<{row['role']}\n{row['content']}>" for row in kept[1:-1])
    if turns:
        assert block + len(turns) + 1 < window


def test_a_base_model_completes_text(first, tokenizer, tmp_path):
    """No chatml in generation_config.json, no template: the texts alone, one after the other."""
    checkpoint = inspect(first("s-plain"))
    generation = {"chat_format": "raw", "stop_words_ids": [[151643]]}
    base = load_tokenizer(dataclasses.replace(checkpoint, generation=generation))
    assert not base.has_template
    prompt = build_prompt(base, [user_message("Once <|im_end|>", None)], "", thinking=True)
    assert list(prompt.ids) == tokenizer.encode("Once <|im_end|>")
    assert base.end_ids == tokenizer.end_ids


def test_the_window_of_the_checkpoint(first):
    checkpoint = inspect(first("s-plain"))
    for said, window in ((60, 60), ("60", 6144)):
        generation = {"chat_format": "chatml", "max_window_size": said}
        tokenizer = load_tokenizer(dataclasses.replace(checkpoint, generation=generation))
        assert tokenizer.format.window == window
