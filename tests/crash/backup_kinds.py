"""Backing up beside a store that writes, and restoring backups."""

from __future__ import annotations

import random
import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from qwen_desktop.chat.backup import BackupInfo, BackupReason
from qwen_desktop.chat.summary import ListFilter
from qwen_desktop.storage.backups import BackupFolder, is_sound
from qwen_desktop.storage.store import Store
from tests.crash.killing import Kind, Life, Tell, Work
from tests.crash.storage_kinds import talk_of

KEEP = 3  # backups from one kill to the next; the others are removed, as a person may


def back_up(profile: Path, seed: int, tell: Tell) -> None:
    """Write on one thread and back up on another."""
    store = Store.open(profile / "conversations.db")
    chance = random.Random(seed)
    tell("begins")

    def make() -> None:
        folder = BackupFolder(profile / "conversations.db")
        while True:
            info = folder.make(BackupReason.ASKED)
            tell("made", info.file.name)

    threading.Thread(target=make, daemon=True).start()
    while True:
        talk = talk_of(f"talk {chance.getrandbits(64)}", 4)
        store.create(talk)
        tell("created", talk.id)


@dataclass
class BackingUp(Kind):
    """Every file that has the name of a backup is a whole one, with what was there at the time."""

    longest_s: float = 0.7
    created: set[str] = field(default_factory=set)

    def before(self) -> Work:
        self.profile.mkdir(parents=True, exist_ok=True)
        return back_up

    def after(self, life: Life, store: Store) -> None:
        names = {info.file.name for info in store.backups.list()}
        for told in life.told:
            if told.what == "created":
                self.created.add(told.values[0])
            elif told.what == "made":
                assert told.values[0] in names, "a backup is gone"
        assert self.created <= set(store.listing.ids(ListFilter()))
        for info in store.backups.list():
            assert is_sound(info.file)
        _remove_old(store.backups)


def restore_often(profile: Path, seed: int, tell: Tell) -> None:
    """Write, back up and go back to a backup, in turn."""
    store = Store.open(profile / "conversations.db")
    chance = random.Random(seed)
    tell("begins")
    while True:
        for _ in range(chance.randint(1, 3)):
            talk = talk_of(f"talk {chance.getrandbits(64)}", 2)
            store.create(talk)
            tell("created", talk.id)
        asked = [one for one in store.backups.list() if one.reason is BackupReason.ASKED]
        if len(asked) < 2 or chance.random() < 0.2:
            info = store.backups.make(BackupReason.ASKED)
            tell("made", info.file.name)
        else:
            info = chance.choice(asked)
            tell("restores", info.file.name)
            store.backups.restore(info)
            tell("restored", info.file.name)


@dataclass
class Restoring(Kind):
    """What is there is what was there before or what the backup has; the other is in a backup."""

    longest_s: float = 0.7
    now: frozenset[str] = frozenset()
    made: dict[str, frozenset[str]] = field(default_factory=dict)

    def before(self) -> Work:
        self.profile.mkdir(parents=True, exist_ok=True)
        return restore_often

    def after(self, life: Life, store: Store) -> None:
        now, before, restoring = self.now, self.now, ""
        for told in life.told:
            if told.what == "created":
                now |= {told.values[0]}
            elif told.what == "made":
                self.made[told.values[0]] = now
            elif told.what == "restores":
                before, restoring = now, told.values[0]
            elif told.what == "restored":
                now, restoring = self.made[told.values[0]], ""
        found = frozenset(store.listing.ids(ListFilter()))
        allowed = [now, self.made[restoring]] if restoring else [now]
        # The last one may have been made without telling.
        assert any(one <= found and len(found - one) <= 1 for one in allowed)
        backups = store.backups.list()
        for info in backups:
            assert is_sound(info.file)
        kept = any(before <= ids for ids in (found, *map(_ids_in, backups)))
        assert kept, "what was there is lost"
        self.now = found
        _remove_old(store.backups)
        there = {info.file.name for info in store.backups.list()}
        for info in store.backups.list():  # one may have been made without telling
            self.made[info.file.name] = _ids_in(info)
        self.made = {name: ids for name, ids in self.made.items() if name in there}


def _ids_in(info: BackupInfo) -> frozenset[str]:
    with closing(sqlite3.connect(f"{info.file.as_uri()}?mode=ro&immutable=1", uri=True)) as found:
        return frozenset(one for (one,) in found.execute("SELECT id FROM conversations"))


def _remove_old(folder: BackupFolder) -> None:
    for info in folder.list()[KEEP:]:
        info.file.unlink()
