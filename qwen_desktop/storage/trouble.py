"""What the operating system refuses, told as `Known`. Must not import sqlite3: the small JSON
files, which are read before the first paint, share it with the database.
"""

from __future__ import annotations

import errno
from pathlib import Path

from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

_FULL = {errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


def disk_full(file: Path, details: str = "") -> Known:
    """Nothing more fits on the disk of `file`."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "The disk is full: {file} could not be saved."),
        QT_TRANSLATE_NOOP("errors", "Free some space and try again."),
        details=details,
        code="disk-full",
        file=file,
    )


def not_writable(file: Path, details: str = "") -> Known:
    """`file`, or the folder around it, does not take writing."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} cannot be written."),
        QT_TRANSLATE_NOOP(
            "errors",
            "Allow writing to it and to its folder, or choose another folder with --profile.",
        ),
        details=details,
        code="read-only",
        file=file,
    )


def cannot_open(file: Path, details: str = "") -> Known:
    """`file` cannot be opened or made: a file where a folder is needed, or the reverse."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} cannot be opened."),
        QT_TRANSLATE_NOOP(
            "errors",
            "Check that its folder is a folder that can be written, "
            "or choose another one with --profile.",
        ),
        details=details,
        file=file,
    )


def from_os(error: OSError, file: Path) -> Known:
    """The sentence for `error`, met while reading or writing `file`."""
    details = f"{type(error).__name__}: {error}"
    if error.errno in _FULL:
        return disk_full(file, details)
    if error.errno in _REFUSED:
        return not_writable(file, details)
    return cannot_open(file, details)
