"""The runner that decodes by the compiled step and reads prompts by the lean forward.

Both work on the same weights and the same cache, so that reuse, cropping, cache files and plans of
memory hold unchanged. Until the step is compiled, the lean forward decodes too; it is changed where
a prompt is read, so that an answer is computed in one way from its first token to its last.
"""

from __future__ import annotations

import logging
import pickle
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.engine.cpu import start
from qwen_desktop.engine.layers import TransformersCache
from qwen_desktop.engine.lean.runner import LeanRunner
from qwen_desktop.engine.runner import Capabilities, Logits
from qwen_desktop.errors import Cancelled

_log = logging.getLogger(__name__)

# Bytes of weights that are read between two looks at Cancel: a few hundredths of a second.
_AT_ONCE = 2**29
_LONGEST_REASON = 120  # characters of what a library says
_LOOK_SECONDS = 0.05  # between two looks at Cancel while the compiler is waited for


class CompiledRunner(LeanRunner):
    """Decodes by compiled code kept in `folder` as soon as it is there."""

    def __init__(
        self,
        model: Any,
        folder: Path,
        variant: start.Variant,
        compiling: start.Compiling | None = None,
    ) -> None:
        """`compiling` is what compiles `variant` already."""
        super().__init__(model, KvFormat.MODEL)
        self._folder, self._variant = folder, variant
        self._step: _Step | None = None
        self._compiling = compiling
        self._why_not = ""  # no compiled step will come any more, for this reason
        if compiling is None and not start.is_compiled(folder, variant):
            try:
                self._compiling = start.Compiling(folder, variant)
            except OSError as error:
                self._give_up(error)

    @property
    def capabilities(self) -> Capabilities:
        """What this runner can do; its name tells which way it decodes now."""
        found = super().capabilities
        if self._step is None:
            return found
        return replace(found, name=f"{found.name}, compiled decode step")

    def prefill(
        self,
        cache: TransformersCache,
        ids: Sequence[int],
        *,
        chunk: int,
        on_progress: Callable[[int], None],
        cancel: threading.Event,
    ) -> Logits:
        """See the lean runner; makes the compiled step ready once it is there."""
        self._look()
        return super().prefill(cache, ids, chunk=chunk, on_progress=on_progress, cancel=cancel)

    def decode(self, cache: TransformersCache, token: int, *, cancel: threading.Event) -> Logits:
        """Append one token; the logits after it, float32 [vocab_size]."""
        if self._step is not None:
            found = self._step.run(cache, token, cancel)
            if found is not None:
                return found
        return super().decode(cache, token, cancel=cancel)

    @property
    def waits(self) -> bool:
        """Whether answers should wait for the compiler: no kernel of torch reads rows of codes."""
        compiling = self._compiling is not None and self._compiling.running
        return compiling and self._variant.weights in ("int4", "int8own")

    def wait(self, cancel: threading.Event | None = None) -> bool:
        """Wait until the step is compiled and ready: whether it is. Raises Cancelled."""
        while self._compiling is not None and self._compiling.running:
            if cancel is not None and cancel.is_set():
                raise Cancelled
            self._compiling.wait(_LOOK_SECONDS)
        self._look()
        return self._step is not None

    def close(self) -> None:
        """End what is still being compiled."""
        if self._compiling is not None:
            self._compiling.stop()
            self._compiling = None

    def _look(self) -> None:
        if self._step is not None or self._why_not:
            return
        if self._compiling is not None and self._compiling.running:
            return
        self._compiling = None
        if not start.is_compiled(self._folder, self._variant):
            self._give_up("the compiler ended without a result")
            return
        threads = torch.get_num_threads()
        try:
            # Its first run starts the threads of numba, from when on torch would use as many: also
            # where fewer were asked for, or the cores are half as many as what they pretend to be.
            start.compile_now(self._folder, self._variant)
            torch.set_num_threads(threads)
            self._step = _Step(self._model, self._variant)
        except _troubles() as error:  # the way round is open: the lean forward decodes
            self._give_up(error)

    def _give_up(self, why: object) -> None:
        lines = str(why).strip().splitlines()
        self._why_not = lines[0][:_LONGEST_REASON] if lines else type(why).__name__
        _log.warning("decoding without the compiled step: %s", why)

    @property
    def why_not(self) -> str:
        """Why it decodes without the compiled step now; "" where it does not."""
        if self._step is not None:
            return ""
        return self._why_not or "it is being compiled, or read with the next prompt"


def _troubles() -> tuple[type[Exception], ...]:
    """What compiling, and reading what was compiled, may raise where machine or files are at fault.

    RuntimeError is LLVM's; the last two are of files that end early or were written by others.
    """
    kinds = (OSError, ImportError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError)
    try:
        from numba.core.errors import NumbaError
    except ImportError:
        return kinds
    return (NumbaError, *kinds)


def why_not_compiled(runner: Any) -> str:
    """Why `runner`, of any kind, decodes without compiled code on a CPU; "" where it has it, or
    where a card computes."""
    if isinstance(runner, CompiledRunner):
        return runner.why_not
    able = runner.capabilities
    if able.device.type != "cpu":
        return ""
    return _reason(runner.module, able.kv_format) or "the model is small, or no folder for code"


def compiled_runner(
    model: Any, kv: KvFormat, folder: Path, ahead: Ahead | None = None
) -> CompiledRunner | None:
    """A runner with the compiled step; None where model or machine are not made for it.

    It takes over what `ahead` compiles, where that is what it needs.
    """
    reason = _reason(model, kv)
    if reason:
        _log.info("no compiled decode step: %s", reason)
        return None
    from qwen_desktop.engine.cpu.facts import variant_of

    variant = variant_of(model)
    compiling = ahead.taken(variant) if ahead is not None else None
    return CompiledRunner(model, folder, variant, compiling)


def _reason(model: Any, kv: KvFormat) -> str:
    """Why no compiled step can be made for `model`; "" where one can."""
    from qwen_desktop.engine.cpu.facts import why_not

    if kv is not KvFormat.MODEL:
        return start.why_not_here() or "an 8-bit KV cache"
    return start.why_not_here() or why_not(model)


class Ahead:
    """The step of a model whose weights are still being read, compiled meanwhile."""

    def __init__(self, folder: Path, variant: start.Variant) -> None:
        self._variant = variant
        self._compiling: start.Compiling | None = None
        if start.is_compiled(folder, variant):
            return
        try:
            self._compiling = start.Compiling(folder, variant)
        except OSError as error:
            _log.warning("nothing is compiled: %s", error)

    def taken(self, variant: start.Variant) -> start.Compiling | None:
        """The compiler, from now on somebody else's, where `variant` is what it is at."""
        if variant != self._variant:
            return None
        found, self._compiling = self._compiling, None
        return found

    def stop(self) -> None:
        """End it, unless it was taken."""
        if self._compiling is not None:
            self._compiling.stop()
            self._compiling = None


class _Step:
    """The compiled functions with the tables of one model."""

    def __init__(self, model: Any, variant: start.Variant) -> None:
        import numba

        from qwen_desktop.engine.cpu import step, tables
        from qwen_desktop.engine.cpu.facts import shift_of
        from qwen_desktop.engine.cpu.products import multiply_compiled
        from qwen_desktop.engine.cpu.vectors import kind_for

        self._model, self._code, self._tables = model, step, tables
        self._kind, self._kv, self._head = (
            kind_for(name) for name in (variant.weights, variant.kv, variant.head)
        )
        self._group = (0,) * variant.group
        self._threads = max(1, min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
        multiply_compiled(model, self._threads)
        self._shape = tables.shape_of(model)
        self._matrices = tables.matrices_of(model)
        parts = tables.parts_for(self._shape.kv_heads, self._threads)
        self._room = step.room_for(self._shape, parts)
        self._angles = tables.Angles(model)
        self._norm = tables.final_norm(model)
        self._h = np.zeros(self._shape.hidden, np.float32)
        head = model.get_output_embeddings()
        self._head_places = (*tables.places_of(head), shift_of(head))
        self._embeddings = model.get_input_embeddings()
        self._logits = np.zeros(head.out_features, np.float32)
        self._count = len(model.get_decoder().layers)
        self._at_once = tables.layers_at_once(model, _AT_ONCE)
        self._set_threads = numba.set_num_threads

    def run(
        self, cache: TransformersCache, token: int, cancel: threading.Event
    ) -> torch.Tensor | None:
        """The logits after `token`, which is appended; None where the cache is not for us.

        Raises Cancelled, the cache then being as it was.
        """
        position = cache.length
        with torch.inference_mode():
            cached = self._tables.cached_of(cache, position + 1)
            if cached is None:
                return None
            if hasattr(self._model, "set_rope_scale"):
                self._model.set_rope_scale(cache.rope_scale)
            self._h[:] = self._embeddings(torch.tensor([token]))[0].float().numpy()
        cos, sin, factor = self._angles.at(position, cache.rope_scale)
        self._set_threads(self._threads)  # belongs to the thread, not to the process
        for first in range(0, self._count, self._at_once):
            if cancel.is_set():
                raise Cancelled
            self._code.layers(
                self._kind,
                self._kv,
                self._group,
                first,
                min(first + self._at_once, self._count),
                position,
                cos,
                sin,
                factor,
                self._shape,
                self._matrices,
                cached,
                *self._room,
                self._h,
            )
        for layer in cache.inner.layers:
            layer.written(position + 1)
        self._code.head(
            self._head,
            *self._head_places,
            self._norm,
            self._shape.epsilon,
            *self._room[:4],
            self._h,
            self._logits,
        )
        return torch.from_numpy(self._logits)
