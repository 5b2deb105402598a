"""The runner that computes by the lean forward, on the caches of the module's runner.

Weights, caches, cache files and cancelling are those of `TransformersRunner`. A conversation may
go from one way to the other and back.

On a CUDA card a token is a graph, and the next one is begun with while the last one is still being
read: the sampler tells (`expect`) which token it has drawn before the CPU knows of it. Where the
loop goes on with that token, its logits are on their way already; where it does not, what was
computed is left behind the end of the cache, where it does not count.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.engine.activations import Forward
from qwen_desktop.engine.architecture import architecture
from qwen_desktop.engine.device import give_back, is_out_of_memory
from qwen_desktop.engine.layers import TransformersCache
from qwen_desktop.engine.lean.attention import Piece
from qwen_desktop.engine.lean.facts import why_not
from qwen_desktop.engine.lean.forward import Lean
from qwen_desktop.engine.lean.graphs import Graphs, graph_bytes
from qwen_desktop.engine.lean.linears import use_int8_product
from qwen_desktop.engine.lean.step import Fed, capacity_of
from qwen_desktop.engine.lean.trial import quickest
from qwen_desktop.engine.rooms import STEPS, Rooms
from qwen_desktop.engine.runner import Capabilities, Logits
from qwen_desktop.engine.transformers_runner import TransformersRunner
from qwen_desktop.errors import Cancelled

_log = logging.getLogger(__name__)

# Parameters up to which linears are joined on a CPU too, where calls are what takes time.
JOINED_ON_CPU = 100_000_000
_TRIED = (128, 512)  # tokens of a piece and of a context that kinds of attention are tried with


@dataclass
class _Begun:
    """A step that was begun with before it was asked for."""

    cache: weakref.ref[TransformersCache]
    length: int  # of the cache, without the token
    token: torch.Tensor  # int64 [1] in main memory, there when `told` has happened
    told: Any  # a CUDA event; None where there was nothing to wait for
    logits: torch.Tensor


class LeanRunner(TransformersRunner):
    """Runs what `why_not` has nothing against by the lean forward, anything else by the module."""

    def __init__(
        self, model: Any, kv: KvFormat = KvFormat.MODEL, *, graphs: bool | None = None
    ) -> None:
        """`graphs`: whether tokens are steps of fixed shapes; None for on CUDA cards alone."""
        reason = why_not(model)
        if reason:
            _log.info("no lean forward: %s", reason)
        self._lean = None if reason else Lean(model)
        device = model.device
        self._by_steps = self._lean is not None and (
            device.type == "cuda" if graphs is None else graphs
        )
        config = model.config.get_text_config(decoder=True)
        longest = architecture(config.to_dict()).context_length
        self._rooms = Rooms(buckets=True, longest=longest) if self._by_steps else STEPS
        super().__init__(model, kv)
        self._begun: _Begun | None = None
        self._last: weakref.ref[TransformersCache] | None = None  # whose logits were given out
        self._why_eager = ""
        self._graphs: Graphs | None = None
        self._refused: weakref.WeakKeyDictionary[TransformersCache, int] = (
            weakref.WeakKeyDictionary()
        )
        self._flash = False
        if self._lean is not None:
            self._make_ready(self._lean)

    def _make_ready(self, lean: Lean) -> None:
        _join(lean, sum(one.numel() for one in self._model.parameters()))
        if lean.device.type == "cuda":
            try:
                with torch.inference_mode():
                    use_int8_product(lean.products, lean.device, lean.dtype)
                    self._flash = _has_flash(lean)
            # Where the usual way fails too, that shows at the first token.
            except RuntimeError as error:
                _log.warning("kernels are taken as they come: %s", error)
        if self._by_steps:
            self._begin_steps(lean)

    @property
    def capabilities(self) -> Capabilities:
        """What this runner can do; its name tells which way it computes."""
        found, lean = super().capabilities, self._lean
        if lean is None:
            return found
        name = "lean forward"
        if self._by_steps:
            way = "CUDA graphs" if self._graphs else f"eager: {self._why_eager}"
            name = f"{name}, {way}"
        kept = 0
        if lean.device.type == "cuda":
            kept = lean.angles.bytes_for(found.context_length) + graph_bytes(len(lean.layers))
        return replace(
            found,
            name=name,
            rooms=self._rooms,
            forward=Forward.FLASH if self._flash else Forward.LEAN,
            kept=kept,
        )

    def new_cache(self, rope_scale: float = 1.0) -> TransformersCache:
        """An empty cache for keys of `rope_scale`."""
        dtype = self._model.dtype
        return TransformersCache(
            self._config, self._devices, dtype, rope_scale, self._kv, self._rooms
        )

    def prefill(
        self,
        cache: TransformersCache,
        ids: Sequence[int],
        *,
        chunk: int,
        on_progress: Callable[[int], None],
        cancel: threading.Event,
    ) -> Logits:
        """Append `ids` in pieces of `chunk`; the logits after the last, float32 [vocab_size]."""
        self._begun, self._last = None, weakref.ref(cache)
        return super().prefill(cache, ids, chunk=chunk, on_progress=on_progress, cancel=cancel)

    def decode(self, cache: TransformersCache, token: int, *, cancel: threading.Event) -> Logits:
        """Append one token; the logits after it, float32 [vocab_size]."""
        if cancel.is_set():
            raise Cancelled
        begun, self._begun, self._last = self._begun, None, weakref.ref(cache)
        with torch.inference_mode():
            if self._graphs is not None and capacity_of(cache):
                if begun is not None and self._is_next(begun, cache, token):
                    return self._after(cache, begun.logits)
                if self._is_ready(cache):
                    return self._after(cache, self._launched(cache, token))
        return self._interruptible(cache, [token], cancel)

    def verify(
        self, cache: TransformersCache, ids: Sequence[int], *, cancel: threading.Event
    ) -> Logits:
        """Append `ids` in one step; the logits after each, float32 [len(ids), vocab_size].

        Nothing is begun with behind it: what of `ids` stays is not known yet.
        """
        self._begun = self._last = None
        return super().verify(cache, ids, cancel=cancel)

    def expect(self, token: torch.Tensor) -> None:
        """Begin with the step of `token`, int64 on the device, which will most likely be next.

        It belongs to the cache whose logits were given out last. Waits for nothing.
        """
        cache = self._last() if self._last is not None else None
        if cache is None or self._graphs is None or not self._graphs.ready(cache):
            return
        length = cache.length
        if length >= min(capacity_of(cache), super().capabilities.context_length):
            return
        with torch.inference_mode():
            value, told = _to_main_memory(token.view(1))
            logits = self._launched(cache, token.view(1))
        self._begun = _Begun(weakref.ref(cache), length, value, told, logits)

    def close(self) -> None:
        """Give graphs up."""
        self._begun, self._graphs = None, None
        super().close()

    # -- steps -----------------------------------------------------------------------------------

    def _begin_steps(self, lean: Lean) -> None:
        """Make ready for steps, and see with a short cache that they can be captured."""
        try:
            self._fed = Fed.on(lean.device, super().capabilities.vocab_size)
            self._outs = [torch.empty_like(self._fed.logits) for _ in range(2)]
            self._graphs = Graphs(lean, self._fed)
            cache = self.new_cache()
            self._forward(cache, [0])
            with torch.inference_mode():
                self._graphs.prepare(cache)
        except Exception as error:  # noqa: BLE001 - drivers and kernels fail in many ways
            self._give_up(error)

    def _is_ready(self, cache: TransformersCache) -> bool:
        """Have room for a token, and a graph for `cache`: whether there is one.

        Raises what an allocator raises where there is no room.
        """
        assert self._graphs is not None
        length, capacity = cache.length, capacity_of(cache)
        if not self._rooms.suffice(capacity, length + 1):
            try:
                for layer in cache.inner.layers:
                    layer.make_room(length + 1)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or capacity <= length:
                    raise
                return False  # there is a place left yet, in rooms of different sizes
            capacity = capacity_of(cache)
        if self._graphs.ready(cache):
            return True
        if capacity <= length or self._refused.get(cache) == capacity:
            return False
        try:
            self._graphs.prepare(cache)
            return True
        except Exception as error:  # noqa: BLE001 - drivers and kernels fail in many ways
            if is_out_of_memory(error):
                self._refused[cache] = capacity
                _log.warning("no memory for a graph of %d tokens: computed eagerly", capacity)
            else:
                self._give_up(error)
        give_back(self._model.device)
        return False

    def _launched(self, cache: TransformersCache, token: int | torch.Tensor) -> torch.Tensor:
        """Begin with a step; the logits that will be there, in one of two places in turn."""
        assert self._graphs is not None
        if isinstance(token, torch.Tensor):
            self._fed.token.copy_(token)
        else:
            self._fed.token.fill_(token)
        self._fed.position.fill_(cache.length)
        self._graphs.replay(cache)
        self._outs.reverse()
        return self._outs[0].copy_(self._fed.logits)

    def _after(self, cache: TransformersCache, logits: torch.Tensor) -> torch.Tensor:
        """The step is under way: its token is in the cache, and rooms are made ahead of it."""
        length = cache.length + 1
        for layer in cache.inner.layers:
            layer.written(length)
        if not self._rooms.suffice(capacity_of(cache), length + 1):
            # The card is busy with this step: what follows takes time of the CPU alone.
            try:
                self._is_ready(cache)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
        return logits

    def _is_next(self, begun: _Begun, cache: TransformersCache, token: int) -> bool:
        if begun.cache() is not cache or begun.length != cache.length:
            return False
        if begun.told is not None:
            begun.told.synchronize()
        return int(begun.token) == token

    def _give_up(self, error: BaseException) -> None:
        self._graphs, self._why_eager = None, _short(error)
        _log.warning("steps are not captured: %s", error)

    # -- eagerly ---------------------------------------------------------------------------------

    def _forward(self, cache: TransformersCache, ids: Sequence[int]) -> Logits:
        if self._lean is None:
            return super()._forward(cache, ids)
        with torch.inference_mode():
            return self._lean.logits(self._hidden(self._lean, cache, ids)[-1:])[0]

    def _forward_rows(self, cache: TransformersCache, ids: Sequence[int]) -> Logits:
        if self._lean is None:
            return super()._forward_rows(cache, ids)
        with torch.inference_mode():
            return self._lean.logits(self._hidden(self._lean, cache, ids))

    def _hidden(self, lean: Lean, cache: TransformersCache, ids: Sequence[int]) -> torch.Tensor:
        """What the layers make of `ids`, [tokens, hidden]; they are appended to `cache`."""
        layers, held = cache.inner.layers, cache.length + len(ids)
        table = lean.angles.upto(held, cache.rope_scale).part(held - len(ids), held)
        piece = Piece(len(ids), held, lean.device, flash=self._flash and len(ids) > 1)

        def attend(
            number: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
        ) -> torch.Tensor:
            new = key.transpose(0, 1)[None], value.transpose(0, 1)[None]
            keys, values = layers[number].update(*new)
            return piece.attend(query, keys[0], values[0], lean.scale)

        given = torch.tensor(list(ids), device=lean.device)
        return lean.hidden(given, table, attend, self._interrupt)


def _join(lean: Lean, parameters: int) -> None:
    """Join matrices of the same input where that pays and there is memory for it."""
    if lean.device.type == "cpu" and parameters > JOINED_ON_CPU:
        return
    try:
        for layer in lean.layers:
            joined = layer.attention.join() | layer.gated.join()
            if joined and lean.device.type == "cuda":
                torch.cuda.empty_cache()  # what was apart is of no size that is asked for again
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        _log.warning("no memory to join matrices: %s", error)


def _has_flash(lean: Lean) -> bool:
    """Whether the flash kernel works here, and is quicker than attention with a mask."""
    tokens, held = _TRIED
    if lean.dtype is torch.float32:
        return False

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=lean.device).to(lean.dtype)

    query = noise(tokens, lean.heads, lean.width)
    keys, values = (noise(lean.kv_heads, held, lean.width) for _ in range(2))
    ways = {
        name: lambda piece=piece: piece.attend(query, keys, values, lean.scale)
        for name, piece in (
            ("masked", Piece(tokens, held, lean.device)),
            ("flash", Piece(tokens, held, lean.device, flash=True)),
        )
    }
    return quickest(ways, lean.device) == "flash"


def _to_main_memory(token: torch.Tensor) -> tuple[torch.Tensor, Any]:
    """A copy of `token` that will be in main memory, and the event after which it is."""
    if token.device.type != "cuda":
        return token.clone(), None
    there = torch.empty(1, dtype=token.dtype, pin_memory=True)
    there.copy_(token, non_blocking=True)
    told = torch.cuda.Event()
    told.record(torch.cuda.current_stream(token.device))
    return there, told


def _short(error: BaseException) -> str:
    """The first line of what went wrong."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:100]
