"""Which weights of a checkpoint become packed linears, and how experts are given to the model.

No torch. Models keep all experts of a layer in two tensors; checkpoints store them so too, or one
by one. Packed they are one weight per kind of matrix; as floats they are joined as the model has
them (transformers can do the same, but not for every family that is stored so).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from qwen_desktop.chat.checkpoint import LoadPlan, Precision
from qwen_desktop.engine.precision import TABLES, Form, form_of
from qwen_desktop.engine.sources import (
    ExpertsSource,
    Single,
    Source,
    layers_of_experts,
    single_experts,
)

# A checkpoint may put words of its own before "layers.0": transformers maps them, and only it
# knows how.
_LAYER = re.compile(r"(?:^|\.)(layers\.\d+\..+)")


def place_of(weight: str) -> str:
    """What the names of a weight in a checkpoint and in the model have in common, or ""."""
    found = _LAYER.search(weight)
    if found:
        return found.group(1)
    return weight if weight in TABLES else ""


def arrange(
    sources: Mapping[str, Source], shapes: Mapping[str, tuple[int, ...]], placing: LoadPlan
) -> tuple[dict[str, Source], dict[str, Form]]:
    """The sources to load from, and the forms of those among them that are packed.

    `shapes` are those of the model's matrices that can be packed, by `place_of` their weights;
    those of experts have three dimensions. A matrix of another shape stays what it is, to be
    refused as such.
    """
    precision, own = placing.runs_in, placing.packed
    if not own and precision in (Precision.INT4, Precision.INT8):
        sources = _with_single_experts(sources, precision)
    arranged = dict(sources)
    forms: dict[str, Form] = {}
    for prefix, kinds in layers_of_experts(sources).items():
        made = _arranged_experts(prefix, kinds, shapes, precision, own)
        for joined, shared in made:
            arranged[joined.name] = joined
            if shared is not None:
                forms[joined.name] = shared
        for one in (expert for experts in kinds.values() for expert in experts if made):
            del arranged[one.name]
    for name, source in arranged.items():
        fits = source.shape == shapes.get(place_of(name))
        if fits and not isinstance(source, ExpertsSource):
            form = form_of(source, precision, own=own, tables=placing.tables)
            if form is not None:
                forms[name] = form
    return arranged, forms


def _with_single_experts(sources: Mapping[str, Source], precision: Precision) -> dict[str, Source]:
    """`sources` with the experts apart that can be packed one by one."""
    found: dict[str, Source] = {}
    for name, source in sources.items():
        apart = single_experts(source)
        packable = len(apart) > 1 and form_of(apart[0], precision) is not None
        found.update({one.name: one for one in apart} if packable else {name: source})
    return found


def _arranged_experts(
    prefix: str,
    kinds: Mapping[str, tuple[Single, ...]],
    shapes: Mapping[str, tuple[int, ...]],
    precision: Precision,
    own: bool,
) -> list[tuple[ExpertsSource, Form | None]]:
    """The weights that the experts of one layer become, packed where at least one kind can be.

    None where they do not fit together.
    """
    found: list[tuple[ExpertsSource, Form | None]] = []
    for kind, experts in kinds.items():
        name = f"{prefix}{kind}.weight"
        shape = (len(experts), *experts[0].shape)
        forms = {form_of(expert, precision, own=own) for expert in experts}
        fits = len(forms) == 1 and shape == shapes.get(place_of(name))
        found.append((ExpertsSource(name, shape, experts), forms.pop() if fits else None))
    if any(form is not None for _, form in found):
        return found
    gates, others, downs = (source for source, _ in found)
    if gates.shape != others.shape:
        return []
    pairs = tuple(one for pair in zip(gates.experts, others.experts, strict=True) for one in pair)
    joined = (gates.shape[0], 2 * gates.shape[1], gates.shape[2])
    return [
        (ExpertsSource(f"{prefix}gate_up_proj", joined, pairs), None),
        (ExpertsSource(f"{prefix}down_proj", downs.shape, downs.experts), None),
    ]
