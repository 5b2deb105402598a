"""Planner, ledger, forecast, alarms and the ladder of relief on a card, which is simulated."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch

from qwen_desktop.bridge.taken import TakenWatch
from qwen_desktop.chat.checkpoint import KvFormat, Precision
from qwen_desktop.chat.events import Finished, GenerationEvent, Started
from qwen_desktop.chat.ledger import Bound, Forecast, MemoryKind, WayKind
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.engine import loader, watch
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.device import CARD_MARGIN
from qwen_desktop.engine.engine import Engine
from qwen_desktop.errors import Known
from tests.engine.checkpoints import PLAIN
from tests.engine.helpers import NEVER, ask, load, request, text_of, usage_of
from tests.engine.simulated_card import MIB, SimulatedCard
from tests.engine.talk import Talk

# Few operations, and a cache that is wide for them: 16 KiB a token in 16 bits.
WIDE = {
    "template": PLAIN,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "head_dim": 64,
    "max_position_embeddings": 16384,
    "initializer_range": 0.02,
}
TOTAL = 4096 * MIB


@pytest.fixture
def card(monkeypatch) -> Iterator[SimulatedCard]:
    made = SimulatedCard(TOTAL, other=1024 * MIB)
    made.install(monkeypatch)
    yield made
    gc.collect()


@pytest.fixture
def engine(card, made) -> Iterator[Engine]:
    engine = Engine()
    with card:
        load(engine, made("qwen3", **WIDE), placement="cuda", precision=Precision.BF16)
        yield engine
        engine.unload()


def leave_free(card: SimulatedCard, nbytes: int) -> None:
    """Let other programs take all but `nbytes` of what torch may take yet."""
    card.empty_cache()
    card.other = TOTAL - card.context - card.reserved - CARD_MARGIN - nbytes


def test_the_ledger_of_a_card_adds_up(card, engine):
    ask(engine, request("hello " * 200))
    ask(engine, request("hello " * 50, conversation="other"))
    (ledger,) = engine.memory().ledgers
    assert (ledger.kind, ledger.device, ledger.name) == (
        MemoryKind.CUDA,
        "cuda:0",
        "Simulated card",
    )
    parts = ("weights", "kv", "kv_others", "activations", "slack", "runtime", "other", "free")
    assert sum(getattr(ledger, name) for name in parts) == ledger.total == TOTAL
    assert ledger.weights == sum(engine._loaded.bytes_by_device.values())
    assert ledger.kv_others > ledger.kv > 0  # this chat is the one asked last
    assert ledger.slack == card.reserved - card.allocated
    assert (ledger.runtime, ledger.other) == (card.context, card.other)
    assert not ledger.runtime_estimated
    assert ledger.free == card.free


def test_what_is_to_come_is_what_a_full_context_takes(card, engine):
    ask(engine, request("hello"))
    sample = engine.memory()
    (costs,) = engine._answering._planner._costs.values()
    assert sample.window == 16384
    assert sample.main.kv + sample.main.kv_to_come == costs.cache(16384)
    assert sample.main.working >= costs.working(1, 16384)


def test_a_driver_that_does_not_tell_makes_it_an_estimate(card, engine):
    card.tells = False
    (ledger,) = engine.memory().ledgers
    assert ledger.runtime_estimated
    assert ledger.runtime + ledger.other == card.context + card.other
    assert ledger.runtime > 0


def test_the_peak_of_an_answer_is_measured(card, engine):
    events = ask(engine, request("hello " * 300))
    (finished,) = [event for event in events if isinstance(event, Finished)]
    ledger = engine.memory().main
    assert finished.peak_bytes == card.peak
    assert ledger.peak == card.peak - ledger.weights - ledger.kv
    assert ledger.peak > 0


@pytest.mark.usefixtures("card")
def test_a_card_that_is_not_used_is_left_asleep(card, made):
    engine = Engine()
    load(engine, made("qwen3", **WIDE), placement="cpu", precision=Precision.FP32)
    ask(engine, request("hello"))
    card.asked = 0
    for _ in range(3):
        (ledger,) = engine.memory().ledgers
        assert ledger.kind is MemoryKind.RAM
    engine.unload()
    engine.memory()
    assert card.asked == 0


def test_a_card_is_let_go_of_with_its_model(card, engine):
    engine.memory()
    engine.unload()
    card.asked = 0
    assert engine.memory().main.kind is MemoryKind.RAM
    assert card.asked == 0
    assert card.fraction == 1.0


def test_weights_on_their_way_are_seen(card, made):
    engine = Engine()
    seen: list[int] = []

    with card:
        engine.load(
            LoadRequest(made("qwen3", **WIDE), Precision.BF16, "cuda"),
            NEVER,
            lambda _: seen.append(engine._reading.get("cuda:0", -1)),
        )
        assert max(seen) == engine.info.weight_bytes
        assert not engine._reading
        engine.unload()


def test_a_model_over_card_and_main_memory_has_two_ledgers(card, made):
    folder = made("qwen3", **WIDE | {"num_hidden_layers": 6})
    asked = LoadRequest(folder, Precision.BF16, "split")
    checkpoint = inspect(folder)
    for free in range(256, 1024, 16):  # until some layers find room on the card
        leave_free(card, free * MIB)
        shares = loader.plan(checkpoint, asked).placing.shares
        if len(shares) == 2 and all(share.first >= 0 for share in shares):
            break
    engine = Engine()
    with card:
        engine.load(asked, NEVER, lambda _: None)
        ask(engine, request("hello"))
        sample = engine.memory()
        assert [one.device for one in sample.ledgers] == ["cuda:0", "cpu"]
        assert all(one.weights and one.kv and one.kv_to_come for one in sample.ledgers)
        assert sample.weights == sum(engine._loaded.bytes_by_device.values())
        assert sample.kv == pytest.approx(engine._answering.kv_bytes, abs=2)
        # What is kept with an answer is of the card alone.
        first = engine._answering._sessions.nbytes
        *_, ended = engine.generate(request("and here", conversation="another"), NEVER)
        assert 0 < ended.others_bytes < first
        others = next(one.kv_others for one in engine.memory().ledgers if one.device == "cuda:0")
        assert ended.others_bytes == others
        engine.unload()


@pytest.mark.usefixtures("card")
def test_without_room_on_the_card_the_cpu_is_said_to_be_used(card, made):
    card.other = TOTAL - card.context - 64 * MIB
    engine = Engine()
    load(engine, made("qwen3", **WIDE))
    assert engine.info.device == "CPU"
    assert "other programs" in engine.info.cpu_fallback


def test_a_full_card_is_full(card):
    cuda = torch.device("cuda:0")
    assert not watch.is_full(cuda)
    card.other = int(0.99 * TOTAL) - card.context
    assert watch.is_full(cuda)


# Running out


def test_a_refusal_in_an_answer_costs_other_chats_and_nothing_else(card, engine):
    asked = request("hello " * 200, temperature=0.0)
    expected = text_of(ask(engine, asked))
    engine.forget("c")
    ask(engine, request("the " * 2000, conversation="other"))
    events: list[GenerationEvent] = []
    for event in engine.generate(asked, NEVER):
        events.append(event)
        if isinstance(event, Started):  # from here on the other chat is in the way
            leave_free(card, 0)
            card.fraction = 1.0
            card.other += CARD_MARGIN
    assert card.refused
    assert text_of(events) == expected
    assert engine.memory().main.kv_others == 0


def test_a_card_that_others_fill_is_one_sentence_and_no_end(card, engine):
    asked = request("hello " * 200, temperature=0.0)
    expected = text_of(ask(engine, asked))
    engine.forget("c")
    before = card.other

    def starved() -> None:
        for event in engine.generate(asked, NEVER):
            if isinstance(event, Started):
                card.empty_cache()
                card.other = TOTAL - card.context - card.reserved

    with pytest.raises(Known, match="Memory ran out"):
        starved()
    card.other = before
    assert text_of(ask(engine, asked)) == expected


# The forecast


def test_the_forecast_is_right_at_the_end_of_memory(card, engine):
    leave_free(card, 64 * MIB)
    talk = Talk(engine, 8, max_new_tokens=16)
    told: list[Forecast] = []
    while talk.turn():
        told.append(talk.count().forecast)
        assert len(told) < 60
    assert card.refused == 0
    end = talk.count("hello the in " * talk.words)
    met = end.budget
    assert end.forecast.met
    assert end.prompt > met
    assert len(told) > 8
    for number, one in enumerate(told):
        assert one.bound is Bound.MEMORY
        assert one.limit == pytest.approx(met, rel=0.03)
        left = len(told) - number - 1
        # What comes need not be as long as what was said; the nearer the end, the less it matters.
        assert one.turns == pytest.approx(left, abs=1 + left // 2)
        assert one.used + one.turns * one.turn == pytest.approx(one.limit, abs=2 * one.turn)
    assert WayKind.KV8 in {way.kind for way in told[-1].ways}


def test_what_each_way_would_give_is_what_it_gives(card, made):
    """The limit with an 8-bit cache or shorter answers is that of a model opened so."""
    folder = made("qwen3", **WIDE)
    engine = Engine()
    with card:
        load(engine, folder, placement="cuda", precision=Precision.BF16)
        leave_free(card, 60 * MIB)
        forecast = Talk(engine, 1, max_new_tokens=2048).count("hello").forecast
        ways = {way.kind: way for way in forecast.ways}
        shorter = int(ways[WayKind.SHORTER].value)
        assert Talk(engine, 1, max_new_tokens=shorter).count("hello").budget == (
            ways[WayKind.SHORTER].tokens
        )
        engine.unload()
        card.other = 0
        load(engine, folder, placement="cuda", precision=Precision.BF16, kv=KvFormat.INT8)
        leave_free(card, 60 * MIB)
        coded = Talk(engine, 1, max_new_tokens=2048).count("hello")
        assert coded.budget == pytest.approx(ways[WayKind.KV8].tokens, rel=0.03)
        assert coded.forecast.limit > forecast.limit
        engine.unload()


def test_the_model_binds_where_memory_does_not(card, engine):
    forecast = Talk(engine, 1, max_new_tokens=4096).count("hello").forecast
    assert forecast.bound is Bound.MODEL
    assert forecast.context == 16384
    assert forecast.limit == 16384 - 4096
    assert {way.kind for way in forecast.ways} == {WayKind.SHORTER, WayKind.STRETCH}
    assert (forecast.turn, forecast.turns) == (0, 0)  # nothing was said yet


def test_lighter_weights_give_more_context(card, made):
    engine = Engine()
    folder = made("qwen3", **WIDE | {"hidden_size": 512, "intermediate_size": 4096})
    with card:
        load(engine, folder, placement="cuda", precision=Precision.BF16)
        leave_free(card, 60 * MIB)
        forecast = Talk(engine, 1).count("hello").forecast
        given = {way.value: way.tokens for way in forecast.ways if way.kind is WayKind.PRECISION}
        assert given["int4"] >= given["int8"] > forecast.limit
        engine.unload()


# Memory that others take


def test_what_others_take_of_the_plan_is_seen(card, made):
    engine = Engine()
    leave_free(card, 1024 * MIB)
    with card:
        load(engine, made("qwen3", **WIDE), placement="cuda", precision=Precision.BF16)
        fits = engine.memory().main
        assert fits.lacking == 0
        assert fits.to_come + fits.reserve <= fits.room
        taken = TakenWatch()
        assert taken.take(engine.memory()) is None
        before = card.other
        card.other += 300 * MIB
        assert taken.take(engine.memory()) is None  # there is still enough
        card.other = before + 1100 * MIB
        short = engine.memory()
        alarm = taken.take(short)
        assert alarm.on
        assert dict(alarm.values)["taken"] == str(1100 * MIB)
        assert dict(alarm.values)["lacking"] == str(short.main.lacking)
        Talk(engine, 1).count("hello")  # a plan made now makes do with less
        assert engine.memory().window == short.window  # what was counted on stays
        assert taken.take(engine.memory()) is None  # said once
        card.other = before
        assert not taken.take(engine.memory()).on
        engine.unload()


def test_a_plan_never_counts_on_what_the_allocator_refuses(card, engine):
    """Where a plan goes to the limit, the answer does so too, and nothing is refused."""
    leave_free(card, 64 * MIB)
    budget = Talk(engine, 1, max_new_tokens=20).count("hello").budget
    events = ask(engine, request("hello " * (budget // 7), max_new_tokens=20))
    assert usage_of(events).context_length < 16384
    assert card.refused == 0
