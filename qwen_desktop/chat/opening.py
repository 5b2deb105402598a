"""How the conversations were opened, as a value: what was found and what was done about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qwen_desktop.chat.backup import BackupInfo
from qwen_desktop.errors import Report


@dataclass(frozen=True)
class Recovery:
    """A damaged database was set aside. What could be read of it was put into a backup of it, or
    into a new database where there was none.
    """

    set_aside: Path  # the folder where the damaged files lie now
    backup: BackupInfo | None  # the one that was opened
    conversations: int = 0  # new or newer than in the backup
    messages: int = 0  # the same
    damaged: int = 0  # messages of which only a part could be read
    seconds: float = 0.0
    was_missing: bool = False  # there was no file where backups said that one should be


@dataclass(frozen=True)
class OpeningReport:
    """What opening the conversations met. The default: a good file that was closed properly."""

    clean: bool = True  # the run before it closed the file
    checked: bool = False  # every page was looked at
    check_seconds: float = 0.0
    damaged: Recovery | None = None
    read_only: Report | None = None  # why nothing can be written, until the next start
