"""Fills the index of words while the store has nothing else to do. Main thread. QtCore only."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Slot

from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.errors import Report

if TYPE_CHECKING:
    from qwen_desktop.storage.store import Store

LOOK_MS = 3000  # between two looks whether there is something to index
PAUSE_MS = 10  # between two batches, for whatever else the store is asked
BUSY_PAUSE_MS = 200  # the same while an answer is being written
LONGEST_WAIT_MS = 10 * 60 * 1000  # after failures, as on a disk that takes no writing
BATCH_SECONDS = 0.012  # what another job may have to wait for, about
SMALLEST, LARGEST = 2, 400  # messages of a batch
PAGES = 16  # of the index, merged after each batch


@dataclass(frozen=True)
class _Step:
    """What one batch came to."""

    left: int  # messages
    merging: bool  # or giving back what merging has freed
    seconds: float  # of adding


class Indexing(QObject):
    """Looks every few seconds, goes on in small batches while there is something.

    `is_busy` says whether an answer is being written now.
    """

    def __init__(
        self, store: StoreClient, is_busy: Callable[[], bool], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._store = store
        self._is_busy = is_busy
        self._batch = 16
        self._tidy = False  # nothing was added since all was merged
        self._wait = LOOK_MS
        self._closed = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._go_on)

    def start(self) -> None:
        """Begin to look."""
        self._timer.start(PAUSE_MS)

    @Slot()
    def rebuild(self) -> None:
        """Make the whole index anew: something in it cannot be read."""
        self._store.submit(lambda store: store.index.rebuild())

    def close(self) -> None:
        """Leave the rest for the next start."""
        self._closed = True
        self._timer.stop()

    @Slot()
    def _go_on(self) -> None:
        batch, tidy = self._batch, self._tidy
        self._store.submit(lambda store: _step(store, batch, tidy), self._on_done, self._on_failed)

    def _on_done(self, step: _Step) -> None:
        self._wait = LOOK_MS
        if step.seconds > 0 and step.left:
            wanted = self._batch * BATCH_SECONDS / step.seconds
            # Slowly up, as one batch is not like the other.
            self._batch = round(min(max(wanted, SMALLEST), 2 * self._batch, LARGEST))
        self._tidy = not (step.left or step.merging)
        if self._tidy:
            self._look_again(LOOK_MS)
        else:
            self._look_again(BUSY_PAUSE_MS if self._is_busy() else PAUSE_MS)

    def _on_failed(self, _report: Report) -> None:
        # Whoever saves something tells of the trouble; here it can wait.
        self._wait = min(2 * self._wait, LONGEST_WAIT_MS)
        self._look_again(self._wait)

    def _look_again(self, milliseconds: int) -> None:
        if not self._closed:
            self._timer.start(milliseconds)


def _step(store: Store, batch: int, tidy: bool) -> _Step:
    """On the store's thread: one batch. Nothing is written where all is `tidy` and nothing new."""
    begun = time.perf_counter()
    if tidy and not store.index.is_behind():
        return _Step(0, False, 0.0)
    left = store.index.add_some(batch)
    seconds = time.perf_counter() - begun
    merging = store.index.merge(PAGES)
    if not (left or merging):
        merging = store.database.give_back(PAGES)
    return _Step(left, merging, seconds)
