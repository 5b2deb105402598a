"""The right side: memory in use, as a gauge, and what is known of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.chat.events import Progress, Stage
from qwen_desktop.chat.ledger import MemoryKind, MemorySample
from qwen_desktop.chat.model import ModelInfo
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Bar, Button, ElidedLabel, Label, Line, Surface, TintedLabel
from qwen_desktop.ui.texts import kv_text, room_text, size_text

if TYPE_CHECKING:
    from qwen_desktop.bridge.models import ModelState

_GAP = 1.5  # px between the parts of the gauge


class Gauge(QProgressBar):
    """A bar of coloured parts. A screen reader meets a progress bar with all the numbers."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._parts: tuple[tuple[int, str], ...] = ()
        self._total = 0
        self.setRange(0, 100)
        self.setTextVisible(False)
        self.follow_look()

    def follow_look(self) -> None:
        """Another size."""
        self.setFixedHeight(theme.px(14))

    def set_parts(self, parts: tuple[tuple[int, str], ...], total: int) -> None:
        """Show (bytes, colour name) side by side, of `total` bytes."""
        self._parts, self._total = parts, total
        used = sum(size for size, _ in parts)
        self.setValue(min(round(100 * used / total), 100) if total > 0 else 0)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Track, then the parts with a gap between them."""
        t = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        outline = QPainterPath()
        radius = self.height() / 2
        outline.addRoundedRect(QRectF(self.rect()), radius, radius)
        painter.setClipPath(outline)
        painter.fillRect(self.rect(), QColor(t.track))
        if self._total <= 0:
            return
        x = 0.0
        for size, colour in self._parts:
            width = self.width() * size / self._total
            if size > 0:
                # A part of a few megabytes is still seen, as a line of 2 px.
                shown = max(width - _GAP, 2.0)
                painter.fillRect(QRectF(x, 0, shown, self.height()), QColor(getattr(t, colour)))
                x += max(width, shown + _GAP)


class Swatch(QWidget):
    """The coloured square of the legend."""

    def __init__(self, colour: str) -> None:
        super().__init__()
        self._colour = colour
        self.follow_look()

    def follow_look(self) -> None:
        """Another size."""
        self.setFixedSize(theme.px(10), theme.px(10))

    def paintEvent(self, event: QPaintEvent) -> None:
        """The square."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(getattr(theme.current(), self._colour)))
        painter.drawRoundedRect(self.rect(), 3, 3)


class Fact(QWidget):
    """One line: a dim name on the left, a value on the right."""

    def __init__(self, name: str, colour: str = "") -> None:
        super().__init__()
        self.name = name
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(10)
        if colour:
            row.addWidget(Swatch(colour))
        row.addWidget(Label(name, 13, dim=True))
        self._value = ElidedLabel("", 13)
        self._value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self._value, 1)

    @property
    def value(self) -> str:
        """The value shown."""
        return self._value.text()

    def set_value(self, value: str) -> None:
        """Show `value`."""
        self._value.setText(value)
        self._value.setAccessibleName(f"{self.name}: {value}")


class MemoryPanel(Surface):
    """Memory gauge, model facts, and the progress of a load with Cancel."""

    cancel_requested = Signal()
    card_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("panel", parent)
        self.setObjectName("memoryPanel")
        self.setAccessibleName(self.tr("Memory panel"))
        self._build_memory()
        self._build_model()
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 14, 16, 16)
        column.setSpacing(10)
        number = QHBoxLayout()
        number.setSpacing(10)
        number.addWidget(self.number, 0, Qt.AlignmentFlag.AlignBaseline)
        number.addWidget(self.of, 1, Qt.AlignmentFlag.AlignBaseline)
        column.addWidget(self.title)
        column.addLayout(number)
        column.addWidget(self.gauge)
        for fact in self.parts.values():
            column.addWidget(fact)
        column.addWidget(self.alarm)
        # Where a chart of memory against context comes, between what memory holds and the model.
        self.chart_slot = QVBoxLayout()
        self.chart_slot.setContentsMargins(0, 0, 0, 0)
        self.chart_slot.setSpacing(8)
        column.addLayout(self.chart_slot)
        column.addSpacing(4)
        column.addWidget(Line())
        column.addSpacing(4)
        heading = QHBoxLayout()
        heading.addWidget(Label(self.tr("Model"), 14, bold=True), 1)
        heading.addWidget(self.card)
        column.addLayout(heading)
        column.addWidget(self.none)
        for fact in self.facts.values():
            column.addWidget(fact)
        column.addWidget(self.loading)
        column.addStretch(1)
        self.set_speed(0.0)

    def _build_memory(self) -> None:
        self.title = Label(self.tr("Memory"), 14, bold=True)
        self.title.setObjectName("memoryTitle")
        self.number = Label("–", 22, bold=True)
        self.number.setObjectName("memoryUsed")
        self.of = Label("", 13, dim=True)
        self.gauge = Gauge()
        self.gauge.setObjectName("memoryGauge")
        self.gauge.setAccessibleName(self.tr("Memory"))
        self.parts = {
            "weights": Fact(self.tr("Weights"), "weights"),
            "kv": Fact(self.tr("KV cache"), "kv"),
            "activations": Fact(self.tr("Activations"), "activations"),
            "other": Fact(self.tr("Everything else"), "other"),
        }
        self.alarm = TintedLabel("", 12, tint="warning", wrap=True)
        self.alarm.setObjectName("memoryAlarm")
        self.alarm.hide()

    def _build_model(self) -> None:
        self.facts = {
            "name": Fact(self.tr("Name")),
            "device": Fact(self.tr("Device")),
            "dtype": Fact(self.tr("Precision")),
            "kv": Fact(self.tr("KV format")),
            "context": Fact(self.tr("Context")),
            "speed": Fact(self.tr("Speed")),
        }
        self.card = Button(self.tr("Details"), kind="plain", tint="accent", height=24)
        self.card.padding = 3  # its words end where the values do
        self.card.setObjectName("modelCardButton")
        self.card.setAccessibleName(self.tr("Model card"))
        self.card.setToolTip(self.tr("Everything there is to see of this checkpoint"))
        self.card.clicked.connect(self.card_requested)
        self.none = Label(self.tr("No checkpoint is open."), 13, dim=True, wrap=True)
        self.loading = QWidget()
        column = QVBoxLayout(self.loading)
        column.setContentsMargins(0, 6, 0, 0)
        column.setSpacing(8)
        self.stage = Label("", 13, dim=True, wrap=True)
        self.stage.setObjectName("loadingStage")
        self.bar = Bar()
        self.bar.setObjectName("loadingBar")
        self.bar.setAccessibleName(self.tr("Loading progress"))
        self.bytes = Label("", 12, dim=True)
        self.cancel = Button(self.tr("Cancel"), height=30)
        self.cancel.setObjectName("cancelLoading")
        self.cancel.setAccessibleName(self.tr("Cancel loading"))
        self.cancel.clicked.connect(self.cancel_requested)
        column.addWidget(self.stage)
        column.addWidget(self.bar)
        foot = QHBoxLayout()
        foot.addWidget(self.bytes, 1)
        foot.addWidget(self.cancel)
        column.addLayout(foot)
        self.loading.hide()

    def sizeHint(self) -> QSize:
        """The width of the design."""
        return QSize(theme.px(theme.PANEL_WIDTH), 600)

    # -- memory ----------------------------------------------------------------------------

    def set_sample(self, sample: MemorySample) -> None:
        """Show one measurement."""
        ledger = sample.main
        cuda = ledger.kind is MemoryKind.CUDA
        self.title.setText(self.tr("GPU memory") if cuda else self.tr("Memory (RAM)"))
        locale = self.locale()
        used, total = size_text(ledger.used, locale), size_text(ledger.total, locale)
        self.number.setText(used)
        self.of.setText(self.tr("of {total}").format(total=total))
        sizes = {name: int(getattr(ledger, name)) for name in self.parts}
        sizes["other"] += ledger.kv_others + ledger.slack + ledger.runtime
        words = [self.tr("{used} of {total} in use").format(used=used, total=total)]
        for name, size in sizes.items():
            self.parts[name].set_value(size_text(size, locale))
            words.append(f"{self.parts[name].name} {self.parts[name].value}")
        self.gauge.set_parts(tuple((size, name) for name, size in sizes.items()), ledger.total)
        description = f"{self.title.text()}: {', '.join(words)}"
        self.gauge.setAccessibleDescription(description)
        self.gauge.setToolTip(f"{ledger.name}\n{description}")

    @Slot(object)
    def set_alarms(self, texts: Sequence[str]) -> None:
        """Tell of what is wrong while it lasts."""
        self.alarm.setText("\n".join(texts))
        self.alarm.setAccessibleName(self.alarm.text())
        self.alarm.setVisible(bool(texts))

    # -- model -----------------------------------------------------------------------------

    def set_model(self, state: ModelState, *, answering: bool = False) -> None:
        """Show the open model and the load under way, which waits while it is `answering`."""
        info = state.info
        for fact in self.facts.values():
            fact.setVisible(info is not None)
        self.facts["kv"].setVisible(info is not None and info.kv_format is not KvFormat.MODEL)
        self.card.setVisible(info is not None)
        self.none.setVisible(info is None and not state.busy)
        if info is not None:
            self._show_info(info)
        self.loading.setVisible(state.busy)
        if state.busy:
            self._show_progress(state.progress)
            if answering and state.progress is None:
                self.stage.setText(self.tr("Waiting for the answer to end…"))
            self.cancel.setEnabled(not state.cancelling)
            self.cancel.setText(self.tr("Cancelling…") if state.cancelling else self.tr("Cancel"))

    def _show_info(self, info: ModelInfo) -> None:
        self.facts["name"].set_value(info.name)
        self.facts["device"].set_value(info.device)
        self.facts["dtype"].set_value(info.dtype)
        self.facts["kv"].set_value(kv_text(info.kv_format))
        room = room_text(info.context_length, info.rope_factor, self.locale())
        self.facts["context"].set_value(room)

    def set_speed(self, tokens_per_second: float) -> None:
        """Show the speed of the answer being written, or of the last one; 0 for none yet."""
        if tokens_per_second <= 0:
            self.facts["speed"].set_value("–")
            return
        speed = self.locale().toString(tokens_per_second, "f", 1)
        self.facts["speed"].set_value(self.tr("{speed} tok/s").format(speed=speed))

    def _show_progress(self, progress: Progress | None) -> None:
        self.stage.setText(self.stage_text(progress))
        known = progress is not None and progress.total > 0
        self.bar.setVisible(known)
        amount = ""  # set once: an empty text in between would take the label's room
        if progress is not None and known and progress.stage is Stage.READING:
            locale = self.locale()
            done, total = size_text(progress.done, locale), size_text(progress.total, locale)
            amount = self.tr("{done} of {total}").format(done=done, total=total)
        self.bytes.setText(amount)
        if progress is None or not known:
            return
        self.bar.set_share(progress.done, progress.total)
        self.bar.setAccessibleDescription(f"{self.stage.text()} {self.bytes.text()}".strip())

    def stage_text(self, progress: Progress | None) -> str:
        """What is being done, with the file where there is one."""
        if progress is None:
            return self.tr("Loading…")
        names = {
            Stage.IMPORTING: self.tr("Starting the engine"),
            Stage.CHECKING: self.tr("Checking the files"),
            Stage.FREEING: self.tr("Closing the previous model"),
            Stage.READING: self.tr("Reading weights"),
            Stage.PLACING: self.tr("Placing weights"),
            Stage.WARMING_UP: self.tr("Warming up"),
            Stage.PREFILL: self.tr("Reading the prompt"),
        }
        name = names[progress.stage]
        if progress.stage is Stage.READING and progress.parts > 1:
            return self.tr("Reading shard {number} of {count}").format(
                number=progress.part, count=progress.parts
            )
        if not progress.detail:
            return f"{name}…"
        return self.tr("{stage}, {detail}").format(stage=name, detail=progress.detail)
