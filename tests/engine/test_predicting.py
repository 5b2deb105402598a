"""What a conversation is expected to take, against what is measured of real answers."""

from __future__ import annotations

import pytest
import torch

from qwen_desktop.chat.checkpoint import KvFormat, Precision
from qwen_desktop.chat.events import Finished
from qwen_desktop.engine import planning
from qwen_desktop.engine.engine import Engine
from tests.engine.checkpoints import PLAIN
from tests.engine.helpers import ask, load, request, usage_of
from tests.engine.simulated_card import MIB, SimulatedCard
from tests.engine.test_simulated_card import TOTAL, WIDE

FAMILY = {"template": PLAIN}


@pytest.fixture
def engine(opened):
    return opened("qwen2", **FAMILY)


def finished_of(events) -> Finished:
    (finished,) = [event for event in events if isinstance(event, Finished)]
    return finished


@pytest.mark.parametrize("words", [4, 60, 130, 200])
def test_what_was_predicted_is_what_is_held(engine, words):
    events = ask(engine, request("the " * words, max_new_tokens=9))
    finished = finished_of(events)
    # The newest token is said, and in the cache only when it is fed.
    tokens = usage_of(events).context_tokens
    predicted = engine.predict("c", 0)
    steady, peak = predicted.at(tokens)
    step = predicted.at(tokens - 1)
    assert finished.held_bytes in (steady, step[0])
    assert finished.planned_bytes == pytest.approx(finished.peak_bytes, rel=0.01)
    assert finished.peak_bytes == pytest.approx(peak, rel=0.05)


def test_other_conversations_are_told_apart(engine):
    alone = finished_of(ask(engine, request("hello", conversation="a", max_new_tokens=4)))
    beside = finished_of(ask(engine, request("hello", conversation="b", max_new_tokens=4)))
    assert alone.others_bytes == 0
    assert beside.others_bytes == alone.held_bytes - engine.predict("a", 0).weights
    assert beside.held_bytes - beside.others_bytes == alone.held_bytes
    assert beside.planned_bytes == alone.planned_bytes


def test_the_device_is_told_with_all_that_uses_it(engine):
    finished = finished_of(ask(engine, request("hello", max_new_tokens=4)))
    assert 0 < finished.held_bytes < finished.used_bytes < finished.device_bytes
    assert engine.predict("c", 0).device_bytes == finished.device_bytes


def test_lines_rise_up_to_the_limit(engine):
    predicted = engine.predict("c", 0)
    tokens, steady, peak = zip(*predicted.points, strict=True)
    assert list(tokens) == sorted(set(tokens))
    assert (tokens[0], tokens[-1]) == (1, predicted.limit_tokens)
    assert list(steady) == sorted(steady)
    assert all(high > low >= predicted.weights for low, high in zip(steady, peak, strict=True))
    assert predicted.limit_tokens == predicted.context_length == 512
    assert max(peak) < predicted.limit_bytes < predicted.device_bytes


def test_turns_that_read_less_take_less(engine):
    short, whole = engine.predict("c", 8), engine.predict("c", 0)
    assert short.at(500)[0] == whole.at(500)[0]
    assert short.at(500)[1] < whole.at(500)[1]


def test_less_memory_is_a_lower_limit(engine, monkeypatch):
    plenty = engine.predict("c", 0)
    monkeypatch.setattr(planning, "free_memory", lambda _: 2**16)
    scarce = engine.predict("c", 0)
    assert scarce.limit_tokens < plenty.limit_tokens
    assert scarce.limit_bytes < plenty.limit_bytes
    assert scarce.points[-1][0] == max(64, scarce.limit_tokens)


def test_an_8_bit_cache_is_predicted_as_one(made):
    folder = made("qwen2", head_dim=32, **FAMILY)
    steady = {}
    for kv in (KvFormat.MODEL, KvFormat.INT8):
        engine = Engine()
        load(engine, folder, kv=kv)
        predicted = engine.predict("c", 0)
        assert predicted.kv_format == kv.value
        steady[kv] = predicted.at(500)[0] - predicted.weights
    assert steady[KvFormat.INT8] < 0.6 * steady[KvFormat.MODEL]


def test_without_a_checkpoint_nothing_is_predicted():
    assert Engine().predict("c", 0) is None


@pytest.mark.parametrize("words", [100, 700])
def test_a_card_tells_itself_what_answers_took(made, monkeypatch, words):
    card = SimulatedCard(TOTAL, other=1024 * MIB)
    card.install(monkeypatch)
    engine = Engine()
    with card:
        load(engine, made("qwen3", **WIDE), placement="cuda", precision=Precision.BF16)
        library = torch.empty(8 * MIB, dtype=torch.uint8)  # a workspace that stays
        ask(engine, request("hello", conversation="other", max_new_tokens=4))
        events = ask(engine, request("the " * words, max_new_tokens=8))
        finished, predicted = finished_of(events), engine.predict("c", 0)
        used = TOTAL - card.free
        held = card.allocated
        engine.unload()
        del library
    assert finished.held_bytes == pytest.approx(held, abs=MIB)
    assert (finished.used_bytes, finished.device_bytes) == (used, TOTAL)
    assert finished.others_bytes > 0
    # Plans take the worst moment of a forward, which a short one does not meet.
    own_peak = finished.peak_bytes - finished.others_bytes
    assert own_peak <= finished.planned_bytes < own_peak + 2 * MIB
    steady, peak = predicted.at(usage_of(events).context_tokens)
    assert finished.held_bytes - finished.others_bytes == pytest.approx(steady, rel=0.02)
    assert own_peak <= peak < own_peak + 2 * MIB
