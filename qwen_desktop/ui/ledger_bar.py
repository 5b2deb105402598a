"""The memory of a device as one bar of bands: what is in use, what is to come, what is free.

What the engine holds grows from the left, other programs stand at the right; where both meet,
memory ends. Hatched is what the conversation will take until its context is full.
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QEvent, QRectF, Qt, Signal
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFocusEvent,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
)
from PySide6.QtWidgets import QProgressBar, QWidget

from qwen_desktop.chat.ledger import Ledger, MemoryKind
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import focus_ring

_GAP = 1.5  # px between bands
_LEAST = 2.0  # px: a band of a few megabytes is still seen, as a line
_HEIGHT = 20


@dataclass(frozen=True)
class Band:
    """One kind of use: a field of `Ledger`, and a colour of the theme at a strength of 0 … 1."""

    name: str
    colour: str
    strength: float = 1.0
    hatched: bool = False  # it is only foreseen
    of: tuple[MemoryKind, ...] = (MemoryKind.CUDA, MemoryKind.RAM)

    def brush(self) -> QBrush:
        """What it is filled with in the theme of now."""
        t = theme.current()
        if self.hatched:
            return QBrush(QColor(getattr(t, self.colour)), Qt.BrushStyle.BDiagPattern)
        return QBrush(mixed(getattr(t, self.colour), t.panel, self.strength))


_CARD = (MemoryKind.CUDA,)

# From the left to the right; what is foreseen begins behind the KV cache.
HELD = (
    Band("weights", "weights"),
    Band("runtime", "weights", 0.4),
    Band("kv_others", "kv", 0.4),
    Band("kv", "kv"),
)
PASSING = (
    Band("activations", "activations", of=_CARD),
    Band("slack", "activations", 0.4, of=_CARD),
)
TO_COME = (
    Band("kv_to_come", "kv", hatched=True),
    Band("working", "activations", hatched=True),
)
OTHERS = Band("other", "other")
FREE = Band("free", "track")
# In the order of the legend.
BANDS = (*HELD[:1], HELD[3], HELD[2], *PASSING, HELD[1], OTHERS, FREE, *TO_COME)


def bands(kind: MemoryKind) -> tuple[Band, ...]:
    """Those that memory of `kind` is told in."""
    return tuple(band for band in BANDS if kind in band.of)


def mixed(colour: str, ground: str, strength: float) -> QColor:
    """So much of `colour`, the rest of `ground`: opaque, as bands may lie over each other."""
    above, below = QColor(colour), QColor(ground)

    def part(over: float, under: float) -> int:
        return round(255 * (strength * over + (1 - strength) * under))

    return QColor(
        part(above.redF(), below.redF()),
        part(above.greenF(), below.greenF()),
        part(above.blueF(), below.blueF()),
    )


class LedgerBar(QProgressBar):
    """A screen reader meets a progress bar with all the numbers in its description.

    Signal: `pointed(str)`, the name of the band that mouse or keys are at, "" for none.
    """

    pointed = Signal(str)
    asked = Signal()  # the words for the band pointed at are wanted

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._ledger: Ledger | None = None
        self._boxes: list[tuple[Band, QRectF]] = []
        self._laid: tuple[Ledger | None, int, int] = (None, 0, 0)
        self.band = ""  # that is pointed at
        self.setRange(0, 100)
        self.setTextVisible(False)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.follow_look()

    def follow_look(self) -> None:
        """Another size."""
        self.setFixedHeight(theme.px(_HEIGHT))

    def set_ledger(self, ledger: Ledger) -> None:
        """Show `ledger`."""
        self._ledger = ledger
        used = min(round(100 * ledger.used / ledger.total), 100) if ledger.total > 0 else 0
        self.setValue(used)
        self.update()

    # -- geometry --------------------------------------------------------------------------

    def boxes(self) -> list[tuple[Band, QRectF]]:
        """Where each band is, in the order they are painted; empty ones are left out."""
        laid = (self._ledger, self.width(), self.height())
        if laid != self._laid:
            self._laid = laid
            self._boxes = list(self._lay_out())
        return self._boxes

    def _lay_out(self) -> list[tuple[Band, QRectF]]:
        ledger = self._ledger
        if ledger is None or ledger.total <= 0:
            return []
        scale, height = self.width() / ledger.total, float(self.height())
        found: list[tuple[Band, QRectF]] = []

        def row(names: tuple[Band, ...], x: float) -> float:
            for band in names:
                size = int(getattr(ledger, band.name))
                if size <= 0:
                    continue
                width = size * scale
                shown = max(width - _GAP, _LEAST)
                found.append((band, QRectF(x, 0, shown, height)))
                x += max(width, shown + _GAP)
            return x

        others = max(ledger.other * scale, _LEAST if ledger.other else 0.0)
        begin = row(HELD, 0.0)
        end = row(PASSING, begin)
        right = self.width() - others
        if right > end:
            found.append((FREE, QRectF(end, 0, right - end, height)))
        if others:
            found.append((OTHERS, QRectF(right, 0, others, height)))
        row(TO_COME, begin)
        return found

    def band_at(self, x: float) -> str:
        """The name of the band at `x` px, the topmost one; "" for none."""
        return next(
            (b.name for b, box in reversed(self.boxes()) if box.left() <= x <= box.right()), ""
        )

    # -- painting --------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        """Track, bands, what is to come over them; a ring where the keys are."""
        t = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        radius = theme.px(5)
        outline = QPainterPath()
        outline.addRoundedRect(QRectF(self.rect()), radius, radius)
        painter.save()
        painter.setClipPath(outline)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(t.track))
        painter.drawRect(self.rect())
        short = self._ledger is not None and self._ledger.lacking > 0
        for band, box in self.boxes():
            if band is FREE:
                continue
            brush = band.brush()
            if band.hatched and short:
                brush.setColor(QColor(t.warning))
            painter.setBrush(brush)
            painter.drawRect(box)
            if band.hatched:  # its end has to be seen where it lies over other bands
                painter.fillRect(QRectF(box.right() - 1, 0, 1, box.height()), brush.color())
            if band.name == self.band:
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.setPen(QColor(t.text))
                painter.drawRect(box.adjusted(0.5, 0.5, -0.5, -0.5))
                painter.setPen(Qt.PenStyle.NoPen)
        painter.restore()
        if self.hasFocus():
            focus_ring(painter, QRectF(self.rect()), radius)

    # -- mouse and keys --------------------------------------------------------------------

    def point(self, name: str) -> None:
        """Point at a band."""
        if name != self.band:
            self.band = name
            self.pointed.emit(name)
            self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Point at what is under the mouse."""
        self.point(self.band_at(event.position().x()))

    def leaveEvent(self, event: QEvent) -> None:
        """Nothing is pointed at any more."""
        if not self.hasFocus():
            self.point("")

    def event(self, event: QEvent) -> bool:
        """Tooltips are those of the bands."""
        if event.type() is QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            self.point(self.band_at(event.pos().x()))
            self.asked.emit()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows go from band to band, in the order of the legend."""
        if self._ledger is None:
            return super().keyPressEvent(event)
        names = [band.name for band in bands(self._ledger.kind)]
        at = names.index(self.band) if self.band in names else -1
        steps = {
            Qt.Key.Key_Right: at + 1,
            Qt.Key.Key_Down: at + 1,
            Qt.Key.Key_Left: max(0, at - 1),
            Qt.Key.Key_Up: max(0, at - 1),
            Qt.Key.Key_Home: 0,
            Qt.Key.Key_End: len(names) - 1,
        }
        key = Qt.Key(event.key())
        if key not in steps:
            return super().keyPressEvent(event)
        self.point(names[min(steps[key], len(names) - 1)])
        self.asked.emit()
        return None

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Nothing is pointed at any more."""
        super().focusOutEvent(event)
        self.point("")
