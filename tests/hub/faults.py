"""How a fake hub misbehaves on demand.

A fault waits for an answer of the kind `on`, about a file that `file` matches, and spoils it;
`times` times, then it is used up (0: always). `on` is one of

    info, tree      Hugging Face: what a revision is; what files it has
    listing         ModelScope: what files there are
    list            any of those three
    resolve         where a file is asked for, which mostly sends on to elsewhere
    bytes           what has the bytes of a file in it, wherever it comes from
    any             all of them

The kinds before an answer:

    status          answer with `status`, `headers` and `body`
    portal          a page of HTML with status 200, as hotels have
    redirect        send on to `to`; without one, to the same address again: a loop
    silent          take the question and say nothing until `go` is set or the hub ends
    reset           end the connection before a word

Of a list:

    edit            `edit` changes what is to be written as JSON, and gives it back
    truncated       half of the JSON; its length is right, the JSON isn't

Of bytes, `at` being a place in the file. Only an answer with this place in it is spoilt by
cut, hold, reset_at and flip.

    cut             the connection ends before the byte at `at`
    reset_at        the same, but rudely
    hold            before the byte at `at` the answer waits for `go`; `reached` is set there
    slow            goes on at `rate` bytes per second
    flip            the byte at `at` is another
    resize          the whole file has `by` bytes more or less, and says so
    etag            another ETag than all the time
    commit          another X-Repo-Commit
    no_range        all of the file with status 200, whatever was asked for
    wrong_range     status 206, but of another place than was asked for
    gzip            packed, with Content-Encoding
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

LISTS = ("info", "tree", "listing")
PLACED = ("cut", "reset_at", "hold", "flip")
KINDS = (
    *("status", "portal", "redirect", "silent", "reset", "edit", "truncated", *PLACED),
    *("slow", "resize", "etag", "commit", "no_range", "wrong_range", "gzip"),
)


@dataclass
class Fault:
    """One way to misbehave; see the module."""

    kind: str
    on: str = "bytes"
    file: str = "*"
    times: int = 1
    at: int = 0
    by: int = 0
    rate: float = 0.0
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    to: str = ""
    edit: Callable[[Any], Any] | None = None
    used: int = 0
    reached: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault is called {self.kind}")

    def fits(self, stage: str, file: str) -> bool:
        """Whether it is about such an answer, and is not used up."""
        stages = {"any": (stage,), "list": LISTS}.get(self.on, (self.on,))
        is_left = self.times == 0 or self.used < self.times
        return is_left and stage in stages and fnmatchcase(file, self.file)


class Faults:
    """Those that a hub has at the moment. Any thread may add and take them."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """From now on."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """None from now on; those that hold an answer let go."""
        with self._lock:
            faults, self._faults = self._faults, []
        for fault in faults:
            fault.go.set()

    def take(
        self, stage: str, file: str, kinds: tuple[str, ...], start: int = 0, stop: int = 0
    ) -> Fault | None:
        """The first that fits, which is used once more by this."""
        with self._lock:
            for fault in self._faults:
                if fault.kind not in kinds or not fault.fits(stage, file):
                    continue
                if fault.kind in PLACED and not start <= fault.at < stop:
                    continue
                fault.used += 1
                return fault
        return None
