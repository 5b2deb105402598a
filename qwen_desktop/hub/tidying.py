"""Removes the small things that a process which was killed leaves beside whole files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from qwen_desktop.chat.hub import PlannedFile, Standing
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


def remove_unfinished(folders: Iterable[Path]) -> None:
    """Files in `folders` that were being written when a process ended. Raises OSError."""
    for folder in folders:
        if folder.is_dir():
            for path in folder.iterdir():
                if _UNFINISHED.fullmatch(path.name):
                    path.unlink(missing_ok=True)
