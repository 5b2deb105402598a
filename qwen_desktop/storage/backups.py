"""Backups: copies of the database in the folder `backups` beside it, each one checked.

A copy is made by SQLite in one step through a connection of its own, from one state of the file:
writing goes on meanwhile, whoever calls. It gets its name when it has been read back as a whole.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from qwen_desktop.chat.backup import BackupInfo, BackupReason
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.storage import database as databases
from qwen_desktop.storage import migrations, private, trouble
from qwen_desktop.storage.database import Database, translated
from qwen_desktop.storage.pages import has_log, log_of

_log = logging.getLogger(__name__)

DAY = 24 * 3600.0
KEEP_LAST, KEEP_DAYS, KEEP_WEEKS = 3, 7, 4
KEPT_SECONDS = (KEEP_DAYS + 7 * KEEP_WEEKS) * DAY  # how long those before a change are kept

_NAME = re.compile(r"conversations-(\d{8}-\d{6})Z-([a-z-]+?)(?:-\d+)?\.db")
_TIME = "%Y%m%d-%H%M%S"


class BackupFolder:
    """The backups of the database at `file`. Any thread may use it, one at a time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.folder = file.parent / "backups"

    def list(self) -> tuple[BackupInfo, ...]:
        """All backups, the newest first."""
        found = [_info(file) for file in self.folder.glob("*.db")]
        return tuple(sorted(found, key=lambda info: (info.made_at, info.file.name), reverse=True))

    def due(self) -> bool:
        """Whether the newest backup is a day old, and something was written after it."""
        now = time.time()
        made = [_made(file)[0] for file in self.folder.glob("*.db")]
        # One of a time when the clock was wrong would put off all others.
        newest = max((one for one in made if one <= now), default=0.0)
        return now - newest >= DAY and _written_at(self._file) > newest

    def make(self, reason: BackupReason) -> BackupInfo:
        """Make a backup of what is there now, and remove those that are no longer kept.

        Raises Known where the disk refuses, or where the database turns out damaged: then nothing
        was added, and the next start checks it.
        """
        with translated(self.folder):
            private.make_folder(self.folder)
            for left in self.folder.glob("*.part*"):  # by a run that ended in the middle
                left.unlink(missing_ok=True)
        file = self._free_name(reason)
        part = file.with_name(f"{file.name}.part")
        try:
            with translated(self.folder):
                private.make_file(part)
                self._copy(part)
                if not is_sound(part):
                    databases.mark_damage(self._file)
                    raise trouble.damaged(self._file)
                sync(part)
                part.rename(file)
                sync(self.folder)
        finally:
            _remove(part)
        _log.info("backup made: %s", file.name)
        self.prune()
        return _info(file)

    def prune(self) -> None:
        """Remove backups that are neither young enough nor wanted for their day or week.

        The last three stay, one for each of seven days and of four weeks before; those before a
        change of all conversations as long, those the user asked for always. All together take at
        most half of what is free; the oldest go first, the newest never.
        """
        backups = self.list()
        wanted = _wanted(backups)
        with suppress(OSError):
            free = shutil.disk_usage(self.folder).free + sum(info.size for info in backups)
            taken = 0
            for info in backups:
                taken += info.size if info.file in wanted else 0
                if taken > free // 2 and info is not backups[0]:
                    wanted.discard(info.file)
        for info in backups:
            if info.file not in wanted:
                with suppress(OSError):
                    info.file.unlink()

    def newest_sound(self) -> BackupInfo | None:
        """The newest backup that is whole, every page of it looked at."""
        return next((info for info in self.list() if is_sound(info.file)), None)

    def _copy(self, part: Path) -> None:
        with (
            closing(databases.connect_beside(self._file)) as source,
            closing(sqlite3.connect(part, isolation_level=None)) as target,
        ):
            source.backup(target)
            # A backup is one file, to be read where nothing can be written.
            target.execute("PRAGMA journal_mode = DELETE")

    def _free_name(self, reason: BackupReason) -> Path:
        now = datetime.now(timezone.utc).strftime(_TIME)
        for further in ("", *(f"-{number}" for number in range(2, 1000))):
            file = self.folder / f"conversations-{now}Z-{reason.value}{further}.db"
            if not file.exists():
                return file
        raise trouble.cannot_open(self.folder)


class Backups(BackupFolder):
    """The backups of an open database. Made by `Store`; restoring needs its thread."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.file)
        self._database = database

    def restore(self, info: BackupInfo) -> None:
        """Put a backup in the place of all conversations, after a backup of these.

        At once or not at all, whenever it is cut off. Raises Known where the backup is damaged or
        the disk refuses; then everything is as before.
        """
        if self._database.read_only is not None:
            raise trouble.again(self._database.read_only)
        with translated(info.file):
            if not is_sound(info.file):
                raise Known(
                    QT_TRANSLATE_NOOP("errors", "The backup {file} is damaged."),
                    QT_TRANSLATE_NOOP("errors", "Choose another one; nothing was changed."),
                    file=info.file,
                )
        self.make(BackupReason.RESTORE)
        connection = self._database.connection
        with translated(self._database.file), self._as_now(info.file, connection) as source:
            source.backup(connection)

    @contextmanager
    def _as_now(self, backup: Path, like: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        """A copy of a backup in the latest format, with pages as large as those of `like`."""
        (page_bytes,) = like.execute("PRAGMA page_size").fetchone()
        copy = self.folder / f"{backup.name}.part"
        try:
            private.make_file(copy)
            shutil.copyfile(backup, copy)
            with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
                migrations.migrate(connection)
                if connection.execute("PRAGMA page_size").fetchone() != (page_bytes,):
                    connection.execute(f"PRAGMA page_size = {page_bytes}")
                    connection.execute("VACUUM")
                yield connection
        finally:
            _remove(copy)


def is_sound(file: Path) -> bool:
    """Whether a database is ours, of a format we know, and every page of it is as it should be."""
    try:
        with closing(databases.connect_to_look(file)) as connection:
            if not migrations.is_ours(connection):
                return False
            version = migrations.version_of(connection)
            checked = connection.execute("PRAGMA integrity_check (1)").fetchone()
            return 0 < version <= migrations.LATEST and checked == ("ok",)
    except (sqlite3.Error, UnicodeDecodeError):
        return False


def _wanted(backups: Iterable[BackupInfo]) -> set[Path]:
    now = time.time()
    wanted: set[Path] = set()
    spans = set()
    for place, info in enumerate(backups):  # the newest first
        age = now - info.made_at
        days = int(age // DAY)
        span = ("day", days) if days < KEEP_DAYS else ("week", (days - KEEP_DAYS) // 7)
        is_last_of_span = age < KEPT_SECONDS and span not in spans
        if not info.is_damaged:
            spans.add(span)
        if (
            place < KEEP_LAST
            or is_last_of_span
            or info.reason is BackupReason.ASKED
            or (info.reason is not BackupReason.DAILY and age < KEPT_SECONDS)
        ):
            wanted.add(info.file)
    return wanted


def _info(file: Path) -> BackupInfo:
    made_at, reason = _made(file)
    size = file.stat().st_size if file.exists() else 0
    info = BackupInfo(file, made_at, reason, size)
    try:
        with closing(databases.connect_to_look(file)) as connection:
            listed = "FROM conversations WHERE deleted_at IS NULL"  # without those in the bin
            (conversations,) = connection.execute(f"SELECT count(*) {listed}").fetchone()
            theirs = f"conversation IN (SELECT number {listed})"
            said = f"SELECT count(*) FROM messages WHERE {theirs}"
            (messages,) = connection.execute(said).fetchone()
    except (sqlite3.Error, UnicodeDecodeError):
        return replace(info, is_damaged=True)
    return replace(info, conversations=conversations, messages=messages)


def _made(file: Path) -> tuple[float, BackupReason]:
    """When and why, by the name; one that was renamed counts as asked for, when it was written."""
    match = _NAME.fullmatch(file.name)
    if match is not None:
        with suppress(ValueError):
            made = datetime.strptime(match[1], _TIME).replace(tzinfo=timezone.utc)
            return made.timestamp(), BackupReason(match[2])
    with suppress(OSError):
        return file.stat().st_mtime, BackupReason.ASKED
    return 0.0, BackupReason.ASKED


def _written_at(file: Path) -> float:
    found = [0.0]
    # An open database has an empty log beside it.
    for one in (file, log_of(file)) if has_log(file) else (file,):
        with suppress(OSError):
            found.append(one.stat().st_mtime)
    return max(found)


def _remove(part: Path) -> None:
    """Remove a file that has not become a backup, and what SQLite had beside it."""
    for end in ("", "-journal", "-wal", "-shm"):
        with suppress(OSError):
            part.with_name(f"{part.name}{end}").unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on disk."""
    if path.is_dir() and os.name == "nt":
        return  # there it cannot be asked for
    opened = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
