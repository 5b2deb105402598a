"""Where a model goes: which device gets which layers, and whether all of it fits. Arithmetic only.

The doctor shows these plans before anything is loaded and the loader carries them out, so that
what was shown is what happens. No torch.

A device's share is its weights, the KV cache of its layers and a reserve. It fits well up to 90 %
of what is free; what the estimates below leave out has to go into the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from qwen_desktop.chat.checkpoint import Device, Fit, KvFormat, LoadPlan, Precision, Share
from qwen_desktop.engine.activations import activations
from qwen_desktop.engine.architecture import Architecture, Weights, architecture, weights
from qwen_desktop.engine.checkpoint import Checkpoint
from qwen_desktop.engine.gpus import Machine
from qwen_desktop.engine.precision import ITEM_BYTES, settle
from qwen_desktop.errors import QT_TRANSLATE_NOOP

MIB = 2**20

# What a device needs besides the model. CPU: tensors on their way and the allocator's rounding.
# Cards: the context, kernels and workspaces that CUDA and its libraries take with the first call.
CPU_RUNTIME = 256 * MIB
CARD_RUNTIME = 512 * MIB

COMFORT = 0.9  # of what is free
_STEPS = 20  # how finely several cards are filled alike

# Tokens of a first answer: the room that is asked for where no context is named.
FIRST_CONTEXT = 2048

# Tokens per forward in prefill.
CARD_CHUNK = 1024
CPU_CHUNK = 256
# Active parameters up to which a chunk of CPU_CHUNK tokens keeps a slow two-core CPU busy for
# less than 100 ms between two places where Stop is noticed.
CPU_CHUNK_PARAMETERS = 600_000_000
CPU_CHUNK_MIN = 16


@dataclass(frozen=True)
class Model:
    """What of a checkpoint decides where it goes."""

    architecture: Architecture
    weights: Weights
    stored: str  # dtype of the headers: "BF16"
    codes: int = 0  # bits of the integer codes of a quantised folder; 0 without
    foreign: bool = False  # whether another package reads them


def model_of(checkpoint: Checkpoint) -> Model:
    """The numbers of `checkpoint`. Raises ValueError where config.json makes no sense."""
    made = architecture(checkpoint.config)
    how = checkpoint.quantisation
    found = weights(checkpoint.sources.values(), made, foreign=how if how and how.extra else None)
    codes, foreign = (how.bits, bool(how.extra)) if how else (0, False)
    return Model(made, found, checkpoint.dtype, codes, foreign)


def packs_tables(model: Model, precision: Precision, *, on_cpu: bool, own: bool = False) -> bool:
    """Whether embeddings and head are packed too in `precision` (not AUTO).

    Not beside a folder's own codes (with `own` in any case): what it left floats stays so.
    """
    bits = {Precision.INT4: 4, Precision.INT8: 8}.get(precision, 0)
    return model.weights.tables and on_cpu and not own and bits not in (0, model.codes)


def prefill_chunk(active: int, *, on_cpu: bool) -> int:
    """Tokens per forward for `active` parameters. Fixed, so that a seed gives one answer."""
    if not on_cpu:
        return CARD_CHUNK
    chunk = CPU_CHUNK
    while chunk > CPU_CHUNK_MIN and chunk * active > CPU_CHUNK * CPU_CHUNK_PARAMETERS:
        chunk //= 2
    return chunk


def contexts(maximum: int) -> tuple[int, ...]:
    """Columns of the table: powers of two from 2048 to below `maximum`, then `maximum`."""
    found = []
    size = FIRST_CONTEXT
    while size < maximum:
        found.append(size)
        size *= 2
    return (*found, maximum)


def placements(machine: Machine) -> tuple[str, ...]:
    """What can be chosen on `machine`, "auto" first."""
    cards = _cards(machine)
    split = ("split",) if cards else ()
    return ("auto", *(card.id for card in cards), *split, "cpu")


def plan(
    model: Model,
    machine: Machine,
    placement: str,
    precision: Precision,
    context: int = 0,
    kv: KvFormat = KvFormat.MODEL,
) -> LoadPlan | None:
    """Where `model` would go on `machine`; None where there is no such device.

    `placement` is one of `placements`, or "cuda" for the card with most free memory. `context` is
    in tokens, 0 for what a first answer needs. What fits badly is planned too: see its `fit`.
    """
    longest = model.architecture.context_length
    context = min(context or FIRST_CONTEXT, longest) if longest else context
    ask = _Ask(model, machine, placement, precision, context, kv)
    cards = _cards(machine)
    best = sorted(cards, key=lambda card: -card.free)[:1]
    tries: list[LoadPlan] = []
    if placement == "auto":
        several = [ask.over_cards(cards)] if len(cards) > 1 else []
        tries += [ask.on(best), *several] if cards else []
        tries += [ask.over_all(cards)] if cards else []
        tries.append(ask.on([machine.ram]))
    elif placement == "split":
        tries = [ask.over_cards(cards), ask.over_all(cards)] if cards else []
    elif placement == "cpu":
        tries = [ask.on([machine.ram])]
    else:
        wanted = best if placement == "cuda" else [c for c in cards if c.id == placement]
        tries = [ask.on(wanted)] if wanted else []
    for fit in (Fit.YES, Fit.TIGHT):
        for found in tries:
            if found.fit is fit:
                return found
    # None fits. The one with most room says best how much is lacking.
    return max(tries, key=lambda found: sum(s.device.free for s in found.shares), default=None)


def cpu_fallback(model: Model, made: LoadPlan, machine: Machine) -> str:
    """Why `made`, which was planned for `machine` by itself, leaves all cards alone; else "".

    An English sentence to be translated, without values.
    """
    if not machine.gpus or made.placement != "auto" or not _is_on_cpu(made):
        return ""
    if not machine.usable:
        return QT_TRANSLATE_NOOP(
            "errors", "The graphics card is not used: torch and driver do not fit together."
        )
    emptied = machine.giving_back({gpu.device.id: gpu.device.total for gpu in machine.gpus})
    alone = plan(model, emptied, "auto", made.precision, made.context, made.kv)
    if alone is not None and not _is_on_cpu(alone):
        return QT_TRANSLATE_NOOP(
            "errors", "The graphics card is not used: other programs have taken its memory."
        )
    return QT_TRANSLATE_NOOP(
        "errors", "The graphics card is not used: its memory is too small for this model."
    )


def _is_on_cpu(made: LoadPlan) -> bool:
    return all(share.device.id == "cpu" for share in made.shares)


def device_map(made: LoadPlan, tied: bool) -> dict[str, str]:
    """Device by module name, as accelerate writes it. One device is one entry.

    Embeddings and whatever has no layer are with the first share, norm and head with the last.
    A head that is the embeddings is with them.
    """
    first, last = made.shares[0].device.id, made.shares[-1].device.id
    if first == last:
        return {"": first}
    layers = {
        f"model.layers.{number}": share.device.id
        for share in made.shares
        for number in range(share.first, share.last + 1)
        if share.first >= 0
    }
    head = first if tied else last
    return {"": first, "model.embed_tokens": first, **layers, "model.norm": last, "lm_head": head}


def _cards(machine: Machine) -> list[Device]:
    return [gpu.device for gpu in machine.gpus] if machine.usable else []


@dataclass(frozen=True)
class _Unit:
    """What is not divided: the embeddings, a decoder layer, or what comes after the last one."""

    weights: int
    kv: int
    layer: int = -1

    @property
    def size(self) -> int:
        return self.weights + self.kv


@dataclass(frozen=True)
class _Ask:
    """One question to `plan`."""

    model: Model
    machine: Machine
    placement: str
    precision: Precision
    context: int
    kv: KvFormat
    # Units by precision: several cards are filled in many ways.
    _known: dict[tuple[Precision, bool], list[_Unit]] = field(default_factory=dict, repr=False)

    def on(self, devices: Sequence[Device]) -> LoadPlan:
        """All of it on the only one of `devices`."""
        return self._filled(devices, 1.0)

    def over_cards(self, cards: Sequence[Device]) -> LoadPlan:
        """Over all cards, filled alike as far as whole layers allow."""
        found = [self._filled(cards, step / _STEPS) for step in range(1, _STEPS + 1)]
        return min(found, key=_fullest)

    def over_all(self, cards: Sequence[Device]) -> LoadPlan:
        """The cards full, the rest in main memory."""
        return self._best_filled([*cards, self.machine.ram])

    def _best_filled(self, devices: Sequence[Device]) -> LoadPlan:
        found = self._filled(devices, COMFORT)
        return found if found.fit is Fit.YES else self._filled(devices, 1.0)

    def _filled(self, devices: Sequence[Device], fraction: float) -> LoadPlan:
        """Devices filled in turn up to `fraction` of what is free; the last takes what is left."""
        precision = self._settled(devices)
        on_cpu = all(device.id == "cpu" for device in devices)
        tables = packs_tables(self.model, precision, on_cpu=on_cpu, own=self._own)
        units = self._units(precision, tables)
        shares: list[Share] = []
        at = 0
        for number, device in enumerate(devices):
            reserve = self._reserve(device, devices, precision)
            room = int(fraction * device.free) - reserve
            end = at
            while end < len(units) and (number == len(devices) - 1 or units[end].size <= room):
                room -= units[end].size
                end += 1
            if end > at:
                shares.append(_share(device, units[at:end], reserve))
            at = end
        fits = [_fit(share) for share in shares]
        fit = next(f for f in (Fit.NO, Fit.TIGHT, Fit.YES) if f in fits)
        return LoadPlan(
            placement=self.placement,
            precision=self.precision,
            runs_in=precision,
            packed=self._own,
            context=self.context,
            shares=tuple(shares),
            fit=fit,
            kv=self.kv,
            tables=tables,
        )

    @property
    def _own(self) -> bool:
        """Whether the folder's integer codes stay as they are."""
        return bool(self.model.codes) and self.precision is Precision.AUTO

    def _settled(self, devices: Sequence[Device]) -> Precision:
        first = devices[0].id
        return settle(
            self.precision,
            stored=self.model.stored,
            parameters=self.model.weights.parameters,
            device_kind=first.partition(":")[0],
            free=devices[0].free,
            codes=self.model.codes,
            foreign=self.model.foreign,
            has_bfloat16=all(
                gpu.has_bfloat16 for gpu in self.machine.gpus if gpu.device in devices
            ),
        )

    def _units(self, precision: Precision, tables: bool) -> list[_Unit]:
        found = self._known.get((precision, tables))
        if found is None:
            found = self._known[precision, tables] = self._new_units(precision, tables)
        return found

    def _new_units(self, precision: Precision, tables: bool) -> list[_Unit]:
        made, sorted_weights, own = self.model.architecture, self.model.weights, self._own
        item = ITEM_BYTES.get(precision, 2)
        kv = {
            kind: made.layer_cache_bytes(made.layer_kinds.index(kind), self.context, item, self.kv)
            for kind in set(made.layer_kinds)
        }
        layers = [
            _Unit(part.nbytes(precision, own), kv[kind], number)
            for number, (part, kind) in enumerate(
                zip(sorted_weights.layers, made.layer_kinds, strict=True)
            )
        ]
        embeddings = _Unit(sorted_weights.embeddings.nbytes(precision, own, tables), 0)
        return [embeddings, *layers, _Unit(sorted_weights.tail.nbytes(precision, own, tables), 0)]

    def _reserve(self, device: Device, all_of: Sequence[Device], precision: Precision) -> int:
        """What `device` needs besides; pieces are small where one of `all_of` is the CPU."""
        on_cpu = any(other.id == "cpu" for other in all_of)
        chunk = prefill_chunk(self.model.weights.active, on_cpu=on_cpu)
        item = ITEM_BYTES.get(precision, 2)
        working = activations(
            self.model.architecture,
            chunk,
            self.context,
            item,
            self.kv,
            on_cpu=all(other.id == "cpu" for other in all_of),
        )
        return working + (CPU_RUNTIME if device.id == "cpu" else CARD_RUNTIME)


def _share(device: Device, units: Iterable[_Unit], reserve: int) -> Share:
    taken = list(units)
    layers = [unit.layer for unit in taken if unit.layer >= 0] or [-1]
    return Share(
        device=device,
        weights=sum(unit.weights for unit in taken),
        kv=sum(unit.kv for unit in taken),
        reserve=reserve,
        first=layers[0],
        last=layers[-1],
    )


def _fullest(made: LoadPlan) -> float:
    """How full the fullest device would be: 1 for all that is free."""
    return max(share.need / max(share.device.free, 1) for share in made.shares)


def _fit(share: Share) -> Fit:
    if share.need > share.device.free:
        return Fit.NO
    return Fit.YES if share.need <= COMFORT * share.device.free else Fit.TIGHT
