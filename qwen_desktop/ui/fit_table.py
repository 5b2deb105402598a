"""Which precision with how much context goes into memory: a table of the open dialog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Union

from PySide6.QtCore import (
    QAbstractTableModel,
    QEvent,
    QLocale,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFont, QPainter, QPalette
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QSizePolicy,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from qwen_desktop.chat.checkpoint import Fit, LoadPlan, Precision
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import focus_ring
from qwen_desktop.ui.texts import context_text, precision_text, size_text

Index = Union[QModelIndex, QPersistentModelIndex]  # noqa: UP007
Plans = Mapping[tuple[str, Precision, int], LoadPlan]

FIT_ROLE = int(Qt.ItemDataRole.UserRole) + 1
ROW_HEIGHT = 30
_NO_PARENT = QModelIndex()
_TINTS = {Fit.YES: "activations", Fit.TIGHT: "warning", Fit.NO: "error"}


class FitModel(QAbstractTableModel):
    """Precisions down, contexts across, for one placement."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.precisions: tuple[Precision, ...] = ()
        self.contexts: tuple[int, ...] = ()
        self._plans: Plans = {}
        self._placement = ""

    def set_plans(
        self, plans: Plans, placement: str, precisions: Sequence[Precision], contexts: Sequence[int]
    ) -> None:
        """Show the plans of `placement`."""
        self.beginResetModel()
        self._plans, self._placement = plans, placement
        self.precisions, self.contexts = tuple(precisions), tuple(contexts)
        self.endResetModel()

    def plan(self, index: Index) -> LoadPlan | None:
        """The plan of a cell."""
        key = (self._placement, self.precisions[index.row()], self.contexts[index.column()])
        return self._plans.get(key)

    def rowCount(self, parent: Index = _NO_PARENT) -> int:
        """One per precision."""
        return 0 if parent.isValid() else len(self.precisions)

    def columnCount(self, parent: Index = _NO_PARENT) -> int:
        """One per context."""
        return 0 if parent.isValid() else len(self.contexts)

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = int(Qt.ItemDataRole.DisplayRole),
    ) -> object:
        """Contexts above, precisions on the left."""
        across = orientation == Qt.Orientation.Horizontal
        if role == Qt.ItemDataRole.DisplayRole:
            if across:
                return context_text(self.contexts[section], QLocale())
            precision = self.precisions[section]
            stored = precision is Precision.AUTO
            return self.tr("As stored") if stored else precision_text(precision)
        if role == Qt.ItemDataRole.AccessibleTextRole and across:
            return self._tokens(self.contexts[section])
        return None

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        """A sign, its words for a screen reader, and the numbers as a tooltip."""
        plan = self.plan(index)
        if plan is None:
            return None
        if role == FIT_ROLE:
            return plan.fit.value
        if role == Qt.ItemDataRole.DisplayRole:
            return {Fit.YES: "✓", Fit.TIGHT: self.tr("tight"), Fit.NO: "✗"}[plan.fit]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignCenter
        if role in (Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.ToolTipRole):
            words = {
                Fit.YES: self.tr("fits"),
                Fit.TIGHT: self.tr("tight: over 90 % of the free memory"),
                Fit.NO: self.tr("does not fit"),
            }[plan.fit]
            need = size_text(sum(share.need for share in plan.shares), QLocale())
            return self.tr("{precision}, {context}: {words}, {need} needed").format(
                precision=self.headerData(index.row(), Qt.Orientation.Vertical),
                context=self._tokens(self.contexts[index.column()]),
                words=words,
                need=need,
            )
        return None

    def _tokens(self, count: int) -> str:
        return self.tr("{count} tokens").format(count=QLocale().toString(count))


class _FitDelegate(QStyledItemDelegate):
    """Draws a sign in its colour, and the choice as a tinted cell."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        t = theme.current()
        state: QStyle.StateFlag = option.state
        rect: QRect = option.rect.adjusted(1, 1, -1, -1)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        selected = bool(state & QStyle.StateFlag.State_Selected)
        if selected or state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(t.selected if selected else t.sidebar))
            painter.drawRoundedRect(QRectF(rect), 6, 6)
        if selected and state & QStyle.StateFlag.State_HasFocus:
            focus_ring(painter, QRectF(rect), 6)
        elif selected:
            painter.setPen(QColor(t.accent))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(rect).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        value = index.data(FIT_ROLE)
        if value is not None:
            painter.setPen(QColor(getattr(t, _TINTS[Fit(value)])))
            painter.setFont(theme.body_font(13, QFont.Weight.DemiBold))
            painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, str(index.data()))
        painter.restore()


class FitTable(QTableView):
    """A click or the arrows choose a precision and a context."""

    picked = Signal(object, int)  # Precision, context

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._quiet = False  # while the program sets the choice
        self.setObjectName("fitTable")
        self.setAccessibleName(self.tr("What fits, by precision and context"))
        self.fits = FitModel(self)
        self.setModel(self.fits)
        self.setItemDelegate(_FitDelegate(self))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setShowGrid(False)
        self.setMouseTracking(True)
        self.setTabKeyNavigation(False)  # Tab leaves the table
        self.setCornerButtonEnabled(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        across, down = self.horizontalHeader(), self.verticalHeader()
        across.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        across.setMinimumSectionSize(36)
        down.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        down.setDefaultSectionSize(theme.px(ROW_HEIGHT))
        for header in (across, down):
            header.setFont(theme.body_font(12))
            header.setHighlightSections(False)
            header.setSectionsClickable(False)
            header.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        clear = self.palette()  # the delegate paints the choice
        clear.setColor(QPalette.ColorRole.Highlight, QColor(Qt.GlobalColor.transparent))
        self.setPalette(clear)
        down.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self._flatten()

    def _flatten(self) -> None:
        """Headers as dim text on the ground of the dialog, without Fusion's bevels."""
        t = theme.current()
        sheet = (
            "QHeaderView, QHeaderView::section, QTableCornerButton::section {"
            f" background: {t.background}; color: {t.dim}; border: none; font-weight: normal; }}"
            "QHeaderView::section:vertical { padding-right: 10px; }"
        )
        if sheet != self.styleSheet():  # setting it changes the palette again
            self.setStyleSheet(sheet)

    def changeEvent(self, event: QEvent) -> None:
        """Another theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "_quiet"):
            self._flatten()

    def show_plans(
        self, plans: Plans, placement: str, precisions: Sequence[Precision], contexts: Sequence[int]
    ) -> None:
        """Show the plans of `placement`."""
        self._quiet = True
        self.fits.set_plans(plans, placement, precisions, contexts)
        self._quiet = False
        self.updateGeometry()

    def show_choice(self, precision: Precision, context: int) -> None:
        """Tint the cell of the choice; no cell where it is not in the table."""
        self._quiet = True
        if precision in self.fits.precisions and context in self.fits.contexts:
            row = self.fits.precisions.index(precision)
            self.setCurrentIndex(self.fits.index(row, self.fits.contexts.index(context)))
        else:
            self.setCurrentIndex(QModelIndex())
        self._quiet = False

    def currentChanged(self, current: Index, previous: Index) -> None:
        """Tell what the user picked."""
        super().currentChanged(current, previous)
        if not self._quiet and current.isValid():
            precision = self.fits.precisions[current.row()]
            self.picked.emit(precision, self.fits.contexts[current.column()])

    def sizeHint(self) -> QSize:
        """All rows; it scrolls with the dialog."""
        header = self.horizontalHeader().sizeHint().height()
        return QSize(400, header + theme.px(ROW_HEIGHT) * max(self.fits.rowCount(), 1) + 2)

    def minimumSizeHint(self) -> QSize:
        """All rows."""
        return QSize(120, self.sizeHint().height())
