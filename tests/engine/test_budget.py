"""Plans for requests: what fits does fit, less memory never means larger pieces or contexts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.engine.architecture import architecture
from qwen_desktop.engine.budget import MIN_CHUNK, Costs, Room, context_limit, plan_request

MIB = 2**20
CONFIG = {
    "model_type": "qwen2",
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
    "max_position_embeddings": 32768,
}
HALF_B = architecture(CONFIG)


def costs(kv: KvFormat = KvFormat.MODEL, layers: range = range(24)) -> Costs:
    return Costs(HALF_B, 2, kv, tuple(layers), on_cpu=True, reserve=64 * MIB)


rooms = st.builds(
    Room,
    st.builds(costs, st.sampled_from(KvFormat), st.just(range(24))),
    st.integers(0, 4096 * MIB),
    st.integers(0, 256 * MIB),
    st.integers(0, 512 * MIB),
)
tokens = st.integers(1, 32768)
chunks = st.sampled_from([16, 32, 64, 256, 1024])


@given(rooms, tokens, tokens, chunks)
def test_what_fits_has_room_after_others_gave_up_theirs(room, prompt, answer, chunk):
    plan = plan_request([room], prompt, prompt + answer, chunk)
    assert plan.drop <= room.others
    assert min(chunk, MIN_CHUNK) <= plan.chunk <= chunk
    need = room.costs.need(prompt, prompt + answer, plan.chunk)
    assert plan.fits is (need <= room.free + room.held + plan.drop)
    if plan.chunk < chunk:  # only where even all of the others is not enough
        assert room.costs.need(prompt, prompt + answer, plan.chunk * 2) > room.most
    if not plan.fits:
        assert plan.chunk <= MIN_CHUNK


@given(rooms, tokens, tokens, chunks, st.integers(0, 1024 * MIB))
def test_less_memory_never_gives_more(room, prompt, answer, chunk, less):
    poorer = replace(room, free=max(0, room.free - less))
    plan, poor = (plan_request([r], prompt, prompt + answer, chunk) for r in (room, poorer))
    assert poor.chunk <= plan.chunk
    assert poor.fits <= plan.fits
    assert context_limit([poorer], 32768, chunk) <= context_limit([room], 32768, chunk)


@given(rooms, chunks)
def test_a_context_within_the_limit_can_be_planned(room, chunk):
    limit = context_limit([room], 32768, chunk)
    assert 0 <= limit <= 32768
    if limit:
        assert plan_request([room], limit, limit, chunk).fits
    if limit < 32768 and limit > 64:  # and the limit is not far below what would be possible
        smallest = min(chunk, MIN_CHUNK)
        beyond = limit + limit // 4
        assert room.costs.need(beyond, beyond, smallest) > room.most


@given(rooms, st.integers(-8 * MIB, 8 * MIB))
def test_a_limit_set_by_memory_is_a_round_number(room, other):
    limit = context_limit([room], 32768, 256)
    if limit < 32768:
        assert bin(limit).rstrip("0").count("1") <= 4
        assert len(bin(limit)[2:].rstrip("0")) <= 4


@given(tokens, tokens, chunks)
def test_the_need_is_linear_in_tokens_and_no_more(prompt, more, chunk):
    """No square of the prompt: each further token costs at most so much."""
    one = costs()
    per_token = HALF_B.kv_bytes_per_token(2) + chunk * 3 + 4096
    grown = one.need(prompt + more, prompt + more, chunk) - one.need(prompt, prompt, chunk)
    step = one.cache(256) + one.working(chunk, 4096)  # spare room; the mask of a second piece
    assert grown <= more * per_token + step


def test_the_fullest_device_decides():
    first = Room(costs(layers=range(12)), 2048 * MIB)
    full = Room(costs(layers=range(12, 24)), 120 * MIB, others=512 * MIB)
    alone = plan_request([first], 8192, 9000, 256)
    both = plan_request([first, full], 8192, 9000, 256)
    assert (alone.drop, alone.chunk) == (0, 256)
    assert both.drop > 0
    assert both.free == full.most
    assert context_limit([first, full], 32768, 256) == context_limit([full], 32768, 256)


@given(st.integers(1, 4), st.integers(0, 512 * MIB), st.integers(120 * MIB, 512 * MIB))
def test_others_give_up_as_much_as_the_fullest_device_lacks(devices, others, free):
    """A conversation's cache lies on all of them: of what it gives up, each gets a part only."""
    layers = range(24 // devices)
    full = Room(costs(layers=layers), free, others=others)
    beside = [Room(costs(layers=layers), 8192 * MIB, others=others)] * (devices - 1)
    alone = plan_request([full], 8192, 9000, 256)
    assert plan_request([full, *beside], 8192, 9000, 256).drop == devices * alone.drop


def test_8_bit_keys_and_values_hold_more():
    plain, coded = (
        context_limit([Room(costs(kv), 320 * MIB)], 32768, 256)
        for kv in (KvFormat.MODEL, KvFormat.INT8)
    )
    assert 0 < plain < coded


@pytest.mark.parametrize("free", [0, 64 * MIB])
def test_nothing_fits_into_nothing(free):
    assert context_limit([Room(costs(), free)], 32768, 256) == 0
    assert not plan_request([Room(costs(), free)], 10, 20, 256).fits
