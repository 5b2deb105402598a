"""Guessing ahead changes nothing of an answer but its speed, and costs nothing where it is vain."""

from __future__ import annotations

import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_desktop.chat.events import Delta, Finished, FinishReason, Scored
from qwen_desktop.engine.choose import Chooser
from qwen_desktop.engine.decode import End, Token
from qwen_desktop.engine.engine import Engine
from qwen_desktop.engine.prompt import Prompt
from qwen_desktop.engine.sampling import Sampler, Sampling, distribution
from qwen_desktop.engine.session import Session
from qwen_desktop.engine.speculation import offer
from qwen_desktop.engine.speculation.costs import SIZES, Chances, Costs, best_length
from qwen_desktop.engine.speculation.lookup import MOST, Lookup
from tests.engine.checkpoints import FAMILY_SIZES, THINKING_OPEN
from tests.engine.guessing import Free, guessing
from tests.engine.helpers import (
    NEVER,
    ask,
    load,
    reason_of,
    request,
    runner_of,
    steps_of,
    text_of,
    tokenizer_of,
)

# Tokens that come again and again, so that there is something to look up from the first on.
IDS = tuple([40, 41, 42, 43, 44, 45, 46, 40, 41, 42, 90, 91, 40, 41, 42, 43] * 3)
PROMPT = Prompt(IDS, 0, thinking_open=False)
GROWING = [name for name in FAMILY_SIZES if not name.startswith(("qwen3_next", "qwen3_5", "qwen4"))]
FORGETFUL = [name for name in FAMILY_SIZES if name not in GROWING]


def tokens(steps) -> list[int]:
    return [step.id for step in steps if isinstance(step, Token)]


def sampler(runner, sampling) -> Sampler:
    return Sampler(sampling, IDS, runner.capabilities.device)


def answered(runner, sampling, *, guess: bool, new: int = 200, session=None, **options):
    """Tokens of an answer, and what fed them."""
    session = session or Session("c", runner)
    feeding = guessing(session, runner, IDS) if guess else None
    steps = steps_of(
        runner,
        PROMPT,
        sampler(runner, sampling),
        max_new_tokens=new,
        session=session,
        feeding=feeding,
        **options,
    )
    return tokens(steps), feeding, session


# -- the same answers ------------------------------------------------------------------------------


@pytest.mark.parametrize("family", GROWING)
def test_greedy_ids_are_those_without(made, family):
    runner = runner_of(made(family))
    wanted, _, plain = answered(runner, Sampling(0.0), guess=False)
    found, feeding, session = answered(runner, Sampling(0.0), guess=True)
    assert found == wanted
    assert feeding.accepted < feeding.drafted
    assert feeding.accepted > 0 or family == "qwen2_moe"  # whose answer never repeats
    assert session.ids == plain.ids == [*IDS, *wanted[:-1]]
    assert session.cache.length == len(session.ids)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(0.4, seed=3),
        Sampling(0.3, top_k=20, top_p=0.9, min_p=0.02, seed=4),
        Sampling(0.3, 20, 0.95, 0.0, repetition_penalty=0.9, presence_penalty=-0.5, seed=5),
    ],
)
def test_a_seed_gives_what_it_gives_without(made, sampling):
    """Each token takes the numbers of the seed that it takes without, also a guessed one."""
    runner = runner_of(made("qwen3"))
    wanted, *_ = answered(runner, sampling, guess=False)
    found, feeding, _ = answered(runner, sampling, guess=True)
    assert found == wanted
    assert feeding.accepted > 0


def test_what_is_drawn_follows_the_distribution(made):
    """Chi-square of the ranks of all tokens against the probabilities that they had."""
    runner = runner_of(made("qwen3"))
    ranks, expected, accepted, rejected = torch.zeros(6), torch.zeros(6), 0, 0
    for seed in range(8):
        sampling = Sampling(0.35, top_k=6, seed=seed)
        found, feeding, _ = answered(runner, sampling, guess=True, new=400)
        accepted += feeding.accepted
        rejected += feeding.drafted - feeding.accepted
        rows = runner.verify(runner.new_cache(), [*IDS, *found[:-1]], cancel=NEVER)
        for token, row in zip(found, rows[len(IDS) - 1 :], strict=True):
            ids, weights = distribution(row, sampling)
            shares, order = (weights / weights.sum()).sort(descending=True)
            place = int((ids[order] == token).nonzero())
            ranks[min(place, 5)] += 1
            expected += torch.cat((shares[:5], shares[5:].sum()[None]))
    assert accepted > 200
    assert rejected > 200
    assert float(((ranks - expected).square() / expected).sum()) < 20.5  # 0.1 % of chi-square, 5


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 20])
def test_limits_end_it_where_they_do_without(made, limit):
    runner = runner_of(made("qwen2"))
    for options in ({"new": limit}, {"context_length": len(IDS) + limit}):
        wanted, *_ = answered(runner, Sampling(0.0), guess=False, **options)
        found, _, session = answered(runner, Sampling(0.0), guess=True, **options)
        assert found == wanted
        assert len(session.ids) <= len(IDS) + limit


@pytest.fixture
def both(made, monkeypatch):
    """Two engines with the same checkpoint; the second one guesses at every token."""
    family, options = "qwen3", {"template": THINKING_OPEN}
    engines = []
    for costs in (Costs, Free):
        monkeypatch.setattr(offer, "Costs", costs)
        engine = Engine()
        load(engine, made(family, **options))
        engines.append(engine)
    return engines


ASKED = [
    {},
    {"max_new_tokens": 9},
    {"stop_strings": "e\nth"},
    {"loop_guard": True, "max_new_tokens": 400},
    {"thinking": True, "thinking_budget": 12, "max_new_tokens": 60},
    {"logprobs": 3},
    {"logprobs": 2, "repetition_penalty": 1.1, "presence_penalty": 0.3},
]


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_events_are_those_without(both, asked):
    """Stop strings, the thinking budget, the loop guard and scores have their say at each token."""
    values = {"temperature": 0.0, "max_new_tokens": 120, "loop_guard": False} | asked
    off, on = (
        ask(engine, request("the window and the window and the", speculation=how, **values))
        for engine, how in zip(both, ("off", "auto"), strict=True)
    )
    assert [e for e in on if isinstance(e, Delta)] == [e for e in off if isinstance(e, Delta)]
    assert reason_of(on) == reason_of(off)
    (without,), (guessed,) = (
        [e for e in events if isinstance(e, Finished)] for events in (off, on)
    )
    assert (without.drafted, without.accepted) == (0, 0)
    assert guessed.drafted >= guessed.accepted
    assert guessed.accepted > 0 or len(off) < 20
    assert guessed.end_token == without.end_token
    left, right = ([s for e in ev if isinstance(e, Scored) for s in e.tokens] for ev in (off, on))
    assert [(s.id, [t[0] for t in s.top]) for s in left] == [
        (s.id, [t[0] for t in s.top]) for s in right
    ]
    assert [s.logprob for s in left] == pytest.approx([s.logprob for s in right], abs=1e-3)


def test_the_next_turn_reads_only_what_is_new(both):
    off, on = both
    for engine, how in ((off, "off"), (on, "auto")):
        first = ask(engine, request("the the the", temperature=0.0, max_new_tokens=40))
        asked = request("the the the", text_of(first), "go on", temperature=0.0, speculation=how)
        ask(engine, asked)
    assert on._answering._sessions.find("c").ids == off._answering._sessions.find("c").ids


def test_a_seed_that_was_set_guesses_nothing(both):
    _, on = both
    ask_with = {"temperature": 0.5, "max_new_tokens": 60}
    (end,) = [e for e in ask(on, request("the the", seed=3, **ask_with)) if isinstance(e, Finished)]
    assert end.drafted == 0

    def drafted():  # by chance an answer is over before it repeats anything
        events = ask(on, request("the the", **ask_with))
        return next(e for e in events if isinstance(e, Finished)).drafted

    assert any(drafted() for _ in range(20))


@pytest.mark.parametrize("family", FORGETFUL)
def test_caches_that_cannot_go_back_are_fed_one_by_one(made, monkeypatch, family):
    monkeypatch.setattr(offer, "Costs", Free)
    engine = Engine()
    load(engine, made(family))
    events = ask(engine, request("the the the", temperature=0.0, max_new_tokens=30))
    assert events[-1].drafted == 0
    assert not engine.card().guesses


# -- ending early ----------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [1, 5, 11])
def test_stop_leaves_what_was_given_out(made, after):
    runner = runner_of(made("qwen2"))
    cancel, session, given = threading.Event(), Session("c", runner), []
    choose = sampler(runner, Sampling(0.0))

    def stopping(logits):
        given.append(choose(logits))
        if len(given) == after:
            cancel.set()
        return given[-1]

    feeding = guessing(session, runner, IDS, cancel=cancel)
    steps = steps_of(
        runner, PROMPT, stopping, max_new_tokens=60, session=session, feeding=feeding, cancel=cancel
    )
    assert steps[-1] == End(FinishReason.STOPPED)
    assert tokens(steps) == given
    assert session.ids in ([*IDS, *given], [*IDS, *given[:-1]])
    assert session.cache.length == len(session.ids)
    wanted, *_ = answered(runner, Sampling(0.0), guess=False)
    again, *_ = answered(runner, Sampling(0.0), guess=True, session=session)
    assert again == wanted


def test_memory_that_runs_out_while_guesses_are_verified(made, monkeypatch):
    runner = runner_of(made("qwen2"))
    wanted, *_ = answered(runner, Sampling(0.0), guess=False)
    verify, calls = type(runner).verify, []

    def short(self, cache, ids, *, cancel):
        calls.append(len(ids))
        if len(calls) == 2:
            verify(self, cache, ids, cancel=cancel)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return verify(self, cache, ids, cancel=cancel)

    monkeypatch.setattr(type(runner), "verify", short)
    found, _, session = answered(runner, Sampling(0.0), guess=True)
    assert found == wanted
    assert calls[2] == max(1, calls[1] // 2)
    assert session.cache.length == len(session.ids)


def test_what_is_next_to_equal_is_computed_alone(made):
    """Rows of several tokens may be off in their last bits; a choice never hangs on them."""
    runner = runner_of(made("qwen3"))
    wanted, *_ = answered(runner, Sampling(0.0), guess=False)
    session, doubted = Session("c", runner), []

    def is_clear(logits):
        doubted.append(len(session.ids))
        return len(doubted) % 3 > 0

    feeding = guessing(session, runner, IDS, is_clear=is_clear)
    steps = steps_of(
        runner,
        PROMPT,
        sampler(runner, Sampling(0.0)),
        max_new_tokens=len(wanted),
        session=session,
        feeding=feeding,
    )
    assert tokens(steps) == wanted
    assert len(doubted) > 5
    assert session.ids == [*IDS, *wanted[:-1]]


def test_a_choice_is_clear_by_its_lead(made):
    tokenizer = tokenizer_of(made("qwen3"))
    logits = torch.zeros(300)
    logits[5], logits[9] = 4.0, 3.98

    def chooser(temperature, **penalties):
        made_of = Sampling(temperature, **penalties)
        return Chooser(Sampler(made_of, [5], torch.device("cpu")), tokenizer)

    assert chooser(0.0).is_clear(logits, 2.0**-10)
    assert not chooser(0.0).is_clear(logits, 2.0**-6)
    assert chooser(0.0, repetition_penalty=2.0).is_clear(logits, 2.0**-6)  # 5 is behind by then
    assert chooser(1.0).is_clear(logits, 2.0**-6)  # drawn


# -- what is looked up, and whether it pays --------------------------------------------------------


def longest(text: list[int]) -> tuple[int, int]:
    """Length and place of the longest run that `text` ends with; the newest of several."""
    best = (0, 0)
    for place in range(1, len(text)):
        back = 0
        while back < min(place, MOST) and text[place - 1 - back] == text[-1 - back]:
            back += 1
        if back >= 2 and back >= best[0]:
            best = (back, place)
    return best


@given(
    prompt=st.lists(st.integers(0, 3), max_size=40),
    answer=st.lists(st.integers(0, 3), max_size=30),
    count=st.integers(1, 12),
)
@settings(max_examples=150, deadline=None)
def test_what_is_guessed_followed_such_a_run_before(prompt, answer, count):
    text = list(prompt)
    lookup = Lookup(prompt)
    for token in [None, *answer]:
        if token is not None:
            expected = lookup.next
            match = lookup.match
            lookup.tell(token)
            text.append(token)
            if match and expected == token:  # what comes true is followed
                assert lookup.match == min(match + 1, MOST)
                continue
        best, place = longest(text)
        assert lookup.match == best
        draft = lookup.draft(count)
        if not best:
            assert draft == []
            continue
        going_on = text + draft
        assert draft == [going_on[place + n] for n in range(count)]


def learnt(ratio) -> Costs:
    """Costs of a machine where `ratio(rows)` steps take as long as one of so many rows."""
    costs = Costs()
    for _ in range(3):
        costs.measured(1, 0.02)
        for rows in SIZES:
            costs.measured(rows, 0.02 * ratio(rows))
    for _ in range(3):
        for rows in SIZES:
            costs.measured(rows, 0.02 * ratio(rows))
    return costs


@given(chance=st.floats(0, 1), slope=st.floats(0.0, 1.2), most=st.integers(0, 20))
@settings(max_examples=100, deadline=None)
def test_the_length_is_the_one_that_brings_most(chance, slope, most):
    costs = learnt(lambda rows: 1 + slope * (rows - 1))
    count, brings = best_length(costs, lambda _: chance, most)

    def gain(drafts: int) -> float:
        expected = sum(chance**n for n in range(drafts + 1))
        return expected / (1 + slope * drafts)

    gains = {rows - 1: gain(rows - 1) for rows in SIZES if rows - 1 <= most}
    best = max(gains.values(), default=1.0)
    assert count <= most
    if count:
        assert brings == pytest.approx(best, rel=1e-6)
        assert brings > 1.05
    else:
        assert best <= 1.0501


def test_where_rows_cost_as_much_as_steps_it_is_given_up_after_some_tries():
    costs, tried = Costs(), 0
    for _ in range(3):
        costs.measured(1, 0.02)
    for _ in range(400):
        costs.passed()
        count, _ = best_length(costs, lambda _: 0.9, 15)
        if count:
            tried += 1
            costs.measured(count + 1, 0.02 * (count + 1))
        else:
            costs.measured(1, 0.02)
    assert 0 < tried <= 3 * len(SIZES)
    assert best_length(costs, lambda _: 0.9, 15)[0] == 0


def test_one_slow_step_is_no_verdict():
    costs = learnt(lambda rows: 1.2)
    costs.measured(8, 9.0)
    assert best_length(costs, lambda _: 0.9, 7)[0] == 7


def test_chances_follow_what_comes():
    chances = Chances()
    assert chances.of(2) < chances.of(6) < chances.of(40)
    for _ in range(40):
        chances.tell(2, True)
        chances.tell(20, False)
    assert chances.of(2) > 0.8
    assert chances.of(40) < 0.2
    assert 0.4 < chances.of(8) < 0.6


def test_text_that_does_not_repeat_is_never_tried(made):
    """With real costs and chances: no step of several rows is made."""
    runner = runner_of(made("qwen3"))
    session = Session("c", runner)
    new = iter(range(100, 300))
    feeding = guessing(session, runner, IDS, costs=learnt(lambda rows: 0.6 * rows))
    steps_of(
        runner,
        PROMPT,
        lambda _: next(new),
        max_new_tokens=150,
        session=session,
        feeding=feeding,
    )
    assert feeding.drafted == 0
