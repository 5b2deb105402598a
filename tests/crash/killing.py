"""Starts a process, hears what it has done and ends it by SIGKILL at a random moment.

A process tells on a pipe what it does, each with the monotonic time, before or after the deed as
its kind says. What it told is all there is to compare with: the process itself can't be asked.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from qwen_desktop.storage.store import Store

MAY_BE_LOST_S = 1.0
PATIENCE_S = 120.0


class ProcessFailed(Exception):
    """A process ended by itself with an error, which stands on standard error: nothing is lost."""


Tell = Callable[..., None]  # what, and values that can be pickled
Work = Callable[[Path, int, Tell], None]  # profile, seed; goes on until it is killed, or ends


@dataclass(frozen=True)
class Told:
    """What a process said at a moment (monotonic seconds)."""

    moment: float
    what: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Life:
    """What was heard of one process; `killed` is when, or None where it had ended before."""

    told: tuple[Told, ...]
    killed: float | None

    def of(self, *what: str) -> Iterator[Told]:
        """What it said of one kind or several, in order."""
        return (one for one in self.told if one.what in what)

    @property
    def end(self) -> float:
        """No later than this it was at work."""
        return self.killed if self.killed is not None else float("inf")

    def is_due(self, moment: float) -> bool:
        """Whether what happened at `moment` must be on disk."""
        return moment <= self.end - MAY_BE_LOST_S

    def ago_ms(self, moment: float) -> float:
        """Milliseconds from `moment` to the end."""
        return max(0.0, (self.end - moment) * 1000) if self.killed is not None else 0.0


@dataclass
class Losses:
    """What was lost at the ends: the longest in milliseconds. More than a second is an error."""

    draft_ms: float = 0.0
    answer_ms: float = 0.0
    other_ms: float = 0.0

    def add(self, kind: str, milliseconds: float) -> None:
        """Something said so long before the end is not there."""
        name = f"{kind}_ms"
        setattr(self, name, max(getattr(self, name), milliseconds))


@dataclass
class Kind:
    """One thing that a program may be killed at. Keeps what must be there over all kills.

    `longest_s`: the kill comes within so many seconds after the process has begun.
    """

    profile: Path
    chance: random.Random
    longest_s: float = 1.0
    losses: Losses = field(default_factory=Losses)

    @property
    def file(self) -> Path:
        """The database."""
        return self.profile / "conversations.db"

    def before(self) -> Work:
        """Make the profile ready for the next process; what that process is to do."""
        raise NotImplementedError

    def look(self) -> bool:
        """Whether the profile is looked at after this kill; if not, the next process goes on."""
        return True

    def after(self, life: Life, store: Store) -> None:
        """Compare what `life` told with what is there. Raises AssertionError."""
        raise NotImplementedError


def kill_once(kind: Kind) -> Life:
    """One process, its end, and the look at what it left behind."""
    work = kind.before()
    life = _life(work, kind.profile, kind.chance.getrandbits(32), _moment(kind))
    if kind.file.exists() and kind.look():
        store = Store.open(kind.file)
        try:
            assert_whole(store)
            kind.after(life, store)
        finally:
            store.close()
    return life


def assert_whole(store: Store) -> None:
    """SQLite finds nothing wrong with the file."""
    connection = store.database.connection
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def _moment(kind: Kind) -> float:
    # As many early ones as late ones on a scale of logarithms: short steps are met as well.
    low, high = 0.001, kind.longest_s
    if kind.chance.random() < 0.3:
        return float(low * (high / low) ** kind.chance.random())
    return kind.chance.uniform(low, high)


def _life(work: Work, profile: Path, seed: int, after_s: float) -> Life:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.crash.preloaded"])
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(work, profile, seed, there), daemon=True)
    process.start()
    there.close()
    heard: list[Told] = []
    killed: float | None = None
    try:
        if not here.poll(PATIENCE_S):
            raise ProcessFailed("the process does nothing")
        heard.append(here.recv())
        until = heard[0].moment + after_s
        while (left := until - time.monotonic()) > 0:
            if here.poll(left):
                heard.append(here.recv())
        process.kill()
        killed = time.monotonic()
        while True:  # it went on until the signal arrived
            heard.append(here.recv())
    except EOFError:
        pass
    finally:
        process.kill()
        process.join()
        here.close()
    if process.exitcode not in (0, -9):
        raise ProcessFailed(f"status {process.exitcode}; last heard: {heard[-1:]}")
    return Life(tuple(heard), killed if process.exitcode else None)


def _run(work: Work, profile: Path, seed: int, there: Connection) -> None:
    """In the process."""

    one_at_a_time = threading.Lock()

    def tell(what: str, *values: Any) -> None:
        with one_at_a_time:
            there.send(Told(time.monotonic(), what, values))

    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    work(profile, seed, tell)
    there.close()
