"""Files and folders that only their owner reads, whatever the umask says.

Windows needs nothing: the folder of a user's data is closed to other users by what it inherits.
"""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

_OTHERS = 0o077


def make_folder(folder: Path) -> None:
    """Make a folder of ours, or close the one there is to others. Raises OSError.

    A folder that is shared on purpose, or somebody's home, is left as it is: it was only chosen.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if sys.platform != "win32":
        status = folder.stat()
        is_shared = status.st_mode & stat.S_ISVTX or folder.resolve() in (Path.home(), Path("/"))
        if status.st_uid == os.getuid() and not is_shared:
            _close(folder, 0o700, status.st_mode)


def make_file(file: Path) -> None:
    """Make an empty file, or close the one there is to others. Raises OSError."""
    if os.name == "nt":
        return
    # SQLite gives its further files the mode of the database.
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    close_file(file)


def close_file(file: Path) -> None:
    """Close a file to others, where there is one."""
    if os.name != "nt" and file.is_file():
        _close(file, 0o600, file.stat().st_mode)


def _close(path: Path, mode: int, now: int) -> None:
    if now & _OTHERS:
        with suppress(PermissionError):  # of another owner, or on a disk without such marks
            path.chmod(mode)
