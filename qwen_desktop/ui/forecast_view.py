"""When the shown conversation meets its limit, and what would move it: a button for each way."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QVBoxLayout, QWidget

from qwen_desktop.chat.checkpoint import Precision
from qwen_desktop.chat.ledger import Bound, Forecast, Way, WayKind
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Label, TintedLabel, focus_ring
from qwen_desktop.ui.texts import precision_text

_ROW = 22


class WayButton(QAbstractButton):
    """One way: what to do on the left, the tokens it gives on the right."""

    def __init__(self, way: Way, words: str, tokens: str) -> None:
        super().__init__()
        self.way, self._tokens = way, tokens
        self.setText(words)
        self.setObjectName(f"way_{way.kind.value}")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setFont(theme.body_font(13))

    def sizeHint(self) -> QSize:
        """A row of the panel."""
        return QSize(theme.px(120), theme.px(_ROW))

    def follow_look(self) -> None:
        """Another font."""
        self.setFont(theme.body_font(13))
        self.updateGeometry()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Words in the accent colour, as they can be clicked; tokens at the right."""
        t = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.underMouse() or self.isDown():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(t.selected))
            painter.drawRoundedRect(self.rect(), 4, 4)
        painter.setFont(self.font())
        width = self.fontMetrics().horizontalAdvance(self._tokens)
        box = self.rect().adjusted(4, 0, -4, 0)
        painter.setPen(QColor(t.text))
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(box, right, self._tokens)
        room = max(0, box.width() - width - 8)
        words = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, room)
        painter.setPen(QColor(t.accent))
        left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(box, left, words)
        if self.hasFocus():
            focus_ring(painter, self.rect().toRectF(), 4)


class ForecastView(QWidget):
    """The sentence and the ways. Signals: `way_chosen(Way)`, `told(str)`: the sentence, or ""."""

    way_chosen = Signal(object)
    told = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._forecast: Forecast | None = None
        self.setObjectName("forecast")
        self.sentence = TintedLabel("", 13, tint="text", wrap=True)
        self.sentence.setObjectName("forecastSentence")
        self.heading = Label(self.tr("What would move it"), 12, dim=True)
        self.ways: list[WayButton] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(2)
        self._column.addWidget(self.sentence)
        self._column.addSpacing(4)
        self._column.addWidget(self.heading)
        self.hide()

    @property
    def text(self) -> str:
        """The sentence; "" where nothing is known."""
        return self.sentence.text() if self._forecast is not None else ""

    def set_forecast(self, forecast: Forecast | None) -> None:
        """Show `forecast`; nothing where there is none."""
        if forecast == self._forecast:
            return
        ways = self._forecast.ways if self._forecast is not None else ()
        self._forecast = forecast
        self.setVisible(forecast is not None)
        if forecast is None:
            self.told.emit("")
            return
        text = self._sentence(forecast)
        self.told.emit(text)
        if text != self.sentence.text():
            self.sentence.setText(text)
            self.sentence.setAccessibleName(text)
            self.sentence.tint = "warning" if forecast.met else "text"
        if forecast.ways != ways or len(self.ways) != len(forecast.ways):
            self._set_ways(forecast)
        self.heading.setVisible(bool(forecast.ways))

    def _set_ways(self, forecast: Forecast) -> None:
        for old in self.ways:
            self._column.removeWidget(old)
            old.hide()
            old.deleteLater()
        self.ways = []
        for way in forecast.ways:
            tokens = self.tr("≈ {count}").format(count=self.locale().toString(way.tokens))
            button = WayButton(way, self._words(way), tokens)
            said = self.tr("{way}: the limit is then at about {count} tokens").format(
                way=button.text(), count=self.locale().toString(way.tokens)
            )
            button.setAccessibleName(said)
            button.setToolTip(said)
            button.clicked.connect(lambda _=False, one=way: self.way_chosen.emit(one))
            self._column.addWidget(button)
            self.ways.append(button)

    def _sentence(self, forecast: Forecast) -> str:
        tokens = self.locale().toString(forecast.limit)
        if forecast.met:
            texts = {
                Bound.MODEL: self.tr(
                    "This chat has met the end of the model's context, at about {tokens} tokens."
                ),
                Bound.MEMORY: self.tr(
                    "This chat has met the end of memory, at about {tokens} tokens."
                ),
                Bound.TOKENIZER: self.tr(
                    "This chat has met the longest text its tokenizer takes, {tokens} tokens."
                ),
            }
            return texts[forecast.bound].format(tokens=tokens)
        texts = {
            Bound.MODEL: self.tr(
                "This chat meets the end of the model's context at about {tokens} tokens"
            ),
            Bound.MEMORY: self.tr("This chat meets the end of memory at about {tokens} tokens"),
            Bound.TOKENIZER: self.tr(
                "This chat meets the longest text its tokenizer takes at about {tokens} tokens"
            ),
        }
        begin = texts[forecast.bound].format(tokens=tokens)
        if not forecast.turn:
            return f"{begin}."
        more = self.tr("≈ %Ln more turns", "", forecast.turns)
        return self.tr("{begin} ({more}).").format(begin=begin, more=more)

    def _words(self, way: Way) -> str:
        if way.kind is WayKind.KV8:
            return self.tr("8-bit KV cache")
        if way.kind is WayKind.SHORTER:
            count = self.locale().toString(int(way.value))
            return self.tr("Answers of {count} tokens").format(count=count)
        if way.kind is WayKind.STRETCH:
            return self.tr("Context stretched ×{factor}").format(factor=way.value)
        return self.tr("Weights in {precision}").format(
            precision=precision_text(Precision(way.value))
        )
