"""A conversation longer than the context: each policy, what is never dropped, both numbers."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from qwen_desktop.chat.context import Policy
from qwen_desktop.chat.events import FinishReason, Started
from qwen_desktop.chat.messages import Message, Part, PartKind, Role
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.errors import Known
from tests.engine.checkpoints import PLAIN, THINKING
from tests.engine.helpers import ask, chat, reason_of, request, tokenizer_of, usage_of

CONTEXT = 512  # of the made checkpoints
TURN = "the in her " * 5
EVEN = {"temperature": 2.0, "top_k": 0, "top_p": 1.0, "seed": 1}  # hardly an end among the tokens


def long_talk(turns: int, **settings: object) -> GenerationRequest:
    """`turns` questions, all but the last answered; some 65 tokens each turn."""
    texts = [f"{'question' if n % 2 == 0 else 'answer'} {n} {TURN}" for n in range(2 * turns - 1)]
    return request(*texts, **settings)


def seen_text(engine, events) -> str:
    (started,) = [e for e in events if isinstance(e, Started)]
    return engine._loaded.tokenizer.decode(list(started.prompt_ids))


def ids(asked: GenerationRequest, *numbers: int) -> tuple[str, ...]:
    return tuple(asked.messages[number].id for number in numbers)


@pytest.fixture
def small(opened):
    return opened("qwen2", template=PLAIN)


def test_the_oldest_turns_go(small):
    asked = long_talk(12)
    events = ask(small, asked)
    unseen = usage_of(events).unseen
    assert unseen
    assert len(unseen) % 2 == 0
    assert unseen == ids(asked, *range(len(unseen)))
    text = seen_text(small, events)
    assert "question 0 " not in text
    assert "question 22 " in text
    assert "You help." in text  # the template's own system prompt
    assert usage_of(events).stats.prompt_tokens <= CONTEXT - 12


def test_the_first_turn_can_stay(small):
    asked = replace(long_talk(12), policy=Policy.KEEP_FIRST)
    events = ask(small, asked)
    text = seen_text(small, events)
    assert "question 0 " in text
    assert "answer 1 " in text
    assert "question 2 " not in text
    assert "question 22 " in text
    assert asked.messages[0].id not in usage_of(events).unseen


def test_asking_refuses_and_counts(small):
    asked = replace(long_talk(12), policy=Policy.ASK)
    count = small.count_prompt(asked)
    assert count.overflows
    assert count.unseen == ()
    assert count.prompt > count.budget
    with pytest.raises(Known, match=f"{count.prompt:,} tokens; {count.budget} fit"):
        ask(small, asked)
    assert not small.count_prompt(replace(asked, policy=Policy.DROP_OLDEST)).overflows


def test_pinned_messages_and_the_system_prompt_stay(small):
    asked = long_talk(12, system_prompt="Speak like a thief.")
    pinned = replace(asked.messages[3], pinned=True)  # an answer; its question stays with it
    asked = replace(asked, messages=(*asked.messages[:3], pinned, *asked.messages[4:]))
    events = ask(small, asked)
    text = seen_text(small, events)
    assert "Speak like a thief." in text
    assert "question 2 " in text
    assert "answer 3 " in text
    assert "question 4 " not in text
    assert not set(ids(asked, 2, 3)) & set(usage_of(events).unseen)


def test_a_message_longer_than_the_context_is_refused_with_both_numbers(small):
    asked = request("the " * 700, "fine", TURN, "fine", "the " * 700)
    for attempt in (small.count_prompt, lambda asked: ask(small, asked)):
        with pytest.raises(Known, match=r"has \d+,?\d+ tokens; this model holds 512"):
            attempt(asked)
    assert reason_of(ask(small, request("short"))) is FinishReason.LENGTH


def test_a_long_last_message_leaves_less_for_the_answer(small):
    """It fits the context though not the budget: what can be answered is answered."""
    full = 0
    for words in range(135, 155):
        asked = request("hello", "hi", "her " * words, max_new_tokens=400, **EVEN)
        count = small.count_prompt(asked)
        assert count.budget < count.prompt < CONTEXT
        events = ask(small, asked)
        made = usage_of(events).stats.new_tokens
        if reason_of(events) is FinishReason.CONTEXT_FULL:
            assert made == CONTEXT - count.prompt + 1
            full += 1
        else:  # it ended by itself before
            assert made < CONTEXT - count.prompt + 1
    assert full


def test_the_same_turns_stay_for_several_turns(small):
    """So that the KV cache keeps its beginning."""
    reused = []
    for turns in range(7, 16):
        usage = usage_of(ask(small, long_talk(turns)))
        reused.append(usage.stats.reused_tokens / usage.stats.prompt_tokens)
    assert sum(share > 0.5 for share in reused[1:]) >= len(reused[1:]) / 2


def test_counts_are_those_of_the_answer(small):
    for turns in (1, 3, 12):
        asked = long_talk(turns)
        count = small.count_prompt(asked)
        usage = usage_of(ask(small, asked))
        assert count.prompt == usage.stats.prompt_tokens
        assert count.unseen == usage.unseen
        assert count.draft == len(small._loaded.tokenizer.encode(asked.messages[-1].text))
        assert count.limit == usage.context_length == CONTEXT


def test_an_empty_draft_counts_nothing(small):
    count = small.count_prompt(request("hello", "hi", ""))
    assert count.draft == 0
    assert count.prompt < small.count_prompt(request("hello", "hi", "the")).prompt


def test_thoughts_take_no_part_in_what_fits(opened):
    """Templates drop them: an answer with long thoughts does not push others out."""
    engine = opened("qwen3", template=THINKING)
    question, answer, last = chat("hello", "hi", "and?")
    thought = Part(PartKind.REASONING, "hm " * 2000)
    talk = (question, replace(answer, parts=(thought, *answer.parts)), last)
    settings = GenerationSettings(max_new_tokens=12)
    count = engine.count_prompt(GenerationRequest("c", talk, settings))
    assert count.unseen == ()
    assert count.prompt < 60


def test_silent_answers_are_not_missed(small):
    failed = Message(role=Role.ASSISTANT, parts=())
    asked = long_talk(12)
    asked = replace(asked, messages=(asked.messages[0], failed, *asked.messages[1:]))
    assert failed.id not in usage_of(ask(small, asked)).unseen


def test_text_without_turns_is_cut_as_well(opened, made):
    engine = opened("qwen2", template=None)
    assert not tokenizer_of(made("qwen2", template=None)).has_template
    asked = long_talk(12)
    events = ask(engine, asked)
    assert usage_of(events).unseen
    assert "question 22 " in seen_text(engine, events)
    assert usage_of(events).stats.prompt_tokens <= CONTEXT - 12


@pytest.mark.parametrize("how", ["asked", "pinned"])
def test_what_will_be_refused_is_not_read_ahead(small, how):
    ask(small, long_talk(1))
    talk = long_talk(12)
    if how == "asked":
        talk = replace(talk, messages=talk.messages[:-1], policy=Policy.ASK)
    else:
        pinned = tuple(replace(message, pinned=True) for message in talk.messages[:-1])
        talk = replace(talk, messages=pinned)
    assert list(small.prepare(talk, threading.Event())) == []
    short = replace(talk, messages=talk.messages[:2])
    assert list(small.prepare(short, threading.Event())) != []
