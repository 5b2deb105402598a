"""The thinking budget: a closing sentence in the model's mouth, and on with the same cache."""

from __future__ import annotations

import dataclasses

import pytest

from qwen_desktop.chat.events import Delta, FinishReason, Scored, Started
from qwen_desktop.chat.messages import Message, Part, PartKind, Role, Status
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.engine import sessions
from qwen_desktop.engine.detokenize import Detokenizer
from qwen_desktop.engine.output import OutputParser
from qwen_desktop.engine.thinking import PATIENCE, SENTENCE, ThinkingBudget
from tests.engine.checkpoints import PLAIN, THINKING, THINKING_OPEN
from tests.engine.helpers import ask, reason_of, request, text_of, tokenizer_of, usage_of

REASONING, TEXT = PartKind.REASONING, PartKind.TEXT
GREEDY = {"thinking": True, "temperature": 0.0}


def ids_of(events) -> list[int]:
    return [i for e in events if isinstance(e, Delta) for i in e.ids]


def closing_of(tokenizer) -> list[int]:
    if tokenizer.think_close is None:
        return tokenizer.encode(SENTENCE + "</think>\n\n")
    return [*tokenizer.encode(SENTENCE), tokenizer.think_close, *tokenizer.encode("\n\n")]


@pytest.fixture(params=[True, False], ids=["tokens", "text"])
def thinker(request, opened):
    """An engine whose prompts open a think block, and its tokenizer."""
    engine = opened("qwen3", template=THINKING_OPEN, think_tokens=request.param)
    return engine, tokenizer_of(engine.info.folder)


def cut_at_closing(tokenizer, ids) -> tuple[list[int], list[int]]:
    """(what came before the closing sentence, what came after it)."""
    closing = closing_of(tokenizer)
    at = next(n for n in range(len(ids)) if ids[n : n + len(closing)] == closing)
    return ids[:at], ids[at + len(closing) :]


def test_the_sentence_comes_and_the_answer_goes_on(thinker):
    engine, tokenizer = thinker
    free = ids_of(ask(engine, request("hello", max_new_tokens=9, **GREEDY)))
    room = 9 + PATIENCE + len(closing_of(tokenizer))
    asked = request("hello", max_new_tokens=room + 3, thinking_budget=9, **GREEDY)
    events = ask(engine, asked)
    ids = ids_of(events)
    thought, answer = cut_at_closing(tokenizer, ids)
    assert thought[:9] == free
    text = Detokenizer(tokenizer.piece)
    unfinished = [(text.step(token), bool(text.pending))[1] for token in thought]
    assert not unfinished[-1] or len(thought) == 9 + PATIENCE
    assert all(unfinished[8:-1])  # it waited for nothing else
    stats = usage_of(events).stats
    assert stats.new_tokens == len(ids)
    markers = sum(token in (tokenizer.think_open, tokenizer.think_close) for token in answer)
    assert stats.answer_tokens == len(answer) - markers > 0
    assert text_of(events, REASONING).endswith(SENTENCE.strip("\n"))
    assert SENTENCE.strip("\n") not in text_of(events, TEXT)


def test_what_follows_is_what_the_model_says_after_these_words(thinker, monkeypatch):
    """The same tokens as a beginning that is given: the cache holds what was fed."""
    engine, tokenizer = thinker
    monkeypatch.setattr(sessions, "WORTH_COPYING", 10_000)  # the other chat reads all anew
    asked = request("hello", max_new_tokens=150, thinking_budget=9, **GREEDY)
    events = ask(engine, asked)
    ids = ids_of(events)
    _, answer = cut_at_closing(tokenizer, ids)
    said = Message(
        Role.ASSISTANT,
        (Part(REASONING, text_of(events, REASONING)),),
        parent_id=asked.messages[-1].id,
        status=Status.STOPPED,
        token_ids=tuple(ids[: len(ids) - len(answer)]),
        provenance=next(e.provenance for e in events if isinstance(e, Started)),
    )
    going_on = dataclasses.replace(
        asked,
        conversation_id="other",
        messages=(*asked.messages, said),
        settings=dataclasses.replace(asked.settings, max_new_tokens=len(answer)),
    )
    rest = ask(engine, going_on)
    assert usage_of(rest).stats.reused_tokens == 0
    assert ids_of(rest) == answer


def test_nothing_changes_within_the_budget(thinker):
    engine, _ = thinker
    free = ask(engine, request("hello", max_new_tokens=20, **GREEDY))
    within = ask(engine, request("hello", max_new_tokens=20, thinking_budget=20, **GREEDY))
    assert ids_of(within) == ids_of(free)


def test_a_budget_of_nothing_answers_at_once(thinker):
    engine, tokenizer = thinker
    events = ask(engine, request("hello", max_new_tokens=30, thinking_budget=0, **GREEDY))
    assert text_of(events, REASONING) == ""
    assert tokenizer.decode(ids_of(events)).startswith("\n</think>\n\n")
    assert usage_of(events).stats.answer_tokens > 0


def test_without_a_think_block_there_is_nothing_to_close(opened):
    for template in (PLAIN, None, THINKING_OPEN):
        engine = opened("qwen3", template=template)
        values = {"thinking": False, "temperature": 0.0, "max_new_tokens": 20}
        free = ask(engine, request("hello", **values))
        bound = ask(engine, request("hello", thinking_budget=0, **values))
        if tokenizer_of(engine.info.folder).think_open not in ids_of(free):
            assert ids_of(bound) == ids_of(free)


def test_cut_within_the_sentence_it_is_finished_and_not_said_twice(thinker):
    engine, _ = thinker
    values = {"thinking_budget": 9, **GREEDY}
    full = ids_of(ask(engine, request("hello", max_new_tokens=150, **values)))
    short = request("hello", max_new_tokens=40, conversation="b", **values)
    events = ask(engine, short)
    assert reason_of(events) is FinishReason.LENGTH
    said = Message(Role.ASSISTANT, (), parent_id=short.messages[-1].id, status=Status.LENGTH)
    for event in events:
        if isinstance(event, Delta):
            said = said.appended(event.kind, event.text)
    begun = next(e.provenance for e in events if isinstance(e, Started))
    said = dataclasses.replace(said, token_ids=tuple(ids_of(events)), provenance=begun)
    settings = dataclasses.replace(short.settings, max_new_tokens=110)
    rest = ask(engine, GenerationRequest("b", (*short.messages, said), settings))
    assert ids_of(events) + ids_of(rest) == full
    both = text_of(events, REASONING) + text_of(rest, REASONING)
    assert both.count("Considering the limited time") == 1


def test_thoughts_before_a_cut_count(thinker):
    _, tokenizer = thinker
    parser = OutputParser(tokenizer, thinking_open=True)
    budget = ThinkingBudget(tokenizer, 5, thinking_open=True)
    for token in (ids := tokenizer.encode("abcde")):
        parser.feed(token)
    assert budget.closing(parser, 4, ids) == ()
    assert budget.closing(parser, 5, ids) == tuple(closing_of(tokenizer))
    assert budget.closing(parser, 5, [*ids, *closing_of(tokenizer)[:4]]) == tuple(
        closing_of(tokenizer)[4:]
    )


def test_it_waits_for_the_end_of_a_character_but_not_for_ever(made):
    tokenizer = tokenizer_of(made("qwen3", template=THINKING))
    parser = OutputParser(tokenizer, thinking_open=True)
    budget = ThinkingBudget(tokenizer, 1, thinking_open=True)
    char = tokenizer.encode("😀")
    for token in char[:-1]:
        parser.feed(token)
        assert budget.closing(parser, 1, char) == ()
    parser.feed(char[-1])
    assert budget.closing(parser, 1, char)
    half = char[0]
    waited = 0
    while True:
        parser.feed(half)
        if budget.closing(parser, 1, [half]):
            break
        waited += 1
    assert waited == PATIENCE


def test_forced_tokens_have_scores(thinker):
    engine, _ = thinker
    values = {"thinking_budget": 3, "logprobs": 2, "max_new_tokens": 150, **GREEDY}
    events = ask(engine, request("hello", **values))
    scores = [token.id for e in events if isinstance(e, Scored) for token in e.tokens]
    assert scores == ids_of(events)
