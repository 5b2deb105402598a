"""One SQLite file: connection, pragmas, transactions, and the border where its errors are
translated. Knows nothing of conversations. Used from the thread that opened it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.storage import migrations, trouble

BUSY_SECONDS = 3.0  # how long another process may hold the file before we say so
# Of the file, free pages that stay in it: a share of all, and some besides.
SPARE_SHARE, SPARE_PAGES = 20, 64
PAGE_BYTES = 8192  # of new files; messages of a few kilobytes leave less of a page empty


class Database:
    """An open database at the latest version. Every method raises Known or ValueError."""

    def __init__(self, file: Path, connection: sqlite3.Connection) -> None:
        self.file = file
        self.connection = connection

    @classmethod
    def open(cls, file: Path) -> Database:
        """Open or make `file` and bring it to the latest version.

        Raises Known where the file is damaged, newer than this program, another program's,
        locked, or cannot be opened; none of these changes it.
        """
        with translated(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            _refuse_unreadable(file)
            connection = _connect(file)
            try:
                _refuse_foreign(file, connection)
                # Both do nothing where the file has pages.
                connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # see `give_back`
                # In this order: foreign keys cannot be switched inside a migration.
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                # What is removed for good is not to be read in the file; on by default in some
                # builds of SQLite. It costs a fifth of the time that removing takes.
                connection.execute("PRAGMA secure_delete = ON")
                migrations.migrate(connection)
                connection.execute("PRAGMA foreign_keys = ON")
            except BaseException:
                connection.close()
                raise
        return cls(file, connection)

    @classmethod
    def beside(cls, file: Path) -> Database:
        """A further connection to a database that is open already, for another thread to read by.

        It changes nothing; `connection.close()` ends it. Raises Known as `open` does.
        """
        with translated(file):
            if not file.exists():
                raise trouble.cannot_open(file)
            connection = _connect(file)
            try:
                connection.execute("PRAGMA query_only = ON")
                _refuse_foreign(file, connection)
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
        with translated(self.file), self._transaction("BEGIN"):
            yield self.connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection in a transaction that is on disk when the block ends, or undone."""
        with translated(self.file), self._transaction("BEGIN IMMEDIATE"):
            yield self.connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self.connection.execute(begin)
        try:
            yield
            self.connection.execute("COMMIT")
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
        with suppress(sqlite3.Error):
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.connection.close()


@contextmanager
def translated(file: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the system about `file` into Known where a person can act.

    A broken constraint is the caller's mistake and becomes ValueError; the rest goes on as it is.
    """
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise ValueError(str(error)) from error
    except sqlite3.Error as error:
        known = _known(error, file)
        if known is None:
            raise
        raise known from error
    except OSError as error:
        raise trouble.from_os(error, file) from error


def _known(error: sqlite3.Error, file: Path) -> Known | None:
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
        return Known(
            QT_TRANSLATE_NOOP("errors", "Another program is using {file}."),
            QT_TRANSLATE_NOOP("errors", "Close that program and try again."),
            details=details,
            code="locked",
            file=file,
        )
    if "not a database" in message or "malformed" in message or "unsupported file" in message:
        return Known(
            QT_TRANSLATE_NOOP("errors", "{file} is damaged, or is not a conversation database."),
            QT_TRANSLATE_NOOP(
                "errors", "It is left as it is; move it to another place to begin with a new one."
            ),
            details=details,
            file=file,
        )
    if "disk I/O error" in message:
        return Known(
            QT_TRANSLATE_NOOP("errors", "The disk failed while {file} was read or written."),
            QT_TRANSLATE_NOOP(
                "errors", "Check the disk and its connection, then start the application again."
            ),
            details=details,
            code="io",
            file=file,
        )
    return None


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


def _refuse_unreadable(file: Path) -> None:
    """Look at an existing file through a read-only connection, which cannot change it."""
    if not file.exists() or file.stat().st_size == 0:
        return
    # Without a log beside it, `immutable` keeps SQLite from making one.
    logged = file.with_name(f"{file.name}-wal").exists()
    flags = "mode=ro" if logged else "mode=ro&immutable=1"
    try:
        with closing(_connect(f"{file.absolute().as_uri()}?{flags}")) as connection:
            _refuse_foreign(file, connection)
    except sqlite3.OperationalError as error:
        # A log in a folder that cannot be written, or a path no URI can name (a network share of
        # Windows): the real connection meets the same trouble or does better, and is asked the
        # same questions.
        if not any(words in str(error) for words in ("unable to open", "readonly", "invalid uri")):
            raise


def _refuse_foreign(file: Path, connection: sqlite3.Connection) -> None:
    if not migrations.is_ours(connection):
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{file} is a database of another program."),
            QT_TRANSLATE_NOOP(
                "errors", "Move it to another place, or choose another folder with --profile."
            ),
            file=file,
        )
    found = migrations.version_of(connection)
    if found > migrations.LATEST:
        raise Known(
            QT_TRANSLATE_NOOP(
                "errors",
                "{file} was written by a newer Qwen Desktop: its format is {found}, "
                "and this version reads up to {newest}.",
            ),
            QT_TRANSLATE_NOOP("errors", "Install the newer version; the file was not changed."),
            file=file,
            found=found,
            newest=migrations.LATEST,
        )
