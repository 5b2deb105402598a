"""What the window does about checkpoints: choosing and opening them, and telling how it went.

Its dialogs are imported when they are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Slot

from qwen_desktop.bridge.models import Models, ModelState
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known, Report
from qwen_desktop.paths import demo_checkpoint

if TYPE_CHECKING:
    from qwen_desktop.bridge.cards import Cards
    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.bridge.doctor import Doctor
    from qwen_desktop.bridge.recents import Recents
    from qwen_desktop.ui.empty_state import EmptyState
    from qwen_desktop.ui.main_window import MainWindow
    from qwen_desktop.ui.model_card import ModelCardWindow
    from qwen_desktop.ui.open_dialog import OpenDialog

# Set to 1, the folder picker is Qt's own: tests can drive that one.
QT_DIALOGS = "QWEN_DESKTOP_QT_DIALOGS"


class Checkpoints(QObject):
    """Belongs to the window. Loads by itself what was chosen; asks before nothing."""

    def __init__(
        self,
        window: MainWindow,
        chats: Chats,
        models: Models,
        recents: Recents,
        doctor: Doctor,
        cards: Cards,
    ) -> None:
        super().__init__(window)
        self._window = window
        self._chats = chats
        self._models = models
        self._recents = recents
        self._doctor = doctor
        self._cards = cards
        self._dialog: OpenDialog | None = None
        self._card: ModelCardWindow | None = None
        self._said = False  # whether the toast tells of a cancelled load
        models.changed.connect(self._on_changed)
        models.problem.connect(self._on_problem)
        models.cancelled.connect(self._on_cancelled)

    # -- choosing --------------------------------------------------------------------------

    @Slot()
    def choose(self) -> None:
        """The open dialog; with nothing to offer in it, the folder picker at once."""
        if self._recents.entries:
            self._show_dialog()
        else:
            self._pick(self._window)

    def look_into(self, folder: Path) -> None:
        """The open dialog with what there is to say of `folder`."""
        self._show_dialog().show_folder(folder)

    def _show_dialog(self) -> OpenDialog:
        if self._dialog is None:
            from qwen_desktop.ui.open_dialog import OpenDialog

            dialog = OpenDialog(self._recents, self._doctor, self._window)
            dialog.chosen.connect(self.open)
            dialog.picker_requested.connect(lambda: self._pick(dialog))
            dialog.models_requested.connect(self._show_models)
            dialog.adopt_requested.connect(self._adopt)
            dialog.finished.connect(self._on_dialog_finished)
            self._dialog = dialog
        self._dialog.open()
        return self._dialog

    @Slot()
    def _show_models(self) -> None:
        """The library in place of the dialog."""
        if self._dialog is not None:
            self._dialog.reject()
        self._window.shelf.show("library")

    @Slot(object)
    def _adopt(self, folder: Path) -> None:
        """What `folder` lacks, in place of the dialog."""
        if self._dialog is not None:
            self._dialog.reject()
        self._window.modelling.adopt(folder)

    @Slot()
    def _on_dialog_finished(self) -> None:
        self._dialog = None

    def _pick(self, parent: MainWindow | OpenDialog) -> None:
        """The picker of the platform; what is picked is looked into."""
        from PySide6.QtWidgets import QFileDialog

        picker = QFileDialog(parent, self.tr("Open checkpoint folder"))
        picker.setObjectName("openCheckpointDialog")
        picker.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        picker.setFileMode(QFileDialog.FileMode.Directory)
        picker.setOption(QFileDialog.Option.ShowDirsOnly)
        if os.environ.get(QT_DIALOGS) == "1":
            picker.setOption(QFileDialog.Option.DontUseNativeDialog)
        info = self._models.state.info
        if info is not None and info.demo is None:
            picker.setDirectory(str(info.folder.parent))
        picker.accepted.connect(lambda: self.look_into(Path(picker.selectedFiles()[0])))
        picker.open()

    def offer_in(self, page: EmptyState) -> None:
        """Let the page of an empty conversation know what there is to open."""
        demo = demo_checkpoint()
        page.has_demo = demo.is_dir
        page.knows_others = lambda: any(
            Path(recent.folder) != demo for recent in self._recents.entries
        )
        page.demo_requested.connect(lambda: self.open_folder(demo))

    # -- opening ---------------------------------------------------------------------------

    def open_folder(self, folder: Path) -> None:
        """Load `folder` as it was opened the last time; a new one with the default choices."""
        self.open(self._recents.request_for(folder))

    @Slot(object)
    def open(self, request: LoadRequest) -> None:
        """Load a checkpoint."""
        self._window.banner.dismiss()
        self._models.open(request)

    def show_not_reopened(self, request: LoadRequest) -> None:
        """Say that the last checkpoint was left alone after a crash in its load."""
        known = Known(
            QT_TRANSLATE_NOOP(
                "errors", "{name} was not reopened: the last start ended while it was loading."
            ),
            QT_TRANSLATE_NOOP("errors", "Open it again, or choose another checkpoint."),
            name=request.folder.name,
        )
        self._window.show_problem(known.report(), action=self._opening(request))

    def _opening(self, request: LoadRequest) -> tuple[str, Callable[[], None]]:
        return self.tr("Open"), lambda: self.open(request)

    @Slot(object)
    def _on_problem(self, report: Report) -> None:
        request = self._models.request
        action = None
        if request is not None and not report.is_bug:
            folder = request.folder
            action = (self.tr("Check folder"), lambda: self.look_into(folder))
        self._window.show_problem(report, self.what_is_open(self._models.state), action)

    @Slot(object)
    def _on_cancelled(self, _: LoadRequest) -> None:
        self._window.finish_building()
        words = self.tr("Loading was cancelled. {what}").format(
            what=self.what_is_open(self._models.state)
        )
        self._window.toast.show_text(words)
        self._said = True

    @Slot(object)
    def _on_changed(self, state: ModelState) -> None:
        """What was said of the load before is old news when the next one begins."""
        if state.busy and self._said:
            self._said = False
            if not self._window.toast.can_undo:  # else it shows something else by now
                self._window.toast.dismiss()

    def what_is_open(self, state: ModelState) -> str:
        """After a load that came to nothing: a sentence about what there is now."""
        if state.info is None:
            return self.tr("No checkpoint is open.")
        name = self.tr("The demo checkpoint") if state.info.demo is not None else state.info.name
        return self.tr("{name} stays open.").format(name=name)

    # -- the card --------------------------------------------------------------------------

    @Slot()
    def show_card(self) -> None:
        """Everything there is to see of the open checkpoint, in a window of its own."""
        if self._models.state.info is None:
            return
        if self._card is None:
            from qwen_desktop.ui.model_card import ModelCardWindow

            self._card = ModelCardWindow(self._cards, self._models, self._chats, self._window)
            self._card.finished.connect(self._on_card_finished)
        self._card.show()
        self._card.raise_()
        self._card.activateWindow()

    @Slot()
    def _on_card_finished(self) -> None:
        self._card = None
