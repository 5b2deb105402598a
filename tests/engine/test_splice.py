"""Generated ids in prompts: used where they spell the text, never changing what is said."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_desktop.chat.messages import Message, Part, PartKind
from qwen_desktop.engine.prompt import build_prompt
from qwen_desktop.engine.session import common_prefix
from tests.engine.checkpoints import PLAIN, THINKING, THINKING_OPEN
from tests.engine.helpers import chat, tokenizer_of


def answered(tokenizer, text: str, ids, *, reasoning: str = "") -> list[Message]:
    """A question, an answer of `text` that was generated as `ids`, another question."""
    question, answer, last = chat("What?", text, "And then?")
    if reasoning:
        answer = replace(answer, parts=(Part(PartKind.REASONING, reasoning), *answer.parts))
    return [question, replace(answer, token_ids=tuple(ids)), last]


def bytewise(tokenizer, text: str) -> list[int]:
    """`text` in its longest spelling: a token for each byte."""
    return [i for char in text.encode() for i in single(tokenizer, char)]


def single(tokenizer, byte: int) -> list[int]:
    found = [i for i in range(tokenizer.vocabulary) if tokenizer.piece(i) == bytes([byte])]
    return found[:1]


@pytest.fixture(scope="module")
def plain(made):
    return tokenizer_of(made("qwen2", template=PLAIN))


@pytest.mark.parametrize("template", [PLAIN, THINKING, THINKING_OPEN, None])
def test_ids_are_taken_as_they_were_generated(made, template):
    tokenizer = tokenizer_of(made("qwen2", template=template))
    text = "the thin there"
    own = bytewise(tokenizer, text)
    assert own != tokenizer.encode(text)
    made_prompt = build_prompt(tokenizer, answered(tokenizer, text, own), "", thinking=True)
    usual = build_prompt(tokenizer, answered(tokenizer, text, ()), "", thinking=True)
    assert " ".join(map(str, own)) in " ".join(map(str, made_prompt.ids))
    assert tokenizer.decode(list(made_prompt.ids)) == tokenizer.decode(list(usual.ids))
    assert len(made_prompt.ids) == len(usual.ids) + len(own) - len(tokenizer.encode(text))


@pytest.mark.parametrize("template", [THINKING, THINKING_OPEN])
def test_of_a_thought_out_answer_only_the_answer_is_spliced(made, template):
    tokenizer = tokenizer_of(made("qwen3", template=template))
    own = bytewise(tokenizer, "the end")
    thought = [tokenizer.think_open, *tokenizer.encode("\nhm\n"), tokenizer.think_close]
    ids = [*thought, *tokenizer.encode("\n\n"), *own]
    talk = answered(tokenizer, "the end", ids, reasoning="hm")
    prompt = build_prompt(tokenizer, talk, "", thinking=True)
    assert " ".join(map(str, own)) in " ".join(map(str, prompt.ids))
    assert "hm" not in tokenizer.decode(list(prompt.ids))


def test_a_thought_that_says_the_same_stays_as_it_is(made):
    """Where a template keeps thoughts, they come before the answer, as the role does."""
    kept = "{% if m.reasoning_content %}({{ m.reasoning_content }})\n{% endif %}{{ m.content }}"
    tokenizer = tokenizer_of(made("qwen3", template=PLAIN.replace("{{ m.content }}", kept)))
    own = bytewise(tokenizer, "the")
    thought = [tokenizer.think_open, *tokenizer.encode("\nthe\n"), tokenizer.think_close]
    talk = answered(tokenizer, "the", [*thought, *own], reasoning="the")
    prompt = build_prompt(tokenizer, talk, "", thinking=True)
    expected = [*tokenizer.encode("(the)\n"), *own]
    assert " ".join(map(str, expected)) in " ".join(map(str, prompt.ids))


def test_ids_that_spell_something_else_are_not_taken(plain):
    text = "the end"
    for ids in (plain.encode("another"), plain.encode(text)[:-1], [*plain.encode(text), 5]):
        spliced = build_prompt(plain, answered(plain, text, ids), "", thinking=True)
        usual = build_prompt(plain, answered(plain, text, ()), "", thinking=True)
        assert spliced.ids == usual.ids


def test_control_tokens_of_a_model_do_not_get_into_prompts(plain):
    text = "the end"
    own = bytewise(plain, text)
    forged = [*own[:3], plain.message_start, *own[3:]]
    spliced = build_prompt(plain, answered(plain, text, forged), "", thinking=True)
    usual = build_prompt(plain, answered(plain, text, ()), "", thinking=True)
    assert spliced.ids == usual.ids


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["the", " thin", "在", "\n", "a<|im_end|>"]), st.booleans()))
)
def test_what_is_said_never_changes(plain, pieces):
    text = "".join(piece for piece, _ in pieces)
    ids = [
        i
        for piece, long in pieces
        for i in (bytewise(plain, piece) if long else plain.encode(piece))
    ]
    spliced = build_prompt(plain, answered(plain, text, ids), "", thinking=True)
    usual = build_prompt(plain, answered(plain, text, ()), "", thinking=True)
    assert plain.decode(list(spliced.ids)) == plain.decode(list(usual.ids))
    starts = [list(p.ids).count(plain.message_start) for p in (spliced, usual)]
    assert starts[0] == starts[1]


# Going on with an answer


@pytest.mark.parametrize("template", [PLAIN, THINKING, THINKING_OPEN, None])
def test_a_continued_prompt_ends_with_the_answer_so_far(made, template):
    tokenizer = tokenizer_of(made("qwen3", template=template))
    question, answer = chat("What?", "the be")
    before = build_prompt(tokenizer, (question,), "", thinking=True)
    own = bytewise(tokenizer, "the be")
    ids = own
    if before.thinking_open:
        ids = [*tokenizer.encode("hm\n"), tokenizer.think_close, *tokenizer.encode("\n\n"), *own]
        answer = replace(answer, parts=(Part(PartKind.REASONING, "hm"), *answer.parts))
    prompt = build_prompt(
        tokenizer, (question, replace(answer, token_ids=tuple(ids))), "", thinking=True
    )
    assert prompt.ids == (*before.ids, *ids)
    assert prompt.given == len(ids)
    assert prompt.thinking_open is before.thinking_open


@pytest.mark.parametrize("template", [PLAIN, THINKING, THINKING_OPEN])
@pytest.mark.parametrize("foreign", [(), (7, 8, 9)])
def test_without_its_ids_an_answer_is_written_again(made, template, foreign):
    """An older answer has none, one of another model has others."""
    tokenizer = tokenizer_of(made("qwen3", template=template))
    question, answer = chat("What?", "the be")
    answer = replace(
        answer, parts=(Part(PartKind.REASONING, "hm"), *answer.parts), token_ids=foreign
    )
    prompt = build_prompt(tokenizer, (question, answer), "", thinking=True)
    text = tokenizer.decode(list(prompt.ids))
    assert text.endswith("<think>\nhm\n</think>\n\nthe be")
    assert prompt.ids[-prompt.given :].count(tokenizer.think_close) == 1


def test_a_thought_that_was_cut_goes_on_as_a_thought(made):
    tokenizer = tokenizer_of(made("qwen3", template=THINKING))
    question, answer = chat("What?", "")
    answer = replace(answer, parts=(Part(PartKind.REASONING, "hm and"),))
    prompt = build_prompt(tokenizer, (question, answer), "", thinking=True)
    assert tokenizer.decode(list(prompt.ids)).endswith("assistant\n<think>\nhm and")


def test_a_cached_prefix_reaches_to_the_end_of_the_answer(plain):
    own = bytewise(plain, "the thin end")
    question, answer, last = answered(plain, "the thin end", own)
    first = build_prompt(plain, (question,), "", thinking=True)
    cached = [*first.ids, *own]
    later = build_prompt(plain, (question, answer, last), "", thinking=True)
    assert common_prefix(cached, later.ids) == len(cached)
