"""Everything that can be looked at of an open checkpoint: its modules, files and settings.

Frozen values, standard library only. The engine makes them from the loaded model, the window
shows them. All texts come from the folder of strangers and are data, never markup.
"""

from __future__ import annotations

from dataclasses import dataclass

from qwen_desktop.chat.model import ModelInfo
from qwen_desktop.errors import Report


@dataclass(frozen=True)
class ModuleNode:
    """A module as torch sees it; equal neighbours in a list are one node.

    `parameters` and `nbytes` are those of everything below, for all `repeats` together; the
    children are those of one of them. A tensor that two modules share counts at the first.
    """

    name: str  # in its parent; "0–27" for repeated ones
    kind: str  # class name
    parameters: int
    nbytes: int
    dtype: str  # "bfloat16"; several, most bytes first: "int4, float32"
    detail: str = ""  # sizes, as torch prints them
    repeats: int = 1
    shared_with: str = ""  # the module whose tensors these are, for tied weights
    children: tuple[ModuleNode, ...] = ()


@dataclass(frozen=True)
class SpecialToken:
    """A token with a meaning of its own."""

    id: int
    text: str


@dataclass(frozen=True)
class TokenizerFacts:
    """What is known of the tokenizer."""

    kind: str  # class name
    vocabulary: int  # tokens, added ones included
    special: tuple[SpecialToken, ...]  # all added tokens, by id
    files: tuple[str, ...]


@dataclass(frozen=True)
class ModelCard:
    """A checkpoint as it was opened. Long texts are cut; the cut is said in the text."""

    info: ModelInfo
    root: ModuleNode
    runner: str  # which path computes
    devices: tuple[str, ...]  # for people, in the order of the layers
    prefill_chunk: int  # tokens per forward
    config: tuple[tuple[str, str], ...]  # "rope_parameters.rope_theta", "1000000"
    generation: tuple[tuple[str, str], ...]
    template: str | None
    tokenizer: TokenizerFacts
    licence_file: str = ""
    licence: str = ""
    guesses: bool = True  # whether its caches can go back, so that tokens can be guessed ahead
    draft: str = ""  # name of the model that guesses besides
    no_draft: Report | None = None  # why there is none, though one was wanted
