"""The points of the charts as a table, as lines to paste, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Union

from PySide6.QtCore import QLocale, QModelIndex, QObject, Qt
from PySide6.QtCore import QPersistentModelIndex as _Persistent
from PySide6.QtWidgets import QWidget

from qwen_desktop.chat.measured import Measured
from qwen_desktop.ui import theme
from qwen_desktop.ui.chart_scale import memory_text, speed_text, time_text
from qwen_desktop.ui.context_chart_plots import model_text, several_devices
from qwen_desktop.ui.plain_table import NumbersModel, NumbersTable

Index = Union[QModelIndex, _Persistent]  # noqa: UP007

_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_NO_PARENT = QModelIndex()
_NONE = "–"

# Columns of the file, in the units of `Measured`; for programs, in English everywhere.
CSV_COLUMNS = (
    "turn",
    "tokens",
    "characters",
    "peak_bytes",
    "steady_bytes",
    "predicted_peak_bytes",
    "other_chats_bytes",
    "device_used_bytes",
    "device_bytes",
    "first_token_seconds",
    "prefill_tokens_per_second",
    "decode_tokens_per_second",
    "prompt_tokens_read",
    "model",
    "fingerprint",
    "precision",
    "kv_format",
    "device",
)


def csv_text(points: Sequence[Measured]) -> str:
    """All that is known of the points, as RFC 4180 has it; empty where nothing is known."""
    made = io.StringIO()
    writer = csv.writer(made)
    writer.writerow(CSV_COLUMNS)
    for one in points:
        measures = (one.peak, one.steady, one.planned, one.others, one.used, one.device_bytes)
        known = [value or "" for value in measures]
        if one.peak:
            known[3] = one.others  # none is something that was measured too
        speeds = (one.first_token_seconds, one.prefill_speed, one.decode_speed)
        writer.writerow(
            (
                one.turn,
                one.tokens,
                one.characters,
                *known,
                *(round(value, 4) or "" for value in speeds),
                one.new_tokens,
                _plain(one.model),
                one.fingerprint,
                _plain(one.precision),
                one.kv_format,
                _plain(one.device),
            )
        )
    return made.getvalue()


def _plain(text: str) -> str:
    """A name of others that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


class PointsModel(NumbersModel):
    """One row for each answer, in their order."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._points: tuple[Measured, ...] = ()
        self._devices = False  # more than one of them
        self._row: tuple[int, tuple[str, ...]] = (-1, ())  # the one asked for last
        self._names = (
            self.tr("Turn"),
            self.tr("Tokens"),
            self.tr("Characters"),
            self.tr("Peak"),
            self.tr("After"),
            self.tr("Predicted"),
            self.tr("First token"),
            self.tr("Reading"),
            self.tr("Writing"),
            "   " + self.tr("Model"),
        )

    def set_points(self, points: tuple[Measured, ...]) -> None:
        """Show these; where only some came at the end, what is chosen stays chosen."""
        before, devices = len(self._points), several_devices(points)
        self._row = (-1, ())
        if before and devices == self._devices and points[:before] == self._points:
            if len(points) > before:
                self.beginInsertRows(_NO_PARENT, before, len(points) - 1)
                self._points = points
                self.endInsertRows()
            return
        self.beginResetModel()
        self._points, self._devices = points, devices
        self.endResetModel()

    def rowCount(self, parent: Index = _NO_PARENT) -> int:
        """Number of answers."""
        return 0 if parent.isValid() else len(self._points)

    def columnCount(self, parent: Index = _NO_PARENT) -> int:
        """Turn, sizes, memory, speeds, model."""
        return 0 if parent.isValid() else len(self._names)

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = int(Qt.ItemDataRole.DisplayRole),
    ) -> object:
        """Names of the columns."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole and section < len(self._names) - 1:
            return _RIGHT
        return self._names[section] if role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        """The text of a cell."""
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            if self._row[0] != index.row():
                self._row = (index.row(), self.texts(index.row()))
            return self._row[1][index.column()]
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() < len(self._names) - 1:
            return _RIGHT
        return None

    def texts(self, row: int) -> tuple[str, ...]:
        """The cells of a row."""
        one, locale = self._points[row], QLocale()
        memory = (one.peak, one.steady, one.planned)
        speeds = (one.prefill_speed, one.decode_speed)
        return (
            locale.toString(one.turn),
            locale.toString(one.tokens),
            locale.toString(one.characters),
            *(memory_text(size) if size else _NONE for size in memory),
            time_text(one.first_token_seconds) if one.first_token_seconds else _NONE,
            *(speed_text(speed) if speed else _NONE for speed in speeds),
            "   " + model_text(one, device=self._devices),
        )

    def as_lines(self, rows: Sequence[int]) -> str:
        """Rows below the names of the columns, with tabs between: to be pasted into a table."""
        lines = [self._names, *(self.texts(row) for row in rows)]
        return "".join("\t".join(cell.strip() for cell in line) + "\n" for line in lines)


class PointsTable(NumbersTable):
    """The table; Ctrl+C copies the chosen rows."""

    def __init__(self, parent: QWidget | None = None) -> None:
        points = PointsModel()
        super().__init__(points, parent)
        self.points = points
        self.setObjectName("measuredTable")
        self.setAccessibleName(self.tr("Measured answers"))
        for column, width in enumerate((48, 64, 82, 84, 84, 84, 86, 92, 88)):
            self.setColumnWidth(column, theme.px(width))
