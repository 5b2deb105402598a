"""Downloads what a plan lists: several connections, ranges, hashes, and an end at any moment.

`run` keeps watch on the caller's thread; others fetch (`fetching.py`), compare (`checking.py`) and
bring to the disk. What is where at which end: docs/adr/0016-downloads.md.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from qwen_desktop.chat.hub import (
    DownloadPlan,
    DownloadProgress,
    DownloadState,
    Endpoint,
    Source,
    Standing,
)
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known
from qwen_desktop.hub import adopt, checking, fetching, source_file, tidying, trouble
from qwen_desktop.hub.fetching import Shared
from qwen_desktop.hub.item import Item
from qwen_desktop.hub.pace import Limit, Speed
from qwen_desktop.hub.planning import plan as plan_anew
from qwen_desktop.hub.wanted import wanted
from qwen_desktop.hub.web import Web

LOCK = ".qwen-desktop.lock"
MAX_CONNECTIONS = 16
TELL_S = 0.1
_WATCH_S = 0.05
_LEAVE_S = 1.0  # how long threads are waited for that may be stuck in the network


class Download:
    """One download. `run` may be called again after it ended in trouble or was cancelled."""

    def __init__(
        self,
        plan: DownloadPlan,
        endpoint: Endpoint,
        *,
        connections: int = 4,
        limit: float | Limit = 0.0,
    ) -> None:
        """`limit`: bytes a second, 0 for none; or a `Limit` that other downloads share."""
        self._plan = plan
        self._endpoint = endpoint
        self._connections = max(1, min(MAX_CONNECTIONS, connections))
        self._limit = limit if isinstance(limit, Limit) else Limit(limit)

    @property
    def limit(self) -> float:
        """Bytes a second over all connections, 0 for none. Any thread may set it at any time."""
        return self._limit.rate

    @limit.setter
    def limit(self, rate: float) -> None:
        self._limit.rate = max(0.0, float(rate))

    def run(
        self, on_progress: Callable[[DownloadProgress], None], cancel: threading.Event
    ) -> Source:
        """Download until every file is whole and its hash compared; what the folder then records.

        `on_progress` is called on this thread. Raises Known in trouble that lasts, Cancelled after
        `cancel` is set; what came by then is gone on with by the next run.
        """
        folder = self._plan.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder):
                return self._run_locked(on_progress, cancel)
        except OSError as error:
            raise trouble.of_disk(error, folder) from error

    def _run_locked(
        self, on_progress: Callable[[DownloadProgress], None], cancel: threading.Event
    ) -> Source:
        listing = self._plan.listing
        adopt.take_pieces(self._plan.folder, [one.file for one in self._plan.files])
        # The folder may have changed since it was looked at, by an earlier run of this very plan.
        plan = plan_anew(self._plan.folder, listing, {one.file.path for one in self._plan.files})
        if not plan.fits:
            raise _no_room(plan)
        tidying.tidy(plan.folder, plan.files)
        record = _Record(plan)
        record.write()
        shared = Shared(
            listing=listing,
            endpoint=self._endpoint,
            items=[Item(plan.folder, listing, planned) for planned in plan.files],
            web=Web(self._endpoint, self._connections),
            limit=self._limit,
            connections=self._connections,
        )
        try:
            self._watch(shared, record, on_progress, cancel)
        finally:
            shared.stop()
            with shared.changed:
                for item in shared.items:
                    item.close()
        if shared.failure is not None:
            raise shared.failure
        if not all(item.is_done for item in shared.items):
            raise Cancelled
        return record.write()

    def _watch(
        self,
        shared: Shared,
        record: _Record,
        on_progress: Callable[[DownloadProgress], None],
        cancel: threading.Event,
    ) -> None:
        bodies: list[tuple[str, Callable[[], None]]] = [
            ("hub check", lambda: checking.work(shared, record.done)),
            ("hub keep", lambda: checking.keep(shared, record.done)),
        ]
        bodies += [
            (f"hub fetch {n}", partial(fetching.work, shared, n)) for n in range(self._connections)
        ]
        # Daemons: one that looks up a name cannot be woken, and is left.
        threads = [threading.Thread(target=b, name=n, daemon=True) for n, b in bodies]
        for thread in threads:
            thread.start()
        telling = _Telling(shared, on_progress)
        try:
            while True:
                with shared.changed:
                    over = shared.is_over()
                if over or cancel.is_set():
                    break
                telling.tell()
                # Not by the condition: it is notified for every piece that comes.
                cancel.wait(_WATCH_S)
        finally:
            with shared.changed:
                finished = all(item.is_done for item in shared.items)
            shared.stop()
            until = time.monotonic() + _LEAVE_S
            for thread in threads:
                thread.join(max(0.0, until - time.monotonic()))
        if finished and shared.failure is None:
            telling.tell(at_end=True)


class _Record:
    """What the folder's own file says meanwhile."""

    def __init__(self, plan: DownloadPlan) -> None:
        self._plan = plan
        before = source_file.read_source(plan.folder)
        self._lock = threading.Lock()  # two threads tell of files
        self._stamps: dict[str, str] = {}
        if before is not None:
            files = [one.file.path for one in plan.files if one.standing is not Standing.CHECKED]
            kept = source_file.compared(plan.folder).difference(files)
            self._stamps = {path: source_file.stamp_of(plan.folder / path) for path in kept}

    def done(self, item: Item) -> None:
        """A file is whole."""
        if item.digest.known:
            with self._lock:
                self._stamps[item.file.path] = source_file.stamp_of(item.target)
                self.write()

    def write(self) -> Source:
        """Write it down. Raises OSError."""
        listing, folder = self._plan.listing, self._plan.folder
        files = wanted(listing).files
        others = {one.file.path: one.file for one in self._plan.files}
        files += tuple(file for file in others.values() if file not in files)
        complete = all(
            (folder / file.path).is_file() and (folder / file.path).stat().st_size == file.size
            for file in files
        )
        source = Source(
            listing.hub,
            listing.endpoint,
            listing.repository,
            listing.revision,
            listing.commit,
            files,
            complete,
        )
        source_file.write_source(folder, source, self._stamps)
        return source


class _Telling:
    """Makes the progress that is shown."""

    def __init__(self, shared: Shared, tell: Callable[[DownloadProgress], None]) -> None:
        self._shared, self._tell = shared, tell
        self._speed = Speed()
        self._told = 0.0
        self._total = sum(item.file.size for item in shared.items)

    def tell(self, at_end: bool = False) -> None:
        """Tell it, unless it was told a moment ago."""
        now = time.monotonic()
        if now - self._told < TELL_S and not at_end:
            return
        self._told = now
        shared = self._shared
        with shared.changed:
            files = tuple(item.progress() for item in shared.items)
            passing, came = shared.passing, shared.came
        done = sum(file.done for file in files)
        self._speed.add(came, now)
        pause_s = shared.patience.pause_s
        if at_end:
            state = DownloadState.DONE
        elif done == self._total:
            state = DownloadState.CHECKING
        elif pause_s > 0:
            state = DownloadState.RETRYING
        else:
            state = DownloadState.FETCHING if came else DownloadState.STARTING
        retrying = state is DownloadState.RETRYING
        self._tell(
            DownloadProgress(
                state=state,
                files=files,
                total=self._total,
                done=done,
                speed=self._speed.rate,
                remaining_s=self._speed.remaining_s(self._total - done),
                trouble=passing.report() if passing and retrying else None,
                retry_in_s=pause_s if retrying else 0.0,
            )
        )


def discard(folder: Path, paths: Iterable[str] = ()) -> None:
    """Remove what paused downloads left in `folder`, and the folder where nothing else is in it.

    Of whole files only `paths` of the repository go. Raises Known where a download is at work
    there or the disk refuses.
    """
    if not folder.is_dir():
        return
    try:
        with locked(folder):
            for ranges in folder.rglob("*.part.ranges"):
                part = ranges.with_suffix("")
                for path in (part, ranges):
                    path.unlink(missing_ok=True)
            tidying.remove_unfinished([folder, *(one for one in folder.rglob("*") if one.is_dir())])
            tidying.remove_whole(folder, paths)
            own = {LOCK, source_file.NAME}
            left = [path for path in folder.iterdir() if path.name not in own]
            if not left:
                (folder / source_file.NAME).unlink(missing_ok=True)
        if not left:
            (folder / LOCK).unlink(missing_ok=True)
            with suppress(OSError):
                folder.rmdir()
    except OSError as error:
        raise trouble.of_disk(error, folder) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """No other process or thread downloads into `folder` meanwhile. Raises Known where one does."""
    import filelock

    lock = filelock.FileLock(folder / LOCK, is_singleton=False)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "Another download into {folder} is at work."),
            QT_TRANSLATE_NOOP("errors", "Wait for it, or choose another folder."),
            details=str(folder),
            code="download-locked",
            folder=folder.name,
        ) from error
    try:
        yield
    finally:
        lock.release()


def _no_room(plan: DownloadPlan) -> Known:
    return Known(
        QT_TRANSLATE_NOOP(
            "errors", "The download needs {needed} GB, and the disk of {folder} has {free} GB free."
        ),
        QT_TRANSLATE_NOOP("errors", "Free some space, or choose a folder on another disk."),
        details=str(plan.folder),
        code="disk-full",
        needed=f"{plan.space_needed / 1e9:.1f}",
        free=f"{plan.free / 1e9:.1f}",
        folder=plan.folder.name,
    )
