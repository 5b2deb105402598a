"""Takes conversations out of files into the profile. QtCore only.

Files are read on a thread of their own, which nobody waits for; each conversation is written on
the store thread, a few at a time, so that an answer's journal is never kept waiting. At most two
batches are on their way, however large the files are.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.bridge.chats import Chats
from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.chat.importing import (
    Entry,
    Found,
    Outcome,
    Progress,
    Refused,
    Result,
    entry_found,
    entry_refused,
)
from qwen_desktop.chat.messages import new_id
from qwen_desktop.errors import Known, Report, report_of

if TYPE_CHECKING:
    from qwen_desktop.storage.store import Store

_log = logging.getLogger(__name__)

BATCH = 50  # conversations handed over at once
BATCH_SECONDS = 0.2  # after which fewer are
WRITE_SECONDS = 0.05  # on the store thread before others get their turn
BATCHES = 2  # on their way at a time
TELL_SECONDS = 0.1  # between two reports of progress
LIST_SECONDS = 1.0  # between two looks at the list
PATIENCE_SECONDS = 5.0  # that the end of the program waits for a thread to tidy up

_Pieces = tuple["Found | Refused", ...]
# Names that only a folder of a model holds.
_OF_MODEL = ("*.safetensors", "*.gguf", "*.bin", "tokenizer*.json", "*config.json")


@dataclass
class _Job:
    """One request. The thread reads `stop` and `room`; the rest is the main thread's."""

    paths: tuple[Path, ...]
    opening: bool
    id: str = field(default_factory=new_id)
    stop: threading.Event = field(default_factory=threading.Event)
    room: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(BATCHES))
    entries: list[Entry] = field(default_factory=list)
    waiting: deque[_Pieces] = field(default_factory=deque)
    writing: bool = False
    read_all: bool = False
    checkpoints: tuple[Path, ...] = ()
    trouble: Report | None = None
    progress: Progress = field(default_factory=Progress)


class Importing(QObject):
    """Owned by the application; on the main thread. One request at a time, others wait.

    Signals: `started(bool)`: whether files are opened (and not imported at the user's request);
    `progress(Progress)`; `finished(Result, bool)` with the same.
    """

    started = Signal(bool)
    progress = Signal(object)
    finished = Signal(object, bool)
    _read = Signal(str, object)
    _told = Signal(str, object)
    _ended = Signal(str, object, object)

    def __init__(self, chats: Chats, store: StoreClient, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._chats = chats
        self._store = store
        self._job: _Job | None = None
        self._next: deque[_Job] = deque()
        self._thread: threading.Thread | None = None
        self._emitting = threading.Lock()
        self._closed = False
        self._listed_at = 0.0
        self._read.connect(self._on_read)
        self._told.connect(self._on_told)
        self._ended.connect(self._on_ended)

    @property
    def busy(self) -> bool:
        """Whether something is being read or written."""
        return self._job is not None

    def start(self, paths: Iterable[Path]) -> None:
        """Take in what is in these files and folders."""
        self._enter(_Job(tuple(paths), opening=False))

    def open(self, paths: Iterable[Path]) -> None:
        """The same for files that were dropped, or named at the start.

        Folders of models among them are only told, in the Result.
        """
        self._enter(_Job(tuple(paths), opening=True))

    def cancel(self) -> None:
        """End what is under way. What is in the profile by then stays there."""
        if self._job is not None:
            self._job.stop.set()

    def undo(self, result: Result) -> None:
        """Put what an import has added into the bin. What it merged stays merged."""
        self._chats.list.delete(entry.conversation_id for entry in result.of(Outcome.ADDED))

    def close(self) -> None:
        """Begin nothing more. What the store has been given is still written.

        Waits a moment for the thread: a saved profile that it reads lies unpacked somewhere.
        """
        self._next.clear()
        with self._emitting:
            self._closed = True
        self.cancel()
        if self._thread is not None:
            self._thread.join(PATIENCE_SECONDS)

    def _enter(self, job: _Job) -> None:
        if not job.paths or self._closed:
            return
        self._next.append(job)
        if self._job is None:
            self._begin()

    def _begin(self) -> None:
        if not self._next:
            return
        job = self._job = self._next.popleft()
        self.started.emit(job.opening)
        self._thread = threading.Thread(
            target=self._run, args=(job,), name="importing", daemon=True
        )
        self._thread.start()

    # -- on a thread of its own --------------------------------------------------------------

    def _run(self, job: _Job) -> None:
        checkpoints: tuple[Path, ...] = ()
        trouble: Report | None = None
        try:
            paths = job.paths
            if job.opening:
                checkpoints = tuple(path for path in paths if _is_of_model(path))
                paths = tuple(path for path in paths if path not in checkpoints)
            self._read_all(job, paths)
        except BaseException as error:  # noqa: BLE001 - the border of this thread
            trouble = report_of(error)
            _log.error("importing: %s", trouble.for_log())
        self._tell(self._ended, job.id, checkpoints, trouble)

    def _read_all(self, job: _Job, paths: tuple[Path, ...]) -> None:
        from qwen_desktop.storage.imports.files import Reader

        told_at = 0.0

        def told(file: str, done: int, total: int) -> None:
            nonlocal told_at
            if time.monotonic() - told_at > TELL_SECONDS:
                told_at = time.monotonic()
                self._tell(self._told, job.id, Progress(file, done, total))

        batch: list[Found | Refused] = []
        begun = time.monotonic()
        for piece in Reader(paths, job.stop.is_set, told):
            batch.append(piece)
            if len(batch) >= BATCH or time.monotonic() - begun > BATCH_SECONDS:
                self._hand_over(job, tuple(batch))
                batch.clear()
                begun = time.monotonic()
        self._hand_over(job, tuple(batch))

    def _hand_over(self, job: _Job, batch: _Pieces) -> None:
        while batch and not job.stop.is_set():
            if job.room.acquire(timeout=0.1):
                self._tell(self._read, job.id, batch)
                return

    def _tell(self, signal: object, *values: object) -> None:
        """Emit, unless the program has ended meanwhile: then there is nobody to emit it."""
        with self._emitting:
            if not self._closed:
                signal.emit(*values)  # type: ignore[attr-defined]

    # -- on the main thread ------------------------------------------------------------------

    @Slot(str, object)
    def _on_told(self, job_id: str, progress: Progress) -> None:
        job = self._job
        if job is not None and job.id == job_id:
            job.progress = progress
            self._tell_progress(job)

    @Slot(str, object)
    def _on_read(self, job_id: str, batch: _Pieces) -> None:
        job = self._job
        if job is not None and job.id == job_id:
            job.waiting.append(batch)
            self._write(job)

    @Slot(str, object, object)
    def _on_ended(self, job_id: str, checkpoints: tuple[Path, ...], trouble: Report | None) -> None:
        job = self._job
        if job is not None and job.id == job_id:
            job.read_all = True
            job.checkpoints = checkpoints
            job.trouble = job.trouble or trouble
            self._finish_if_done(job)

    def _write(self, job: _Job) -> None:
        """Have the store take the next batch, or what of it is left."""
        if job.writing or not job.waiting:
            return
        if job.stop.is_set():
            job.waiting.clear()
            return
        batch = job.waiting.popleft()
        job.writing = True

        def done(written: tuple[tuple[Entry, ...], _Pieces, Report | None]) -> None:
            entries, rest, trouble = written
            job.writing = False
            job.entries += entries
            if rest and trouble is None:
                job.waiting.appendleft(rest)
            else:
                job.room.release()
            if trouble is not None:
                fail(trouble)
                return
            self._tell_progress(job)
            self._look_at_list()
            self._write(job)
            self._finish_if_done(job)

        def fail(report: Report) -> None:
            job.writing = False
            job.trouble = report
            job.stop.set()
            job.waiting.clear()
            job.room.release()
            self._finish_if_done(job)

        self._store.write(lambda store: write_some(store, batch), done, fail)

    def _tell_progress(self, job: _Job) -> None:
        taken = sum(entry.outcome is not Outcome.REJECTED for entry in job.entries)
        at = job.progress
        self.progress.emit(Progress(at.file, at.done, at.total, taken))

    def _look_at_list(self) -> None:
        if time.monotonic() - self._listed_at > LIST_SECONDS:
            self._listed_at = time.monotonic()
            self._chats.list.refresh()

    def _finish_if_done(self, job: _Job) -> None:
        if not job.read_all or job.writing or (job.waiting and not job.stop.is_set()):
            return
        self._job = None
        result = Result(
            tuple(job.entries),
            job.checkpoints,
            cancelled=job.stop.is_set() and job.trouble is None,
            trouble=job.trouble,
        )
        self._chats.list.refresh()
        self._show_merged(result)
        self.finished.emit(result, job.opening)
        self._begin()

    def _show_merged(self, result: Result) -> None:
        """Read the shown conversation again where it has got messages."""
        shown = self._chats.current.id
        if any(entry.conversation_id == shown for entry in result.of(Outcome.MERGED)):
            self._chats.open(shown)


def write_some(
    store: Store, batch: _Pieces, clock: Callable[[], float] = time.monotonic
) -> tuple[tuple[Entry, ...], _Pieces, Report | None]:
    """Write conversations of `batch` for a short while: their entries, and what is left.

    The report says why no more can be written. One conversation is always tried.
    """
    from qwen_desktop.storage import merge

    entries: list[Entry] = []
    begun = clock()
    for at, piece in enumerate(batch):
        if at and clock() - begun > WRITE_SECONDS:
            return tuple(entries), batch[at:], None
        if isinstance(piece, Refused):
            entries.append(entry_refused(piece))
            continue
        try:
            added = merge.add(store, piece.record)
        except Known as known:
            return tuple(entries), batch[at:], known.report()
        except Exception as error:  # noqa: BLE001 - one conversation must not keep the others out
            report = report_of(error)
            _log.error("importing: %s", report.details)
            title = piece.record.conversation.title
            refused = Refused(piece.file, piece.position, report, title)
            entries.append(entry_refused(refused))
        else:
            entries.append(entry_found(piece, added.outcome, added.conversation_id))
    return tuple(entries), (), None


def _is_of_model(path: Path) -> bool:
    """Whether this is a folder for the engine: a model, or one that holds some, or nothing else."""
    try:
        if not path.is_dir():
            return False
        from qwen_desktop.engine.nested import checkpoints_in
        from qwen_desktop.storage.imports.files import holds_any

        if any(next(path.glob(pattern), None) is not None for pattern in _OF_MODEL):
            return True
        return bool(checkpoints_in(path)) or not holds_any(path)
    except (OSError, Known):
        return False
