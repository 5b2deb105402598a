"""The licences of all that the program is made of: a list, and the texts of what is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Label, ScrollBar
from qwen_desktop.ui.dialog import Dialog

if TYPE_CHECKING:
    from qwen_desktop.licences import Component

_RULE = "─" * 72


class LicencesDialog(Dialog):
    """Empty until `show_components`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("licencesDialog", self.tr("Third-party licences"), parent)
        self.resize(theme.px(900), theme.px(620))
        self._components: tuple[Component, ...] = ()
        self.words = Label(self.tr("One moment…"), 13, dim=True, wrap=True)
        self.words.setObjectName("licencesWords")
        self.list = QListWidget()
        self.list.setObjectName("components")
        self.list.setAccessibleName(self.tr("Parts of the program"))
        self.list.setFont(theme.body_font(13))
        self.list.setSpacing(2)
        self.list.setFixedWidth(theme.px(280))
        self.list.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, self.list))
        self.list.currentRowChanged.connect(self._on_row)
        self.about = Label("", 13, wrap=True)
        self.about.setObjectName("componentAbout")
        self.about.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.text = QPlainTextEdit()
        self.text.setObjectName("licenceText")
        self.text.setAccessibleName(self.tr("Text of the licence"))
        self.text.setReadOnly(True)
        self.text.setTabChangesFocus(True)
        self.text.setFont(theme.code_font(12))
        self.text.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, self.text))
        right = QVBoxLayout()
        right.setSpacing(8)
        right.addWidget(self.about)
        right.addWidget(self.text, 1)
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(self.list)
        row.addLayout(right, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 20, 20, 16)
        column.setSpacing(12)
        column.addWidget(self.words)
        column.addLayout(row, 1)
        column.addWidget(self.close_box())

    def show_components(self, components: Sequence[Component]) -> None:
        """They have been read."""
        self._components = tuple(components)
        count = self.locale().toString(len(components))
        self.words.setText(self.tr("Qwen Desktop is made of {count} parts.").format(count=count))
        for component in components:
            item = QListWidgetItem(f"{component.name} {component.version}")
            item.setToolTip(component.licence)
            self.list.addItem(item)
        self.list.setCurrentRow(0)
        self.list.setFocus(Qt.FocusReason.OtherFocusReason)

    def show_trouble(self, sentence: str) -> None:
        """They could not be read."""
        self.words.setText(sentence)

    def _on_row(self, row: int) -> None:
        if not 0 <= row < len(self._components):
            return
        component = self._components[row]
        lines = (f"{component.name} {component.version}", component.licence, component.site)
        self.about.setText("\n".join(line for line in lines if line))
        texts = [f"{text.name}\n{_RULE}\n{text.text.strip()}" for text in component.texts]
        none = self.tr("It comes without a text of its licence.")
        self.text.setPlainText("\n\n\n".join(texts) or none)
