"""Notices when other programs take memory that the plan of a conversation counted on. Pure."""

from __future__ import annotations

from qwen_desktop.chat.events import Alarm, AlarmKind
from qwen_desktop.chat.ledger import Ledger, MemorySample

MOSTLY = 0.5  # of what is lacking: others have taken at least so much of it


class TakenWatch:
    """Compares each sample with the first one of the same plan, which had fitted.

    What others take out of the plan's reserve is what it is for: only beyond it something is
    lacking. The alarm ends when there is room again with the reserve.
    """

    def __init__(self) -> None:
        self._window = 0
        self._before: dict[str, int] = {}  # bytes of others by device, when the plan was made
        self._on = False

    def start_over(self) -> None:
        """Another model is open, or none; an alarm that was on has ended with it."""
        self._window, self._before, self._on = 0, {}, False

    def take(self, sample: MemorySample) -> Alarm | None:
        """Take a sample in; the alarm or the end of it that it brings."""
        if sample.window != self._window:
            self._window = sample.window
            self._before = {one.device: one.other for one in sample.ledgers}
        if not sample.window:
            return None
        if self._on:
            if all(one.to_come + one.reserve <= one.room for one in sample.ledgers):
                self._on = False
                return Alarm(AlarmKind.MEMORY_TAKEN, on=False)
            return None
        for one in sample.ledgers:
            taken = one.other - self._before.get(one.device, one.other)
            if one.lacking and taken >= MOSTLY * one.lacking:
                self._on = True
                return Alarm(AlarmKind.MEMORY_TAKEN, values=_values(one, taken, sample.window))
        return None


def _values(ledger: Ledger, taken: int, window: int) -> tuple[tuple[str, str], ...]:
    """What fills the sentence: bytes and tokens as digits, to be written in the user's way."""
    return (
        ("device", ledger.name),
        ("taken", str(taken)),
        ("lacking", str(ledger.lacking)),
        ("tokens", str(window)),
    )
