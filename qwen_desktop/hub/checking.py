"""Compares what came with its hash while the rest still comes, and makes whole files of it.

Two threads: one hashes, the other waits for the disk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from qwen_desktop.errors import Cancelled
from qwen_desktop.hub import journal, trouble
from qwen_desktop.hub.digest import PIECE, is_same
from qwen_desktop.hub.fetching import Shared
from qwen_desktop.hub.item import Item

_TURN = 8 * PIECE  # bytes before it looks around again
_SYNC_S = 0.2
_SYNC_BYTES = 1 << 25  # that came since the last time
_SYNC_LATEST_S = 1.0


def work(shared: Shared, on_done: Callable[[Item], None]) -> None:
    """Check until every file is whole; `on_done` hears of each. The body of a thread."""
    try:
        while (item := _next(shared)) is not None:
            if item.compare_present:
                _compare(shared, item, on_done)
            elif item.file.size == 0:
                with shared.changed:
                    item.make_empty()
                    shared.changed.notify_all()
                on_done(item)
            elif not item.digest.known or item.digest.at == item.file.size:
                _judge(shared, item)
            else:
                _read_on(shared, item)
    except Cancelled:
        pass
    except OSError as error:
        place = shared.items[0].target.parent
        shared.fail(trouble.of_disk(error, place))
    except BaseException as error:  # noqa: BLE001 - the thread that waits tells it
        shared.fail(error)


def _next(shared: Shared) -> Item | None:
    """A file that can be read on or finished; what lay there before comes last."""
    with shared.changed:
        while not shared.is_over():
            for item in shared.items:
                if item.is_done or item.compare_present or item.is_good:
                    continue
                # Windows renames no file that somebody still has open.
                is_whole = item.all_came and not item.claims.total
                if is_whole or item.unhashed > 0:
                    return item
            for item in shared.items:
                if item.compare_present:
                    shared.comparing = True
                    shared.changed.notify_all()
                    return item
            shared.changed.wait(1.0)
    return None


def _compare(shared: Shared, item: Item, on_done: Callable[[Item], None]) -> None:
    """A file that lay there: either it is the hub's, or it is fetched."""
    same = is_same(item.target, item.file, lambda _: None, shared.stopped)
    with shared.changed:
        item.compare_present = shared.comparing = False
        item.is_done = same
        shared.changed.notify_all()
    if same:
        on_done(item)


def _read_on(shared: Shared, item: Item) -> None:
    """Hash some more of what came without a gap."""
    digest = item.digest
    with shared.changed:
        until = min(item.ranges.prefix, digest.at + _TURN)
    buffer = memoryview(bytearray(PIECE))
    with item.part.open("rb", buffering=0) as source:
        source.seek(digest.at)
        while digest.at < until and not shared.stopped.is_set():
            count = source.readinto(buffer[: until - digest.at])
            if not count:
                raise OSError(0, "the part file is shorter than it was")
            digest.update(buffer[:count])
    with shared.changed:
        shared.changed.notify_all()


def _judge(shared: Shared, item: Item) -> None:
    """All bytes are here: they are the hub's, or everything is fetched once more."""
    with shared.changed:
        if item.digest.matches:
            item.is_good = True
            shared.changed.notify_all()
            return
        item.doubts += 1
        if item.doubts > 1:
            raise trouble.wrong_bytes(
                shared.web.host, item.file.path, f"the hash came to {item.digest.value}"
            )
        item.restart()
        shared.changed.notify_all()


def keep(shared: Shared, on_done: Callable[[Item], None]) -> None:
    """Bring what came to the disk as it comes, then make files of it: a thread's body.

    So a machine that goes down loses little, and at the end of a file little is left to be waited
    for.
    """
    synced, last = 0, time.monotonic()
    try:
        while not shared.stopped.is_set():
            with shared.changed:
                if shared.is_over():
                    return
                good = [item for item in shared.items if item.is_good and not item.is_done]
                came = shared.came
                if not good:
                    shared.changed.wait(_SYNC_S)
            for item in good:
                _finish(shared, item, on_done)
            late = time.monotonic() - last > _SYNC_LATEST_S
            if not good and (came - synced > _SYNC_BYTES or late):
                for item in shared.items:
                    _sync(shared, item)
                synced, last = came, time.monotonic()
    except OSError as error:
        shared.fail(trouble.of_disk(error, shared.items[0].target.parent))
    except BaseException as error:  # noqa: BLE001 - the thread that waits tells it
        shared.fail(error)


def _finish(shared: Shared, item: Item, on_done: Callable[[Item], None]) -> None:
    """The bytes are on the disk before the file has its name."""
    _sync(shared, item)
    with shared.changed:
        if shared.stopped.is_set():
            return
        item.finish()
        shared.changed.notify_all()
    on_done(item)


def _sync(shared: Shared, item: Item) -> None:
    with shared.changed:
        work = item.to_sync()
    if work is None:
        return
    handle, generation, count = work
    try:
        journal.sync(handle)
    finally:
        os.close(handle)
    with shared.changed:
        item.synced(generation, count)
