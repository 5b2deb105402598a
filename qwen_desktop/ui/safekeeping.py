"""What the window tells of how the conversations are kept: their opening, and their backups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QDate, QDateTime, QLocale, QObject, QUrl, Slot
from PySide6.QtGui import QDesktopServices

from qwen_desktop.bridge.words import joined, translated
from qwen_desktop.chat.backup import BackupInfo
from qwen_desktop.chat.opening import OpeningReport, Recovery
from qwen_desktop.errors import Report

if TYPE_CHECKING:
    from qwen_desktop.bridge.backups import Backups
    from qwen_desktop.bridge.store_client import StoreClient
    from qwen_desktop.ui.backups_dialog import BackupsDialog
    from qwen_desktop.ui.main_window import MainWindow


class Safekeeping(QObject):
    """Belongs to the window."""

    def __init__(self, window: MainWindow, store: StoreClient, backups: Backups) -> None:
        super().__init__(window)
        self._window = window
        self._backups = backups
        self._dialog: BackupsDialog | None = None
        self._told = False  # something of the opening
        store.opening_is_slow.connect(self._on_slow)
        store.opened.connect(self._on_opened)
        backups.failed.connect(self._on_failed)
        backups.restored.connect(self._on_restored)

    # -- the opening -----------------------------------------------------------------------

    @Slot(bool)
    def _on_slow(self, unclean: bool) -> None:
        self._told = True
        self._window.finish_building()
        self._window.notices.show_opening(
            self.tr("Checking chats after an unclean end…")
            if unclean
            else self.tr("Opening chats…")
        )

    @Slot(object)
    def _on_opened(self, opening: OpeningReport | None) -> None:
        recovery = opening.damaged if opening is not None else None
        read_only = opening.read_only if opening is not None else None
        if recovery is None and read_only is None:
            if self._told:
                self._window.notices.hide_opening()
            self._told = False
            return
        self._told = True
        self._window.finish_building()
        if recovery is not None:
            folder = recovery.set_aside
            show = (self.tr("Show folder"), lambda: _show(folder))
            action = None if recovery.was_missing else show
            self._window.notices.show_opening(self._recovered(recovery), action, closable=True)
        elif read_only is not None:
            self._window.notices.show_opening(translated(read_only))

    def _recovered(self, found: Recovery) -> str:
        locale = QLocale()
        values = {
            "conversations": locale.toString(found.conversations),
            "messages": locale.toString(found.messages),
            "damaged": locale.toString(found.damaged),
            "folder": str(found.set_aside),
        }
        if found.backup is not None:
            values["date"] = locale.toString(
                _date(found.backup.made_at), QLocale.FormatType.ShortFormat
            )
            text = self._with_backup(found)
        else:
            text = self.tr(
                "The chat database was damaged. What could be read was recovered "
                "(chats: {conversations}, messages: {messages}). The damaged file is kept "
                "in {folder}."
            )
        if found.damaged:
            text = joined(text, self.tr("Messages of which only a part is left: {damaged}."))
        return text.format(**values)

    def _with_backup(self, found: Recovery) -> str:
        if found.was_missing:
            return self.tr(
                "The chat database was missing. The backup of {date} was opened in its place."
            )
        if not found.messages and not found.conversations:
            return self.tr(
                "The chat database was damaged. The backup of {date} was opened; nothing "
                "newer was found. The damaged file is kept in {folder}."
            )
        return self.tr(
            "The chat database was damaged. The backup of {date} was opened, and what "
            "was newer was recovered into it (chats: {conversations}, messages: "
            "{messages}). The damaged file is kept in {folder}."
        )

    # -- backups ---------------------------------------------------------------------------

    def show_backups(self) -> None:
        """The dialog with the backups."""
        if self._dialog is None:
            from qwen_desktop.ui.backups_dialog import BackupsDialog

            dialog = BackupsDialog(self._backups.folder, self._window)
            self._backups.listed.connect(dialog.set_backups)
            self._backups.busy_changed.connect(dialog.set_busy)
            self._backups.made.connect(dialog.say_made)
            self._backups.restored.connect(dialog.say_restored)
            self._backups.failed.connect(dialog.say_failed)
            dialog.make_requested.connect(self._backups.make)
            dialog.restore_requested.connect(self._backups.restore)
            dialog.finished.connect(self._on_finished)
            self._dialog = dialog
            dialog.set_busy(self._backups.busy)
        self._dialog.open()
        self._backups.read()

    @Slot()
    def _on_finished(self) -> None:
        self._dialog = None

    @Slot(object)
    def _on_failed(self, report: Report) -> None:
        if self._dialog is None:
            self._window.show_problem(report)

    @Slot(object)
    def _on_restored(self, _: BackupInfo) -> None:
        if self._dialog is None:
            self._window.finish_building()
            self._window.toast.show_text(self.tr("The backup is restored"))


def _date(moment: float) -> QDate:
    return QDateTime.fromSecsSinceEpoch(int(moment)).date()


def _show(folder: Path) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
