"""Where the weights would go: one bar per device, stacked, against its free memory."""

from __future__ import annotations

from PySide6.QtCore import QLocale, QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from qwen_desktop.chat.checkpoint import LoadPlan, Share
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import ElidedLabel, Label, TintedLabel
from qwen_desktop.ui.folder_view import clear_layout
from qwen_desktop.ui.gauge import Gauge, Swatch
from qwen_desktop.ui.texts import layers_text, size_text


class PlanBar(Gauge):
    """A gauge of what is free; where more is needed, a line stands at the end of what is free."""

    def __init__(self, share: Share, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        free, need = max(share.device.free, 1), share.need
        self._limit = free / need if need > free else 0.0
        parts = ((share.weights, "weights"), (share.kv, "kv"), (share.reserve, "activations"))
        self.set_parts(parts, max(free, need))

    def paintEvent(self, event: QPaintEvent) -> None:
        """The parts and the limit."""
        super().paintEvent(event)
        if not self._limit:
            return
        painter = QPainter(self)
        x = round(self.width() * self._limit) + 0.5
        for colour, width in ((theme.current().background, 5), (theme.current().error, 2)):
            painter.setPen(QPen(QColor(colour), width))
            painter.drawLine(QPointF(x, 0), QPointF(x, self.height()))


class ShareView(QWidget):
    """One device: its name, its layers, the bar, and the numbers."""

    def __init__(self, share: Share, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        locale = QLocale()
        too_much = share.need > share.device.free
        need, free = size_text(share.need, locale), size_text(share.device.free, locale)
        layers = layers_text(share.first, share.last)
        name = ElidedLabel(share.device.name, 13)
        what = Label(layers, 12, dim=True)
        amount = TintedLabel(
            self.tr("{need} of {free} free").format(need=need, free=free),
            12,
            tint="error" if too_much else "dim",
        )
        amount.setObjectName("shareAmount")
        bar = PlanBar(share)
        bar.setAccessibleName(f"{share.device.name} {layers}".strip())
        bar.setAccessibleDescription(
            self.tr(
                "{need} of {free} free: weights {weights}, KV cache {kv}, reserve {reserve}"
            ).format(
                need=need,
                free=free,
                weights=size_text(share.weights, locale),
                kv=size_text(share.kv, locale),
                reserve=size_text(share.reserve, locale),
            )
        )
        bar.setToolTip(bar.accessibleDescription())
        head = QHBoxLayout()
        head.setSpacing(10)
        head.addWidget(name)
        head.addWidget(what)
        head.addStretch(1)
        head.addWidget(amount)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(bar)


class PlanView(QWidget):
    """All devices of a plan, and what the colours stand for."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shares = QVBoxLayout()
        self._shares.setSpacing(10)
        legend = QHBoxLayout()
        legend.setSpacing(6)
        self._parts = {"weights": Label("", 12), "kv": Label("", 12), "activations": Label("", 12)}
        for colour, label in self._parts.items():
            legend.addWidget(Swatch(colour), 0, Qt.AlignmentFlag.AlignVCenter)
            legend.addWidget(label)
            legend.addSpacing(10)
        legend.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(self._shares)
        column.addLayout(legend)

    def set_plan(self, plan: LoadPlan | None) -> None:
        """Show `plan`."""
        clear_layout(self._shares)
        self.setVisible(plan is not None)
        if plan is None:
            return
        for share in plan.shares:
            self._shares.addWidget(ShareView(share))
        locale = QLocale()
        sums = {
            "weights": (self.tr("Weights"), sum(s.weights for s in plan.shares)),
            "kv": (self.tr("KV cache"), sum(s.kv for s in plan.shares)),
            "activations": (self.tr("Reserve"), sum(s.reserve for s in plan.shares)),
        }
        for colour, (name, size) in sums.items():
            self._parts[colour].setText(f"{name} {size_text(size, locale)}")
