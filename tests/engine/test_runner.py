"""The seam's promises, kept by the transformers runner: caches go back, are copied, survive."""

from __future__ import annotations

import threading

import pytest
import torch

from qwen_desktop.engine.runner import CacheFileError
from qwen_desktop.errors import Cancelled
from tests.engine.checkpoints import FAMILY_SIZES
from tests.engine.helpers import NEVER, runner_of

SLIDING = {"use_sliding_window": True, "sliding_window": 12, "max_window_layers": 1}
KINDS = [
    ("qwen2", {}),
    ("qwen3_moe", {}),
    ("qwen2", SLIDING),
    ("qwen3_5_text", {}),
    ("qwen4_exp_text", {}),
]
KINDS = [kind for kind in KINDS if kind[0] in FAMILY_SIZES]
IDS = list(range(50, 80))


def ignore(_done: int) -> None:
    pass


@pytest.fixture(params=KINDS, ids=str, scope="module")
def runner(request, made):
    family, options = request.param
    return runner_of(made(family, **options))


def fill(runner, ids):
    """A cache of `ids` and the logits after them."""
    cache = runner.new_cache()
    return cache, runner.prefill(cache, ids, chunk=8, on_progress=ignore, cancel=NEVER)


def same(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, atol=2e-3, rtol=1e-3)


def test_capabilities_and_sizes(runner):
    capabilities = runner.capabilities
    cache, logits = fill(runner, IDS)
    assert logits.shape == (capabilities.vocab_size,)
    assert logits.dtype is torch.float32
    assert cache.length == len(IDS)
    assert cache.nbytes >= len(IDS) * capabilities.kv_bytes_per_token > 0
    assert runner.new_cache().nbytes == 0


@pytest.mark.parametrize("count", [1, 3, 9])
def test_several_tokens_at_once_give_what_one_after_the_other_does(runner, count):
    cache, _ = fill(runner, IDS)
    other, _ = fill(runner, IDS)
    tail = list(range(90, 90 + count))
    rows = runner.verify(cache, tail, cancel=NEVER)
    assert rows.shape == (count, runner.capabilities.vocab_size)
    assert rows.dtype is torch.float32
    assert cache.length == len(IDS) + count
    for row, token in zip(rows, tail, strict=True):
        same(row, runner.decode(other, token, cancel=NEVER))
    same(runner.decode(cache, 5, cancel=NEVER), runner.decode(other, 5, cancel=NEVER))
    with pytest.raises(ValueError):
        runner.verify(cache, [], cancel=NEVER)


def test_several_tokens_at_once_can_be_cancelled(runner):
    cache, _ = fill(runner, IDS)
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(Cancelled):
        runner.verify(cache, [1, 2, 3], cancel=stopped)
    assert cache.length == len(IDS)
    same(runner.decode(cache, 5, cancel=NEVER), fill(runner, [*IDS, 5])[1])


def test_several_caches_do_not_meet(runner):
    one, _ = fill(runner, IDS)
    other, _ = fill(runner, IDS[::-1])
    same(runner.decode(one, 5, cancel=NEVER), fill(runner, [*IDS, 5])[1])
    same(runner.decode(other, 5, cancel=NEVER), fill(runner, [*IDS[::-1], 5])[1])


def test_caches_outgrow_their_room(runner):
    ids = [40 + i % 60 for i in range(500)]
    cache = runner.new_cache()
    whole = runner.prefill(cache, ids, chunk=500, on_progress=ignore, cancel=NEVER)
    cache = runner.new_cache()
    for piece in (ids[:250], ids[250:300], ids[300:]):
        logits = runner.prefill(cache, piece, chunk=500, on_progress=ignore, cancel=NEVER)
    same(logits, whole)


def test_cropping(runner):
    cache, _ = fill(runner, IDS)
    cache.crop(len(IDS))
    for bad in (-1, len(IDS) + 1):
        with pytest.raises(ValueError):
            cache.crop(bad)
    if runner.capabilities.croppable:
        cache.crop(20)
        assert cache.length == 20
        same(runner.decode(cache, 5, cancel=NEVER), fill(runner, [*IDS[:20], 5])[1])
    else:
        with pytest.raises(ValueError):
            cache.crop(20)
        assert cache.length == len(IDS)
    cache.crop(0)
    assert cache.length == cache.nbytes == 0
    same(runner.decode(cache, 5, cancel=NEVER), fill(runner, [5])[1])


@pytest.mark.parametrize("kept", [0, 1, 20, len(IDS)])
def test_a_copy_has_a_life_of_its_own(runner, kept):
    cache, _ = fill(runner, IDS)
    if not runner.capabilities.croppable:
        with pytest.raises(ValueError):
            cache.copied(kept)
        return
    copy = cache.copied(kept)
    assert copy.length == kept
    runner.prefill(copy, [1, 2, 3], chunk=8, on_progress=ignore, cancel=NEVER)
    same(
        runner.decode(copy, 7, cancel=NEVER),
        fill(runner, [*IDS[:kept], 1, 2, 3, 7])[1],
    )
    assert cache.length == len(IDS)
    same(runner.decode(cache, 5, cancel=NEVER), fill(runner, [*IDS, 5])[1])
    with pytest.raises(ValueError):
        cache.copied(len(IDS) + 2)


@pytest.mark.parametrize("kept", [0, 1, 20])
def test_snapshots_can_be_restored_again_and_again(runner, kept):
    cache = runner.new_cache()
    if kept:
        runner.prefill(cache, IDS[:kept], chunk=8, on_progress=ignore, cancel=NEVER)
    snapshot = cache.snapshot()
    assert snapshot.length == kept
    for tail in ([1, 2, 3], [9] * 20, [4]):
        runner.prefill(cache, tail, chunk=8, on_progress=ignore, cancel=NEVER)
        cache.restore(snapshot)
        assert cache.length == kept
        same(runner.decode(cache, 7, cancel=NEVER), fill(runner, [*IDS[:kept], 7])[1])
        cache.restore(snapshot)
    short, _ = fill(runner, [1])
    if kept > 1:
        with pytest.raises(ValueError):
            short.restore(snapshot)


def test_a_saved_cache_goes_on_where_it_was(runner, tmp_path):
    cache, _ = fill(runner, IDS)
    cache.save(tmp_path / "kv.safetensors")
    loaded = runner.new_cache()
    loaded.load(tmp_path / "kv.safetensors")
    assert loaded.length == len(IDS)
    assert torch.equal(
        runner.decode(loaded, 5, cancel=NEVER), runner.decode(cache, 5, cancel=NEVER)
    )
    empty = runner.new_cache()
    empty.save(tmp_path / "empty.safetensors")
    loaded.load(tmp_path / "empty.safetensors")
    assert loaded.length == 0


def test_damaged_and_foreign_cache_files_are_refused(runner, made, tmp_path):
    cache, _ = fill(runner, IDS)
    file = tmp_path / "kv.safetensors"
    fill(runner_of(made("qwen3", num_hidden_layers=3)), IDS)[0].save(file)
    for damage in (None, lambda data: data[:-5], lambda data: b"x" * 50, lambda data: b""):
        if damage is not None:
            file.write_bytes(damage(file.read_bytes()))
        with pytest.raises(CacheFileError):
            cache.load(file)
    fill(runner_of(made("qwen3", num_key_value_heads=4)), IDS)[0].save(file)
    with pytest.raises(CacheFileError):
        cache.load(file)
    file.unlink()
    with pytest.raises(FileNotFoundError):
        cache.load(file)
    assert cache.length == len(IDS)


class CancelAfter(threading.Event):
    """Set from the `n`-th time that somebody looks, so within a forward."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.left = n

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("looks", range(9))
def test_cancel_in_a_prefill_leaves_whole_pieces(runner, looks):
    cache, done = runner.new_cache(), [0]
    with pytest.raises(Cancelled):
        runner.prefill(cache, IDS, chunk=8, on_progress=done.append, cancel=CancelAfter(looks))
    assert cache.length == done[-1] < len(IDS)
    rest = IDS[cache.length :]
    logits = runner.prefill(cache, rest, chunk=8, on_progress=ignore, cancel=NEVER)
    same(logits, fill(runner, IDS)[1])


@pytest.mark.parametrize("looks", range(3))
def test_cancel_in_a_decode_leaves_the_token_out(runner, looks):
    cache, _ = fill(runner, IDS)
    if runner.capabilities.croppable:
        with pytest.raises(Cancelled):
            runner.decode(cache, 5, cancel=CancelAfter(looks))
        assert cache.length == len(IDS)
    same(runner.decode(cache, 6, cancel=NEVER), fill(runner, [*IDS, 6])[1])


def test_no_tokens_are_no_prefill(runner):
    with pytest.raises(ValueError):
        runner.prefill(runner.new_cache(), [], chunk=8, on_progress=ignore, cancel=NEVER)
