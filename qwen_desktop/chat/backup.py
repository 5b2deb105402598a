"""Backups of the conversations as values. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class BackupReason(str, Enum):
    """Why a backup was made. The value stands in the name of its file."""

    DAILY = "daily"
    ASKED = "asked"  # by the user; never removed by itself
    MIGRATION = "before-new-format"
    RESTORE = "before-restore"


@dataclass(frozen=True)
class BackupInfo:
    """One backup as it lies in its folder."""

    file: Path
    made_at: float  # Unix seconds
    reason: BackupReason
    size: int  # bytes
    conversations: int = 0  # without those in the bin
    messages: int = 0  # of them
    is_damaged: bool = False  # it cannot be opened; whether all of it is whole shows restoring
