"""Plans: every layer once and in order, no device over its memory unless it says so."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_desktop.chat.checkpoint import Device, Fit, KvFormat, LoadPlan, Precision
from qwen_desktop.engine.architecture import Architecture, Part, Weights
from qwen_desktop.engine.gpus import Gpu, Machine
from qwen_desktop.engine.placement import (
    CARD_RUNTIME,
    COMFORT,
    CPU_RUNTIME,
    Model,
    contexts,
    cpu_fallback,
    device_map,
    placements,
    plan,
    prefill_chunk,
)
from qwen_desktop.engine.precision import settle

GIB = 2**30
RANK = {Fit.NO: 0, Fit.TIGHT: 1, Fit.YES: 2}


def model_of(layers: int, width: int = 4096, longest: int = 131072, tied: bool = False) -> Model:
    """A dense model: a layer has 12 × width² weights, embeddings and head 100,000 × width."""
    made = Architecture(
        family="qwen3",
        layer_kinds=("full_attention",) * layers,
        hidden_size=width,
        intermediate_size=3 * width,
        heads=max(1, width // 128),
        kv_heads=max(1, width // 512),
        head_dim=128,
        vocabulary=100_000,
        context_length=longest,
        window=0,
        experts=0,
        experts_per_token=0,
        tied=tied,
    )
    rows = Part(count=100_000 * width)
    parts = tuple(Part(count=12 * width * width) for _ in range(layers))
    tail = Part(count=width if tied else 100_000 * width + width)
    total = rows.count + tail.count + sum(part.count for part in parts)
    return Model(made, Weights(total, total, rows, parts, tail), "BF16")


def machine_of(ram: float, *cards: float) -> Machine:
    """Free GiB of main memory and of cards."""
    gpus = tuple(
        Gpu(Device(f"cuda:{n}", f"Card {n}", 100 * GIB, int(free * GIB)), (9, 0))
        for n, free in enumerate(cards)
    )
    return Machine(Device("cpu", "CPU", 1000 * GIB, int(ram * GIB)), gpus)


def ids(made: LoadPlan) -> list[str]:
    return [share.device.id for share in made.shares]


machines = st.builds(
    lambda ram, cards: machine_of(ram, *cards),
    st.floats(0, 300),
    st.lists(st.floats(0, 80), max_size=4),
)
models = st.builds(
    model_of,
    layers=st.integers(1, 80),
    width=st.sampled_from([512, 1024, 4096, 8192]),
    tied=st.booleans(),
)
precisions = st.sampled_from(list(Precision))
lengths = st.sampled_from(contexts(131072))


@settings(deadline=None)
@given(models, machines, precisions, lengths, st.sampled_from(KvFormat), st.data())
def test_every_plan_adds_up(model, machine, precision, context, kv_format, data):
    placement = data.draw(st.sampled_from(placements(machine)))
    made = plan(model, machine, placement, precision, context, kv_format)
    assert made.kv is kv_format
    layers = [n for s in made.shares if s.first >= 0 for n in range(s.first, s.last + 1)]
    assert layers == list(range(model.architecture.layers))
    assert made.weights == model.weights.nbytes(made.runs_in)
    item = 4 if made.runs_in is Precision.FP32 else 2
    kv = model.architecture.kv_bytes_per_token(item, kv_format) * context
    assert sum(share.kv for share in made.shares) == kv
    order = [device.id for device in machine.devices]
    assert ids(made) == sorted(ids(made), key=order.index)
    worst = max(s.need / s.device.free if s.device.free else math.inf for s in made.shares)
    assert made.fit is (Fit.YES if worst <= COMFORT else Fit.TIGHT if worst <= 1 else Fit.NO)
    assert all(s.reserve >= min(CPU_RUNTIME, CARD_RUNTIME) for s in made.shares)

    places = device_map(made, model.architecture.tied)
    assert set(places.values()) <= set(order)
    if len(set(ids(made))) > 1:
        for share in made.shares:
            for number in range(share.first, share.last + 1):
                assert share.first < 0 or places[f"model.layers.{number}"] == share.device.id
        assert places["model.embed_tokens"] == places[""] == ids(made)[0]
        assert places["model.norm"] == ids(made)[-1]
        assert places["lm_head"] == (ids(made)[0] if model.architecture.tied else ids(made)[-1])


@settings(deadline=None)
@given(models, machines, precisions.filter(lambda p: p is not Precision.AUTO), st.data())
def test_more_context_never_fits_better(model, machine, precision, data):
    placement = data.draw(st.sampled_from(placements(machine)))
    fits = [RANK[plan(model, machine, placement, precision, n).fit] for n in contexts(131072)]
    assert fits == sorted(fits, reverse=True)


@settings(deadline=None)
@given(models, machines, precisions.filter(lambda p: p is not Precision.AUTO), lengths, st.data())
def test_more_memory_never_fits_worse(model, machine, precision, context, data):
    placement = data.draw(st.sampled_from(placements(machine)))
    given_back = data.draw(
        st.dictionaries(st.sampled_from(["cpu", "cuda:0"]), st.integers(0, 2**36))
    )
    more = machine.giving_back(given_back)
    before, after = (plan(model, m, placement, precision, context) for m in (machine, more))
    assert RANK[after.fit] >= RANK[before.fit]


def test_auto_takes_the_quickest_place_with_room():
    eight = model_of(36)  # 16.5 GB in bfloat16
    bf16 = Precision.BF16
    assert ids(plan(eight, machine_of(64), "auto", bf16)) == ["cpu"]
    assert ids(plan(eight, machine_of(64, 12, 40), "auto", bf16)) == ["cuda:1"]
    both = plan(eight, machine_of(64, 12, 12), "auto", bf16)
    assert ids(both) == ["cuda:0", "cuda:1"]
    assert both.fit is Fit.YES
    needs = [share.need for share in both.shares]
    assert max(needs) < 1.3 * min(needs)  # filled alike
    part = plan(eight, machine_of(64, 12), "auto", bf16)
    assert ids(part) == ["cuda:0", "cpu"]
    assert part.shares[0].last > 15
    assert ids(plan(eight, machine_of(64, 0.5), "auto", bf16)) == ["cpu"]
    assert plan(eight, machine_of(4, 4), "auto", bf16).fit is Fit.NO


def test_what_is_asked_for_is_planned_even_where_it_does_not_fit():
    eight, machine = model_of(36), machine_of(64, 8, 40)
    assert ids(plan(eight, machine, "cuda:0", Precision.BF16)) == ["cuda:0"]
    assert plan(eight, machine, "cuda:0", Precision.BF16).fit is Fit.NO
    assert plan(eight, machine, "cuda:0", Precision.INT4).fit is not None
    assert ids(plan(eight, machine, "cuda", Precision.BF16)) == ["cuda:1"]
    assert ids(plan(eight, machine, "cpu", Precision.BF16)) == ["cpu"]
    assert plan(eight, machine, "cuda:7", Precision.BF16) is None
    assert plan(eight, machine_of(64), "split", Precision.BF16) is None
    assert plan(eight, machine_of(64), "cuda", Precision.BF16) is None


def test_the_precision_is_settled_by_the_place():
    small, old = model_of(2, 1024), machine_of(64, 16)
    assert plan(small, machine_of(64), "auto", Precision.AUTO).runs_in is Precision.BF16
    assert plan(small, machine_of(64, 16), "auto", Precision.AUTO).runs_in is Precision.BF16
    turing = Machine(old.ram, (Gpu(old.gpus[0].device, (7, 5)),))
    assert plan(small, turing, "auto", Precision.AUTO).runs_in is Precision.FP16
    assert plan(model_of(36), machine_of(64), "cpu", Precision.AUTO).runs_in is Precision.BF16
    tiny = settle(
        Precision.AUTO,
        stored="BF16",
        parameters=10_000_000,
        device_kind="cpu",
        free=2**33,
        has_bfloat16=True,
    )
    assert tiny is Precision.FP32


def test_cards_that_torch_cannot_use_are_no_places():
    machine = machine_of(64, 24)
    blind = Machine(machine.ram, machine.gpus, usable=False)
    assert placements(machine) == ("auto", "cuda:0", "split", "cpu")
    assert placements(blind) == ("auto", "cpu")
    assert ids(plan(model_of(4), blind, "auto", Precision.BF16)) == ["cpu"]


def test_columns_of_the_table():
    assert contexts(131072) == (2048, 4096, 8192, 16384, 32768, 65536, 131072)
    assert contexts(40960)[-2:] == (32768, 40960)
    assert contexts(2048) == (2048,)
    assert contexts(512) == (512,)


def test_pieces_of_prefill_shrink_with_the_work_of_a_token():
    assert prefill_chunk(10**8, on_cpu=True) == 256
    assert prefill_chunk(7 * 10**9, on_cpu=True) == 16
    assert prefill_chunk(7 * 10**9, on_cpu=False) == 1024


def test_room_for_a_context_means_its_cache():
    model, machine = model_of(36), machine_of(64, 24)
    short, long = (plan(model, machine, "cuda:0", Precision.BF16, n) for n in (2048, 65536))
    per_token = model.architecture.kv_bytes_per_token()
    assert long.shares[0].kv - short.shares[0].kv == (65536 - 2048) * per_token
    assert long.shares[0].reserve > short.shares[0].reserve
    assert plan(model, machine, "cuda:0", Precision.BF16, 10**9).context == 131072


def test_codes_make_room_for_longer_contexts():
    model, machine = model_of(36), machine_of(64, 24)
    plain, coded = (
        plan(model, machine, "cuda:0", Precision.BF16, 32768, kv).shares[0].kv for kv in KvFormat
    )
    assert coded == plain * 17 / 32


def test_why_a_card_is_left_alone():
    small, eight = model_of(2, 1024), model_of(36)
    bf16 = Precision.BF16

    def why(model: Model, machine: Machine, placement: str = "auto") -> str:
        return cpu_fallback(model, plan(model, machine, placement, bf16), machine)

    assert why(small, machine_of(64)) == ""  # no card
    assert why(small, machine_of(64, 24)) == ""  # on the card
    assert why(eight, machine_of(64, 12)) == ""  # a part of it
    assert why(small, machine_of(64, 24), "cpu") == ""  # as asked for
    full, little = (
        Machine(
            Device("cpu", "CPU", 64 * GIB, 64 * GIB),
            (Gpu(Device("cuda:0", "Card", total, 200 * 2**20), (8, 9)),),
        )
        for total in (24 * GIB, GIB // 2)
    )
    assert "taken its memory" in why(small, full)
    assert "too small" in why(small, little)
    assert "do not fit together" in why(small, Machine(full.ram, full.gpus, usable=False))


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a card")
def test_torch_sees_the_same_machine():
    from qwen_desktop.engine.device import machine
    from qwen_desktop.engine.gpus import this_machine

    mine, torchs = this_machine(), machine()
    assert [d.id for d in torchs.devices] == ["cpu"]
    assert mine.ram.total == torchs.ram.total
