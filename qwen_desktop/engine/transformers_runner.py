"""The runner that lets transformers compute: every supported architecture, on any device.

Knows nothing of conversations, text or sampling. See runner.py for what it promises.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.engine.architecture import architecture
from qwen_desktop.engine.halves import multiply_by_floats
from qwen_desktop.engine.layers import TransformersCache
from qwen_desktop.engine.placement import prefill_chunk
from qwen_desktop.engine.quant.linear import PackedLinear
from qwen_desktop.engine.runner import Capabilities, Logits
from qwen_desktop.engine.spread import layer_devices
from qwen_desktop.errors import Cancelled


class TransformersRunner:
    """Runs `model`, a causal language model of transformers in evaluation mode.

    It may lie on several devices (spread.py): inputs go to the first, logits come back to it.
    """

    def __init__(self, model: Any, kv: KvFormat = KvFormat.MODEL) -> None:
        """`kv` is what caches keep: one of the `kv_formats` of the model's architecture."""
        self._model, self._kv = model, kv
        self._config = model.config.get_text_config(decoder=True)
        self._rescaled = hasattr(model, "set_rope_scale")
        self._cancel: threading.Event | None = None  # set while a call may be interrupted
        multiply_by_floats(model)
        layers = model.get_decoder().layers
        self._devices = layer_devices(model)
        for layer, device in zip(layers, self._devices, strict=True):
            places = [layer]
            if device.type == "cpu":  # a whole layer of a long piece takes too long for Stop
                linears = (torch.nn.Linear, PackedLinear)
                places += [m for m in layer.modules() if isinstance(m, linears)]
            for module in places:
                module.register_forward_pre_hook(self._interrupt)
        # The last row of a piece has strides for which a CPU copies the whole head first.
        model.get_output_embeddings().register_forward_pre_hook(_with_plain_strides)
        _group_queries(all(device.type == "cpu" for device in self._devices))
        probe = self.new_cache()
        parameters = list(model.named_parameters())
        on_cpu = any(device.type == "cpu" for device in self._devices)
        numbers = architecture(self._config.to_dict())
        self._capabilities = Capabilities(
            context_length=numbers.context_length,
            vocab_size=int(self._config.vocab_size),
            croppable=probe.croppable,
            kv_bytes_per_token=numbers.kv_bytes_per_token(model.dtype.itemsize, kv),
            prefill_chunk=prefill_chunk(_active(self._config, parameters), on_cpu=on_cpu),
            weight_bytes=sum(p.numel() * p.element_size() for _, p in parameters),
            device=model.device,
            layer_devices=self._devices,
            dtype=model.dtype,
            name="transformers",
            kv_format=kv,
        )

    @property
    def capabilities(self) -> Capabilities:
        """What this runner can do."""
        return self._capabilities

    @property
    def module(self) -> torch.nn.Module:
        """The model of transformers."""
        module: torch.nn.Module = self._model
        return module

    def rope_scale(self, prompt_tokens: int) -> float:
        """The NTK alpha of a prompt of so many tokens; 1 where the model has none."""
        return float(self._model.rope_scale(prompt_tokens)) if self._rescaled else 1.0

    def new_cache(self, rope_scale: float = 1.0) -> TransformersCache:
        """An empty cache for keys of `rope_scale`."""
        dtype = self._model.dtype
        return TransformersCache(self._config, self._devices, dtype, rope_scale, self._kv)

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
        if not ids:
            raise ValueError("prefill needs at least one token")
        logits: Logits
        for start in range(0, len(ids), chunk):
            piece = ids[start : start + chunk]
            logits = self._interruptible(cache, piece, cancel)
            on_progress(start + len(piece))
        return logits

    def decode(self, cache: TransformersCache, token: int, *, cancel: threading.Event) -> Logits:
        """Append one token; the logits after it, float32 [vocab_size]."""
        if not cache.croppable:
            # Going back would need a snapshot per token, which costs more than one step.
            return self._forward(cache, [token])
        return self._interruptible(cache, [token], cancel)

    def verify(
        self, cache: TransformersCache, ids: Sequence[int], *, cancel: threading.Event
    ) -> Logits:
        """Append `ids` in one step; the logits after each, float32 [len(ids), vocab_size]."""
        if not ids:
            raise ValueError("verify needs at least one token")
        if cancel.is_set():
            raise Cancelled
        before = cache.snapshot()
        try:
            with self.heeding(cancel):
                return self._forward_rows(cache, ids)
        except Cancelled:
            cache.restore(before)
            raise

    def expect(self, token: torch.Tensor) -> None:
        """It begins when it is asked."""

    def close(self) -> None:
        """Nothing runs beside it."""

    def _interruptible(
        self, cache: TransformersCache, ids: Sequence[int], cancel: threading.Event
    ) -> Logits:
        """One forward that `cancel` can end between two layers, leaving the cache as it was."""
        if cancel.is_set():
            raise Cancelled
        before = cache.snapshot()
        try:
            with self.heeding(cancel):
                return self._forward(cache, ids)
        except Cancelled:
            cache.restore(before)
            raise

    @contextmanager
    def heeding(self, cancel: threading.Event) -> Iterator[None]:
        """Within, a forward of `module` raises Cancelled soon after `cancel` is set."""
        self._cancel = cancel
        try:
            yield
        finally:
            self._cancel = None

    def _forward(self, cache: TransformersCache, ids: Sequence[int]) -> Logits:
        """Append `ids`; the logits after the last, float32 [vocab_size]."""
        return self._by_module(cache, ids, 1)[-1]

    def _forward_rows(self, cache: TransformersCache, ids: Sequence[int]) -> Logits:
        """Append `ids`; the logits after each, float32 [len(ids), vocab_size]."""
        return self._by_module(cache, ids, len(ids))

    def _by_module(self, cache: TransformersCache, ids: Sequence[int], keep: int) -> Logits:
        with torch.inference_mode():
            if self._rescaled:
                self._model.set_rope_scale(cache.rope_scale)
            output = self._model(
                input_ids=torch.tensor([list(ids)], device=self._model.device),
                past_key_values=cache.inner,
                use_cache=True,
                logits_to_keep=keep,
            )
            logits: Logits = output.logits[0].to(self._model.device).float()
            return logits

    def _interrupt(self, *_: Any) -> None:
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled


def _with_plain_strides(_module: Any, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    (hidden,) = inputs
    return (hidden.view(hidden.shape),)


_GROUPED = "TRANSFORMERS_SDPA_FORCE_GQA"


def _group_queries(wanted: bool) -> None:
    """Let attention with a mask read grouped keys and values as they are.

    transformers repeats them for all heads otherwise: a copy of the whole cache for each layer and
    piece. The kernel of a CPU needs none; with a mask, those of cards would be the slow ones.
    """
    from transformers.integrations import sdpa_attention  # came with the model

    os.environ[_GROUPED] = "1" if wanted else "0"  # read at every call
    decide = sdpa_attention.use_gqa_in_sdpa
    if _GROUPED not in decide.__code__.co_consts and not hasattr(decide, _GROUPED):

        def grouped(*tensors: Any) -> bool:
            return os.environ[_GROUPED] == "1" or bool(decide(*tensors))

        setattr(grouped, _GROUPED, True)
        sdpa_attention.use_gqa_in_sdpa = grouped  # releases for Python 3.10 read no such variable


def _active(config: Any, parameters: list[tuple[str, torch.nn.Parameter]]) -> int:
    """Parameters a token meets."""
    experts = getattr(config, "num_experts", None) or 1
    used = getattr(config, "num_experts_per_tok", None) or 1
    total = 0
    for name, parameter in parameters:
        count = parameter.numel() * (2 if parameter.dtype == torch.uint8 else 1)  # codes in pairs
        total += count * used // experts if ".experts." in name else count
    return total
