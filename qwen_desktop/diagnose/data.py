"""The data folder: what lies in it by kind and size, the room on its disk, the state of the
database. Everything is read, nothing is changed.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from qwen_desktop.diagnose import Row, Section, bytes_row
from qwen_desktop.errors import Known
from qwen_desktop.paths import Profile, demo_checkpoint, resources_dir
from qwen_desktop.storage import database, look, migrations
from qwen_desktop.storage.backups import BackupFolder

CHECK_SECONDS = 20.0  # for a look at all pages of a large file
_STEPS = 10_000  # of SQLite between two looks at the clock
_STATES = {
    look.State.NEW: "none yet",
    look.State.OURS: "readable",
    look.State.NEWER: "of a later version of this program",
    look.State.FOREIGN: "of another program",
    look.State.DAMAGED: "damaged",
}


def paths(profile: Profile) -> Section:
    """Where things lie."""
    demo = (demo_checkpoint() / "config.json").is_file()
    rows = (
        Row("data", str(profile.root)),
        Row("log", str(profile.log)),
        Row("crash_reports", str(profile.crashes)),
        Row("resources", str(resources_dir())),
        Row("demo_checkpoint", demo, "there" if demo else "missing"),
        Row("temporary_files", tempfile.gettempdir()),
    )
    return Section("paths", "Paths", rows)


def disk(profile: Profile) -> Section:
    """Room on the disks, and what the data folder takes."""
    rows = [*_room("data", profile.root), *_room("temporary", Path(tempfile.gettempdir()))]
    for name, place in (
        ("database", profile.database),
        ("database_log", profile.database.with_name(f"{profile.database.name}-wal")),
        ("log_file", profile.log),
        ("kv_caches", profile.kv_caches),
        ("compiled_code", profile.compiled_code),
        ("studies", profile.studies),
        ("crash_reports", profile.crashes),
    ):
        rows.append(bytes_row(f"{name}_size", sum(_sizes(place))))
    return Section("disk", "Disk", tuple(rows))


def _room(name: str, folder: Path) -> Iterator[Row]:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        yield Row(f"{name}_free", f"cannot be asked: {error.strerror}")
        return
    yield bytes_row(f"{name}_free", usage.free)
    yield bytes_row(f"{name}_total", usage.total)


def _sizes(place: Path) -> Iterator[int]:
    with suppress(OSError):
        if place.is_file():
            yield place.stat().st_size
        elif place.is_dir():
            for file in place.rglob("*"):
                with suppress(OSError):
                    if file.is_file():
                        yield file.stat().st_size


def chats(profile: Profile, is_open: bool) -> Section:
    """What the database is, and whether all of it can be read.

    `is_open`: a window has it. Then it is read beside that, as SQLite allows, and never written.
    """
    file = profile.database
    rows = [Row("open_in_a_window", is_open)]
    try:
        state = look.look(file)
        rows.append(Row("state", _STATES[state]))
        rows.append(Row("newest_format", migrations.LATEST))
        if state in (look.State.OURS, look.State.NEWER):
            rows += _inside(file, is_open)
        rows.append(Row("marked_for_a_check", database.mark_of(file).exists()))
        rows.append(Row("backups", len(BackupFolder(file).list())))
    except Known as trouble:
        rows.append(Row("trouble", trouble.report().for_log()))
    except (sqlite3.Error, OSError) as error:
        kind = "damaged" if database.is_damage(error) else type(error).__name__
        rows.append(Row("trouble", f"cannot be read: {kind}"))
    return Section("database", "Database", tuple(rows))


def _inside(file: Path, is_open: bool) -> Iterator[Row]:
    connect = database.connect_beside if is_open else database.connect_to_look
    with closing(connect(file)) as connection:
        yield Row("format", migrations.version_of(connection))
        for table in ("conversations", "messages"):
            with suppress(sqlite3.OperationalError):  # a later format may have others
                (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
                yield Row("chats" if table == "conversations" else table, int(count))
        yield Row("check", _check(connection))


def _check(connection: sqlite3.Connection) -> str:
    """What SQLite says of the pages of the file, within some seconds."""
    until = time.monotonic() + CHECK_SECONDS
    connection.set_progress_handler(lambda: int(time.monotonic() > until), _STEPS)
    try:
        found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)")]
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            return f"no fault within {CHECK_SECONDS:.0f} seconds, then ended"
        return str(error)
    except sqlite3.DatabaseError as error:
        return str(error)
    finally:
        connection.set_progress_handler(None, 0)
    # Beside page numbers it may name what a row holds: only the kind of fault is told.
    return "no fault" if found == ["ok"] else f"{len(found)} faults or more"
