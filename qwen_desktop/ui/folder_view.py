"""What a checkpoint folder holds and what is wrong with it: parts of the open dialog.

Everything shown comes from the folder of strangers: plain text only.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QLocale, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from qwen_desktop.bridge.words import translated
from qwen_desktop.chat.checkpoint import CheckpointFacts, Finding, Severity
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import RADIUS, ElidedLabel, Label, TintedLabel
from qwen_desktop.ui.texts import count_text, size_text, small_size_text

_TINTS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "accent"}
_GROUNDS = {
    Severity.ERROR: "error_background",
    Severity.WARNING: "warning_background",
    Severity.NOTE: "code",
}
_LIKE = 3  # findings of one kind that are shown whole: a clone without Git LFS has one per file
_ORDER = (Severity.ERROR, Severity.WARNING, Severity.NOTE)


def clear_layout(layout: QGridLayout | QVBoxLayout) -> None:
    """Take every widget out of `layout` and delete it."""
    while (item := layout.takeAt(0)) is not None:
        if (widget := item.widget()) is not None:
            widget.hide()  # it is deleted a turn later
            widget.deleteLater()


class FactsView(QWidget):
    """The checkpoint in numbers: two columns of names and values."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(4)
        for column in (1, 3):
            self._grid.setColumnStretch(column, 1)

    def set_facts(self, facts: CheckpointFacts | None) -> None:
        """Show these; nothing where too little could be read."""
        clear_layout(self._grid)
        for i, (name, value) in enumerate(self._rows(facts) if facts is not None else ()):
            row, column = divmod(i, 2)
            label = Label(name, 13, dim=True)
            shown = ElidedLabel(value, 13)
            shown.setAccessibleName(f"{name}: {value}")
            shown.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
            self._grid.addWidget(label, row, 2 * column)
            self._grid.addWidget(shown, row, 2 * column + 1)

    def _rows(self, facts: CheckpointFacts) -> list[tuple[str, str]]:
        locale = QLocale()
        kind = self.tr("Chat") if facts.is_chat else self.tr("Base model: it continues text")
        unknown = "–"  # where no header could be read
        parameters = count_text(facts.parameters, locale) if facts.parameters else unknown
        if 0 < facts.active_parameters < facts.parameters:
            active = count_text(facts.active_parameters, locale)
            parameters = self.tr("{all}, {active} per token").format(all=parameters, active=active)
        heads = self.tr("{layers}, {heads} heads, {kv} for KV").format(
            layers=facts.layers, heads=facts.heads, kv=facts.kv_heads
        )
        if facts.experts:
            heads = self.tr("{layers}, {experts} experts").format(
                layers=facts.layers, experts=facts.experts
            )
        stored = self.tr("{precision}, {size}").format(
            precision=facts.stored, size=size_text(facts.stored_bytes, locale)
        )
        if not facts.stored:
            stored = unknown
        context = self.tr("{count} tokens").format(count=locale.toString(facts.context_length))
        return [
            (self.tr("Family"), facts.family_name),
            (self.tr("Kind"), kind),
            (self.tr("Parameters"), parameters),
            (self.tr("Layers"), heads),
            (self.tr("Stored as"), stored),
            (self.tr("Files"), locale.toString(facts.files)),
            (self.tr("Context"), context),
            (self.tr("KV per token"), small_size_text(facts.kv_bytes_per_token, locale)),
        ]


class FindingCard(QWidget):
    """One finding: how bad it is, the sentence and what to do."""

    def __init__(self, finding: Finding, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.finding = finding
        words = {
            Severity.ERROR: self.tr("Error"),
            Severity.WARNING: self.tr("Warning"),
            Severity.NOTE: self.tr("Note"),
        }
        name = words[finding.severity]
        text = translated(finding.report)
        kind = TintedLabel(name, 12, tint=_TINTS[finding.severity], bold=True)
        kind.setAlignment(Qt.AlignmentFlag.AlignTop)
        kind.setContentsMargins(0, 1, 0, 0)
        kind.setFixedWidth(max(64, kind.sizeHint().width()))
        self.label = Label(text, 13, wrap=True)
        self.label.setObjectName("finding")
        self.label.setAccessibleName(f"{name}: {text}")
        self.label.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 8, 12, 8)
        row.setSpacing(8)
        row.addWidget(kind, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.label, 1)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The tinted ground."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(getattr(theme.current(), _GROUNDS[self.finding.severity])))
        painter.drawRoundedRect(QRectF(self.rect()), RADIUS, RADIUS)


class FindingsView(QWidget):
    """All findings, the worst first."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(6)

    def set_findings(self, findings: Sequence[Finding]) -> None:
        """Show these; hidden where there are none."""
        clear_layout(self._column)
        kinds: dict[tuple[Severity, str], list[Finding]] = {}
        for finding in sorted(findings, key=lambda f: _ORDER.index(f.severity)):
            kinds.setdefault((finding.severity, finding.code), []).append(finding)
        for alike in kinds.values():
            # One left over takes no more room than the line that would count it.
            shown = alike if len(alike) <= _LIKE + 1 else alike[:_LIKE]
            for finding in shown:
                self._column.addWidget(FindingCard(finding))
            if rest := len(alike) - len(shown):
                more = self.tr("And {count} more like these.").format(
                    count=QLocale().toString(rest)
                )
                label = Label(more, 13, dim=True)
                label.setObjectName("moreFindings")
                label.setContentsMargins(12, 0, 12, 2)
                self._column.addWidget(label)
        self.setVisible(bool(findings))
