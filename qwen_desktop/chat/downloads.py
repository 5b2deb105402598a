"""The downloads that a user asked for, as the window lists them. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from qwen_desktop.chat.hub import (
    DownloadProgress,
    DownloadState,
    Listing,
    RemoteFile,
    RepositoryName,
)
from qwen_desktop.errors import Report

MOST = 200  # entries of the list; the oldest that are done are forgotten


class Stage(str, Enum):
    """Where a download stands in the list. The values are those of the file."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"  # told to stop, and has not yet
    PAUSED = "paused"
    FAILED = "failed"
    DONE = "done"

    @property
    def is_active(self) -> bool:
        """Whether it has a thread of its own, or waits for one."""
        return self in (Stage.QUEUED, Stage.RUNNING, Stage.PAUSING)


@dataclass(frozen=True)
class DownloadEntry:
    """One row: what is fetched, into which folder, and how far that is.

    `done` and `total` are bytes, `progress` is there while it runs and shows what was last known
    of its files after. `added_at` is in Unix seconds.
    """

    id: str
    listing: Listing  # without what a load does not need
    folder: Path
    stage: Stage
    total: int
    done: int = 0
    progress: DownloadProgress | None = None
    trouble: Report | None = None  # of FAILED
    added_at: float = 0.0
    only: frozenset[str] | None = None  # paths, where not all of the listing is fetched
    had: frozenset[str] = frozenset()  # paths that were in the folder before: never deleted
    endpoint: str = ""  # a server that was named for it; "" for that of the settings
    opens: bool | None = None  # of DONE: whether the doctor says it opens; None: not looked yet

    @property
    def repository(self) -> RepositoryName:
        """What is fetched."""
        return self.listing.repository

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self.listing.repository)

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        """What is fetched of the listing."""
        only = self.only
        return tuple(file for file in self.listing.files if only is None or file.path in only)

    @property
    def share(self) -> float:
        """How much of it is here, 0 to 1."""
        return min(self.done / self.total, 1.0) if self.total else 0.0

    @property
    def is_checking(self) -> bool:
        """Whether all bytes are here and are being compared."""
        progress = self.progress
        running = self.stage is Stage.RUNNING and progress is not None
        return running and progress is not None and progress.state is DownloadState.CHECKING


@dataclass(frozen=True)
class Overview:
    """All downloads in one line, for the window's frame."""

    active: int = 0  # running or waiting for their turn
    running: int = 0
    paused: int = 0
    failed: int = 0
    done: int = 0  # bytes of those that are active
    total: int = 0
    speed: float = 0.0  # bytes a second, together
    remaining_s: float | None = None

    @property
    def percent(self) -> int:
        """Of the active ones; 100 only when all is here."""
        return min(99, self.done * 100 // self.total) if self.done < self.total else 100


def overview(entries: tuple[DownloadEntry, ...]) -> Overview:
    """What `entries` come to."""
    active = [entry for entry in entries if entry.stage.is_active]
    running = [entry for entry in active if entry.stage is not Stage.QUEUED]
    speed = sum(entry.progress.speed for entry in running if entry.progress is not None)
    done, total = sum(entry.done for entry in active), sum(entry.total for entry in active)
    return Overview(
        len(active),
        len(running),
        sum(entry.stage is Stage.PAUSED for entry in entries),
        sum(entry.stage is Stage.FAILED for entry in entries),
        done,
        total,
        speed,
        (total - done) / speed if speed > 0 else None,
    )


class TokenPlace(str, Enum):
    """Where the token of a hub comes from, in the order in which they count."""

    NONE = "none"
    RUN = "run"  # entered by the user, in memory as long as the program runs
    ENVIRONMENT = "environment"
    FILE = "file"  # of the hub's own programs
    KEYRING = "keyring"


@dataclass(frozen=True)
class Access:
    """As whom a hub is asked; the token itself never travels to the window."""

    place: TokenPlace = TokenPlace.NONE
    has_keyring: bool = True  # whether this system keeps secrets
    variable: str = ""  # the environment variable that would be looked at
