"""A model over several devices: each layer computes where its weights lie.

accelerate's way would compute everything on the first card and bring the weights of other layers
there for every token; a few layers in main memory are quicker computed where they are. So its
hooks are kept out, and these only move what a layer is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import modeling_utils


@contextmanager
def without_dispatch() -> Iterator[None]:
    """Let `from_pretrained` place weights on several devices without accelerate's hooks."""
    dispatch = modeling_utils.accelerate_dispatch
    modeling_utils.accelerate_dispatch = lambda *_args, **_kwargs: None
    try:
        yield
    finally:
        modeling_utils.accelerate_dispatch = dispatch


def layer_devices(model: Any) -> tuple[torch.device, ...]:
    """Where each decoder layer of `model` lies."""
    return tuple(next(layer.parameters()).device for layer in model.get_decoder().layers)


def bytes_by_device(model: torch.nn.Module) -> dict[str, int]:
    """Bytes of all weights and buffers of `model`, by device."""
    found: Counter[str] = Counter()
    for tensor in (*model.parameters(), *model.buffers()):
        found[str(tensor.device)] += tensor.numel() * tensor.element_size()
    return dict(found)


def connect(model: Any) -> None:
    """Move the inputs of each layer, of the norm and of the head to where these lie.

    Does nothing for a model on one device.
    """
    if len({parameter.device for parameter in model.parameters()}) < 2:
        return
    decoder = model.get_decoder()
    for module in (*decoder.layers, decoder.norm, model.get_output_embeddings()):
        device = next(module.parameters()).device
        module.register_forward_pre_hook(_Mover(device), with_kwargs=True)


class _Mover:
    """A pre-hook that moves every tensor among a module's arguments to `device`."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def __call__(self, _module: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
        return self._moved(args), self._moved(kwargs)

    def _moved(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.to(self._device)
        if isinstance(value, (tuple, list)):
            return type(value)(self._moved(item) for item in value)
        if isinstance(value, dict):
            return {key: self._moved(item) for key, item in value.items()}
        return value  # the cache among them: its layers live where they are first written
