"""8-bit keys and values: codes lose at most half a step, caches keep the seam's promises."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors import safe_open

from qwen_desktop.chat.checkpoint import KvFormat, Precision
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.engine import loader
from qwen_desktop.engine.architecture import KV_BLOCK, architecture
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.kv8 import decode, encode
from qwen_desktop.engine.runner import CacheFileError
from qwen_desktop.engine.transformers_runner import TransformersRunner
from qwen_desktop.errors import Cancelled, Known
from tests.engine.checkpoints import FAMILY_SIZES
from tests.engine.helpers import NEVER, ask, load, request, text_of, usage_of
from tests.engine.test_runner import CancelAfter

IDS = [40 + i * 7 % 60 for i in range(300)]
WIDE = {"head_dim": 32, "num_hidden_layers": 4}
# Heads are as wide as the hidden size leaves them; keys as large as those of trained models.
QWEN2 = {"hidden_size": 128, "num_hidden_layers": 4, "initializer_range": 0.1}
SPARSE = {"use_sliding_window": True, "sliding_window": 12, "max_window_layers": 2}
KINDS = [
    ("qwen2", QWEN2),
    ("qwen2", QWEN2 | SPARSE),
    ("qwen3", WIDE),
    ("qwen3", WIDE | {"head_dim": 64, "num_key_value_heads": 4}),
    ("qwen3_moe", WIDE),
    ("qwen3_5_text", WIDE),
    ("qwen3_next", WIDE),
]
KINDS = [kind for kind in KINDS if kind[0] in FAMILY_SIZES]


@lru_cache
def runner_with(folder, kv: KvFormat, precision=Precision.FP32) -> TransformersRunner:
    plan = loader.plan(inspect(folder), LoadRequest(folder, precision, "cpu", kv=kv))
    return TransformersRunner(loader.load(plan, NEVER, lambda _: None), plan.placing.kv)


@pytest.fixture(params=KINDS, ids=str, scope="module")
def folder(request, made):
    family, options = request.param
    return made(family, **options)


@pytest.fixture(scope="module")
def runner(folder):
    return runner_with(folder, KvFormat.INT8)


def fill(runner, ids, chunk=64):
    cache = runner.new_cache()
    logits = runner.prefill(cache, ids, chunk=chunk, on_progress=lambda _: None, cancel=NEVER)
    return cache, logits


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, atol=5e-3, rtol=5e-3)


# -- codes ---------------------------------------------------------------------------------


finite = st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)
states = arrays(
    np.float32, st.tuples(st.integers(1, 3), st.sampled_from([32, 96])), elements=finite
)


@settings(deadline=None)
@given(states)
def test_codes_are_within_half_a_step(given_states):
    values = torch.from_numpy(given_states)
    codes, scales = encode(values)
    assert codes.dtype is torch.int8
    assert codes.shape == values.shape
    assert scales.shape == (len(values), values.shape[1] // KV_BLOCK)
    assert int(codes.abs().max()) <= 127  # and never -128
    back = decode(codes, scales, torch.float32)
    step = scales.float().repeat_interleave(KV_BLOCK, -1)
    assert torch.all((back - values).abs() <= step * 0.50001)
    peaks = values.abs().unflatten(-1, (-1, KV_BLOCK)).amax(-1)
    assert torch.all(scales.float() <= peaks / 126 + 1e-37)  # a step is no larger than it must be
    again, same = encode(back)
    assert torch.all((decode(again, same, torch.float32) - back).abs() <= step * 0.51)


@settings(deadline=None)
@given(states, st.integers(0, 2))
def test_a_token_is_coded_by_itself(given_states, number):
    values = torch.from_numpy(given_states)
    one = values[number % len(values) :][:1]
    for whole, alone in zip(encode(values), encode(one), strict=True):
        assert torch.equal(whole[number % len(values) :][:1], alone)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_every_type_reads_the_same_values(dtype):
    torch.manual_seed(0)
    codes, scales = encode(torch.randn(2, 5000, 32))  # more than are read back at once
    exact = decode(codes, scales, torch.float32)
    assert torch.equal(decode(codes, scales, dtype), exact.to(dtype))


def test_zeros_stay_zeros_and_nonsense_stays_nonsense():
    codes, scales = encode(torch.zeros(2, 64))
    assert not codes.any()
    assert torch.equal(decode(codes, scales, torch.bfloat16), torch.zeros(2, 64).bfloat16())
    for bad in (float("nan"), float("inf")):
        values = torch.ones(1, 32)
        values[0, 3] = bad
        assert not torch.isfinite(decode(*encode(values), torch.float32)[0, 3])


def test_channels_of_another_size_do_not_cost_the_others():
    """Keys of Qwen2 have channels a hundred times larger than the rest."""
    torch.manual_seed(0)
    keys = torch.randn(500, 128)
    keys[:, 70] *= 100
    error = (decode(*encode(keys), torch.float32) - keys).abs()
    assert error[:, :64].max() < 0.02
    assert error[:, 96:].max() < 0.02


# -- models --------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.BF16, Precision.FP16])
def test_logits_are_close_to_those_of_the_model(folder, precision):
    """Measure: cosine over 0.999 and no logit off by more than a fifth of their deviation."""
    plain, coded = (runner_with(folder, kv, precision) for kv in KvFormat)
    for ids in (IDS[:5], IDS[:60], IDS):
        expected, found = fill(plain, ids)[1], fill(coded, ids)[1]
        assert torch.cosine_similarity(expected, found, dim=0) > 0.999
        assert (expected - found).abs().max() < 0.2 * expected.std()
        assert precision is not Precision.FP32 or not torch.equal(expected, found)


def test_codes_lose_what_bfloat16_loses(folder):
    """Measure: 1 - cosine to the float32 model, of 8-bit KV caches and of bfloat16 everywhere."""
    plain, coded = (runner_with(folder, kv) for kv in KvFormat)
    rounded = runner_with(folder, KvFormat.MODEL, Precision.BF16)
    for ids in (IDS[:60], IDS):
        exact, *others = (fill(runner, ids)[1] for runner in (plain, coded, rounded))
        losses = [1 - torch.cosine_similarity(exact, other, dim=0) for other in others]
        assert losses[0] < 4 * losses[1] + 1e-4


def test_the_cache_has_the_bytes_of_the_plan(folder):
    model = loader.placement.model_of(inspect(folder))
    sizes = {}
    for kv in KvFormat:
        for precision, item in ((Precision.FP32, 4), (Precision.BF16, 2)):
            coded = runner_with(folder, kv, precision)
            assert coded.capabilities.kv_format is kv
            row = coded.capabilities.kv_bytes_per_token
            assert row == model.architecture.kv_bytes_per_token(item, kv)
            for tokens in (1, 255, 256, 300):
                cache = fill(coded, IDS[:tokens])[0]
                assert cache.nbytes == model.architecture.cache_bytes(tokens, item, kv)
            sizes[kv, precision] = row
    assert sizes[KvFormat.INT8, Precision.FP32] == sizes[KvFormat.INT8, Precision.BF16]
    if "full_attention" in model.architecture.layer_kinds:
        part = sizes[KvFormat.INT8, Precision.BF16] / sizes[KvFormat.MODEL, Precision.BF16]
        assert part == 17 / 32


def test_answers_depend_neither_on_pieces_nor_on_reuse(runner):
    cache, whole = fill(runner, IDS, chunk=512)
    for chunk in (1, 7, 100):
        close(fill(runner, IDS[:120], chunk)[1], fill(runner, IDS[:120], 512)[1])
    if runner.capabilities.croppable:
        cache.crop(200)
        again = runner.prefill(cache, IDS[200:], chunk=64, on_progress=lambda _: None, cancel=NEVER)
        close(again, whole)
        for bad in (-1, len(IDS) + 1):
            with pytest.raises(ValueError):
                cache.crop(bad)
    else:
        with pytest.raises(ValueError):
            cache.crop(200)
    cache.crop(0)
    assert cache.length == cache.nbytes == 0


def test_snapshots(runner):
    cache, _ = fill(runner, IDS[:50])
    snapshot = cache.snapshot()
    for tail in ([1, 2, 3], IDS, [4]):
        runner.prefill(cache, tail, chunk=16, on_progress=lambda _: None, cancel=NEVER)
        cache.restore(snapshot)
        assert cache.length == 50
        close(runner.decode(cache, 7, cancel=NEVER), fill(runner, [*IDS[:50], 7])[1])
        cache.restore(snapshot)


@pytest.mark.parametrize("looks", [0, 2, 5, 11])
def test_cancel_leaves_whole_pieces(runner, looks):
    cache, done = runner.new_cache(), [0]
    with pytest.raises(Cancelled):
        runner.prefill(cache, IDS, chunk=20, on_progress=done.append, cancel=CancelAfter(looks))
    assert cache.length == done[-1] < len(IDS)
    rest = IDS[cache.length :]
    logits = runner.prefill(cache, rest, chunk=20, on_progress=lambda _: None, cancel=NEVER)
    close(logits, fill(runner, IDS)[1])


def test_a_saved_cache_goes_on_where_it_was(runner, folder, tmp_path):
    cache, _ = fill(runner, IDS)
    file = tmp_path / "kv.safetensors"
    cache.save(file)
    loaded = runner.new_cache()
    loaded.load(file)
    assert (loaded.length, loaded.nbytes) == (cache.length, cache.nbytes)
    for token in (5, 6):
        assert torch.equal(
            runner.decode(loaded, token, cancel=NEVER), runner.decode(cache, token, cancel=NEVER)
        )
    with safe_open(str(file), framework="pt") as tensors:
        kept = [tensors.get_tensor(key) for key in tensors.keys()]  # noqa: SIM118
    assert any(tensor.dtype is torch.int8 for tensor in kept)
    runner.new_cache().save(file)
    loaded.load(file)
    assert loaded.length == 0


def test_a_file_of_the_other_format_is_refused(runner, folder, tmp_path):
    plain = runner_with(folder, KvFormat.MODEL)
    for writer, reader in ((plain, runner), (runner, plain)):
        fill(writer, IDS[:20])[0].save(tmp_path / "kv")
        cache, _ = fill(reader, IDS[:30])
        with pytest.raises(CacheFileError):
            cache.load(tmp_path / "kv")
        assert cache.length == 30
    damaged = tmp_path / "kv"
    fill(runner, IDS[:20])[0].save(damaged)
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(CacheFileError):
        cache.load(damaged)


def test_codes_of_another_shape_are_refused(made, tmp_path):
    of = {"num_hidden_layers": 2}
    writer = runner_with(made("qwen3", head_dim=64, **of), KvFormat.INT8)
    fill(writer, IDS[:20])[0].save(tmp_path / "kv")
    for options in ({"head_dim": 32}, {"head_dim": 64, "num_key_value_heads": 4}):
        reader = runner_with(made("qwen3", **options, **of), KvFormat.INT8)
        with pytest.raises(CacheFileError):
            reader.new_cache().load(tmp_path / "kv")


# -- folders -------------------------------------------------------------------------------


def test_an_engine_answers_with_it(made, engine):
    folder = made("qwen3", **WIDE)
    load(engine, folder, precision=Precision.FP32)
    plain = engine.info
    assert plain.kv_format is KvFormat.MODEL
    load(engine, folder, precision=Precision.FP32, kv=KvFormat.INT8)
    assert engine.info.kv_format is KvFormat.INT8
    assert engine.info.kv_bytes_per_token == plain.kv_bytes_per_token * 17 / 64
    first = ask(engine, request("hello"))
    again = ask(engine, request("hello"))
    assert text_of(first) == text_of(again) != ""
    stats = usage_of(again).stats
    assert stats.reused_tokens == stats.prompt_tokens - 1


def test_narrow_heads_are_refused(opened, made):
    engine = opened("qwen2")
    folder = made("qwen3")  # heads of 8
    assert architecture(inspect(folder).config).kv_formats == (KvFormat.MODEL,)
    with pytest.raises(Known, match="cannot keep its KV cache in 8 bits"):
        load(engine, folder, kv=KvFormat.INT8)
    assert engine.info.family == "qwen2"
