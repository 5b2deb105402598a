"""Careful reads from a checkpoint folder: size limits, and trouble told in sentences.

Standard library only. Whatever stands in a checkpoint was made by somebody else: it may be cut
off, huge, a pointer left by Git LFS, or gone between two reads.
"""

from __future__ import annotations

import errno
import json
import stat
from pathlib import Path
from typing import Any

from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

LFS_MARK = b"version https://git-lfs"


def unreadable(path: Path, error: OSError) -> Known:
    """The sentence for a file or folder the system refuses to read."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} cannot be read: {reason}."),
        QT_TRANSLATE_NOOP("errors", "Check that the disk is there and that you may read it."),
        details=str(path),
        code="unreadable",
        file=path.name,
        reason=error.strerror or type(error).__name__,
    )


def lfs_pointer(path: Path) -> Known:
    """The sentence for a file that Git LFS left as a pointer."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} is only a Git LFS pointer, not the file itself."),
        QT_TRANSLATE_NOOP("errors", "Run “git lfs pull” in the folder, or download it again."),
        details=str(path),
        code="lfs-pointer",
        file=path.name,
    )


def read_head(path: Path, count: int) -> bytes:
    """The first `count` bytes of `path` (fewer where it is shorter). Raises Known."""
    try:
        _refuse_special(path)
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise unreadable(path, error) from error


def _refuse_special(path: Path) -> None:
    """Raise OSError for a pipe or a device: to open or to read it might never end."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a directory is told of by open()
        raise OSError(errno.EINVAL, "not a regular file")


def check_size(path: Path, limit: int) -> None:
    """Refuse a file over `limit` bytes that somebody else is going to read. Raises Known."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from error
    if size > limit:
        raise too_large(path, limit)


def too_large(path: Path, limit: int) -> Known:
    """The sentence for a file of more bytes than there is a use for."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} is larger than any real one ({limit} MiB)."),
        QT_TRANSLATE_NOOP("errors", "Download the checkpoint again from its source."),
        details=str(path),
        code="file-too-large",
        file=path.name,
        limit=limit // 2**20,
    )


def read_text(path: Path, limit: int) -> str:
    """All of `path` as UTF-8 text. Raises Known: unreadable, over `limit` bytes, not text."""
    data = read_head(path, limit + 1)
    if data.startswith(LFS_MARK):
        raise lfs_pointer(path)
    if len(data) > limit:
        raise too_large(path, limit)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise broken(path, error) from error


def broken(path: Path, error: Exception) -> Known:
    """The sentence for a file whose content is not what its name promises."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} is damaged: its content does not make sense."),
        QT_TRANSLATE_NOOP("errors", "Download this file again."),
        details=f"{path}\n{type(error).__name__}: {error}",
        code="file-damaged",
        file=path.name,
    )


def read_object(path: Path, limit: int = 8 * 2**20) -> dict[str, Any]:
    """The JSON object in `path`. Raises Known as `read_text` does, and where it is not one."""
    text = read_text(path, limit)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise broken(path, error) from error
    if not isinstance(value, dict):
        raise broken(path, TypeError(f"expected an object, found {type(value).__name__}"))
    return value
