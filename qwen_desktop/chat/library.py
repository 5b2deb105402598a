"""The checkpoints of this machine, as the library lists them. Values; standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from qwen_desktop.chat.checkpoint import Fit, FolderReport, Severity
from qwen_desktop.errors import Report

MOST = 2000  # folders of a library

# Findings of the doctor that files which are missing or damaged explain: fetching them may help.
ADOPTABLE = frozenset(
    {
        "lfs-pointer", "shards-missing", "shard-truncated", "weights-missing", "tensor-missing",
        "tokenizer-missing", "config-missing", "file-damaged", "layers-missing",
        "partial-download", "quantisation-incomplete",
    }
)  # fmt: skip


class Health(str, Enum):
    """The doctor's verdict in a word. The values are those of the file."""

    UNKNOWN = "unknown"  # not looked into yet
    GOOD = "good"
    WARNED = "warned"  # it opens, with a warning
    INCOMPLETE = "incomplete"  # it does not open: files are missing or cut off
    BROKEN = "broken"  # it does not open for another reason
    GONE = "gone"  # the folder is not there: a disk that is not plugged in


class Place(str, Enum):
    """How a folder came into the library. The values are those of the file."""

    ADDED = "added"  # by the user
    OPENED = "opened"  # it was opened once
    WATCHED = "watched"  # found below a folder that is watched
    HUGGING_FACE = "huggingface"  # in the cache of the hub's own program
    MODELSCOPE = "modelscope"
    DOWNLOADED = "downloaded"  # in the folder of downloads


@dataclass(frozen=True)
class LibraryEntry:
    """One folder. `fit` and `context` are of the moment it was looked into.

    `stamp` changes with its files, and `machine` with what memory was free: while both are the
    same it need not be looked into again. Sizes in bytes, times in Unix seconds.
    """

    folder: Path
    name: str
    place: Place
    family: str = ""  # for people: "Qwen3 MoE"
    parameters: int = 0
    stored: str = ""  # "BF16", "GPTQ Int4, groups of 128"
    health: Health = Health.UNKNOWN
    codes: tuple[str, ...] = ()  # of errors and warnings
    verdict: Report | None = None  # the worst of them
    fit: Fit | None = None  # None where it cannot be told
    context: int = 0  # the longest that fits
    size: int = 0  # on the disk
    used_at: float = 0.0  # opened last; 0 for never
    is_chat: bool = True
    stamp: str = ""
    machine: str = ""

    @property
    def can_adopt(self) -> bool:
        """Whether fetching files may mend it."""
        return self.health is not Health.GONE and bool(ADOPTABLE.intersection(self.codes))

    @property
    def opens(self) -> bool:
        """Whether the doctor would let it be opened."""
        return self.health in (Health.GOOD, Health.WARNED)


@dataclass(frozen=True)
class Shelf:
    """All that is kept of a library."""

    entries: tuple[LibraryEntry, ...] = ()
    watched: tuple[Path, ...] = ()  # folders below which checkpoints are looked for
    hidden: frozenset[str] = frozenset()  # folders that were taken off the list


@dataclass(frozen=True)
class Removal:
    """What deleting would do. `paths` are files and links; `folders` go where they are empty."""

    folder: Path
    paths: tuple[Path, ...]
    folders: tuple[Path, ...]
    freed: int  # bytes that are free on the disk then
    kept: int = 0  # other files in the folder, which stay


def health_of(report: FolderReport) -> Health:
    """The verdict of a report in a word."""
    if not report.opens:
        errors = {f.code for f in report.findings if f.severity is Severity.ERROR}
        if errors & {"folder-missing", "not-a-folder"}:
            return Health.GONE
        mends = bool(errors) and errors <= ADOPTABLE
        return Health.INCOMPLETE if mends else Health.BROKEN
    warned = any(finding.severity is Severity.WARNING for finding in report.findings)
    return Health.WARNED if warned else Health.GOOD
