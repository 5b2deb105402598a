"""Checkpoint folders below a folder that is none itself. Standard library only."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from qwen_desktop.engine.files import unreadable

CONFIG = "config.json"
MAX_SEEN = 500  # entries of a folder that are looked at
MAX_FOUND = 40


def checkpoints_in(folder: Path) -> tuple[Path, ...]:
    """Folders with a config.json in `folder`, by name; none where it has one itself.

    Looks one level down, and into `snapshots`, where download caches keep them, also from the
    cache itself. Raises Known where `folder` cannot be read.
    """
    try:
        if (folder / CONFIG).exists() or not folder.is_dir():
            return ()
        below = list(islice(folder.iterdir(), MAX_SEEN))
        found = [path for path in below if _is_checkpoint(path)]
        for place in (folder, *(path for path in below if path.name.startswith("models--"))):
            found += [path for path in _snapshots(place) if _is_checkpoint(path)]
    except OSError as error:
        raise unreadable(folder, error) from error
    return tuple(sorted(found)[:MAX_FOUND])


def _snapshots(folder: Path) -> list[Path]:
    try:
        snapshots = folder / "snapshots"
        return list(islice(snapshots.iterdir(), MAX_SEEN)) if snapshots.is_dir() else []
    except OSError:  # not ours to read
        return []


def _is_checkpoint(folder: Path) -> bool:
    try:
        return (folder / CONFIG).is_file()
    except OSError:  # not ours to read
        return False
