"""What was found in files of conversations, and what became of each. Frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from qwen_desktop.chat.record import Record
from qwen_desktop.errors import Report


class Outcome(str, Enum):
    """What became of one conversation of a file."""

    ADDED = "added"
    MERGED = "merged"  # it was there; it got messages it lacked, or came back from the bin
    SAME = "same"  # it was there with all its messages
    REJECTED = "rejected"


@dataclass(frozen=True)
class Found:
    """A conversation read from a file. `notes` tell what of it is not kept as it was."""

    record: Record
    file: str  # name of the file, for people
    position: int = 0  # in the file, from 1; 0 for all of it
    notes: tuple[Report, ...] = ()


@dataclass(frozen=True)
class Refused:
    """A part of a file that is no conversation, and why."""

    file: str
    position: int
    report: Report
    title: str = ""


@dataclass(frozen=True)
class Entry:
    """A line of the result. `report` says why it was rejected."""

    file: str
    position: int
    title: str
    outcome: Outcome
    conversation_id: str = ""
    report: Report | None = None
    notes: tuple[Report, ...] = ()

    @property
    def place(self) -> str:
        """Where it stood: the name of the file and the number in it."""
        return f"{self.file} #{self.position}" if self.position else self.file


@dataclass(frozen=True)
class Result:
    """What an import came to."""

    entries: tuple[Entry, ...] = ()
    checkpoints: tuple[Path, ...] = ()  # of what was to be opened: folders of models
    cancelled: bool = False
    trouble: Report | None = None  # why it ended before its end

    def of(self, outcome: Outcome) -> tuple[Entry, ...]:
        """The entries that came to `outcome`, in their order."""
        return tuple(entry for entry in self.entries if entry.outcome is outcome)

    @property
    def taken(self) -> tuple[Entry, ...]:
        """The entries that are in the profile now."""
        return tuple(entry for entry in self.entries if entry.outcome is not Outcome.REJECTED)


@dataclass(frozen=True)
class Progress:
    """How far an import is. `done` and `total` are bytes of the files; total 0: not known yet."""

    file: str = ""
    done: int = 0
    total: int = 0
    conversations: int = 0  # that are in the profile by now


def entry_found(found: Found, outcome: Outcome, conversation_id: str) -> Entry:
    """The line for a conversation that came in. `conversation_id` is its id in the profile."""
    summary = found.record.conversation.summary()
    return Entry(
        found.file, found.position, summary.title, outcome, conversation_id, notes=found.notes
    )


def entry_refused(refused: Refused) -> Entry:
    """The line for a part that did not."""
    return Entry(
        refused.file, refused.position, refused.title, Outcome.REJECTED, report=refused.report
    )
