"""Searching conversations, on a connection and a thread of its own that only read.

The index of words gives candidates, their texts decide. Where the index would be slower than
looking (words that stand everywhere, beginnings of one letter), the newest texts are looked at
first. Everything goes through conversations from the newest to the oldest, and ends early.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from qwen_desktop.chat.folding import Places
from qwen_desktop.chat.matching import Matcher
from qwen_desktop.chat.query import parse
from qwen_desktop.chat.search import Found, Hit, Snippet
from qwen_desktop.chat.text import whole
from qwen_desktop.errors import Known
from qwen_desktop.storage import snippets
from qwen_desktop.storage.database import Database
from qwen_desktop.storage.looking import LIMIT, VOCABULARY, Asked, Looking, Reader, Stopped
from qwen_desktop.storage.said import Said
from qwen_desktop.storage.talks import Talk, Talks
from qwen_desktop.storage.word_index import is_damage

_log = logging.getLogger(__name__)

TITLES = 15  # at least so many titles are told, however many messages there are
QUEUED = 200  # messages not yet in the index that are looked at
CACHE_KB = 16_000

SAMPLES, SAMPLED_TERMS = 12, 20  # messages, and terms of each, that the index is tried with

_SAMPLE = (
    "SELECT number, role, stats, parts FROM messages WHERE number BETWEEN ?1 AND ?1 + 20"
    " AND status <> 'streaming' AND number NOT IN (SELECT message FROM to_index) LIMIT 1"
)
_HAS_INDEX = "SELECT 1 FROM sqlite_master WHERE name = 'to_index'"
_VOCABULARY = f"CREATE VIRTUAL TABLE temp.{VOCABULARY} USING fts5vocab ('main', 'words', 'row')"


def _unheard(_: Found) -> None:
    """Nobody wants what there is before it is all."""


class Searcher:
    """Searches the database at `file`. Opened by the first search; one thread uses it.

    `is_damaged`: the index could not be read, and texts were looked at instead.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._database: Database | None = None
        self._opened: tuple[int, int] | None = None  # which file that is
        self._talks = Talks()
        self._has_index = False
        self.is_damaged = False

    def search(
        self,
        text: str,
        limit: int = LIMIT,
        stop: threading.Event | None = None,
        told: Callable[[Found], None] = _unheard,
    ) -> Found:
        """What is found by `text`, in the language of `chat/query.py`; at most `limit` hits.

        `told` hears what there is when it takes longer than a tenth of a second. Raises Stopped
        soon after `stop` is set, Known where the file cannot be read.
        """
        stop = stop or threading.Event()
        query = parse(whole(text), time.time())
        nothing = Found(text, words=query.words, unknown=query.unknown)
        database = None if query.is_empty else self._open()
        if database is None:  # nothing is asked, or nothing was ever written
            return nothing
        try:
            with database.reading() as connection, _ended_by(connection, stop):
                self._talks.refresh(connection, is_old=not self._has_index)
                looking = Looking(query, min(limit, LIMIT * 10), stop)
                looking.told = lambda: told(self._found(connection, nothing, looking))
                self._look(connection, looking)
                return self._found(connection, nothing, looking)
        except (Known, sqlite3.Error):
            self.close()  # opened again next time, should that help
            raise

    def warm_up(self) -> None:
        """Read what the first search needs, and see whether the index has what it should.

        Raises Known where the file cannot be read.
        """
        Places("…")  # what it has to make first is made
        database = self._open()
        if database is not None:
            with database.reading() as connection:
                self._talks.refresh(connection, is_old=not self._has_index)
                if self._has_index and not _seems_sound(connection):
                    _log.warning("the index of words lacks some")
                    self.is_damaged = True

    def close(self) -> None:
        """Let go of the file. A later search opens it again."""
        if self._database is not None:
            self._database.connection.close()
        self._database, self._opened, self._talks = None, None, Talks()

    def _open(self) -> Database | None:
        """The open database; it is opened anew where another file has taken its place."""
        try:
            stat = self._file.stat()
        except FileNotFoundError:
            self.close()
            return None
        which = (stat.st_dev, stat.st_ino)
        if self._database is None or which != self._opened:
            self.close()
            self._database, self._opened = Database.beside(self._file), which
            connection = self._database.connection
            connection.execute(f"PRAGMA cache_size = -{CACHE_KB}")
            self._has_index = connection.execute(_HAS_INDEX).fetchone() is not None
            if self._has_index:
                # The names of models are looked up in it. It is kept in memory alone.
                connection.execute("PRAGMA query_only = OFF")
                connection.execute(_VOCABULARY)
                connection.execute("PRAGMA query_only = ON")
        return self._database

    # -- the way through the conversations -----------------------------------------------------

    def _look(self, connection: sqlite3.Connection, looking: Looking) -> None:
        query = looking.query
        allowed = self._talks.allowed(connection, query)
        if not query.is_about_messages:
            self._look_at_titles(allowed, looking)
        if not (query.include or query.exclude or query.is_about_messages):
            return
        reader = Reader(connection, self._talks, allowed)
        try:
            if not self._has_index:
                reader.look_at_all(looking, None)
                return
            reader.look_at(looking, _queued(connection))
            asked = Asked.of(connection, query)
            if asked is not None:
                reader.look_by_index(looking, asked)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and not is_damage(error):
                raise
            _log.warning("the index of words cannot be read: %s", error)
            self.is_damaged = True
            reader.look_at_all(looking, None)

    def _look_at_titles(self, allowed: Iterable[Talk], looking: Looking) -> None:
        query, folded = looking.query, self._talks.folded_titles
        found = [talk for talk in allowed if query.before is None or talk.updated_at < query.before]
        for needle in query.include:
            found = [talk for talk in found if needle.text in folded[talk.title]]
        for needle in query.exclude:
            found = [talk for talk in found if needle.text not in folded[talk.title]]
        looking.titles = found

    def _found(self, connection: sqlite3.Connection, nothing: Found, looking: Looking) -> Found:
        """What there is now, those of one conversation together, newest talk first."""
        limit = looking.limit
        titles = looking.titles
        # Titles make room for messages, but some stay however many messages there are.
        room = max(min(TITLES, limit // 2), limit - looking.count)
        groups = {talk.number: [_title_hit(talk, looking.matcher)] for talk in titles[:room]}
        by_number = {talk.number: talk for talk in titles}
        left = limit - len(groups)
        for talk, hits in looking.hits.values():
            by_number[talk.number] = talk
            if left > 0:
                group = groups.setdefault(talk.number, [])
                title = group[0].title if group else Snippet(talk.title)  # with its marks
                group += [replace(hit, title=title) for hit in hits[:left]]
                left -= len(hits)
        order = sorted(groups, key=lambda number: by_number[number].updated_at, reverse=True)
        return replace(
            nothing,
            hits=tuple(hit for number in order for hit in groups[number]),
            more=looking.is_cut or len(titles) > room or left < 0,
            unindexed=self._unindexed(connection),
        )

    def _unindexed(self, connection: sqlite3.Connection) -> int:
        if not self._has_index:
            return 0
        (waiting,) = connection.execute("SELECT count(*) FROM to_index").fetchone()
        return max(0, int(waiting) - QUEUED)


@contextmanager
def _ended_by(connection: sqlite3.Connection, stop: threading.Event) -> Iterator[None]:
    """Let `stop` end a statement that runs, as Stopped. Between two of them `check` looks."""
    connection.set_progress_handler(stop.is_set, 20_000)
    try:
        yield
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            raise Stopped from error
        raise
    finally:
        connection.set_progress_handler(None, 0)


def _seems_sound(connection: sqlite3.Connection) -> bool:
    """Whether the index has all of a few messages. Some damage of it gives no error, only less."""
    (last,) = connection.execute("SELECT coalesce(max(number), 0) FROM messages").fetchone()
    for _ in range(SAMPLES):
        row = connection.execute(_SAMPLE, (random.randint(1, max(1, last)),)).fetchone()
        if row is None:
            continue
        number, *columns = row
        held = sorted(Said.of(*columns).terms())
        some = random.sample(held, min(len(held), SAMPLED_TERMS))
        every = " AND ".join(f'"{term}"' for term in some)
        try:
            found = connection.execute(
                "SELECT 1 FROM words WHERE words MATCH ? AND rowid = ?", (every, number)
            ).fetchone()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and not is_damage(error):
                raise
            return False
        if found is None:
            return False
    return True


def _title_hit(talk: Talk, matcher: Matcher) -> Hit:
    return Hit(talk.id, snippets.of_title(talk.title, matcher), talk.updated_at, talk.place)


def _queued(connection: sqlite3.Connection) -> list[int]:
    """The newest messages that are not in the index as they are now."""
    found = connection.execute(
        "SELECT message FROM to_index ORDER BY message DESC LIMIT ?", (QUEUED,)
    )
    return [number for (number,) in found]
