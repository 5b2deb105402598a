"""Models with packed linears in place of some of torch's own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from qwen_desktop.engine.arrangement import place_of
from qwen_desktop.engine.precision import Form
from qwen_desktop.engine.quant.experts import PackedExperts, expert_shapes
from qwen_desktop.engine.quant.linear import Int8Embedding, PackedLinear, packed_linear
from qwen_desktop.errors import Cancelled


def matrices(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of the matrices of decoder layers that can be packed, by `place_of` their weights.

    Those of experts are [experts, out, in], although the model joins two of them.
    """
    found: dict[str, tuple[int, ...]] = {}
    for name, module in model.named_modules():
        if type(module) in (nn.Linear, nn.Embedding):
            found[place_of(f"{name}.weight")] = tuple(module.weight.shape)
        for kind, shape in expert_shapes(module).items():
            found[place_of(f"{name}.{kind}.weight")] = shape
    found.pop("", None)
    return found


def swap(model: nn.Module, forms: Mapping[str, Form], dtype: torch.dtype) -> None:
    """Put packed linears in place of those in `forms`, by `place_of` their weights."""
    for name, module in list(model.named_modules()):
        form = forms.get(place_of(f"{name}.weight"))
        if form is not None and type(module) is nn.Linear:
            shape, device = tuple(module.weight.shape), module.weight.device
            model.set_submodule(name, packed_linear(shape, module.bias, form, dtype, device))
        if form is not None and type(module) is nn.Embedding:
            shape, device = tuple(module.weight.shape), module.weight.device
            model.set_submodule(name, Int8Embedding(shape, form, dtype, device))
            if model.config.tie_word_embeddings:
                _tie(model, name, packed_linear(shape, None, form, dtype, device))
        of_experts = {
            kind: form
            for kind in expert_shapes(module)
            if (form := forms.get(place_of(f"{name}.{kind}.weight")))
        }
        if of_experts:
            model.set_submodule(name, PackedExperts(module, of_experts, dtype))


def _tie(model: Any, embeddings: str, head: PackedLinear) -> None:
    """Make `head` that of `model`, with the codes of its packed `embeddings`."""
    names = {id(module): name for name, module in model.named_modules()}
    own = names[id(model.get_output_embeddings())]
    model.set_submodule(own, head)
    parts = [part for part, _ in head.named_parameters()]
    model.all_tied_weights_keys = {f"{own}.{part}": f"{embeddings}.{part}" for part in parts}
    for part in parts:
        setattr(head, part, model.get_parameter(f"{embeddings}.{part}"))


def swapped(model_class: type[Any], forms: Mapping[str, Form], dtype: torch.dtype) -> type[Any]:
    """`model_class` whose models are made with packed linears; itself where there are none."""
    if not forms:
        return model_class

    def make(self: Any, *args: Any, **options: Any) -> None:
        model_class.__init__(self, *args, **options)
        swap(self, forms, dtype)

    # The name and the module tell transformers how the weights of this class are called.
    names = {"__init__": make, "__module__": model_class.__module__}
    return type(model_class.__name__, (model_class,), names)


def place(
    model: nn.Module,
    cancel: threading.Event,
    tell: Callable[[int, int], None],
    *,
    rows: bool = False,
) -> None:
    """Lay out the codes of every packed weight for its device. Raises Cancelled.

    With `rows` those of linears as the compiled step wants them. `tell` gets the bytes of weights
    that are done, and of all.
    """
    found: list[tuple[PackedLinear | PackedExperts, int]] = [
        (module, sum(parameter.nbytes for parameter in module.parameters()))
        for module in model.modules()
        if isinstance(module, (PackedLinear, PackedExperts))
    ]
    total = sum(size for _, size in found)
    done = 0

    def check() -> None:
        if cancel.is_set():
            raise Cancelled

    for module, size in found:
        check()
        if rows and isinstance(module, PackedLinear):
            module.place(check, rows=True)
        else:
            module.place(check)
        done += size
        tell(done, total)
