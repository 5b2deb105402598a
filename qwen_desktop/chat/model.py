"""What the window and the engine tell each other about checkpoints and requests.

Frozen values, standard library only: the interface shows them without importing the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from qwen_desktop.chat.checkpoint import KvFormat, Precision
from qwen_desktop.chat.connection import RemoteTarget
from qwen_desktop.chat.context import Policy
from qwen_desktop.chat.forking import Fork
from qwen_desktop.chat.messages import Message
from qwen_desktop.chat.settings import GenerationSettings


@dataclass(frozen=True)
class LoadRequest:
    """Open `folder`.

    `placement` is "auto", "cpu", "cuda", "cuda:1" or "split" (all devices, main memory last).
    `context` is the number of tokens to leave room for, 0 for as many as a first answer needs.
    `rope_factor` over 1 stretches the context by YaRN (one of `FolderReport.rope_factors`).
    """

    folder: Path
    precision: Precision = Precision.AUTO
    placement: str = "auto"
    context: int = 0
    kv: KvFormat = KvFormat.MODEL
    rope_factor: float = 1.0


@dataclass(frozen=True)
class EngineOptions:
    """What the engine may keep of conversations that are at rest. Sizes in bytes."""

    kv_memory: int | None = None  # for their KV caches; None: what is free
    kv_disk: int = 0  # for cache files; 0 keeps none
    kv_folder: Path | None = None  # where cache files lie; None: nowhere
    code_folder: Path | None = None  # where code compiled for the CPU lies; None: none is made
    draft_folder: Path | None = None  # of a model that guesses for the next one to be opened


@dataclass(frozen=True)
class DemoInfo:
    """What the demo checkpoint says of itself (its demo.json)."""

    questions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by "en", "zh"


@dataclass(frozen=True)
class ModelInfo:
    """A loaded checkpoint, as shown in the window. Sizes in bytes."""

    name: str  # folder name
    folder: Path
    family: str  # model_type of config.json
    parameters: int
    weight_bytes: int
    context_length: int  # tokens
    kv_bytes_per_token: int
    device: str  # for people: "CPU", "NVIDIA GeForce RTX 4090"
    dtype: str  # precision, for people: "BF16", "INT4 (GPTQ)"
    has_chat_template: bool
    can_think: bool
    demo: DemoInfo | None = None
    family_name: str = ""  # for people: "Qwen3 MoE"
    fingerprint: str = ""  # of the checkpoint's files
    kv_format: KvFormat = KvFormat.MODEL
    rope_factor: float = 1.0  # over 1: the context is stretched by YaRN
    # Sampling values by name where nothing is set, without thinking and with it.
    sampling: tuple[tuple[str, float], ...] = ()
    thinking_sampling: tuple[tuple[str, float], ...] = ()
    cpu_fallback: str = ""  # why it runs on the CPU though a card was meant, an English sentence


@dataclass(frozen=True)
class GenerationRequest:
    """Answer the last message of `messages`, a path of the tree that ends with the user.

    Where it ends with an answer instead, that one is continued. `fork`: the answer begins with
    what stays of another one to the same message. `plain`: no chat format is used, the model goes
    on with the text of the messages. `remote`: the server that is asked in place of the checkpoint.
    """

    conversation_id: str
    messages: tuple[Message, ...]
    settings: GenerationSettings
    policy: Policy = Policy.DROP_OLDEST
    fork: Fork | None = None
    plain: bool = False
    remote: RemoteTarget | None = None


# A conversation whose id begins so is never written to a cache file.
UNKEPT = "unkept-"
