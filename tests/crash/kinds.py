"""All that the program is killed at, and how often in a run of the tests."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.crash import backup_kinds, bridge_kinds, storage_kinds
from tests.crash.killing import Kind, kill_once

Maker = Callable[[Path, random.Random], Kind]

# Of 200: as many as find something, fewer where a process takes its time.
SHARES = {
    "typing": 24,
    "sending": 24,
    "streaming": 24,
    "arranging": 22,
    "migrating": 26,
    "importing": 20,
    "backing up": 20,
    "restoring": 14,
    "emptying the bin": 14,
    "indexing": 14,
}


def makers(folder: Path) -> dict[str, Maker]:
    """How to make each kind; `folder` holds a checkpoint that never ends an answer by itself."""
    return {
        "typing": bridge_kinds.Typing,
        "sending": partial(bridge_kinds.Sending, folder=folder),
        "streaming": partial(bridge_kinds.Streaming, folder=folder),
        "arranging": bridge_kinds.Arranging,
        "migrating": storage_kinds.Migrating,
        "importing": storage_kinds.Importing,
        "backing up": backup_kinds.BackingUp,
        "restoring": backup_kinds.Restoring,
        "emptying the bin": storage_kinds.EmptyingBin,
        "indexing": storage_kinds.Indexing,
    }


def kill_often(kind: Kind, kills: int) -> int:
    """Kill until it was hit `kills` times, not counting processes that had ended before.

    Returns how many processes there were. Raises AssertionError where something is lost.
    """
    hits = processes = 0
    while hits < kills:
        hits += kill_once(kind).killed is not None
        processes += 1
        assert processes < 4 * kills + 20, "the processes end before they can be killed"
    return processes
