"""Alarms that hold at the moment. Lives on the main thread. QtCore only."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.bridge.models import ModelState
from qwen_desktop.bridge.taken import TakenWatch
from qwen_desktop.chat.events import Alarm, AlarmKind
from qwen_desktop.chat.ledger import MemorySample
from qwen_desktop.chat.model import ModelInfo


class Alarms(QObject):
    """Relays alarms of runs, raises that of a model on the CPU and that of memory that others took.

    Signal: `changed(Alarm)`. They end with the model they are about. The values of CPU_FALLBACK are
    its `reason`, those of MEMORY_TAKEN bytes `taken` and `lacking` on a `device`, and the `tokens`
    that were counted on.
    """

    changed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._on: dict[AlarmKind, Alarm] = {}
        self._info: ModelInfo | None = None
        self._taken = TakenWatch()

    @Slot(object)
    def take(self, alarm: Alarm) -> None:
        """An alarm of a run, or its end."""
        if alarm == self._on.get(alarm.kind) or not (alarm.on or alarm.kind in self._on):
            return
        if alarm.on:
            self._on[alarm.kind] = alarm
        else:
            del self._on[alarm.kind]
        self.changed.emit(alarm)

    @Slot(object)
    def look(self, sample: MemorySample) -> None:
        """Memory was measured."""
        alarm = self._taken.take(sample)
        if alarm is not None:
            self.take(alarm)

    @Slot(object)
    def follow(self, state: ModelState) -> None:
        """Another model is open, or none."""
        info = state.info
        if info is self._info:  # the same one opened again has a new watch
            return
        self._info = info
        self._taken.start_over()
        for alarm in tuple(self._on.values()):
            self.take(replace(alarm, on=False))
        if info is not None and info.cpu_fallback:
            self.take(Alarm(AlarmKind.CPU_FALLBACK, values=(("reason", info.cpu_fallback),)))
