"""The field to search conversations with, and a menu of what it understands besides words."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QWidget

from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import IconButton
from qwen_desktop.ui.plain_search import SearchField

_BUTTON = 26  # px


class ChatSearchField(SearchField):
    """Its button offers filters, which it writes into the field."""

    def __init__(self, placeholder: str, parent: QWidget | None = None) -> None:
        super().__init__(placeholder, parent)
        self.filters = IconButton("filter", self.tr("Search filters"), height=_BUTTON, parent=self)
        self.filters.setObjectName("searchFilters")
        self.filters.clicked.connect(self._show_filters)

        self.follow_look()

    def follow_look(self) -> None:
        """Other fonts and sizes."""
        super().follow_look()
        button = theme.px(_BUTTON)
        self.setTextMargins(theme.px(16) + 16, 0, button + 6, 0)
        self._place_button()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The button stands at the right."""
        super().resizeEvent(event)
        self._place_button()

    def _place_button(self) -> None:
        side = theme.px(_BUTTON)
        if hasattr(self, "filters"):  # the base class asks for it too, before there is one
            self.filters.move(self.width() - side - 4, (self.height() - side) // 2)

    def _show_filters(self) -> None:
        from qwen_desktop.ui.row_menu import ListMenu, show_below

        menu = ListMenu("filterMenu", self)
        menu.setAccessibleName(self.filters.accessibleName())
        for text, words in (
            ("role:user", self.tr("What you wrote")),
            ("role:assistant", self.tr("What was answered")),
            ("model:", self.tr("Answers of a model")),
            ("tag:", self.tr("Chats with a tag")),
            ("folder:", self.tr("Chats in a folder")),
            ("after:", self.tr("Since a day, as 2026-03-01 or 7d")),
            ("before:", self.tr("Until a day")),
            ("in:archive", self.tr("In the archive")),
            ("in:bin", self.tr("In the bin")),
        ):
            menu.entry(f"{words}\t{text}", lambda text=text: self.add_filter(text))  # type: ignore[misc]
        show_below(menu, self)

    def add_filter(self, text: str) -> None:
        """Write a filter at the end; one without a value waits for it."""
        before = self.text().rstrip()
        after = "" if text.endswith(":") else " "
        self.setText(f"{before} {text}{after}".lstrip())
        self.setFocus(Qt.FocusReason.ShortcutFocusReason)
