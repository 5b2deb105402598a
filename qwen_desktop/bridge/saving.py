"""What is told of changes that wait for the disk. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from qwen_desktop.errors import Report

# Codes of trouble that can pass: what was refused for one of them is tried again.
PASSING = frozenset({"disk-full", "read-only", "locked", "io"})


@dataclass(frozen=True)
class SavingState:
    """How many changes are not on disk yet, and the sentence that says why."""

    waiting: int = 0
    report: Report | None = None  # of the first that waits

    @property
    def all_saved(self) -> bool:
        """Whether nothing waits."""
        return not self.waiting


def can_pass(report: Report) -> bool:
    """Whether the trouble is of a kind that ends without anything being changed in the program."""
    return report.code in PASSING
