"""Opening the database of a profile, whatever became of it: the thread of the store does it before
anything is read.

After a run that did not close it (a log lies beside it), or that met damage (a mark does), every
page is checked. A damaged file is set aside, never removed: the newest backup takes its place with
all that can be read of the damaged one. Cut off at any moment, the next start goes on.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from qwen_desktop.chat.backup import BackupReason
from qwen_desktop.chat.opening import OpeningReport, Recovery
from qwen_desktop.errors import Known
from qwen_desktop.storage import database as databases
from qwen_desktop.storage import migrations, private, recovery, salvage, trouble
from qwen_desktop.storage.backups import BackupFolder, sync
from qwen_desktop.storage.database import Database, translated
from qwen_desktop.storage.look import State, look
from qwen_desktop.storage.pages import Log, has_log, log_is_read, log_of

_log = logging.getLogger(__name__)

_BESIDE = ("", "-wal", "-shm", "-journal")
# With these the conversations can still be read.
_READABLE = (trouble.DISK_FULL, trouble.READ_ONLY, trouble.IO)


def open_database(file: Path) -> tuple[Database, OpeningReport]:
    """Open or make the database at `file`, and what was met.

    Raises Known where it cannot be opened even to be read: in use, another program's, or damaged
    where nothing can be written.
    """
    with translated(file):
        _finish_recovery(file)
    state = look(file)
    if state is State.FOREIGN:
        raise trouble.foreign(file)
    report = OpeningReport(clean=not has_log(file))
    if state is State.NEWER:
        return _to_read(file, trouble.newer(file), report)
    if state is not State.NEW and not _can_be_written(file):
        if state is State.DAMAGED:
            raise trouble.damaged(file)
        return _to_read(file, trouble.not_writable(file), report)
    if state is State.NEW and _was_something(file):
        state = State.DAMAGED  # nothing is left of it, but perhaps what was written last
    if state is State.OURS and (not report.clean or databases.mark_of(file).exists()):
        begun = time.monotonic()
        state = State.OURS if _is_whole(file) else State.DAMAGED
        seconds = time.monotonic() - begun
        _log.info("checked the database in %.2f s: %s", seconds, state.name)
        report = replace(report, checked=True, check_seconds=seconds)
    if state is State.DAMAGED:
        report = replace(report, damaged=_recover(file))
    try:
        database = _to_write(file)
    except Known as known:
        if known.code == trouble.DAMAGED and report.damaged is None:
            report = replace(report, damaged=_recover(file))
            database = _to_write(file)
        elif known.code in _READABLE and file.exists() and file.stat().st_size:
            return _to_read(file, known, report)
        else:
            raise
    databases.mark_of(file).unlink(missing_ok=True)
    return database, report


def recover_database(file: Path) -> tuple[Database, OpeningReport]:
    """The same for a database that turned out damaged after it was opened, and is closed again."""
    report = OpeningReport(damaged=_recover(file))
    database = _to_write(file)
    databases.mark_of(file).unlink(missing_ok=True)
    return database, report


def _was_something(file: Path) -> bool:
    """Whether a database without content once had some: it has backups, or left its log."""
    is_empty = not file.exists() or file.stat().st_size == 0  # a log comes after the first page
    return bool(BackupFolder(file).list()) or (is_empty and has_log(file))


def _to_write(file: Path) -> Database:
    return Database.open(file, _saved(file))


def _to_read(file: Path, why: Known, report: OpeningReport) -> tuple[Database, OpeningReport]:
    _log.warning("the database is only read: %s", why)
    return Database.open_to_read(file, why, _saved(file)), replace(report, read_only=why.report())


def _saved(file: Path) -> Callable[[], None]:
    def make() -> None:
        BackupFolder(file).make(BackupReason.MIGRATION)

    return make


def _can_be_written(file: Path) -> bool:
    return os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)


def _is_whole(file: Path) -> bool:
    """Whether SQLite finds nothing wrong with any page, nor we with the log. Raises Known."""
    with translated(file):
        try:
            with closing(databases.connect_to_check(file)) as connection:
                if connection.execute("PRAGMA integrity_check (1)").fetchone() != ("ok",):
                    return False
                if databases.mark_of(file).exists() and not databases.has_good_schema(connection):
                    return False
                # While SQLite has it open: closing folds the log into the file.
                return not has_log(file) or log_is_read(file) or not _loses_something(file)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if databases.is_damage(error):
                return False
            raise


def _loses_something(file: Path) -> bool:
    return Log(log_of(file).read_bytes()).loses_something


# -- recovery ------------------------------------------------------------------------------


def _recover(file: Path) -> Recovery:
    """Make a database of the newest backup and what can be read of `file`, and put it in place."""
    begun = time.monotonic()
    with translated(file):
        was_missing = not file.exists() and not has_log(file)
        making = file.with_name(f"{file.name}.recovering")
        _remove(making)
        found = salvage.collect(file)
        backup = BackupFolder(file).newest_sound()
        try:
            private.make_file(making)
            if backup is not None:
                shutil.copyfile(backup.file, making)
            merged = _fill(making, found)
            sync(making)
        except BaseException:
            _remove(making)
            raise
        # From here on it is whole: whoever finds it under this name puts it in place.
        making.replace(_recovered(file))
        sync(file.parent)
        set_aside = _put_in_place(file)
    seconds = time.monotonic() - begun
    _log.warning(
        "the database was damaged: %d messages recovered in %.2f s, the damaged file is in %s",
        merged.messages,
        seconds,
        set_aside.name,
    )
    return Recovery(
        set_aside,
        backup,
        merged.conversations,
        merged.messages,
        merged.damaged,
        seconds,
        was_missing,
    )


def _fill(making: Path, found: salvage.Salvage) -> recovery.Merged:
    with closing(sqlite3.connect(making, isolation_level=None)) as connection:
        if connection.execute("PRAGMA page_count").fetchone() == (0,):
            databases.shape_new(connection)
        connection.execute("PRAGMA synchronous = OFF")  # it is synced as a whole
        connection.execute("PRAGMA journal_mode = MEMORY")
        migrations.migrate(connection)
        merged = recovery.merge(connection, found)
        connection.execute("PRAGMA journal_mode = DELETE")
    return merged


def _recovered(file: Path) -> Path:
    return file.with_name(f"{file.name}.recovered")


def _finish_recovery(file: Path) -> None:
    """Go on where an earlier start was cut off after everything had been recovered."""
    if _recovered(file).exists():
        _put_in_place(file)


def _put_in_place(file: Path) -> Path:
    """Set the damaged file aside with what lies beside it; the recovered one takes its name.

    The folder where they are now; that of the database where there was nothing.
    """
    # The log last: it belongs to no other file than this one.
    beside = [file.with_name(f"{file.name}{end}") for end in _BESIDE]
    folder = file.parent
    if any(one.exists() for one in beside):
        folder = _new_folder(file.parent / "damaged")
        for one in beside:
            if one.exists():
                one.rename(folder / one.name)
        sync(folder)
    _recovered(file).replace(file)
    sync(file.parent)
    return folder


def _new_folder(above: Path) -> Path:
    private.make_folder(above)
    now = time.strftime("%Y-%m-%d %H.%M.%S")
    for further in ("", *(f" {number}" for number in range(2, 1000))):
        folder = above / f"{now}{further}"
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return folder
    raise trouble.cannot_open(above)


def _remove(file: Path) -> None:
    for end in _BESIDE:
        file.with_name(f"{file.name}{end}").unlink(missing_ok=True)
