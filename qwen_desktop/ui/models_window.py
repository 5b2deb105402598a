"""The models of this machine and of the hubs, in a window beside the chat: pages with tabs."""

from __future__ import annotations

from PySide6.QtWidgets import QPushButton, QTabWidget, QVBoxLayout, QWidget

from qwen_desktop.ui.controls import Line
from qwen_desktop.ui.dialog import Dialog

SIZE = (1000, 680)
SMALLEST = (760, 480)

LIBRARY, CATALOGUE, DOWNLOADS = "library", "catalogue", "downloads"
_ORDER = (LIBRARY, CATALOGUE, DOWNLOADS)


class ModelsWindow(Dialog):
    """Not modal: the chat goes on beside it. Pages come by `add_page`, each by its name once."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("modelsWindow", self.tr("Models"), parent)
        self.resize(*SIZE)
        self.setMinimumSize(*SMALLEST)
        self.pages: dict[str, QWidget] = {}
        self.tabs = QTabWidget()
        self.tabs.setObjectName("modelsTabs")
        self.tabs.setAccessibleName(self.tr("Parts of the models window"))
        self.tabs.tabBar().setAccessibleName(self.tr("Parts of the models window"))
        self.tabs.setDocumentMode(True)
        buttons = self.close_box()
        buttons.setContentsMargins(24, 8, 24, 14)
        for button in buttons.findChildren(QPushButton):
            # Enter belongs to what the pages hold: it must not close the window.
            button.setDefault(False)
            button.setAutoDefault(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.tabs, 1)
        column.addWidget(Line())
        column.addWidget(buttons)

    def add_page(self, name: str, page: QWidget) -> None:
        """Add LIBRARY, CATALOGUE or DOWNLOADS, in this order whichever comes first."""
        titles = {
            LIBRARY: self.tr("Library"),
            CATALOGUE: self.tr("Catalogue"),
            DOWNLOADS: self.tr("Downloads"),
        }
        self.pages[name] = page
        place = [one for one in _ORDER if one in self.pages].index(name)
        self.tabs.insertTab(place, page, titles[name])

    def show_page(self, name: str) -> None:
        """Bring a page to the front."""
        self.tabs.setCurrentWidget(self.pages[name])

    @property
    def page(self) -> str:
        """The name of the page in front; empty where there is none."""
        shown = self.tabs.currentWidget()
        return next((name for name, page in self.pages.items() if page is shown), "")
