"""Migrating, importing, emptying the bin, indexing, backing up and restoring: the storage alone."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from qwen_desktop.chat.importing import Found, Outcome
from qwen_desktop.chat.messages import Message, Part, PartKind, Role, user_message
from qwen_desktop.chat.summary import ListFilter, Place
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.storage import merge, migrations
from qwen_desktop.storage.imports.files import Reader
from qwen_desktop.storage.store import Store
from tests.crash.bridge_kinds import all_talks
from tests.crash.killing import Kind, Life, Tell, Work
from tests.storage.test_migrations import made_by

BIN_ROOM = 40  # conversations deleted before the bin is emptied
COPIES = 100  # of the conversations in a file of an earlier format


def talk_of(name: str, turns: int) -> Conversation:
    """A conversation whose every text names it."""
    messages: list[Message] = []
    for number in range(turns):
        parent = messages[-1].id if messages else None
        question = user_message(f"question {number} of {name} 第{number}个问题", parent)
        text = f"answer {number} of {name} " + f"word{number} 回答 " * 40
        part = Part(PartKind.TEXT, text)
        messages += [question, Message(Role.ASSISTANT, (part,), parent_id=question.id)]
    return Conversation(title=name, tree=Tree.of(messages))


# --- migrating ----------------------------------------------------------------------------------


def open_store(profile: Path, _seed: int, tell: Tell) -> None:
    """Open, which migrates, and end."""
    tell("begins")
    store = Store.open(profile / "conversations.db")
    tell("opened")
    store.close()


@dataclass
class Migrating(Kind):
    """A file of an earlier format: after any number of kills it opens with all that was in it."""

    longest_s: float = 0.01
    kept: dict[int, list[Conversation]] = field(default_factory=dict)
    version: int = 0  # of the file that is migrated now
    tries: int = 0

    def before(self) -> Work:
        if self.tries % 3 == 0:  # two more kills on what the first one left
            self.version = self.chance.choice(range(1, migrations.LATEST))
            shutil.rmtree(self.profile, ignore_errors=True)
            self.profile.mkdir(parents=True)
            _many_of_version(self.version, self.file)
            if self.version not in self.kept:
                copy = self.profile.with_name("whole") / "conversations.db"
                shutil.rmtree(copy.parent, ignore_errors=True)
                copy.parent.mkdir()
                shutil.copyfile(self.file, copy)
                began = time.monotonic()
                store = Store.open(copy)
                # Of this machine, so that the kills come while it is at work.
                self.longest_s = max(self.longest_s, 1.1 * (time.monotonic() - began))
                self.kept[self.version] = all_talks(store)
                store.close()
        self.tries += 1
        return open_store

    def look(self) -> bool:
        return self.tries % 3 == 0

    def after(self, life: Life, store: Store) -> None:
        assert all_talks(store) == self.kept[self.version]
        assert len(self.kept[self.version]) >= COPIES


def _many_of_version(version: int, file: Path) -> None:
    """A database of an earlier format, its conversations and messages copied many times."""
    made_by(version, file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for table in ("conversations", "messages"):
            found = connection.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in found.description]
            rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
            for copy, row in itertools.product(range(1, COPIES), rows):
                one = dict(row)
                for name in ("number", "conversation"):
                    if name in one:
                        one[name] += 1000 * copy
                for name in ("id", "parent_id", "head_id"):
                    if one.get(name):
                        one[name] = f"{one[name]}-{copy}"
                marks = ", ".join("?" * len(one))
                connection.execute(
                    f"INSERT INTO {table} ({', '.join(one)}) VALUES ({marks})",
                    tuple(one.values()),
                )
        connection.commit()


# --- importing ----------------------------------------------------------------------------------


def import_file(file: Path, profile: Path, _seed: int, tell: Tell) -> None:
    """Take in every conversation of a file, one after the other."""
    store = Store.open(profile / "conversations.db")
    tell("begins")
    for piece in Reader([file]):
        assert isinstance(piece, Found)
        added = merge.add(store, piece.record)
        tell("added", added.conversation_id, added.outcome)
    tell("done")
    store.close()


@dataclass
class Importing(Kind):
    """Conversations of another program: each whole or not at all, and none twice."""

    longest_s: float = 0.4
    sources: int = 0
    acknowledged: set[str] = field(default_factory=set)

    def before(self) -> Work:
        if not self.profile.exists() or self.sources == 0:
            self.profile.mkdir(parents=True, exist_ok=True)
        if self.sources == 0 or len(self.acknowledged) >= self.sources:
            self.sources += 80
            self._write()
        return partial(import_file, self.profile / "foreign.jsonl")

    def _write(self) -> None:
        """A file in the format of OpenAI's messages, with more conversations than before."""
        lines = []
        for number in range(self.sources):
            messages = [
                {"role": "user" if turn % 2 == 0 else "assistant", "content": _said(number, turn)}
                for turn in range(8)
            ]
            lines.append(json.dumps({"messages": messages}, ensure_ascii=False))
        (self.profile / "foreign.jsonl").write_text("\n".join(lines), "utf-8")

    def after(self, life: Life, store: Store) -> None:
        told = list(life.of("added"))
        for one in told:
            known = one.values[0] in self.acknowledged
            assert not known or one.values[1] is Outcome.SAME, "it was taken in twice"
        self.acknowledged |= {one.values[0] for one in told}
        talks = {talk.id: talk for talk in all_talks(store)}
        assert self.acknowledged <= talks.keys()
        beginnings = set()
        for talk in talks.values():
            texts = [message.text for message in talk.tree.path()]
            assert len(texts) == 8
            number = int(texts[0].split()[1])
            assert texts == [_said(number, turn) for turn in range(8)]
            beginnings.add(number)
        assert len(beginnings) == len(talks), "one is there twice"


def _said(number: int, turn: int) -> str:
    return f"talk {number} turn {turn} " + f"说了{turn} " * 60


# --- emptying the bin ---------------------------------------------------------------------------


def empty_the_bin(profile: Path, seed: int, tell: Tell) -> None:
    """Delete some conversations and empty the bin, again and again."""
    store = Store.open(profile / "conversations.db")
    chance = random.Random(seed)
    tell("begins")
    while True:
        for _ in range(BIN_ROOM):
            talk = talk_of(f"new {chance.getrandbits(64)}", 3)
            store.create(talk)
            tell("created", talk.id)
            if chance.random() < 0.9:
                store.listing.delete([talk.id])
                tell("deleted", talk.id)
        tell("empties")
        store.listing.empty_bin()
        tell("emptied")


@dataclass
class EmptyingBin(Kind):
    """What is in the bin is there whole or gone; what is not in it stays."""

    longest_s: float = 0.5
    stay: dict[str, bool] = field(default_factory=dict)  # whether it was put into the bin

    def before(self) -> Work:
        self.profile.mkdir(parents=True, exist_ok=True)
        return empty_the_bin

    def after(self, life: Life, store: Store) -> None:
        emptying = False
        for told in life.told:
            if told.what == "created":
                self.stay[told.values[0]] = False
            elif told.what == "deleted":
                self.stay[told.values[0]] = True
            elif told.what == "empties":
                emptying = True
            elif told.what == "emptied":
                emptying = False
                self.stay = {talk: gone for talk, gone in self.stay.items() if not gone}
        listed = set(store.listing.ids(ListFilter()))
        in_bin = set(store.listing.ids(ListFilter(Place.BIN)))
        for talk in listed | in_bin:
            assert _messages(store, talk) == 6
        for talk, gone in self.stay.items():
            if not gone:
                # The last one may have been deleted without telling.
                assert talk in listed or (talk in in_bin and talk == list(self.stay)[-1])
            elif not emptying:
                assert talk in in_bin
        self.stay = {talk: talk in in_bin for talk in listed | in_bin}


def _messages(store: Store, talk: str) -> int:
    found = store.database.connection.execute(
        "SELECT count(*) FROM messages m JOIN conversations c ON m.conversation = c.number"
        " WHERE c.id = ?",
        (talk,),
    )
    return int(found.fetchone()[0])


# --- indexing -----------------------------------------------------------------------------------


def index_words(profile: Path, seed: int, tell: Tell) -> None:
    """Add and delete messages, and index what waits."""
    store = Store.open(profile / "conversations.db")
    chance = random.Random(seed)
    tell("begins")
    talks: list[str] = []
    while True:
        talk = talk_of(f"mark{chance.getrandbits(64):x}", 2)
        store.create(talk)
        talks.append(talk.id)
        if chance.random() < 0.2:
            store.listing.delete([talks.pop(chance.randrange(len(talks)))])
            store.listing.empty_bin()
        store.index.add_some(chance.randint(1, 6))
        if chance.random() < 0.2:
            store.index.merge(16)


@dataclass
class Indexing(Kind):
    """The index: whole, and once it is finished every message is found by its words."""

    longest_s: float = 0.5

    def before(self) -> Work:
        self.profile.mkdir(parents=True, exist_ok=True)
        return index_words

    def after(self, life: Life, store: Store) -> None:
        from qwen_desktop.storage.search import Searcher

        connection = store.database.connection
        connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
        while store.index.add_some(500):
            pass
        talks = all_talks(store)
        with closing(Searcher(self.file)) as searcher:
            for talk in self.chance.sample(talks, min(4, len(talks))):
                found = searcher.search(f"{talk.title} 回答", 50)
                hits = {hit.message_id for hit in found.hits if hit.message_id}
                answers = {m.id for m in talk.tree.path() if m.role is Role.ASSISTANT}
                assert hits == answers
