"""The models window of the main window: made when it is asked for, with the pages it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QWidget

if TYPE_CHECKING:
    from qwen_desktop.ui.main_window import MainWindow
    from qwen_desktop.ui.models_window import ModelsWindow


class Shelf(QObject):
    """Belongs to the window. Other parts bring their pages by `add_maker`."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._makers: dict[str, Callable[[QWidget], QWidget]] = {}
        self._dialog: ModelsWindow | None = None

    @property
    def dialog(self) -> ModelsWindow | None:
        """The models window, while it is open."""
        return self._dialog

    def add_maker(self, name: str, make: Callable[[QWidget], QWidget]) -> None:
        """Let `make` give the page `name`, for the parent it is called with, with each opening."""
        self._makers[name] = make

    def show(self, page: str = "") -> None:
        """Open the models window, or bring it to the front; at `page` where one is named."""
        if self._dialog is None:
            from qwen_desktop.ui.models_window import ModelsWindow

            dialog = ModelsWindow(self._window)
            for name, make in self._makers.items():
                dialog.add_page(name, make(dialog))
            dialog.tabs.setCurrentIndex(0)
            dialog.finished.connect(self._on_finished)
            self._dialog = dialog
        if page in self._dialog.pages:
            self._dialog.show_page(page)
        self._dialog.show()
        self._dialog.raise_()
        self._dialog.activateWindow()

    @Slot()
    def _on_finished(self) -> None:
        self._dialog = None
