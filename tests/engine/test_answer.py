"""From steps to events: what is told, what ends an answer from within, what is continued."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.events import (
    Delta,
    Finished,
    FinishReason,
    Progress,
    Stage,
    Started,
)
from qwen_desktop.chat.messages import Message, Part, PartKind, Provenance, Role, Status
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.engine.answer import Answer
from qwen_desktop.engine.choose import Chooser
from qwen_desktop.engine.decode import End, Prefilled, Token
from qwen_desktop.engine.prompt import Prompt
from qwen_desktop.engine.sampling import Sampler, Sampling
from tests.engine.checkpoints import THINKING, THINKING_OPEN
from tests.engine.helpers import (
    ask,
    reason_of,
    request,
    text_of,
    tokenizer_of,
    usage_of,
)

PROMPT = (1, 2, 3)


@pytest.fixture(scope="module")
def tokenizer(made):
    return tokenizer_of(made("qwen3", template=THINKING))


DEFAULT = GenerationSettings()


def answer_of(tokenizer, settings=DEFAULT, given=()) -> Answer:
    prompt = Prompt((*PROMPT, *given), 0, thinking_open=False, unseen=("u",), given=len(given))
    sampler = Sampler(Sampling(0.0), prompt.ids, torch.device("cpu"))
    return Answer(
        tokenizer,
        prompt,
        Chooser(sampler, tokenizer),
        settings,
        provenance=Provenance(seed=5),
        model="Model",
        context_length=1000,
        started=0.0,
    )


def steps(ids, reason=FinishReason.LENGTH):
    return iter([Prefilled(2), *map(Token, ids), End(reason)])


def ids_of(events) -> list[int]:
    return [i for e in events if isinstance(e, Delta) for i in e.ids]


def test_order_and_counts(tokenizer):
    ids = [tokenizer.think_open, *tokenizer.encode("ab"), tokenizer.think_close]
    ids += tokenizer.encode("字c")
    answer = answer_of(tokenizer)
    begun = Progress(Stage.PREFILL, 0, 3)
    events = list(answer.events(itertools.chain([begun], steps(ids, FinishReason.STOP))))
    assert events[0] == Started(Provenance(seed=5), PROMPT)
    assert events[1] == begun
    assert events[-1] == Finished(FinishReason.STOP)
    assert ids_of(events) == ids == list(answer.ids)
    assert answer.parts == (Part(PartKind.REASONING, "ab"), Part(PartKind.TEXT, "字c"))
    usage = usage_of(events)
    assert (usage.stats.reasoning_tokens, usage.stats.answer_tokens) == (4, 4)
    assert (usage.stats.prompt_tokens, usage.stats.reused_tokens) == (3, 2)
    assert usage.context_tokens == 3 + len(ids)
    assert usage.unseen == ("u",)


@given(ids=st.lists(st.integers(0, 255), max_size=30), cut=st.integers(0, 30))
def test_a_continued_answer_tells_what_is_new(tokenizer, ids, cut):
    old, new = ids[:cut], ids[cut:]
    first = answer_of(tokenizer)
    list(first.events(steps(old)))
    second = answer_of(tokenizer, given=old)
    assert second.parts == first.parts
    assert list(second.ids) == old
    events = list(second.events(steps(new)))
    assert ids_of(events) == new
    assert list(second.ids) == ids
    assert "".join(p.text for p in second.parts) == text_of_parts(first) + text_of(events)
    assert usage_of(events).stats.new_tokens == len(new)
    assert usage_of(events).stats.prompt_tokens == len(PROMPT) + len(old)
    everything = answer_of(tokenizer)
    list(everything.events(steps(ids)))
    if text_of_parts(everything).startswith(text_of_parts(first)):
        assert second.parts == everything.parts


def text_of_parts(answer) -> str:
    return "".join(part.text for part in answer.parts)


def test_a_stop_string_ends_it_and_no_further_step_is_made(tokenizer):
    made = []

    def counted():
        for token in tokenizer.encode("one END two"):
            made.append(token)
            yield Token(token)

    answer = answer_of(tokenizer, GenerationSettings(stop_strings="END\nxyz"))
    events = list(answer.events(counted()))
    assert events[-1] == Finished(FinishReason.STOP_STRING)
    assert text_of(events) == "one "
    assert made == tokenizer.encode("one END") == ids_of(events)
    assert usage_of(events).stats.answer_tokens == len(made)


def test_what_waited_for_a_stop_string_is_told_at_the_end(tokenizer):
    answer = answer_of(tokenizer, GenerationSettings(stop_strings="END"))
    events = list(answer.events(steps(tokenizer.encode("one EN"))))
    assert text_of(events) == "one EN"
    assert events[-1] == Finished(FinishReason.LENGTH)


LOOP = [*range(65, 75)] * 40


def test_a_loop_ends_it_and_what_was_said_stays(tokenizer):
    events = list(answer_of(tokenizer).events(steps(LOOP)))
    assert events[-1] == Finished(FinishReason.LOOPING)
    assert events[-1].reason.status is Status.LOOPING
    assert 128 <= len(ids_of(events)) < len(LOOP)
    assert text_of(events) == tokenizer.decode(ids_of(events))
    off = answer_of(tokenizer, GenerationSettings(loop_guard=False))
    assert list(off.events(steps(LOOP)))[-1] == Finished(FinishReason.LENGTH)


def test_a_loop_counts_across_a_cut_and_anew_after_it_was_found(tokenizer):
    length = len(ids_of(list(answer_of(tokenizer).events(steps(LOOP)))))
    half = answer_of(tokenizer, given=LOOP[: length - 3])
    assert len(ids_of(list(half.events(steps(LOOP[length - 3 :]))))) == 3
    again = answer_of(tokenizer, given=LOOP[:length])
    assert len(ids_of(list(again.events(steps(LOOP))))) == length


def test_closing_markers_again_and_again(tokenizer):
    close = tokenizer.think_close
    ids = [tokenizer.think_open, 65, close, 66, close, 67, close, 68, close]
    events = list(answer_of(tokenizer).events(steps(ids)))
    assert events[-1] == Finished(FinishReason.LOOPING)
    assert ids_of(events) == ids[:7]


def events_of(events, kind):
    return [event for event in events if isinstance(event, kind)]


def test_the_seed_that_was_drawn_makes_the_answer_again(opened):
    engine = opened("qwen3")
    asked = request("hello", max_new_tokens=40, temperature=1.0)
    first = ask(engine, asked)
    (begun,) = events_of(first, Started)
    assert ids_of(ask(engine, asked)) != ids_of(first)
    settings = dataclasses.replace(asked.settings, seed=begun.provenance.seed)
    again = ask(engine, dataclasses.replace(asked, settings=settings))
    assert ids_of(again) == ids_of(first)


def test_a_stop_string_of_a_base_model(opened):
    engine = opened("qwen2", template=None)
    text = text_of(ask(engine, request("Once upon", max_new_tokens=40)))
    stop = text[10:14]
    events = ask(engine, request("Once upon", max_new_tokens=40, stop_strings=stop))
    assert reason_of(events) is FinishReason.STOP_STRING
    assert text_of(events) == text[: text.index(stop)]
    assert text_of(ask(engine, request("Once upon", max_new_tokens=40))) == text


def cut_answer(asked: GenerationRequest, events) -> Message:
    answer = Message(Role.ASSISTANT, (), parent_id=asked.messages[-1].id, status=Status.LENGTH)
    for event in events_of(events, Delta):
        answer = answer.appended(event.kind, event.text)
    (begun,) = events_of(events, Started)
    ids = tuple(ids_of(events))
    return dataclasses.replace(answer, token_ids=ids, provenance=begun.provenance)


ASKED = "What is in the window?"


@pytest.mark.parametrize("template", [THINKING, THINKING_OPEN, None], ids=["", "open", "base"])
@pytest.mark.parametrize("family", ["qwen3", "qwen3_5_text"])
@pytest.mark.parametrize("penalty", [0.0, 0.7])
def test_cut_and_continued_it_is_the_same_answer(opened, family, template, penalty):
    engine = opened(family, template=template, think_tokens=False)
    values = {"thinking": True, "temperature": 0.0, "presence_penalty": penalty}
    full = ask(engine, request(ASKED, max_new_tokens=40, conversation="a", **values))
    ids = ids_of(full)
    assert len(ids) > 20
    for cut in (1, 5, 20):
        short = request(ASKED, max_new_tokens=cut, conversation="b", **values)
        first = ask(engine, short)
        answer = cut_answer(short, first)
        settings = dataclasses.replace(short.settings, max_new_tokens=40 - cut)
        going_on = GenerationRequest("b", (*short.messages, answer), settings)
        rest = ask(engine, going_on)
        assert ids_of(first) + ids_of(rest) == ids
        assert usage_of(rest).stats.new_tokens == len(ids) - cut
        assert usage_of(rest).stats.reused_tokens >= usage_of(first).stats.prompt_tokens
        if not text_of(first).endswith("\ufffd"):
            assert text_of(first) + text_of(rest) == text_of(full)
