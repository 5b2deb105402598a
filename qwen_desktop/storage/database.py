"""One SQLite file: connection, pragmas, transactions, and the border where its errors are
translated. Knows nothing of conversations. Used from the thread that opened it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from qwen_desktop.errors import Known
from qwen_desktop.storage import migrations, private, trouble
from qwen_desktop.storage.pages import has_log, log_of
from qwen_desktop.storage.shapes import COLUMNS

BUSY_SECONDS = 3.0  # how long another process may hold the file before we say so
# Of the file, free pages that stay in it: a share of all, and some besides.
SPARE_SHARE, SPARE_PAGES = 20, 64
LITTLE_BYTES = 2**16  # a disk with less is full
PAGE_BYTES = 8192  # of new files; messages of a few kilobytes leave less of a page empty


def _nothing() -> None:
    """Nothing is to be done before the format changes."""


class Database:
    """An open database at the latest version. Every method raises Known or ValueError.

    `read_only` says why nothing can be written, where that is so. Trouble that can pass is looked
    at again with every write.
    """

    def __init__(self, file: Path, connection: sqlite3.Connection) -> None:
        self.file = file
        self.connection = connection
        self.read_only: Known | None = None
        self._before_migrating: Callable[[], None] = _nothing
        self._copy: TemporaryDirectory[str] | None = None  # what is read where `file` cannot be

    @classmethod
    def open(cls, file: Path, before_migrating: Callable[[], None] = _nothing) -> Database:
        """Open or make `file` and bring it to the latest version.

        `before_migrating` runs before a file with something in it gets a new format. Raises Known
        where the file is damaged, another program's, locked, or cannot be opened; none of these
        changes it. What a file is shows `look.py`.
        """
        with translated(file):
            private.make_folder(file.parent)
            connection = _connect_to_write(file, before_migrating)
        return cls(file, connection)

    @classmethod
    def open_to_read(
        cls, file: Path, why: Known, before_migrating: Callable[[], None] = _nothing
    ) -> Database:
        """Open `file` without changing it or its folder. Every write raises `why`.

        Where that can pass, `before_migrating` is as in `open`.
        """
        with translated(file):
            connection, copy = _connect_to_read(file)
        database = cls(file, connection)
        database.read_only = why
        database._before_migrating = before_migrating
        database._copy = copy
        return database

    @classmethod
    def beside(cls, file: Path) -> Database:
        """A further connection to a database that is open already, for another thread to read by.

        It changes nothing; `connection.close()` ends it. Raises Known as `open` does.
        """
        with translated(file):
            if not file.exists():
                raise trouble.cannot_open(file)
            connection = connect_beside(file)
            try:
                if not migrations.is_ours(connection):
                    raise trouble.foreign(file)
            except BaseException:
                connection.close()
                raise
        return cls(file, connection)

    def wait_for_lock(self, seconds: float) -> None:
        """Wait as long from now on where another process holds the file, before saying so."""
        self.connection.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for statements that read. One consistent view of the file."""
        with self._marking_damage(), translated(self.file), self._transaction("BEGIN"):
            yield self.connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection in a transaction that is on disk when the block ends, or undone."""
        if self.read_only is not None:
            self._become_writable(self.read_only)
        with self._marking_damage(), translated(self.file), self._transaction("BEGIN IMMEDIATE"):
            yield self.connection

    @contextmanager
    def _marking_damage(self) -> Iterator[None]:
        try:
            yield
        except Known as known:
            if known.code == trouble.DAMAGED:
                mark_damage(self.file)
            raise
        except sqlite3.OperationalError as error:
            # What every statement relies on may be what is damaged.
            is_good = self.read_only is not None
            with suppress(sqlite3.Error, UnicodeDecodeError):
                is_good = is_good or has_good_schema(self.connection)
            if is_good:
                raise
            mark_damage(self.file)
            raise trouble.damaged(self.file, str(error)) from error

    def _become_writable(self, why: Known) -> None:
        """Open the file for writing if that is possible by now. Raises `why` where it is not."""
        places = (self.file, self.file.parent)
        if why.code == trouble.NEWER or not all(os.access(place, os.W_OK) for place in places):
            raise trouble.again(why)
        with translated(self.file):
            connection = _connect_to_write(self.file, self._before_migrating)
        self._let_go()
        self.connection = connection
        self.read_only = None

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        # After a damaged page that was passed over SQLite commits nothing, not even reading.
        end = "ROLLBACK" if begin == "BEGIN" else "COMMIT"
        self.connection.execute(begin)
        try:
            yield
            self.connection.execute(end)
        except BaseException:
            # SQLite has already rolled back after some errors, a full disk among them.
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    def give_back(self, pages: int) -> bool:
        """Make the file smaller by up to `pages` that are free; whether there are more to give.

        Merging the index frees as many pages as it takes. A few stay, for what is written next.
        Files of earlier versions keep theirs.
        """
        with self.writing() as connection:
            for _ in range(pages):
                (free,) = connection.execute("PRAGMA freelist_count").fetchone()
                (all_pages,) = connection.execute("PRAGMA page_count").fetchone()
                if free <= SPARE_PAGES + all_pages // SPARE_SHARE:
                    return False
                connection.execute("PRAGMA incremental_vacuum(1)")  # one in each call, by Python
                if connection.execute("PRAGMA freelist_count").fetchone()[0] >= free:
                    return False
        return True

    def close(self) -> None:
        """Fold the write-ahead log into the file and let go of it. May be called again."""
        # What is in the log stays readable, so nothing is lost where folding fails.
        if self.read_only is None:
            with suppress(sqlite3.Error):
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._let_go()

    def _let_go(self) -> None:
        self.connection.close()
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None


def has_good_schema(connection: sqlite3.Connection) -> bool:
    """Whether tables and what belongs to them are as we make them. Raises sqlite3.Error."""
    version = migrations.version_of(connection)
    return migrations.schema_of(connection) >= migrations.schema(version)


def mark_of(file: Path) -> Path:
    """Stands beside a database that showed damage, until all of it has been checked."""
    return file.with_name("check-database")


def mark_damage(file: Path) -> None:
    """Have the database at `file` checked as a whole at the next start."""
    with suppress(OSError):
        mark_of(file).touch()


@contextmanager
def translated(file: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the system about `file` into Known where a person can act.

    A broken constraint is the caller's mistake and becomes ValueError; the rest goes on as it is.
    """
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise ValueError(str(error)) from error
    except (sqlite3.Error, UnicodeDecodeError) as error:
        known = _known(error, file)
        if known is None:
            raise
        raise known from error
    except OSError as error:
        raise trouble.from_os(error, file) from error


def _known(error: Exception, file: Path) -> Known | None:
    # By SQLite's fixed English messages: Python 3.10 does not hand out the codes.
    message = str(error)
    details = f"{type(error).__name__}: {message}"
    if "is full" in message:
        return trouble.disk_full(file, details)
    if "readonly" in message:
        return trouble.not_writable(file, details)
    if "unable to open" in message:
        return trouble.cannot_open(file, details)
    if "is locked" in message or "locking protocol" in message:
        return trouble.locked(file, details)
    if is_damage(error):
        return trouble.damaged(file, details)
    if "disk I/O error" in message:
        # A full disk is told so where the file for shared memory does not fit.
        full = _is_full(file.parent)
        return trouble.disk_full(file, details) if full else trouble.disk_failed(file, details)
    return None


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < LITTLE_BYTES
    except OSError:
        return False


def is_damage(error: BaseException) -> bool:
    """Whether SQLite says that the bytes of the file are not what they should be."""
    if isinstance(error, UnicodeDecodeError):  # what it says quotes the damaged bytes
        return True
    return isinstance(error, sqlite3.Error) and any(words in str(error) for words in _DAMAGE)


_DAMAGE = ("not a database", "malformed", "unsupported file")


def _connect(target: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        target,
        timeout=BUSY_SECONDS,
        isolation_level=None,  # transactions are begun by name
        uri=isinstance(target, str),
    )
    # One byte that is not UTF-8 must not make its row unreadable.
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    return connection


def _connect_to_write(file: Path, before_migrating: Callable[[], None]) -> sqlite3.Connection:
    private.make_file(file)
    for beside in (log_of(file), file.with_name(f"{file.name}-shm")):
        private.close_file(beside)
    connection = _connect(file)
    try:
        if not migrations.is_ours(connection):
            raise trouble.foreign(file)
        if connection.execute("PRAGMA page_count").fetchone() == (0,):
            shape_new(connection)
        # In this order: foreign keys cannot be switched inside a migration.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # What is removed for good is not to be read in the file; on by default in some
        # builds of SQLite. It costs a fifth of the time that removing takes.
        connection.execute("PRAGMA secure_delete = ON")
        version = migrations.version_of(connection)
        if version > migrations.LATEST:
            raise trouble.newer(file)
        if 0 < version < migrations.LATEST and migrations.has_data(connection):
            before_migrating()
        migrations.migrate(connection)
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_to_read(file: Path) -> tuple[sqlite3.Connection, TemporaryDirectory[str] | None]:
    """A connection that changes nothing, and the folder of a copy where one had to be made."""
    copy: TemporaryDirectory[str] | None = None
    connection = connect_to_look(file)
    try:
        version = migrations.version_of(connection)
    except sqlite3.OperationalError:
        # A log cannot be read without a file beside it; this folder takes none.
        connection.close()
        copy = TemporaryDirectory(prefix="qwen-desktop-")
        for one in (file, log_of(file)):
            if one.exists():
                shutil.copyfile(one, Path(copy.name) / one.name)
        connection = _connect(Path(copy.name) / file.name)
        version = migrations.version_of(connection)
    if version < migrations.LATEST:
        memory = _connect(":memory:")
        connection.backup(memory)
        connection.close()
        migrations.migrate(memory)
        connection = memory
    try:
        for table, columns in COLUMNS.items() if version > migrations.LATEST else ():
            connection.execute(f"SELECT {', '.join(columns)} FROM {table} LIMIT 0")
    except sqlite3.OperationalError as error:
        connection.close()
        raise trouble.unreadable(file, version, migrations.LATEST) from error
    connection.execute("PRAGMA query_only = ON")
    return connection, copy


def shape_new(connection: sqlite3.Connection) -> None:
    """Settle how the pages of a file that has none yet are to be."""
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # see `give_back`


def connect_beside(file: Path) -> sqlite3.Connection:
    """A further connection to a database that is open already, to read by."""
    connection = _connect(file)
    connection.execute("PRAGMA query_only = ON")
    return connection


def connect_to_check(file: Path) -> sqlite3.Connection:
    """A connection to a database that nobody has open yet, and that may be damaged.

    It only reads: closing another kind would fold the log, which may be damaged, into the file.
    """
    connection = _connect_by_uri(file, "mode=ro")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def connect_to_look(file: Path) -> sqlite3.Connection:
    """A connection that only reads and leaves nothing beside the file."""
    # Without a log beside it, `immutable` keeps SQLite from making one.
    return _connect_by_uri(file, "mode=ro" if has_log(file) else "mode=ro&immutable=1")


def _connect_by_uri(file: Path, flags: str) -> sqlite3.Connection:
    try:
        return _connect(f"{file.absolute().as_uri()}?{flags}")
    except sqlite3.OperationalError as error:
        if "invalid uri" not in str(error):
            raise
    # A network share of Windows, which no URI can name.
    return connect_beside(file)
