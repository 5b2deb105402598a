"""What a folder holds and what opening it would take, as shown before anything is loaded.

Frozen values, standard library only. The engine's doctor makes them, the window and
`qwen-desktop inspect` show them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeAlias

from qwen_desktop.errors import Report


class KvFormat(str, Enum):
    """What keys and values are kept in."""

    MODEL = "model"  # as the model computes
    INT8 = "int8"  # 8-bit codes with a scale per 32 values; about half of 16 bits


class Precision(str, Enum):
    """What the weights are computed in. INT8 and INT4 pack the linear layers' weights only."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    INT8 = "int8"
    INT4 = "int4"


class Severity(str, Enum):
    """How much a finding matters."""

    ERROR = "error"  # the folder cannot be opened
    WARNING = "warning"  # it opens, but something will be slow, large or left out
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One thing the doctor noticed. `code` is stable, for scripts: "shards-missing"."""

    severity: Severity
    code: str
    report: Report


class Fit(str, Enum):
    """Whether something goes into the memory that is free now."""

    YES = "yes"
    TIGHT = "tight"  # over 90 % of what is free
    NO = "no"


@dataclass(frozen=True)
class Device:
    """Memory a model can be put into. Sizes in bytes, measured just now."""

    id: str  # "cpu", "cuda:0"
    name: str  # for people: "CPU", "NVIDIA GeForce RTX 4090"
    total: int
    free: int


@dataclass(frozen=True)
class CheckpointFacts:
    """A checkpoint in numbers, from its small files and headers alone. Sizes in bytes."""

    family: str  # model_type of config.json
    family_name: str  # for people: "Qwen3 MoE"
    parameters: int
    active_parameters: int  # used per token: fewer than all in a mixture of experts
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden_size: int
    vocabulary: int
    experts: int  # 0 where there are none
    context_length: int  # tokens
    is_chat: bool  # whether there is a chat template
    stored: str  # what the weights are stored in: "BF16", "GPTQ Int4, groups of 128"
    quantisation: str  # quant_method, or "" for a float checkpoint
    files: int  # weight files
    stored_bytes: int
    bytes_by_dtype: Mapping[str, int]  # of the headers
    kv_bytes_per_token: int  # with 16-bit keys and values
    state_bytes: int  # of linear attention, whatever the context


@dataclass(frozen=True)
class Share:
    """What one device gets. Sizes in bytes; `first` and `last` are decoder layers, -1 for none."""

    device: Device
    weights: int
    kv: int  # at the full context of the plan
    reserve: int  # activations and the runtime's own
    first: int = -1
    last: int = -1

    @property
    def need(self) -> int:
        """All of it."""
        return self.weights + self.kv + self.reserve


@dataclass(frozen=True)
class LoadPlan:
    """Where the weights would go in one precision, with room for `context` tokens."""

    placement: str  # as asked for: "auto", "cpu", "cuda:0", "split"
    precision: Precision  # as asked for, AUTO included
    runs_in: Precision  # what AUTO came to
    packed: bool  # whether weights stay as the folder's own int4 or int8 codes
    context: int
    shares: tuple[Share, ...]
    fit: Fit
    kv: KvFormat = KvFormat.MODEL
    tables: bool = False  # whether embeddings and head are packed too

    @property
    def weights(self) -> int:
        """Bytes of weights on all devices."""
        return sum(share.weights for share in self.shares)


# Plans by placement, precision and context.
Plans: TypeAlias = Mapping[tuple[str, Precision, int], LoadPlan]


@dataclass(frozen=True)
class FolderReport:
    """What the doctor says of a folder. `facts` is None where too little could be read."""

    folder: Path
    facts: CheckpointFacts | None
    findings: tuple[Finding, ...]
    devices: tuple[Device, ...]
    placements: tuple[str, ...] = ()  # what can be chosen on this machine, "auto" first
    precisions: tuple[Precision, ...] = ()  # what this folder can be run in, AUTO first
    contexts: tuple[int, ...] = ()  # columns of the table, the model's maximum last
    kv_formats: tuple[KvFormat, ...] = (KvFormat.MODEL,)  # what can be chosen for this folder
    rope_factors: tuple[float, ...] = (1.0,)  # how far YaRN may stretch the context; 1 is not
    plans: Plans | None = None  # as the model keeps keys and values, contexts as they are
    variants: Mapping[KvFormat, Plans] | None = None  # of every format, stretched contexts too
    stretched: Mapping[float, tuple[int, ...]] | None = None  # contexts by factor over 1

    def plans_for(self, kv: KvFormat) -> Plans:
        """The plans with keys and values in `kv`, those of `contexts_for` any factor included."""
        return (self.variants or {}).get(kv, {})

    def contexts_for(self, rope_factor: float) -> tuple[int, ...]:
        """Columns of the table where YaRN stretches the context by `rope_factor`."""
        return (self.stretched or {}).get(rope_factor, self.contexts)

    @property
    def opens(self) -> bool:
        """Whether nothing that was found stands in the way."""
        return self.facts is not None and not any(
            finding.severity is Severity.ERROR for finding in self.findings
        )


def model_name(folder: Path) -> str:
    """What people know the checkpoint in `folder` by: its name, but in caches of downloaders.

    There folders are named by a hash within the folder of the model, or have no dots.
    """
    model = folder.parent.parent.name
    if folder.parent.name == "snapshots" and model.startswith("models--"):
        return model.rpartition("--")[2]
    return folder.name.replace("___", ".")
