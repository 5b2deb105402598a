"""Fetches ranges of files: one request after the other, on a thread for each connection."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field
from typing import BinaryIO

from qwen_desktop.chat.hub import Endpoint, Listing
from qwen_desktop.errors import Cancelled, Known
from qwen_desktop.hub import trouble
from qwen_desktop.hub.item import BLOCK, Item
from qwen_desktop.hub.listing import file_address
from qwen_desktop.hub.pace import Limit, Patience
from qwen_desktop.hub.trouble import Elsewhere, Transient
from qwen_desktop.hub.web import Answer, Web

# A range is told to the journal after so many bytes: with sixteen connections at most as much is
# fetched a second time after an end at any moment.
PIECE = 1 << 19
# Bytes that are asked for at once. The hash goes through a file in order, so it waits for the
# connection that is furthest behind: as little as the pauses between two requests allow.
FIRST_SEGMENT, LEAST_SEGMENT, LARGEST_SEGMENT = 1 << 23, 1 << 23, 1 << 26
_BUSY = 40  # times as long as the pause that a request costs
# Bytes that came and that the hash has not reached. Beyond, fetching waits: on so quick a network
# the two fight for the processor, and what counts is when both are through.
_AHEAD = 1 << 25
# More connections than two help a network, not a machine that is busy with what comes already.
_FEW, _QUICK, _KNOWN_S = 2, 300e6, 0.25  # connections, bytes a second, seconds
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_SHA256 = re.compile(r'(?:W/)?"?([0-9a-f]{64})"?')


class NoRanges(Exception):  # noqa: N818 - names what it is
    """The server sends the whole file where a part of it was asked for."""


@dataclass
class Shared:
    """What the threads of a download share. `changed` is its lock; whoever waits is woken by it."""

    listing: Listing
    endpoint: Endpoint
    items: list[Item]
    web: Web
    limit: Limit
    connections: int
    patience: Patience = field(default_factory=Patience)
    changed: threading.Condition = field(default_factory=threading.Condition)
    stopped: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None
    passing: Known | None = None  # the last trouble that may pass
    came: int = 0  # bytes of this run
    segment: int = FIRST_SEGMENT
    pause_s: float = 1.0  # the shortest between a request and its answer
    began: float = field(default_factory=time.monotonic)
    comparing: bool = False  # whether the hash is busy with what was there before

    def fail(self, error: BaseException) -> None:
        """End everything because of `error`; the first one is told."""
        with self.changed:
            if self.failure is None and not self.stopped.is_set():
                self.failure = error
        self.stop()

    def stop(self) -> None:
        """End everything within a moment."""
        self.stopped.set()
        self.web.close()
        with self.changed:
            self.changed.notify_all()

    def is_quick(self) -> bool:
        """Whether few connections bring as much as this machine can take, or nobody knows yet."""
        ran_s = time.monotonic() - self.began
        return ran_s < _KNOWN_S or self.came > _QUICK * ran_s

    def is_over(self) -> bool:
        """Whether there is nothing more to do, or nobody may; with the lock held."""
        return self.stopped.is_set() or all(item.is_done for item in self.items)


def work(shared: Shared, number: int) -> None:
    """Fetch range after range until all is here. The body of a thread, of which it is `number`."""
    try:
        while (claimed := _claim(shared, number)) is not None:
            item, start, stop = claimed
            try:
                # Also where another connection failed: a server that wants a pause gets one.
                if shared.patience.wait(shared.stopped):
                    return
                _fetch_patiently(shared, item, start, stop)
            finally:
                with shared.changed:
                    item.release(start, stop)
                    shared.changed.notify_all()
    except Cancelled:
        pass
    except BaseException as error:  # noqa: BLE001 - the thread that waits tells it
        shared.fail(error)


def _claim(shared: Shared, number: int) -> tuple[Item, int, int] | None:
    with shared.changed:
        while not shared.is_over():
            if number >= _FEW and shared.is_quick():
                shared.changed.wait(_KNOWN_S)
                continue
            left = sum(item.unclaimed for item in shared.items)
            most = max(BLOCK, min(shared.segment, left // (2 * shared.connections)))
            for item in shared.items:
                claim = item.claim(most)
                if claim is not None:
                    return item, *claim
            shared.changed.wait(1.0)
    return None


def _fetch_patiently(shared: Shared, item: Item, start: int, stop: int) -> None:
    try:
        _fetch(shared, item, start, stop)
    except NoRanges:
        with shared.changed:
            item.ranged = False
    except Transient as passing:
        with shared.changed:
            shared.passing = passing.known
            item.address = ""
            if isinstance(passing, Elsewhere):
                item.refusals += 1
                if item.refusals > 2:
                    raise passing.known from passing
        if not shared.patience.fail(passing.retry_after_s):
            raise passing.known from passing
    except OSError as error:  # those of the network were translated
        raise trouble.of_disk(error, item.target) from error


def _fetch(shared: Shared, item: Item, start: int, stop: int) -> None:
    """One request for [start, stop) and what comes of it, into the part file."""
    path, size = item.file.path, item.file.size
    with shared.changed:
        generation, sent_to, ranged = item.generation, item.address, item.ranged
    asked = time.monotonic()
    whole = not ranged or (start, stop) == (0, size)
    with shared.web.get(
        file_address(shared.listing, shared.endpoint, path),
        path,
        start=start,
        stop=None if whole else stop,
        sent_to=sent_to,
        ok=(200, 206, 416),
    ) as answer:
        _check(shared, item, answer, start, size)
        if answer.status == 200 and not whole:
            raise NoRanges
        with shared.changed:
            if shared.stopped.is_set():
                raise Cancelled
            if not item.file.sha256 and not item.file.git_oid:
                _compare_etag(shared, item, answer)
            if item.generation != generation:
                return
            item.begin(answer.header("etag"))
            item.address, item.refusals = answer.url, 0
        began = time.monotonic()
        with item.part.open("r+b", buffering=0) as out:
            _receive(shared, item, generation, answer, out, start, stop)
    if stop - start >= LEAST_SEGMENT:
        took = max(time.monotonic() - began, 1e-6)
        with shared.changed:
            shared.pause_s = min(shared.pause_s, began - asked)
            fitting = int(_BUSY * shared.pause_s * (stop - start) / took)
            shared.segment = max(LEAST_SEGMENT, min(LARGEST_SEGMENT, fitting))


def _check(shared: Shared, item: Item, answer: Answer, start: int, size: int) -> None:
    """Raise where the answer cannot be what was asked for."""
    path, commit = item.file.path, shared.listing.commit
    moved = answer.said.get("x-repo-commit", "")
    if moved and commit and moved != commit:
        raise trouble.changed(answer.host, path, f"commit {moved}, not {commit}")
    linked = _SHA256.fullmatch(answer.said.get("x-linked-etag", ""))
    if linked and item.file.sha256 and linked[1] != item.file.sha256:
        known = trouble.changed(answer.host, path, f"sha256 {linked[1]}, not {item.file.sha256}")
        _doubt(shared, item, known)
    if answer.status == 206:
        found = _CONTENT_RANGE.fullmatch(answer.header("content-range"))
        if not found or int(found[1]) != start:
            details = f"{answer.url}: {answer.header('content-range')}, not from {start}"
            raise Transient(trouble.nonsense(answer.host, details))
        total = size if found[3] == "*" else int(found[3])
    elif answer.status == 416:
        length = answer.header("content-range").rpartition("/")[2]
        total = int(length) if length.isascii() and length.isdigit() else 0
    else:
        total = size if answer.packed or answer.length is None else answer.length
    if answer.is_html and total != size:
        raise trouble.portal(answer.host, answer.url)
    if total != size or answer.status == 416:
        _doubt(shared, item, trouble.wrong_length(answer.host, path, size, total))


def _doubt(shared: Shared, item: Item, known: Known) -> None:
    """Once it may be a slip; the second time it is told."""
    with shared.changed:
        item.slips += 1
        if item.slips > 1:
            raise known
    raise Transient(known)


def _compare_etag(shared: Shared, item: Item, answer: Answer) -> None:
    """Where there is no hash, the server's name for the bytes has to stay the same."""
    etag = answer.header("etag")
    if not etag or not item.etag or etag == item.etag:
        return
    known = trouble.changed(answer.host, item.file.path, f"ETag {etag}, before {item.etag}")
    item.doubts += 1
    if item.doubts > 1:
        raise known
    item.restart()
    raise Transient(known)


def _receive(
    shared: Shared,
    item: Item,
    generation: int,
    answer: Answer,
    out: BinaryIO,
    start: int,
    stop: int,
) -> None:
    """The body into the part file. What came is in the journal, however this ends."""
    out.seek(start)
    at = told = start
    try:
        while at < stop:
            data = answer.read(min(shared.limit.chunk(), stop - at))
            if not data:
                raise Transient(trouble.cut_off(answer.host, f"{answer.url}: at {at} of {stop}"))
            shared.limit.take(len(data), shared.stopped)
            _write(out, data)
            at += len(data)
            shared.patience.progress()
            with shared.changed:
                if item.generation != generation:
                    return
                item.flight += len(data)
                shared.came += len(data)
                if at - told >= PIECE:
                    item.wrote(told, at)
                    told = at
                    shared.changed.notify_all()
                    shared.changed.wait_for(lambda: not _is_ahead(shared), timeout=1.0)
    finally:
        with shared.changed:
            if item.generation == generation:
                item.wrote(told, at)
                shared.changed.notify_all()


def _is_ahead(shared: Shared) -> bool:
    """Whether the hash has to catch up first; with the lock held."""
    if shared.comparing or shared.stopped.is_set():
        return False
    return sum(item.unhashed for item in shared.items) > _AHEAD


def _write(out: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[out.write(view) :]
