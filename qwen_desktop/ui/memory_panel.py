"""The right side: where memory has gone, when a chat will be full, what is known of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.chat.events import Progress, Stage
from qwen_desktop.chat.ledger import Forecast, MemorySample
from qwen_desktop.chat.model import ModelInfo
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import (
    Bar,
    Button,
    ElidedLabel,
    Label,
    Line,
    ScrollBar,
    Surface,
    TintedLabel,
)
from qwen_desktop.ui.forecast_view import ForecastView
from qwen_desktop.ui.ledger_view import LedgerView
from qwen_desktop.ui.texts import kv_text, room_text, size_text

if TYPE_CHECKING:
    from qwen_desktop.bridge.models import ModelState


class Fact(QWidget):
    """One line: a dim name on the left, a value on the right."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(10)
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
    """A ledger for each device, the forecast, model facts, the progress of a load with Cancel.

    Signals: `cancel_requested` of the load, `card_requested` of the model, `way_chosen(Way)`: one
    of what would move the limit.
    """

    cancel_requested = Signal()
    card_requested = Signal()
    way_chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("panel", parent)
        self.setObjectName("memoryPanel")
        self.setAccessibleName(self.tr("Memory panel"))
        self._build_memory()
        self._build_model()
        inner = Surface("panel")
        column = QVBoxLayout(inner)
        column.setContentsMargins(16, 14, 16, 16)
        column.setSpacing(10)
        # Where the server comes that answers the shown chat.
        self.server_slot = QVBoxLayout()
        self.server_slot.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self.server_slot)
        column.addLayout(self._devices)
        column.addWidget(self.alarm)
        column.addWidget(self.forecast)
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
        self.area = QScrollArea()
        self.area.setObjectName("memoryScroll")
        self.area.setFrameShape(QScrollArea.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, self.area))
        self.area.setWidgetResizable(True)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.area.setWidget(inner)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.area)
        self.set_speed(0.0)

    def _build_memory(self) -> None:
        self._devices = QVBoxLayout()
        self._devices.setContentsMargins(0, 0, 0, 0)
        self._devices.setSpacing(14)
        self.ledgers: list[LedgerView] = []
        self._add_ledger()
        self.alarm = TintedLabel("", 12, tint="warning", wrap=True)
        self.alarm.setObjectName("memoryAlarm")
        self.alarm.hide()
        self.forecast = ForecastView()
        self.forecast.way_chosen.connect(self.way_chosen)

    def _add_ledger(self) -> None:
        view = LedgerView()
        view.setLocale(self.locale())
        self.ledgers.append(view)
        self._devices.addWidget(view)

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

    @property
    def ledger(self) -> LedgerView:
        """That of the main device."""
        return self.ledgers[0]

    @Slot(object)
    def set_sample(self, sample: MemorySample) -> None:
        """Show one measurement: the first device with all its parts, others folded at first."""
        count = len(sample.ledgers)
        if count != sum(not view.isHidden() for view in self.ledgers):
            while len(self.ledgers) < count:
                self._add_ledger()
                self.ledgers[-1].set_folded(True)
            for number, view in enumerate(self.ledgers):
                view.setVisible(number < count)
                view.set_foldable(count > 1)
        for view, ledger in zip(self.ledgers, sample.ledgers, strict=False):
            view.set_ledger(ledger, sample.window)

    @Slot(object)
    def set_forecast(self, forecast: Forecast | None) -> None:
        """Tell when the shown conversation meets its limit."""
        self.forecast.set_forecast(forecast)

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
            Stage.COMPILING: self.tr("Compiling for this processor, once"),
            Stage.WARMING_UP: self.tr("Warming up"),
            Stage.PREFILL: self.tr("Reading the prompt"),
            Stage.WAITING: self.tr("Waiting for the server"),
        }
        name = names[progress.stage]
        if progress.stage is Stage.READING and progress.parts > 1:
            return self.tr("Reading shard {number} of {count}").format(
                number=progress.part, count=progress.parts
            )
        if not progress.detail:
            return f"{name}…"
        return self.tr("{stage}, {detail}").format(stage=name, detail=progress.detail)
