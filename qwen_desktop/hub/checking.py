"""Compares what came with its hash while the rest still comes, and makes whole files of it."""

from __future__ import annotations

import os
from collections.abc import Callable

from qwen_desktop.errors import Cancelled
from qwen_desktop.hub import journal, trouble
from qwen_desktop.hub.digest import PIECE, is_same
from qwen_desktop.hub.fetching import Shared
from qwen_desktop.hub.item import Item

_TURN = 16 * PIECE  # bytes before it looks around again
_SYNC_S = 1.0


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
                _finish(shared, item, on_done)
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
                if item.is_done or item.compare_present:
                    continue
                # Windows renames no file that somebody still has open.
                is_whole = item.all_came and not item.claims.total
                if is_whole or (item.digest.known and item.digest.at < item.ranges.prefix):
                    return item
            for item in shared.items:
                if item.compare_present:
                    return item
            shared.changed.wait(1.0)
    return None


def _compare(shared: Shared, item: Item, on_done: Callable[[Item], None]) -> None:
    """A file that lay there: either it is the hub's, or it is fetched."""
    same = is_same(item.target, item.file, lambda _: None, shared.stopped)
    with shared.changed:
        item.compare_present = False
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


def _finish(shared: Shared, item: Item, on_done: Callable[[Item], None]) -> None:
    """All bytes are here: the file is whole, or everything of it is fetched once more."""
    if not item.digest.matches:
        with shared.changed:
            item.doubts += 1
            if item.doubts > 1:
                raise trouble.wrong_bytes(
                    shared.web.host, item.file.path, f"the hash came to {item.digest.value}"
                )
            item.restart()
            shared.changed.notify_all()
        return
    _sync(shared, item)
    with shared.changed:
        item.finish()
        shared.changed.notify_all()
    on_done(item)


def keep_synced(shared: Shared) -> None:
    """Bring what came to the disk now and then, for a machine that goes down. A thread's body."""
    try:
        while not shared.stopped.wait(_SYNC_S):
            with shared.changed:
                if shared.is_over():
                    return
            for item in shared.items:
                _sync(shared, item)
    except OSError as error:
        shared.fail(trouble.of_disk(error, shared.items[0].target.parent))
    except BaseException as error:  # noqa: BLE001 - the thread that waits tells it
        shared.fail(error)


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
