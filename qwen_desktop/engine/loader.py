"""From a checked folder to a model in memory, in two steps: a plan without weights, then reading.

The plan builds the model without memory and lets transformers match every tensor of the headers
to it. What would be left random (a missing or misshapen weight) refuses the folder before a byte
of weights has been read and while the previous model is still there.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from qwen_desktop.chat.checkpoint import KvFormat, LoadPlan
from qwen_desktop.chat.events import Progress, Stage
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.engine import placement
from qwen_desktop.engine.arrangement import arrange, place_of
from qwen_desktop.engine.checkpoint import CONFIG, Checkpoint
from qwen_desktop.engine.cpu.facts import variant_of, why_not
from qwen_desktop.engine.cpu.start import Variant
from qwen_desktop.engine.device import (
    TORCH_TYPES,
    gigabytes,
    give_back,
    has_bfloat16,
    is_out_of_memory,
    machine,
)
from qwen_desktop.engine.gpus import Machine
from qwen_desktop.engine.matching import (
    cancellable,
    configuration,
    empty_model,
    match,
    refuse_strangers,
    refuse_unfit,
)
from qwen_desktop.engine.precision import Form
from qwen_desktop.engine.quant.foreign import foreign_config, unreadable_by_package
from qwen_desktop.engine.quant.swap import matrices, place, swap, swapped
from qwen_desktop.engine.quantisation import Quantisation
from qwen_desktop.engine.shards import TensorEntry
from qwen_desktop.engine.sources import FloatSource, Source
from qwen_desktop.engine.spread import connect, without_dispatch
from qwen_desktop.engine.stretch import stretched_config
from qwen_desktop.engine.weights import DTYPES, LazyWeights, described
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

NOTHING: Mapping[str, int] = {}
NEVER = threading.Event()
TELL_SECONDS = 0.05  # between two reports of progress


@dataclass(frozen=True)
class Plan:
    """What loading will do, and what it takes."""

    checkpoint: Checkpoint
    model_class: Any
    config: Any
    sources: Mapping[str, Source]  # the weights the model uses
    forms: Mapping[str, Form]  # of those among them that become packed linears
    empty: tuple[TensorEntry, ...]  # biases the model lacks: they have to be zero
    placing: LoadPlan  # which device gets what
    dtype: torch.dtype
    parameters: int
    nbytes: int  # of the weights in memory
    rope_factor: float = 1.0  # how far YaRN stretches the context, which `checkpoint` has in it
    cpu_fallback: str = ""  # see `placement.cpu_fallback`
    # What a compiled step would have to be for it, as far as that can be known; None for none.
    variant: Variant | None = None

    @property
    def foreign(self) -> Quantisation | None:
        """How the weights were quantised where only another package can read them."""
        how = self.checkpoint.quantisation
        return how if how and how.extra else None

    @property
    def device(self) -> torch.device:
        """Where inputs go and logits come from."""
        return torch.device(self.placing.shares[0].device.id)

    @property
    def devices(self) -> frozenset[torch.device]:
        """Where weights go."""
        return frozenset(torch.device(share.device.id) for share in self.placing.shares)

    @property
    def places(self) -> dict[str, str]:
        """Device by module name, as `from_pretrained` wants it."""
        return placement.device_map(self.placing, bool(self.config.tie_word_embeddings))

    @property
    def words(self) -> str:
        """The precision for people: "BF16", "INT4", or "INT4 (GPTQ)" for a folder's codes."""
        if self.foreign:
            return self.foreign.words
        if not self.forms:
            return next(p.name for p, dtype in TORCH_TYPES.items() if dtype is self.dtype)
        how = self.checkpoint.quantisation
        own = f" ({how.method.upper()})" if how and any(f.own for f in self.forms.values()) else ""
        return self.placing.runs_in.name + own

    @property
    def shards(self) -> frozenset[Path]:
        """The files to be read."""
        entries = (entry for source in self.sources.values() for entry in source.entries)
        return frozenset(entry.shard for entry in (*entries, *self.empty))

    @property
    def read_bytes(self) -> int:
        """Bytes to be read from the shards."""
        entries = (entry for source in self.sources.values() for entry in source.entries)
        return sum(entry.nbytes for entry in (*entries, *self.empty))


def plan(
    checkpoint: Checkpoint,
    request: LoadRequest,
    held: Mapping[str, int] = NOTHING,
    cancel: threading.Event = NEVER,
) -> Plan:
    """Everything about the load that can be known without weights. Raises Known, Cancelled.

    `held` are bytes by device that will be given back before the load, if they are needed.
    """
    unknown = {e.dtype for e in checkpoint.tensors.values()} - set(DTYPES)
    if unknown:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{file} has weights of type {dtype}, which cannot be run."),
            QT_TRANSLATE_NOOP("errors", "Get the BF16 version of this checkpoint."),
            file=next(e.shard.name for e in checkpoint.tensors.values() if e.dtype in unknown),
            dtype=", ".join(sorted(unknown)),
        )
    checkpoint = _stretched(checkpoint, request.rope_factor)
    present = machine().giving_back(held)
    try:
        config = configuration(checkpoint)
        placing, fallback = _place(checkpoint, request, present)
        dtype = _dtype_of(placing)
        empty = empty_model(config, dtype, cancel)
    except Known:
        raise
    except NameError:  # no file can cause this one: it is a bug
        raise
    # Nonsense in config.json surfaces as any exception of transformers or torch.
    except Exception as error:
        raise no_sense(error) from error
    ignored = [re.compile(p) for p in empty._keys_to_ignore_on_load_unexpected or ()]
    sources = {
        name: source
        for name, source in checkpoint.sources.items()
        if not any(pattern.search(name) for pattern in ignored)
    }
    parameters, config = empty.num_parameters(), empty.config
    if (how := checkpoint.quantisation) and how.extra:
        config.quantization_config = foreign_config(how, request.precision)
        # What the package makes of its tensors shows only when it reads them.
        return Plan(
            checkpoint=checkpoint,
            model_class=type(empty),
            config=config,
            sources=sources,
            forms={},
            empty=(),
            placing=placing,
            dtype=dtype,
            parameters=parameters,
            nbytes=placing.weights,
            rope_factor=request.rope_factor,
            cpu_fallback=fallback,
        )
    sources, forms = arrange(sources, matrices(empty), placing)
    places = {place_of(name): form for name, form in forms.items()}
    model_class = swapped(type(empty), places, dtype)
    unused = match(model_class, config, described(sources, forms, dtype), dtype, cancel)
    places_there = {place_of(name) for name, _ in empty.named_parameters()}
    places_unused = {place_of(name) for name in unused} - places_there - {""}
    unused = {n for n in sources if n in unused or place_of(n) in places_unused}
    refuse_strangers(unused)
    biases = tuple(
        source.entry
        for name in unused
        if name.endswith(".bias") and isinstance(source := sources[name], FloatSource)
    )
    swap(empty, places, dtype)
    return Plan(
        checkpoint=checkpoint,
        model_class=model_class,
        config=config,
        sources={name: source for name, source in sources.items() if name not in unused},
        forms=forms,
        empty=biases,
        placing=placing,
        dtype=dtype,
        parameters=parameters,
        nbytes=sum(p.numel() * p.element_size() for p in empty.parameters()),
        rope_factor=request.rope_factor,
        cpu_fallback=fallback,
        variant=_variant(empty, placing),
    )


def _variant(empty: Any, placing: LoadPlan) -> Variant | None:
    on_cpu = all(share.device.id == "cpu" for share in placing.shares)
    if not on_cpu or placing.kv is not KvFormat.MODEL or why_not(empty):
        return None
    return variant_of(empty)


def _stretched(checkpoint: Checkpoint, factor: float) -> Checkpoint:
    """`checkpoint` with its context stretched by YaRN. Raises Known where that is not possible."""
    try:
        return replace(checkpoint, config=stretched_config(checkpoint.config, factor))
    except ValueError as error:
        raise Known(
            QT_TRANSLATE_NOOP(
                "errors", "The context of {model} cannot be stretched {factor} times."
            ),
            QT_TRANSLATE_NOOP("errors", "Open it with the context it has."),
            details=str(error),
            model=checkpoint.name,
            factor=f"{factor:g}",
        ) from error


def _place(checkpoint: Checkpoint, request: LoadRequest, present: Machine) -> tuple[LoadPlan, str]:
    """Where it goes, and why not to a card.

    Raises Known for a device or a format there is not, ValueError for nonsense.
    """
    model = placement.model_of(checkpoint)
    if request.kv not in model.architecture.kv_formats:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{model} cannot keep its KV cache in 8 bits."),
            QT_TRANSLATE_NOOP("errors", "Open it with the KV cache as the model has it."),
            model=checkpoint.name,
        )
    found = placement.plan(
        model, present, request.placement, request.precision, request.context, request.kv
    )
    if found is None:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "There is no device {device} on this machine."),
            QT_TRANSLATE_NOOP("errors", "Choose “auto”, or see the README about CUDA."),
            device=request.placement,
        )
    return found, placement.cpu_fallback(model, found, present)


def _dtype_of(placing: LoadPlan) -> torch.dtype:
    """What the model computes in, which is not what packed weights are kept in.

    Of these, bfloat16 alone has kernels that are quick, on a CPU as on a card; a card without it
    is left float16. A folder's own choice of float16 (GPTQ's as a rule) says nothing about that.
    """
    if found := TORCH_TYPES.get(placing.runs_in):
        return found
    every = all(has_bfloat16(torch.device(share.device.id)) for share in placing.shares)
    return torch.bfloat16 if every else torch.float16


def no_sense(error: Exception) -> Known:
    """The sentence for a configuration with which no model can be made or run."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} does not describe a model that can be built."),
        QT_TRANSLATE_NOOP("errors", "Download config.json again."),
        details=f"{type(error).__name__}: {error}",
        file=CONFIG,
    )


def fits_now(made: Plan) -> bool:
    """Whether each device has room for its share without anything being given back."""
    free = {device.id: device.free for device in machine().devices}
    return all(share.need <= free.get(share.device.id, 0) for share in made.placing.shares)


def no_room(made: Plan) -> Known:
    """The sentence for a model that does not fit: of the device that lacks most."""
    free = {device.id: device.free for device in machine().devices}
    share = max(made.placing.shares, key=lambda share: share.need - free.get(share.device.id, 0))
    return Known(
        QT_TRANSLATE_NOOP("errors", "{model} needs {need} of memory; {free} are free on {device}."),
        QT_TRANSLATE_NOOP("errors", "Close other programs, or take a smaller model or precision."),
        model=made.checkpoint.name,
        need=gigabytes(share.need),
        free=gigabytes(free.get(share.device.id, 0)),
        device=share.device.name,
    )


def load(
    made: Plan,
    cancel: threading.Event,
    progress: Callable[[Progress], None],
    *,
    rows: bool = False,
) -> Any:
    """The model of `made`, read and on its device. Raises Known, Cancelled.

    With `rows` codes are laid out for the compiled step, where that can run the model. `progress`
    is called from the threads that read, one at a time.
    """
    total = made.read_bytes
    shards = made.shards
    begun: list[str] = []  # shards are not read in order: their number is that of those begun
    told = 0.0

    def tell(done: int, shard: str) -> None:
        nonlocal told
        if shard not in begun:
            begun.append(shard)
        if done == total or time.monotonic() - told >= TELL_SECONDS:
            told = time.monotonic()
            several = len(shards) > 1
            part, parts = (len(begun), len(shards)) if several else (0, 0)
            progress(Progress(Stage.READING, done, total, shard, part, parts))

    def tell_placed(done: int, count: int) -> None:
        progress(Progress(Stage.PLACING, done, count))

    progress(Progress(Stage.READING, 0, total))
    weights = LazyWeights(made.sources, made.forms, made.dtype, cancel, tell)
    out_of_memory = False
    places = made.places
    try:
        for entry in made.empty:
            weights.refuse_unless_zero(entry)
        with without_dispatch(), cancellable(cancel):
            model, info = made.model_class.from_pretrained(
                None,
                config=made.config,
                state_dict=weights.tensors,
                dtype=made.dtype,
                device_map=places if places != {"": "cpu"} else None,
                output_loading_info=True,
                local_files_only=True,
            )
    except Exception as error:
        if isinstance(error, Known):
            raise
        out_of_memory = is_out_of_memory(error)
        if weights.failure is not None:
            raise weights.failure from error
        if not out_of_memory:
            if made.foreign:
                raise unreadable_by_package(made.foreign, error) from error
            raise
    if out_of_memory:  # outside of the except block, so that its frames are free by now
        raise no_room(made)
    refuse_unfit(info)  # the headers may have changed since the plan
    del weights
    progress(Progress(Stage.PLACING))
    place(model, cancel, tell_placed, rows=rows and not why_not(model))
    if made.forms:
        give_back(made.device)  # packing took floats on its way, more than stays
    connect(model)
    return model.eval().requires_grad_(False)
