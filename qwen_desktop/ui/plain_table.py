"""What the tables in dialogs have in common: how they look and how rows are chosen."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QFrame, QTableView

from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import ScrollBar
from qwen_desktop.ui.module_tree import ROW_HEIGHT


def make_table_plain(view: QTableView) -> None:
    """Let `view` have stripes, our scroll bar, no frame, no editing, and one chosen row."""
    view.setFrameShape(QFrame.Shape.NoFrame)
    view.setShowGrid(False)
    view.setAlternatingRowColors(True)
    view.setTabKeyNavigation(False)
    view.setWordWrap(False)
    view.setCornerButtonEnabled(False)
    view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    view.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, view))
    view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    view.setFont(theme.body_font(13))
    view.verticalHeader().hide()
    view.verticalHeader().setDefaultSectionSize(theme.px(ROW_HEIGHT))
