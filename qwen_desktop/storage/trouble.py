"""What the operating system refuses, told as `Known`. Must not import sqlite3: the small JSON
files, which are read before the first paint, share it with the database.
"""

from __future__ import annotations

import errno
from pathlib import Path

from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

# What can be done about trouble goes by its code: `bridge/saving.py` waits where it can pass.
DISK_FULL, READ_ONLY, LOCKED, IO = "disk-full", "read-only", "locked", "io"
DAMAGED, NEWER = "damaged", "newer"

_FULL = {errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_FAILED = {errno.EIO, errno.ENXIO, errno.ENODEV, errno.EFBIG}


def disk_full(file: Path, details: str = "") -> Known:
    """Nothing more fits on the disk of `file`."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "The disk is full: {file} could not be saved."),
        QT_TRANSLATE_NOOP("errors", "Free some space and try again."),
        details=details,
        code=DISK_FULL,
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
        code=READ_ONLY,
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
    if error.errno in _FAILED:
        return disk_failed(file, details)
    return cannot_open(file, details)


def newer(file: Path) -> Known:
    """`file` is of a format that this version can read but must not write."""
    return Known(
        QT_TRANSLATE_NOOP(
            "errors",
            "{file} was written by a newer Qwen Desktop: "
            "its chats can be read here, but not changed.",
        ),
        QT_TRANSLATE_NOOP("errors", "Install the newer version to go on with them."),
        code=NEWER,
        file=file,
    )


def unreadable(file: Path, found: int, newest: int) -> Known:
    """`file` is of a format that this version cannot even read."""
    return Known(
        QT_TRANSLATE_NOOP(
            "errors",
            "{file} was written by a newer Qwen Desktop: its format is {found}, "
            "and this version reads up to {newest}.",
        ),
        QT_TRANSLATE_NOOP("errors", "Install the newer version; the file was not changed."),
        code=NEWER,
        file=file,
        found=found,
        newest=newest,
    )


def foreign(file: Path) -> Known:
    """`file` belongs to another program."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} is a database of another program."),
        QT_TRANSLATE_NOOP(
            "errors", "Move it to another place, or choose another folder with --profile."
        ),
        file=file,
    )


def damaged(file: Path, details: str = "") -> Known:
    """`file` cannot be read. The next start recovers what can be."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} is damaged."),
        QT_TRANSLATE_NOOP(
            "errors",
            "Start the application again: it then opens a backup and recovers what can be read.",
        ),
        details=details,
        code=DAMAGED,
        file=file,
    )


def locked(file: Path, details: str = "") -> Known:
    """Another process holds `file`."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "Another program is using {file}."),
        QT_TRANSLATE_NOOP("errors", "Close that program and try again."),
        details=details,
        code=LOCKED,
        file=file,
    )


def disk_failed(file: Path, details: str = "") -> Known:
    """The disk of `file` does not do what it should."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "The disk failed while {file} was read or written."),
        QT_TRANSLATE_NOOP(
            "errors", "Check the disk and its connection, then start the application again."
        ),
        details=details,
        code=IO,
        file=file,
    )


def again(known: Known) -> Known:
    """The same sentence to be raised once more."""
    return Known(
        known.template, known.remedy, details=known.details, code=known.code, **known.values
    )
