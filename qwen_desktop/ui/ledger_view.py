"""The ledger of one device: how much is in use, the bar, and a row for each kind of use."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QColor,
    QPainter,
    QPaintEvent,
)
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QToolTip, QVBoxLayout, QWidget

from qwen_desktop.chat.ledger import Ledger, MemoryKind
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import ElidedLabel, IconButton, Label, plain_tip
from qwen_desktop.ui.ledger_bar import BANDS, Band, LedgerBar, bands
from qwen_desktop.ui.texts import size_text

_ROW = 20
_AMOUNT = 80  # px that an amount may take


class BandSwatch(QWidget):
    """The coloured square of the legend."""

    def __init__(self, band: Band) -> None:
        super().__init__()
        self._band = band
        self.follow_look()

    def follow_look(self) -> None:
        """Another size."""
        self.setFixedSize(theme.px(10), theme.px(10))

    def paintEvent(self, event: QPaintEvent) -> None:
        """The square; a line around it where it is hatched or hardly differs from the panel."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        lined = self._band.hatched or self._band.name == "free"
        colour = "field_border" if self._band.name == "free" else self._band.colour
        painter.setPen(QColor(getattr(theme.current(), colour)) if lined else Qt.PenStyle.NoPen)
        painter.setBrush(self._band.brush())
        box = QRectF(self.rect())
        painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5) if lined else box, 3, 3)


class LedgerRow(QWidget):
    """A kind of use: its name, its amount, and a sentence about it as the tooltip."""

    def __init__(self, name: str, band: Band | None = None) -> None:
        super().__init__()
        self.name = name
        self._lit = False
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(10)
        if band is not None:
            row.addWidget(BandSwatch(band))
        self._name = Label(name, 13, dim=True)
        self._name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        row.addWidget(self._name, 1)
        # Of a fixed size: a new text then costs no layout of the whole panel, five times a second.
        self._amount = Label("", 13)
        self._amount.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self._amount)
        self.follow_look()

    def follow_look(self) -> None:
        """Another size."""
        self.setFixedHeight(theme.px(_ROW))
        self._amount.setFixedSize(theme.px(_AMOUNT), theme.px(_ROW))

    @property
    def value(self) -> str:
        """The amount shown."""
        return self._amount.text()

    def set_value(self, value: str) -> None:
        """Show `value`."""
        if value != self._amount.text():
            self._amount.setText(value)
            self._amount.setAccessibleName(f"{self.name}: {value}")

    def set_sentence(self, sentence: str) -> None:
        """Say what it is."""
        tip = plain_tip(sentence)
        if tip != self.toolTip():
            self.setToolTip(tip)
            self._amount.setAccessibleDescription(sentence)

    def light(self, on: bool) -> None:
        """Its band is pointed at."""
        if on != self._lit:
            self._lit = on
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """A ground where it is pointed at."""
        if self._lit:
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.current().selected))
            painter.drawRoundedRect(self.rect(), 4, 4)


class LedgerView(QWidget):
    """Title, amount, bar and rows. Where there are several devices, the rows can be folded."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._ledger: Ledger | None = None
        self._window = 0
        self._folded = False
        self._several = False  # devices
        self._said: object = None  # what the sentences were made of
        self.title = ElidedLabel(self.tr("Memory"), 14, bold=True)
        self.title.setObjectName("memoryTitle")
        self.number = Label("–", 22, bold=True)
        self.number.setObjectName("memoryUsed")
        self.of = Label("", 13, dim=True)
        self.fold = IconButton("up", self.tr("Hide the parts"), height=24)
        self.fold.setObjectName("foldLedger")
        self.fold.clicked.connect(lambda: self.set_folded(not self._folded))
        self.fold.hide()
        self.gauge = LedgerBar()
        self.gauge.setObjectName("memoryGauge")
        self.gauge.setAccessibleName(self.tr("Memory"))
        self.gauge.pointed.connect(self._light)
        self.gauge.asked.connect(self._explain)
        names = self._names()
        self.rows = {band.name: LedgerRow(names[band.name], band) for band in BANDS}
        self.rows |= {name: LedgerRow(names[name]) for name in ("mapped", "swap")}
        for name, row in self.rows.items():
            row.setObjectName(f"memory_{name}")
        self._lay_out()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.fold)
        column.addLayout(head)
        number = QHBoxLayout()
        number.setSpacing(10)
        number.addWidget(self.number, 0, Qt.AlignmentFlag.AlignBaseline)
        number.addWidget(self.of, 1, Qt.AlignmentFlag.AlignBaseline)
        column.addLayout(number)
        column.addSpacing(2)
        column.addWidget(self.gauge)
        column.addSpacing(4)
        for row in self.rows.values():
            column.addWidget(row)

    def _names(self) -> dict[str, str]:
        return {
            "weights": self.tr("Weights"),
            "kv": self.tr("KV cache"),
            "kv_others": self.tr("KV cache, other chats"),
            "activations": self.tr("Activations"),
            "slack": self.tr("Allocator slack"),
            "runtime": self.tr("This program"),
            "other": self.tr("Other programs"),
            "free": self.tr("Free"),
            "kv_to_come": self.tr("KV cache to come"),
            "working": self.tr("Activations, peak"),
            "mapped": self.tr("Mapped files"),
            "swap": self.tr("Swap"),
        }

    # -- what it shows ---------------------------------------------------------------------

    def set_ledger(self, ledger: Ledger, window: int) -> None:
        """Show `ledger` of a plan for `window` tokens."""
        before, self._ledger = self._ledger, ledger
        known = (before.kind, before.device, before.name) if before is not None else None
        if known != (ledger.kind, ledger.device, ledger.name) or window != self._window:
            self._window = window
            self._set_kind(ledger)
        locale = self.locale()
        used, total = size_text(ledger.used, locale), size_text(ledger.total, locale)
        if used != self.number.text():
            self.number.setText(used)
        of = self.tr("of {total}").format(total=total)
        if of != self.of.text():
            self.of.setText(of)
        for band in bands(ledger.kind):
            self.rows[band.name].set_value(size_text(getattr(ledger, band.name), locale))
        if ledger.kind is MemoryKind.RAM:
            self.rows["mapped"].set_value(size_text(ledger.mapped, locale))
            self.rows["swap"].set_value(size_text(ledger.swap_own, locale))
        self._set_sentences(ledger)
        self.gauge.set_ledger(ledger)
        words = self._words(used, total)
        if words != self.gauge.accessibleDescription():
            self.gauge.setAccessibleDescription(words)

    def _set_sentences(self, ledger: Ledger) -> None:
        """Tell anew what rows are, where a sentence has another number in it."""
        said = (
            ledger.kind,
            self._window,
            ledger.peak,
            ledger.runtime_estimated,
            size_text(ledger.swap_used, self.locale()),
        )
        if said != self._said:
            self._said = said
            for name, row in self.rows.items():
                row.set_sentence(self.sentence(name))

    def _set_kind(self, ledger: Ledger) -> None:
        """Which rows there are, and what they are called."""
        title = self.tr("Memory (RAM)")
        if ledger.kind is MemoryKind.CUDA:
            title = self.tr("GPU memory")
            if self._several:
                number = ledger.device.partition(":")[2]
                title = self.tr("GPU {number}: {name}").format(number=number, name=ledger.name)
        self.title.setText(title)
        self.title.setToolTip(plain_tip(ledger.name))
        self.gauge.setAccessibleName(title)
        self._show_rows()

    def _show_rows(self) -> None:
        ledger = self._ledger
        kind = ledger.kind if ledger is not None else MemoryKind.RAM
        shown = {band.name for band in bands(kind)} | (
            {"mapped", "swap"} if kind is MemoryKind.RAM else set()
        )
        if not self._window:  # nothing is planned
            shown -= {"kv_to_come", "working"}
        for name, row in self.rows.items():
            row.setVisible(name in shown and not self._folded)

    def _words(self, used: str, total: str) -> str:
        """Everything in one sentence."""
        words = [self.tr("{used} of {total} in use").format(used=used, total=total)]
        words += [f"{row.name} {row.value}" for row in self.rows.values() if row.value]
        return f"{self.title.text()}: {', '.join(words)}"

    def sentence(self, name: str) -> str:
        """What a row is, with the numbers that have no row of their own."""
        ledger, locale = self._ledger, self.locale()
        if ledger is None:
            return ""
        card = ledger.kind is MemoryKind.CUDA
        if name == "runtime" and not card:
            return self.tr(
                "The rest of this program: its libraries, the window, and what it computes with."
            )
        if name == "runtime":
            told = self.tr(
                "The CUDA context, kernels and workspaces: what this program has on the card "
                "besides."
            )
            guess = self.tr("The driver does not tell how much that is: it is an estimate.")
            return f"{told} {guess}" if ledger.runtime_estimated else told
        if name == "working" and ledger.peak:
            measured = self.tr("The last answer took {peak}, as measured.").format(
                peak=size_text(ledger.peak, locale)
            )
            return f"{self._plain_sentence(name)} {measured}"
        if name == "swap":
            return self.tr(
                "Memory of this program that the system has moved to the disk. Of the swap, {used} "
                "of {total} are in use by all programs."
            ).format(
                used=size_text(ledger.swap_used, locale),
                total=size_text(ledger.swap_total, locale),
            )
        return self._plain_sentence(name)

    def _plain_sentence(self, name: str) -> str:
        tokens = self.locale().toString(self._window)
        sentences = {
            "weights": self.tr("What the model has learned. It stays until the model is closed."),
            "kv": self.tr(
                "Keys and values of every token of this chat, so that nothing is read twice."
            ),
            "kv_others": self.tr("The same of other chats; given up where this one needs it."),
            "activations": self.tr("What is being computed with at this moment."),
            "slack": self.tr(
                "Taken from the card by torch's allocator and in use for nothing: what comes next "
                "is taken from it first."
            ),
            "other": self.tr("Other programs and the system."),
            "free": self.tr("In use by nobody."),
            "kv_to_come": self.tr(
                "What the KV cache grows by until the context of {tokens} tokens is full."
            ).format(tokens=tokens),
            "working": self.tr(
                "What computing takes for a moment at the end of {tokens} tokens, as planned."
            ).format(tokens=tokens),
            "mapped": self.tr(
                "Pages of files, such as libraries. The system can read them again, so that they "
                "count as free."
            ),
        }
        return sentences[name]

    # -- several devices -------------------------------------------------------------------

    def set_foldable(self, foldable: bool) -> None:
        """Whether there are other devices beside it."""
        self._several = foldable
        self.fold.setVisible(foldable)
        if self._ledger is not None:
            self._set_kind(self._ledger)
        if not foldable:
            self.set_folded(False)

    @property
    def folded(self) -> bool:
        """Whether only the bar is shown."""
        return self._folded

    def set_folded(self, folded: bool) -> None:
        """Show only the bar, or the rows as well."""
        self._folded = folded
        self.fold.set_icon("down" if folded else "up")
        self.fold.setAccessibleName(
            self.tr("Show the parts") if folded else self.tr("Hide the parts")
        )
        self.fold.setToolTip(self.fold.accessibleName())
        self._show_rows()

    # -- pointing --------------------------------------------------------------------------

    def _light(self, name: str) -> None:
        for other, row in self.rows.items():
            row.light(other == name)

    def _explain(self) -> None:
        """Say what the band is that is pointed at: to the eye, and to a screen reader."""
        row = self.rows.get(self.gauge.band)
        if row is None:
            QToolTip.hideText()
            return
        text = f"{row.name}: {row.value}\n{self.sentence(self.gauge.band)}"
        QToolTip.showText(
            self.gauge.mapToGlobal(QPoint(0, self.gauge.height())), plain_tip(text), self.gauge
        )
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self.gauge, text))
