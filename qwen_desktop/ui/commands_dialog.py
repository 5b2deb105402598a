"""The list of commands that can be typed into the message field."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QAbstractItemView, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from qwen_desktop.ui import theme
from qwen_desktop.ui.commands import Command
from qwen_desktop.ui.controls import Label
from qwen_desktop.ui.dialog import Dialog


class CommandsDialog(Dialog):
    """Each with how it is typed and what it does."""

    def __init__(self, commands: Sequence[Command], parent: QWidget | None = None) -> None:
        super().__init__("commandsDialog", self.tr("Commands"), parent)
        self.resize(theme.px(680), theme.px(560))
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 20, 20, 16)
        column.setSpacing(12)
        told = self.tr(
            "A message that begins with one of these is not sent. A setting without a value tells "
            "the one it has, with “default” it follows the general settings again. Two slashes at "
            "the beginning are sent as one."
        )
        column.addWidget(Label(told, 13, dim=True, wrap=True))
        self.table = QTreeWidget()
        self.table.setObjectName("commandTable")
        self.table.setAccessibleName(self.tr("Commands"))
        self.table.setRootIsDecorated(False)
        self.table.setUniformRowHeights(True)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setHeaderLabels([self.tr("Command"), self.tr("What it does")])
        for command in commands:
            self.table.addTopLevelItem(QTreeWidgetItem([command.title, command.words]))
        self.table.resizeColumnToContents(0)
        if self.table.columnWidth(0) > theme.px(300):
            self.table.setColumnWidth(0, theme.px(300))
        if (first := self.table.topLevelItem(0)) is not None:
            self.table.setCurrentItem(first)
        column.addWidget(self.table, 1)
        column.addWidget(self.close_box())
