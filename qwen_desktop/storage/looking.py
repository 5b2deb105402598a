"""How one search goes through the messages: what the index is asked, what their texts say.

Conversations are gone through from the newest to the oldest, and left as soon as there is enough.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from qwen_desktop.chat import folding
from qwen_desktop.chat.folding import Places
from qwen_desktop.chat.matching import Matcher
from qwen_desktop.chat.messages import Role
from qwen_desktop.chat.query import Query
from qwen_desktop.chat.search import Hit, Snippet
from qwen_desktop.storage import rows, snippets, terms
from qwen_desktop.storage.said import Said
from qwen_desktop.storage.talks import Talk, Talks

LIMIT = 60  # hits
IN_ONE = 4  # hits of one conversation: what is shown of it, and one that says there are more
VOCABULARY = "terms_of_words"

FIRST_CANDIDATES = 3000  # of the index; the rest is asked for where these are not enough
FEW_TALKS = 500  # of so many, each is asked for where there are more candidates
LOOKED_AT = 250  # newest texts, before the index is asked what would take it long
LOOKED_AT_OF_MANY = 100  # the same, for what stands nearly everywhere
LOOKED_AT_IN_ONE = IN_ONE + 1  # of these, of one conversation
MOST_TERMS = 60  # of a long phrase; the text shows the rest
WIDE = 3  # letters; beginnings of no more have long lists
SOON = 0.06  # seconds after which what there is is told
PATIENCE = 6.0  # seconds after which the rest is given up


class Stopped(Exception):  # noqa: N818 - reads as what happened
    """Nobody waits for this search any more."""


class Looking:
    """One search as it goes on."""

    def __init__(self, query: Query, limit: int, stop: threading.Event) -> None:
        self.query = query
        self.matcher = Matcher(query.include)
        self.limit = limit
        self.told: Callable[[], None] | None = None  # tells what there is, once
        self.titles: list[Talk] = []
        self.hits: dict[int, tuple[Talk, list[Hit]]] = {}  # by the number of a conversation
        self.count = 0
        self.is_cut = False  # there are more, or there may be
        self.seen: set[int] = set()  # numbers of messages
        self._stop = stop
        self._begun = time.perf_counter()

    @property
    def is_full(self) -> bool:
        """Whether there is no need to go on."""
        return self.is_cut

    def has_enough_of(self, talk: Talk) -> bool:
        """Whether no more messages of a conversation are wanted."""
        return talk.number in self.hits and len(self.hits[talk.number][1]) >= IN_ONE

    def add(self, talk: Talk, hit: Hit) -> None:
        """Take in a hit."""
        self.hits.setdefault(talk.number, (talk, []))[1].append(hit)
        self.count += 1
        self.is_cut = self.count >= self.limit

    def check(self) -> None:
        """Raise Stopped where nobody waits; tell what there is, or give up, when it takes long."""
        if self._stop.is_set():
            raise Stopped
        took = time.perf_counter() - self._begun
        if took > PATIENCE:
            self.is_cut = True
        elif took > SOON and self.told is not None and (self.count or self.titles):
            told, self.told = self.told, None
            was_cut, self.is_cut = self.is_cut, True
            told()
            self.is_cut = was_cut


@dataclass(frozen=True)
class Asked:
    """What to ask the index for: `narrow` is quick, `all` says all that is wanted but may not be.

    "" for nothing that the index knows.
    """

    narrow: str
    all: str

    @classmethod
    def of(cls, connection: sqlite3.Connection, query: Query) -> Asked | None:
        """None where no message can be found."""
        narrow: dict[str, None] = {}
        wide: dict[str, None] = {}
        for needle in query.include:
            for term in terms.asked_for(needle):
                (wide if _is_wide(term) else narrow)[term] = None
        if query.role is not None:
            narrow[_quoted(terms.USER if query.role is Role.USER else terms.ASSISTANT)] = None
        if query.reasoning:
            narrow[_quoted(terms.REASONING)] = None
        for model in query.models:
            known = connection.execute(
                f"SELECT term FROM temp.{VOCABULARY} WHERE term >= ? AND term < ?", terms.MODELS
            )
            meant = [_quoted(t) for (t,) in known if terms.is_term_of_model(t, model)]
            if not meant:
                return None
            narrow[f"({' OR '.join(meant)})"] = None
        quick = list(narrow)[:MOST_TERMS]
        return cls(" AND ".join(quick), " AND ".join((quick + list(wide))[:MOST_TERMS]))


def _quoted(term: str) -> str:
    return f'"{term}"'


def _is_wide(term: str) -> bool:
    """Whether it is a beginning that many words have: a quoted term with a star behind."""
    if not term.endswith("*"):
        return False
    beginning = term[1 : term.rindex('"')]
    return len(beginning) <= (1 if folding.is_unspaced(beginning[0]) else WIDE)


class Reader:
    """Looks at messages of the conversations `allowed`, which are in order."""

    def __init__(
        self, connection: sqlite3.Connection, talks: Talks, allowed: Sequence[Talk]
    ) -> None:
        self._connection = connection
        self._talks = talks
        self._allowed = allowed

    def look_by_index(self, looking: Looking, asked: Asked) -> None:
        """Go by the index; look at the newest texts first where that is likely to be quicker."""
        numbers = self._candidates(asked.narrow, FIRST_CANDIDATES)
        if asked.all != asked.narrow:
            if numbers is None:
                self.look_at_all(looking, LOOKED_AT)
            elif len(numbers) <= LOOKED_AT:
                self.look_at(looking, numbers)  # quicker than the long list
                return
            else:
                self.look_at(looking, numbers, LOOKED_AT)
            if looking.is_full:
                return
            numbers = self._candidates(asked.all, FIRST_CANDIDATES)
        if numbers is None:
            self.look_at_all(looking, None)
            return
        is_cut = len(numbers) > FIRST_CANDIDATES
        if is_cut:
            # Those are the last that were written. An imported talk may be older than others.
            self.look_at_all(looking, LOOKED_AT_OF_MANY)
        self.look_at(looking, numbers)
        if not is_cut or looking.is_full:
            return
        if len(self._allowed) <= FEW_TALKS and asked.all == asked.narrow:
            groups = ((talk, self._candidates_in(talk, asked.all)) for talk in self._allowed)
            self._look(looking, groups, None)
        else:
            self.look_at(looking, self._candidates(asked.all, None) or ())

    def _candidates_in(self, talk: Talk, asked: str) -> list[int]:
        """Messages of one conversation that have the terms, the latest first."""
        found = self._connection.execute(
            "SELECT rowid FROM words WHERE words MATCH ?1"
            " AND rowid >= (SELECT min(number) FROM messages WHERE conversation = ?2)"
            " AND rowid <= (SELECT max(number) FROM messages WHERE conversation = ?2)"
            " ORDER BY rowid DESC",
            (asked, talk.number),
        )
        numbers = [number for (number,) in found]
        return next((own for _, own in self._talks.grouped(numbers, (talk,))), [])

    def _candidates(self, asked: str, most: int | None) -> list[int] | None:
        """Messages that have the terms, the latest first, one more than `most`; None for all."""
        if not asked:
            return None
        found = self._connection.execute(
            "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ?",
            (asked, -1 if most is None else most + 1),
        )
        return [number for (number,) in found]

    def look_at(self, looking: Looking, numbers: Iterable[int], most: int | None = None) -> None:
        """Look at these messages, at most so many of them."""
        groups = self._talks.grouped(numbers, self._allowed)
        self._look(looking, groups, most)

    def look_at_all(self, looking: Looking, most: int | None) -> None:
        """Look at the messages of all conversations, or at the newest."""
        self._look(looking, ((talk, self._messages_of(talk)) for talk in self._allowed), most)

    def _messages_of(self, talk: Talk) -> list[int]:
        found = self._connection.execute(
            "SELECT number FROM messages WHERE conversation = ? ORDER BY number DESC",
            (talk.number,),
        )
        return [number for (number,) in found]

    def _look(
        self, looking: Looking, groups: Iterable[tuple[Talk, list[int]]], most: int | None
    ) -> None:
        looked = 0
        for talk, numbers in groups:
            for number in numbers if most is None else numbers[:LOOKED_AT_IN_ONE]:
                if number in looking.seen:
                    continue
                if looking.has_enough_of(talk):
                    break
                looking.check()
                if looking.is_full or (most is not None and looked >= most):
                    return
                looked += 1
                looking.seen.add(number)
                hit = self._hit(looking, talk, number)
                if hit is not None:
                    looking.add(talk, hit)

    def _hit(self, looking: Looking, talk: Talk, number: int) -> Hit | None:
        row = None
        with suppress(sqlite3.DatabaseError):  # a damaged page: others can be read
            row = self._connection.execute(_MESSAGE, (number,)).fetchone()
        looking.check()  # an interrupted statement is no damage
        if row is None or row[0] != talk.number:
            return None
        _, message_id, role, created_at, stats, parts = row
        created_at = rows.number_from(created_at)
        query = looking.query
        if query.after is not None and created_at < query.after:
            return None
        if query.before is not None and created_at >= query.before:
            return None
        said = Said.of(role, stats, parts, rows.text_from(message_id))
        found = _found_in(said, query, looking.matcher)
        if found is None:
            return None
        snippet, in_reasoning = found
        return Hit(
            talk.id,
            Snippet(talk.title),
            talk.updated_at,
            talk.place,
            rows.text_from(message_id),
            said.role,
            created_at,
            snippet,
            in_reasoning,
        )


_MESSAGE = "SELECT conversation, id, role, created_at, stats, parts FROM messages WHERE number = ?"


def _found_in(said: Said, query: Query, matcher: Matcher) -> tuple[Snippet, bool] | None:
    """The snippet of a message that fits, and whether it is of its reasoning; else None."""
    if query.role is not None and said.role is not query.role:
        return None
    if query.reasoning and not said.reasoning:
        return None
    if query.models:
        model = folding.folded(said.model)
        if not all(part in model for part in query.models):
            return None
    texts = [text for text in (said.text, said.files, said.reasoning) if text]
    forms = [_forms(text) for text in texts]
    for needle in query.exclude:
        if any(needle.is_in(*form) for form in forms):
            return None
    first: tuple[int, int] | None = None  # which text, where in it
    for needle in query.include:
        places = _places(needle.spans(*form) for form in forms)
        if places is None:
            return None
        first = places if first is None else min(first, places)
    which, at = first or (0, 0)
    if not texts:
        return Snippet(""), False
    begin = Places(texts[which]).begin(at) if at else 0
    markdown = said.role is not Role.USER
    in_reasoning = texts[which] is said.reasoning and bool(query.include)
    return snippets.around(texts[which], begin, matcher, markdown=markdown), in_reasoning


def _forms(text: str) -> tuple[str, str]:
    plain = folding.plain(text)
    return plain, plain.lower() if text.isascii() else plain.casefold()


def _places(spans: Iterable[Iterator[tuple[int, int]]]) -> tuple[int, int] | None:
    """The first text in which something is found, and where."""
    for which, found in enumerate(spans):
        span = next(found, None)
        if span is not None:
            return which, span[0]
    return None
