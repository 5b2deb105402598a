"""What one start of the program was asked to do. A value; standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from qwen_desktop.chat.checkpoint import KvFormat, Precision
from qwen_desktop.chat.settings import Value
from qwen_desktop.paths import Profile


@dataclass(frozen=True)
class Options:
    """`overrides` are settings for this run only; they are not saved.

    `precision`, `device` (a placement), `kv` and `rope_factor` are those of the first checkpoint,
    as in LoadRequest; None for what it was opened with the last time. `files` are to be opened:
    conversations, or folders of checkpoints.
    """

    profile: Profile
    checkpoint: Path | None = None
    precision: Precision | None = None
    device: str | None = None
    ask: str | None = None
    headless: bool = False
    overrides: Mapping[str, Value] = field(default_factory=dict)
    kv: KvFormat | None = None
    rope_factor: float | None = None
    files: tuple[Path, ...] = ()
