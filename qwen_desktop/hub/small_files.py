"""Small files written whole or not at all, and what else of the file system is the same for all."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path


def write_whole(file: Path, content: bytes) -> None:
    """A reader meets the old content or the new, even after a crash. Raises OSError."""
    fresh = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        with fresh.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        replace(fresh, file)
    except OSError:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise


def replace(old: Path, new: Path) -> None:
    """Rename over what is there, with patience on Windows, where a scanner may hold it a moment.

    The name is on the disk when it returns, where the system offers that. Raises OSError.
    """
    for wait_s in (0.02, 0.1, 0.5, 1.0):
        try:
            old.replace(new)
            break
        except PermissionError:
            if os.name != "nt":
                raise
            time.sleep(wait_s)
    else:
        old.replace(new)
    sync_folder(new.parent)


def sync_folder(folder: Path) -> None:
    """Names of `folder` are on the disk when it returns, where the system offers that."""
    if os.name == "nt":
        return
    with suppress(OSError):  # some file systems refuse it for folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def free_bytes(folder: Path) -> int:
    """Bytes that still fit on the disk that `folder` is on, or would be. Raises OSError."""
    for place in (folder, *folder.absolute().parents):
        if place.exists():
            return shutil.disk_usage(place).free
    raise FileNotFoundError(folder)
