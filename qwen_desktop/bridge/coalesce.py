"""Folds a stream of generation events into about thirty window updates a second. QtCore only."""

from __future__ import annotations

import time

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from qwen_desktop.chat.events import Delta, Finished, GenerationEvent, Progress, Scored, Usage

FLUSH_MS = 33
# A flush may use at most a third of the main thread: after a slow one the next comes later.
COST_FACTOR = 3
# … but not much later: what has not been flushed is not in the journal on disk either.
LONGEST_MS = 300


def fold(events: list[GenerationEvent]) -> list[GenerationEvent]:
    """Join neighbouring deltas of one kind and keep the last of neighbouring others of one type."""
    folded: list[GenerationEvent] = []
    for event in events:
        last = folded[-1] if folded else None
        if isinstance(event, Delta) and isinstance(last, Delta) and event.kind is last.kind:
            folded[-1] = Delta(event.kind, last.text + event.text, last.ids + event.ids)
        elif isinstance(event, Scored) and isinstance(last, Scored):
            folded[-1] = Scored(last.tokens + event.tokens)
        elif isinstance(event, (Progress, Usage)) and type(event) is type(last):
            folded[-1] = event
        else:
            folded.append(event)
    return folded


class StreamBuffer(QObject):
    """Collects events and hands them out folded: `flushed(list[GenerationEvent])`.

    `delay_ms` is how long the next event waits. The timer runs only while something does.
    `Finished` is handed out at once.
    """

    flushed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._events: list[GenerationEvent] = []
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.flush)
        self.delay_ms = FLUSH_MS

    def push(self, event: GenerationEvent) -> None:
        """Add one event."""
        self._events.append(event)
        if isinstance(event, Finished):
            self.flush()
        elif not self._timer.isActive():
            self._timer.start(self.delay_ms)

    @Slot()
    def flush(self) -> None:
        """Hand out what waits, now."""
        self._timer.stop()
        events, self._events = self._events, []
        if not events:
            return
        began = time.perf_counter()
        self.flushed.emit(fold(events))
        cost_ms = (time.perf_counter() - began) * 1000
        self.delay_ms = min(LONGEST_MS, max(FLUSH_MS, round(COST_FACTOR * cost_ms)))

    def clear(self) -> None:
        """Drop what waits."""
        self._timer.stop()
        self._events.clear()
