"""Checkpoint folders below a folder that is none itself. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from qwen_desktop.engine.files import unreadable

CONFIG = "config.json"
MAX_SEEN = 500  # entries of a folder that are looked at
MAX_FOUND = 40


def checkpoints_in(folder: Path) -> tuple[Path, ...]:
    """Folders with a config.json in `folder`, by name; none where it has one itself.

    Looks one level down, and into `snapshots`, where download caches keep them. Raises Known
    where `folder` cannot be read.
    """
    try:
        if (folder / CONFIG).exists() or not folder.is_dir():
            return ()
        found = [path for path in islice(folder.iterdir(), MAX_SEEN) if _is_checkpoint(path)]
        found += [path for path in _snapshots(folder) if _is_checkpoint(path)]
    except OSError as error:
        raise unreadable(folder, error) from error
    return tuple(sorted(found)[:MAX_FOUND])


def _snapshots(folder: Path) -> Iterator[Path]:
    snapshots = folder / "snapshots"
    if snapshots.is_dir():
        yield from islice(snapshots.iterdir(), MAX_SEEN)


def _is_checkpoint(folder: Path) -> bool:
    try:
        return (folder / CONFIG).is_file()
    except OSError:  # not ours to read
        return False
