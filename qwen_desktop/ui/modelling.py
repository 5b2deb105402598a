"""What the window does about the library and the catalogue: their pages, and what they ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QLocale, QObject, QUrl, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QWidget

from qwen_desktop.bridge.models import ModelState

if TYPE_CHECKING:
    from qwen_desktop.bridge.adopting import Adopting
    from qwen_desktop.bridge.library import Library
    from qwen_desktop.bridge.models import Models
    from qwen_desktop.bridge.offers import Offers
    from qwen_desktop.chat.downloads import DownloadEntry
    from qwen_desktop.chat.hub import Guess, Hub
    from qwen_desktop.chat.library import Removal
    from qwen_desktop.ui.adopt_dialog import AdoptDialog
    from qwen_desktop.ui.library_page import LibraryPage
    from qwen_desktop.ui.main_window import MainWindow


class Modelling(QObject):
    """Belongs to the window. Pages and dialogs are imported when they are asked for."""

    def __init__(
        self,
        window: MainWindow,
        library: Library,
        offers: Offers,
        adopting: Adopting,
        models: Models,
    ) -> None:
        super().__init__(window)
        self._window = window
        self._library, self._offers, self._adopting = library, offers, adopting
        self._models = models
        self._page: LibraryPage | None = None
        self._adopt: AdoptDialog | None = None
        window.shelf.add_maker("library", self._make_library)
        window.shelf.add_maker("catalogue", self._make_catalogue)
        library.removal_planned.connect(self._on_removal)
        library.guessed.connect(self._on_guessed)
        models.changed.connect(self._on_model)

    def _make_library(self, parent: QWidget) -> QWidget:
        from qwen_desktop.ui.library_page import LibraryPage

        page = LibraryPage(self._library, parent)
        page.open_requested.connect(self._open)
        page.details_requested.connect(self._window.checkpoints.look_into)
        page.reveal_requested.connect(self._reveal)
        page.delete_requested.connect(self._library.plan_removal)
        page.adopt_requested.connect(self.adopt)
        page.destroyed.connect(self._on_destroyed)
        self._page = page
        self._on_model(self._models.state)
        return page

    def _make_catalogue(self, parent: QWidget) -> QWidget:
        from qwen_desktop.ui.catalogue_page import CataloguePage

        page = CataloguePage(self._offers, parent)
        page.get_requested.connect(self._get)
        return page

    @Slot()
    def _on_destroyed(self) -> None:
        self._page = None

    @Slot(object)
    def _on_model(self, state: ModelState) -> None:
        if self._page is not None:
            self._page.set_open(state.info.folder if state.info is not None else None)

    @Slot(object)
    def on_arrived(self, _: DownloadEntry) -> None:
        """A download is here: it belongs into the library."""
        if self._page is not None:
            self._library.look()

    @Slot(object)
    def _open(self, folder: Path) -> None:
        self._window.checkpoints.open_folder(folder)
        self._window.activateWindow()

    @Slot(object)
    def _reveal(self, folder: Path) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))

    @Slot(str, object)
    def _get(self, text: str, hub: Hub) -> None:
        self._window.downloading.get(text, hub)

    # -- what is missing -------------------------------------------------------------------

    @Slot(object)
    def adopt(self, folder: Path) -> None:
        """The dialog that gets what `folder` lacks. Asks no hub yet."""
        from qwen_desktop.ui.adopt_dialog import AdoptDialog

        if self._adopt is not None:
            self._adopt.reject()
        dialog = AdoptDialog(self._adopting, folder, self._window.shelf.dialog or self._window)
        dialog.planned.connect(self._window.downloading.offer)
        dialog.finished.connect(self._on_adopt_finished)
        self._adopt = dialog
        self._adopting_folder = str(folder)
        dialog.open()
        self._library.guess(folder)

    @Slot()
    def _on_adopt_finished(self) -> None:
        self._adopt = None

    @Slot(str, object)
    def _on_guessed(self, folder: str, guesses: tuple[Guess, ...]) -> None:
        if self._adopt is not None and folder == self._adopting_folder:
            self._adopt.set_guesses(guesses)

    # -- deleting --------------------------------------------------------------------------

    @Slot(str, object)
    def _on_removal(self, folder: str, removal: Removal) -> None:
        """Ask, with the bytes; what is open just now is left alone."""
        from qwen_desktop.ui.small_dialogs import ConfirmDialog
        from qwen_desktop.ui.texts import small_size_text

        state = self._models.state
        busy = {state.info.folder} if state.info is not None else set()
        if self._models.request is not None and state.busy:
            busy.add(self._models.request.folder)
        if removal.folder in busy:
            return
        locale = QLocale()
        words = self.tr(
            "The files of {folder} are deleted from the disk: {count} files, {size}. "
            "They do not go to a bin."
        ).format(
            folder=folder,
            count=locale.toString(len(removal.paths)),
            size=small_size_text(removal.freed, locale),
        )
        if removal.kept:
            rest = self.tr("{count} other files in the folder stay.")
            words = f"{words} {rest.format(count=locale.toString(removal.kept))}"
        ConfirmDialog(
            self.tr("Delete files"),
            words,
            self.tr("Delete {size}").format(size=small_size_text(removal.freed, locale)),
            lambda: self._library.remove(removal),
            self._window.shelf.dialog or self._window,
        ).open()
