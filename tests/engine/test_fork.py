"""An answer anew from one of its tokens on: the same beginning, and what the model makes of it."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_desktop.chat.events import Delta, Finished, FinishReason, Scored, Started
from qwen_desktop.chat.forking import Fork, aligned, kept_scores
from qwen_desktop.chat.messages import Message, Part, PartKind, Provenance, Role, TokenScore
from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.engine.answer import Answer
from qwen_desktop.engine.choose import Chooser
from qwen_desktop.engine.decode import End, Prefilled, Token
from qwen_desktop.engine.prompt import Prompt
from qwen_desktop.engine.sampling import Sampler, Sampling
from qwen_desktop.engine.splice import kept_ids
from qwen_desktop.errors import Known
from tests.engine.checkpoints import FAMILY_SIZES, PLAIN, THINKING, THINKING_OPEN
from tests.engine.helpers import ask, reason_of, request, tokenizer_of, usage_of

ASKED = "What is in the window?"
GREEDY = {"temperature": 0.0, "max_new_tokens": 30}


def ids_of(events) -> list[int]:
    return [i for e in events if isinstance(e, Delta) for i in e.ids]


def answer_of(events) -> Message:
    """The answer as the bridge keeps it."""
    answer = Message(Role.ASSISTANT, (), parent_id="q")
    for event in events:
        if isinstance(event, Delta):
            answer = answer.appended(event.kind, event.text)
    (begun,) = [e for e in events if isinstance(e, Started)]
    return dataclasses.replace(answer, token_ids=tuple(ids_of(events)), provenance=begun.provenance)


def forked(asked, answer, at, token=None, **changes):
    wanted = dataclasses.replace(asked.settings, **changes)
    return dataclasses.replace(asked, fork=Fork(answer, at, token), settings=wanted)


def scores_of(events) -> list[TokenScore]:
    return [score for e in events if isinstance(e, Scored) for score in e.tokens]


@pytest.mark.parametrize("family", sorted(FAMILY_SIZES))
def test_greedy_from_any_token_it_is_the_same_answer(opened, family):
    engine = opened(family, template=THINKING)
    asked = request(ASKED, thinking=True, logprobs=2, **GREEDY)
    first = ask(engine, asked)
    answer = answer_of(first)
    length, prompt = len(answer.token_ids), usage_of(first).stats.prompt_tokens
    crops = not family.startswith(("qwen3_next", "qwen3_5", "qwen4"))
    for at in (0, 1, length // 2, length - 1):
        again = ask(engine, forked(asked, answer, at))
        made = answer_of(again)
        assert made.token_ids == answer.token_ids
        assert made.parts == answer.parts
        assert reason_of(again) is reason_of(first)
        stats = usage_of(again).stats
        assert stats.new_tokens == length - at
        assert stats.prompt_tokens == prompt + at
        if crops:
            assert stats.reused_tokens >= prompt + at - 1
        assert usage_of(again).context_tokens == usage_of(first).context_tokens
        assert made.provenance.forked_from == answer.id
        assert (made.provenance.forked_at, made.provenance.forked_token) == (at, -1)
        ours, theirs = scores_of(again), scores_of(first)[at:]
        assert [one.id for one in ours] == [one.id for one in theirs]
        assert [s.logprob for s in ours] == pytest.approx([s.logprob for s in theirs], abs=1e-3)


@pytest.mark.parametrize("template", [THINKING, THINKING_OPEN, PLAIN, None])
def test_the_token_that_was_picked_comes_there(opened, template):
    engine = opened("qwen3", template=template, think_tokens=template is not PLAIN)
    asked = request(ASKED, thinking=True, logprobs=5, **GREEDY)
    first = ask(engine, asked)
    answer, scores = answer_of(first), scores_of(first)
    length = len(answer.token_ids)
    assert length
    for at in sorted({0, length // 2, length - 1}):
        other = next(number for number, _, _ in scores[at].top if number != answer.token_ids[at])
        again = ask(engine, forked(asked, answer, at, other))
        made = answer_of(again)
        assert made.token_ids[:at] == answer.token_ids[:at]
        assert made.provenance.forked_token == other
        if reason_of(again) is FinishReason.STOP and len(made.token_ids) == at:
            continue  # the picked one ended it
        if at + 1 == len(made.token_ids):
            continue  # it is as long as it may get
        assert made.token_ids[at] == other
        assert scores_of(again)[0].id == other
        assert scores_of(again)[0].logprob == pytest.approx(
            next(p for number, _, p in scores[at].top if number == other), abs=1e-3
        )
        # What follows is what the model says to that beginning.
        plain = dataclasses.replace(answer, token_ids=made.token_ids, parts=made.parts)
        assert ids_of(ask(engine, forked(asked, plain, at + 1))) == list(made.token_ids)


def test_picking_the_end_ends_it(opened):
    engine = opened("qwen3", template=PLAIN)
    asked = request(ASKED, **GREEDY)
    answer = answer_of(ask(engine, asked))
    tokenizer = tokenizer_of(engine.info.folder)
    (stop,) = [number for number, text in tokenizer.added.items() if text == "<|im_end|>"]
    again = ask(engine, forked(asked, answer, 5, stop))
    assert answer_of(again).token_ids == answer.token_ids[:5]
    assert again[-1] == dataclasses.replace(again[-1], reason=FinishReason.STOP)
    assert usage_of(again).stats.new_tokens == 0


def test_it_goes_on_as_the_answer_was_begun_whatever_is_set_now(opened):
    engine = opened("qwen3", template=THINKING_OPEN)
    asked = request(ASKED, thinking=True, **GREEDY)
    answer = answer_of(ask(engine, asked))
    again = answer_of(ask(engine, forked(asked, answer, 4, thinking=False)))
    assert again.token_ids == answer.token_ids
    assert again.provenance.thinking is True


def test_an_answer_longer_than_the_window_leaves_keeps_its_prompt(opened):
    """What stays belongs to the answer: it drives no turn out of the prompt."""
    engine = opened("qwen3", template=PLAIN, max_position_embeddings=256)
    talk = ["a" * 96, "b" * 20, ASKED]
    asked = request(*talk, temperature=0.0, max_new_tokens=64)
    first = ask(engine, asked)
    answer = answer_of(first)
    prompt = next(e for e in first if isinstance(e, Started)).prompt_ids
    assert len(prompt) > 256 - 64 - len(answer.token_ids)  # together they are over the budget
    again = ask(engine, forked(asked, answer, len(answer.token_ids) - 2))
    told = next(e for e in again if isinstance(e, Started))
    assert told.provenance.unseen == ()
    assert told.prompt_ids[: len(prompt)] == prompt
    assert ids_of(again) == list(answer.token_ids)


def test_tokens_of_another_text_are_refused(opened):
    engine = opened("qwen3", template=PLAIN)
    asked = request(ASKED, **GREEDY)
    answer = answer_of(ask(engine, asked))
    other = dataclasses.replace(answer, parts=(Part(PartKind.TEXT, "Something else"),))
    with pytest.raises(Known, match="do not spell"):
        ask(engine, forked(asked, other, 2))
    assert ids_of(ask(engine, forked(asked, answer, 2))) == list(answer.token_ids)


# -- what is told, over made-up tokens -----------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer(made):
    return tokenizer_of(made("qwen3", template=THINKING))


def told(tokenizer, ids, wanted, fork=None, *, opened=False):
    kept = fork.ids if fork is not None else ()
    prompt = Prompt((1, 2, *kept), 0, thinking_open=opened, given=len(kept))
    sampler = Sampler(Sampling(0.0), prompt.ids, torch.device("cpu"))
    answer = Answer(
        tokenizer,
        prompt,
        Chooser(sampler, tokenizer),
        wanted,
        provenance=Provenance(),
        model="Model",
        context_length=1000,
        started=0.0,
        fork=fork,
    )
    new = ids[len(kept) :]
    steps = iter([Prefilled(2), *map(Token, new), End(FinishReason.LENGTH)])
    return list(answer.events(steps))


@st.composite
def said(draw):
    """Ids with markers, stops and halves of characters in them."""
    pieces = draw(
        st.lists(st.sampled_from(["a", "END", "EN", "字", "\n", "<open>", "<close>", "é", " the"]))
    )
    return pieces, draw(st.integers(0, 40)), draw(st.booleans())


@given(what=said(), stops=st.sampled_from(["", "END", "a字", "END\nNa"]))
@settings(max_examples=150)
def test_from_any_token_the_same_is_told_as_at_first(tokenizer, what, stops):
    pieces, cut, opened = what
    marks = {"<open>": [tokenizer.think_open], "<close>": [tokenizer.think_close]}
    ids = [i for piece in pieces for i in marks.get(piece) or tokenizer.encode(piece)]
    wanted = GenerationSettings(stop_strings=stops, loop_guard=False)
    first = told(tokenizer, ids, wanted, opened=opened)
    answer = dataclasses.replace(answer_of(first))
    at = min(cut, max(0, len(answer.token_ids) - 1))
    assert kept_ids(tokenizer, Fork(answer, at), opened) == list(answer.token_ids[:at])
    again = told(tokenizer, list(answer.token_ids), wanted, Fork(answer, at), opened=opened)
    assert answer_of(again).parts == answer.parts
    assert ids_of(again) == list(answer.token_ids)
    assert again[-1] == first[-1]
    assert usage_of(again).stats.new_tokens == len(answer.token_ids) - at


def test_a_stop_string_that_is_new_does_not_end_what_stays(tokenizer):
    ids = tokenizer.encode("one END two END three")
    answer = answer_of(told(tokenizer, ids, GenerationSettings()))
    wanted = GenerationSettings(stop_strings="END")
    again = told(tokenizer, ids, wanted, Fork(answer, len(tokenizer.encode("one END tw"))))
    assert answer_of(again).text == "one END two "
    assert again[-1] == Finished(FinishReason.STOP_STRING)


def test_a_picked_token_counts_as_what_it_is(tokenizer):
    ids = tokenizer.encode("abc")
    answer = answer_of(told(tokenizer, ids, GenerationSettings()))
    (x,) = tokenizer.encode("x")
    chosen = Fork(answer, 1, x)
    prompt = Prompt((1, *chosen.ids), 0, thinking_open=False, given=1)
    chooser = Chooser(Sampler(Sampling(0.0), prompt.ids, torch.device("cpu")), tokenizer)
    made = Answer(
        tokenizer,
        prompt,
        chooser,
        GenerationSettings(),
        provenance=Provenance(),
        model="",
        context_length=100,
        started=0.0,
        fork=chosen,
    )

    def steps():
        yield Token(chooser(torch.zeros(300)))
        yield End(FinishReason.LENGTH)

    events = list(made.events(steps()))
    assert answer_of(events).text == "ax"
    assert usage_of(events).stats.answer_tokens == 1
    assert usage_of(events).stats.reasoning_tokens == 0


# -- scores --------------------------------------------------------------------------------------


def scored(*ids: int) -> tuple[TokenScore, ...]:
    return tuple(TokenScore(i, str(i), -0.5) for i in ids)


def test_scores_stand_at_their_tokens():
    whole, early, late = scored(1, 2, 3), scored(1, 2), scored(2, 3)
    assert aligned((1, 2, 3), whole) == whole
    assert aligned((1, 2, 3), early) == (*early, None)
    assert aligned((1, 2, 3), late) == (None, *late)
    assert aligned((1, 2, 3), scored(9)) == (None,) * 3
    assert aligned((1,), whole) == (None,)
    assert aligned((), ()) == ()


def test_scores_of_what_stays_are_all_or_none():
    answer = Message(Role.ASSISTANT, (), token_ids=(1, 2, 3))
    assert kept_scores(Fork(answer, 2), scored(1, 2, 3)) == scored(1, 2)
    assert kept_scores(Fork(answer, 2), scored(1, 2)) == scored(1, 2)
    assert kept_scores(Fork(answer, 2), scored(2, 3)) == ()
    assert kept_scores(Fork(answer, 0), scored(1, 2, 3)) == ()
