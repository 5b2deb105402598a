"""Removes the small things that a process which was killed leaves beside whole files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from qwen_desktop.chat.hub import PlannedFile, Standing
from qwen_desktop.errors import Known
from qwen_desktop.hub import journal, safe_paths, source_file
from qwen_desktop.hub.planning import part_of

# As `small_files.write_whole` names what it is writing.
_UNFINISHED = re.compile(rf"(.+\.part\.ranges|{re.escape(source_file.NAME)})\.\d+\.tmp")


def tidy(folder: Path, files: Iterable[PlannedFile]) -> None:
    """Journals and parts of files that are whole, and files that were being written.

    Nobody else may be at work in `folder`. Raises OSError.
    """
    folders = {folder}
    for one in files:
        target = safe_paths.inside(folder, one.file.path)
        folders.add(target.parent)
        if one.standing in (Standing.PRESENT, Standing.CHECKED):
            part = part_of(target)
            for path in (part, journal.name_of(part)):
                path.unlink(missing_ok=True)
    remove_unfinished(folders)


def remove_whole(folder: Path, paths: Iterable[str]) -> None:
    """The files at `paths` of a repository, and folders below `folder` that they leave empty.

    What a link leads to out of `folder` stays. Raises OSError.
    """
    inside: set[Path] = set()
    for path in paths:
        try:
            file = safe_paths.inside(folder, path)
        except Known:
            continue
        file.unlink(missing_ok=True)
        inside.update(parent for parent in file.parents if folder in parent.parents)
    for inner in sorted(inside, key=lambda path: len(path.parts), reverse=True):
        if inner.is_dir() and not inner.is_symlink() and next(inner.iterdir(), None) is None:
            inner.rmdir()


def remove_unfinished(folders: Iterable[Path]) -> None:
    """Files in `folders` that were being written when a process ended. Raises OSError."""
    for folder in folders:
        if folder.is_dir():
            for path in folder.iterdir():
                if _UNFINISHED.fullmatch(path.name):
                    path.unlink(missing_ok=True)
