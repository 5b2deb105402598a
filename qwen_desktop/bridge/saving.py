"""What is told of changes that wait for the disk. Values only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from qwen_desktop.chat.tree import Conversation
from qwen_desktop.errors import Report

# Codes of trouble that passes without anything being done in the program.
PASSING = frozenset({"disk-full", "read-only", "locked", "io"})
# And of that which lasts until the next start. What is refused for either is not given up.
LASTING = frozenset({"newer", "damaged"})


@dataclass(frozen=True)
class SavingState:
    """How many changes are not on disk yet, and the sentence that says why."""

    waiting: int = 0
    report: Report | None = None  # of the first that waits

    @property
    def all_saved(self) -> bool:
        """Whether nothing waits."""
        return not self.waiting


@dataclass(frozen=True)
class Unsaved:
    """What can be written to another place where the disk goes on refusing."""

    conversations: tuple[Conversation, ...] = ()
    drafts: Mapping[str, str] = field(default_factory=dict)  # by conversation, "" for a new one

    @classmethod
    def of(cls, conversations: Iterable[Conversation], drafts: Mapping[str, str]) -> Unsaved:
        """Every conversation once: of the same one, the last."""
        by_id = {conversation.id: conversation for conversation in conversations}
        return cls(tuple(by_id.values()), {key: text for key, text in drafts.items() if text})


def is_refusal(report: Report) -> bool:
    """Whether the disk or the file on it is at fault, not the change."""
    return report.code in PASSING | LASTING
