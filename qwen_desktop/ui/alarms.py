"""What the user should know of while it lasts: amber cards above the conversation."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QLocale, Signal
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from qwen_desktop.chat.events import Alarm, AlarmKind
from qwen_desktop.errors import CONTEXT
from qwen_desktop.ui.controls import COLUMN_LEFT, COLUMN_RIGHT, IconButton, TintedLabel
from qwen_desktop.ui.problem import Card
from qwen_desktop.ui.texts import size_text


class _AlarmCard(Card):
    """One alarm with a button that closes it."""

    def __init__(self, close_name: str) -> None:
        super().__init__("warning")
        self.label = TintedLabel("", 13, tint="warning", wrap=True)
        self.label.setObjectName("alarm")
        self.close_button = IconButton("close", close_name, height=28)
        self.close_button.setObjectName("closeAlarm")
        self.close_button.tint = "warning"
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 8, 8, 8)
        row.setSpacing(8)
        row.addWidget(self.label, 1)
        row.addWidget(self.close_button)


class AlarmBanner(QWidget):
    """The alarms that are on. One that was closed stays closed until it has ended.

    `changed(tuple[str, ...])`: in short, all that are on, closed ones too.
    """

    changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("alarms")
        self._texts: dict[AlarmKind, str] = {}
        self._short: dict[AlarmKind, str] = {}
        self._closed: set[AlarmKind] = set()
        self.cards: dict[AlarmKind, _AlarmCard] = {}
        inner = QVBoxLayout()
        inner.setSpacing(6)
        for kind, name in (
            (AlarmKind.CPU_FALLBACK, self.tr("Close the warning about the device")),
            (AlarmKind.SLOW_AND_FULL, self.tr("Close the warning about the speed")),
            (AlarmKind.MEMORY_TAKEN, self.tr("Close the warning about the memory")),
        ):
            card = _AlarmCard(name)
            card.close_button.clicked.connect(lambda _=False, one=kind: self.dismiss(one))
            card.hide()
            self.cards[kind] = card
            inner.addWidget(card)
        outer = QHBoxLayout(self)
        outer.setContentsMargins(COLUMN_LEFT, 12, COLUMN_RIGHT, 4)
        outer.addStretch(1)
        outer.addLayout(inner, 1000)
        outer.addStretch(1)
        self.hide()

    @property
    def texts(self) -> tuple[str, ...]:
        """All alarms that are on, in short."""
        return tuple(self._short.values())

    def show_alarm(self, alarm: Alarm) -> None:
        """An alarm begins, changes its numbers, or ends."""
        before = self._texts.get(alarm.kind, "")
        if alarm.on:
            text = self._texts[alarm.kind] = self._text(alarm)
            self._short[alarm.kind] = self._short_text(alarm)
            card = self.cards[alarm.kind]
            card.label.setText(text)
            card.label.setAccessibleName(text)
        else:
            text = ""
            self._texts.pop(alarm.kind, None)
            self._short.pop(alarm.kind, None)
            self._closed.discard(alarm.kind)
        if text == before:
            return
        self._refresh()
        self.changed.emit(self.texts)
        if text and not before:
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))

    def dismiss(self, kind: AlarmKind) -> None:
        """Close the card; the memory panel goes on telling."""
        self._closed.add(kind)
        self._refresh()

    def _refresh(self) -> None:
        shown = {kind for kind in self._texts if kind not in self._closed}
        for kind, card in self.cards.items():
            card.setVisible(kind in shown)
        self.setVisible(bool(shown))

    def _text(self, alarm: Alarm) -> str:
        values = _values(alarm)
        if alarm.kind is AlarmKind.CPU_FALLBACK:
            return self.tr("The model runs on the CPU, which is slow. {reason}").format_map(values)
        if alarm.kind is AlarmKind.MEMORY_TAKEN:
            return self.tr(
                "Other programs have taken {taken} of the memory that was counted on ({device}): "
                "{lacking} are missing for a context of {tokens} tokens. Close them, or the "
                "context gets smaller."
            ).format_map(values)
        return self.tr(
            "The answer comes at {speed} instead of {usual} tokens per second, and the memory of "
            "the device is full. Close other programs, or open the checkpoint with room for less "
            "context or with an 8-bit KV cache."
        ).format_map(values)

    def _short_text(self, alarm: Alarm) -> str:
        values = _values(alarm)
        if alarm.kind is AlarmKind.CPU_FALLBACK:
            return self.tr("On the CPU: {reason}").format_map(values)
        if alarm.kind is AlarmKind.MEMORY_TAKEN:
            return self.tr(
                "Taken by other programs: {taken}, of which {lacking} are missing"
            ).format_map(values)
        return self.tr("Memory is full: {speed} instead of {usual} tok/s").format_map(values)


def _values(alarm: Alarm) -> dict[str, str]:
    """What fills the sentences of an alarm."""
    told = dict(alarm.values)
    return {
        "reason": QCoreApplication.translate(CONTEXT, told.get("reason", "")),
        "speed": _number(told.get("speed", "")),
        "usual": _number(told.get("usual", "")),
        "device": told.get("device", ""),
        "taken": size_text(_count(told.get("taken", "")), QLocale()),
        "lacking": size_text(_count(told.get("lacking", "")), QLocale()),
        "tokens": QLocale().toString(_count(told.get("tokens", ""))),
    }


def _count(text: str) -> int:
    """A number in digits; 0 for other text."""
    return int(text) if text.isdecimal() else 0


def _number(text: str) -> str:
    """A speed with one digit after the point, in the locale's way; other text as it is."""
    try:
        return QLocale().toString(float(text), "f", 1)
    except ValueError:
        return text
