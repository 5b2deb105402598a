"""Qwen's public chat checkpoints, as a table that comes with the program. Standard library only.

`hub/catalogue.py` reads it; `engine/described.py` computes from the architecture numbers what a
checkpoint weighs and whether it fits, before a byte of it is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from qwen_desktop.chat.checkpoint import Fit
from qwen_desktop.chat.hub import Hub, RepositoryName


class Stored(str, Enum):
    """What weights are stored in. The values are those of the table."""

    BF16 = "bf16"
    FP8 = "fp8"
    GPTQ_INT8 = "gptq-int8"
    GPTQ_INT4 = "gptq-int4"
    AWQ = "awq"

    @property
    def label(self) -> str:
        """Its name for people; the same in every language."""
        return {
            "bf16": "BF16",
            "fp8": "FP8",
            "gptq-int8": "GPTQ Int8",
            "gptq-int4": "GPTQ Int4",
            "awq": "AWQ",
        }[self.value]


class Kind(str, Enum):
    """What a model was trained for above all."""

    GENERAL = "general"
    CODER = "coder"
    MATH = "math"
    REASONING = "reasoning"  # always thinks before it answers


@dataclass(frozen=True)
class Offer:
    """One repository of the table: a model in one form.

    `config` has the entries of config.json that its numbers follow from; it is empty where they
    are not known.
    """

    model: str  # "Qwen3-8B", the same for all forms of it
    series: str  # "Qwen3"
    kind: Kind
    stored: Stored
    parameters: int  # of the text model, as its card says, rounded
    stored_parameters: int  # of all that is in its files; 0 where that is no more
    active: int  # per token; 0 where it is all
    licence: str  # as its card says; "" where that is not known
    repositories: Mapping[Hub, RepositoryName]
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    floats: str = ""  # modules that stay floats in a quantised form: a regular expression

    @property
    def key(self) -> str:
        """What no other offer has: the repository's name, without its owner."""
        return next(iter(self.repositories.values())).name


@dataclass(frozen=True)
class Outlook:
    """What an offer would take on this machine. Computed, not measured; sizes in bytes.

    `context` is the longest that fits of those of the fit table, 0 where none does; `devices` are
    the ids of where its layers would go: ("cuda:0", "cpu") is both.
    """

    download: int = 0  # of weight files; 0 where that is not known
    longest: int = 0  # tokens the model can be used with
    fit: Fit | None = None  # with the context of a first answer; None where it is not known
    context: int = 0
    need: int = 0  # memory with `context`, or with that of a first answer
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Catalogue:
    """The whole table, and the day it was made: "2026-09-05"."""

    as_of: str
    offers: tuple[Offer, ...]

    def offers_of(self, repository: RepositoryName) -> tuple[Offer, ...]:
        """The offers with that repository on any hub, capitals or not."""
        wanted = str(repository).casefold()
        return tuple(
            offer
            for offer in self.offers
            if wanted in (str(name).casefold() for name in offer.repositories.values())
        )
