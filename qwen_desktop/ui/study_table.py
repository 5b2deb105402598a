"""What a memory study has measured, as a table and as lines to paste."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

from PySide6.QtCore import QLocale, QModelIndex, QObject, Qt
from PySide6.QtCore import QPersistentModelIndex as _Persistent
from PySide6.QtWidgets import QWidget

from qwen_desktop.chat.study import Study, StudyPoint
from qwen_desktop.ui import theme
from qwen_desktop.ui.chart_scale import memory_text, speed_text, time_text
from qwen_desktop.ui.plain_table import NumbersModel, NumbersTable
from qwen_desktop.ui.study_chart import way_text

Index = Union[QModelIndex, _Persistent]  # noqa: UP007

_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_NO_PARENT = QModelIndex()


class StudyModel(NumbersModel):
    """One row for each prompt, way by way and by length."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._points: tuple[StudyPoint, ...] = ()
        self._names = (
            self.tr("Way"),
            self.tr("Tokens"),
            self.tr("Characters"),
            self.tr("Read"),
            self.tr("Peak"),
            self.tr("Planned"),
            self.tr("After"),
            self.tr("Kept"),
            self.tr("Prefill"),
            self.tr("First token"),
            self.tr("Writing"),
        )

    def set_study(self, study: Study | None) -> None:
        """Show what has been measured."""
        ways = study.head.setup.ways if study is not None else ()
        points = tuple(p for way in ways if study is not None for p in study.series(way))
        before = len(self._points)
        if before and points[:before] == self._points:
            if len(points) > before:
                self.beginInsertRows(_NO_PARENT, before, len(points) - 1)
                self._points = points
                self.endInsertRows()
            return
        self.beginResetModel()
        self._points = points
        self.endResetModel()

    def rowCount(self, parent: Index = _NO_PARENT) -> int:
        """Number of prompts."""
        return 0 if parent.isValid() else len(self._points)

    def columnCount(self, parent: Index = _NO_PARENT) -> int:
        """Way, sizes, memory, times."""
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
        if role == Qt.ItemDataRole.TextAlignmentRole and section:
            return _RIGHT
        return self._names[section] if role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        """The text of a cell."""
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return self.texts(index.row())[index.column()]
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column():
            return _RIGHT
        return None

    def texts(self, row: int) -> tuple[str, ...]:
        """The cells of a row."""
        one, locale = self._points[row], QLocale()
        return (
            way_text(one.way),
            locale.toString(one.tokens),
            locale.toString(one.characters),
            locale.toString(one.read),
            memory_text(one.peak),
            memory_text(one.predicted),
            memory_text(one.steady),
            memory_text(one.kept),
            time_text(one.prefill_s),
            time_text(one.first_token_s),
            speed_text(one.decode_speed) if one.decode_speed else "–",
        )

    def as_lines(self, rows: Sequence[int]) -> str:
        """Rows below the names of the columns, with tabs between: to be pasted into a table."""
        lines = [self._names, *(self.texts(row) for row in rows)]
        return "".join("\t".join(line) + "\n" for line in lines)


class StudyTable(NumbersTable):
    """The table; Ctrl+C copies the chosen rows."""

    def __init__(self, parent: QWidget | None = None) -> None:
        points = StudyModel()
        super().__init__(points, parent)
        self.points = points
        self.setObjectName("studyTable")
        self.setAccessibleName(self.tr("Measured prompts"))
        across = self.horizontalHeader()
        across.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column, width in enumerate((190, 64, 82, 64, 84, 84, 84, 84, 74, 86)):
            self.setColumnWidth(column, theme.px(width))
