"""The backups of the conversations: which there are, one more, and back to one of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QLocale, QUrl, Signal, Slot
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent, QDesktopServices
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from qwen_desktop.bridge.words import translated
from qwen_desktop.chat.backup import BackupInfo
from qwen_desktop.errors import Report
from qwen_desktop.ui.backups_table import BackupTable, moment_text
from qwen_desktop.ui.controls import Button, Label, Line
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.small_dialogs import ConfirmDialog


class BackupsDialog(Dialog):
    """Signals: `make_requested()`, `restore_requested(BackupInfo)` after a question."""

    make_requested = Signal()
    restore_requested = Signal(object)

    def __init__(self, folder: Path, parent: QWidget | None = None) -> None:
        """`folder` is where backups lie."""
        super().__init__("backupsDialog", self.tr("Backups"), parent)
        self.resize(720, 440)
        self.setMinimumSize(560, 320)
        self._folder = folder
        self._busy = False
        self.words = Label(
            self.tr(
                "One is made every day the application is open. Each is checked when it is made."
            ),
            13,
            dim=True,
            wrap=True,
        )
        self.table = BackupTable()
        self.table.chosen_changed.connect(self._refresh)
        self.note = Label(self.tr("Reading…"), 13, dim=True, wrap=True)
        self.note.setObjectName("backupsNote")
        self.make = self._button("backupNow", self.tr("Back up now"))
        self.make.clicked.connect(self.make_requested)
        self.restore = self._button("backupRestore", self.tr("Restore…"))
        self.restore.clicked.connect(self._ask)
        self.reveal = self._button("backupFolder", self.tr("Show folder"))
        self.reveal.clicked.connect(self._show_folder)
        self.table.doubleClicked.connect(self._ask)
        row = QHBoxLayout()
        row.setSpacing(8)
        for button in (self.make, self.restore, self.reveal):
            row.addWidget(button)
        row.addStretch(1)
        row.addWidget(self.close_box())
        top = QVBoxLayout()
        top.setContentsMargins(24, 16, 24, 8)
        top.setSpacing(8)
        top.addWidget(self.words)
        top.addWidget(self.table, 1)
        foot = QVBoxLayout()
        foot.setContentsMargins(24, 10, 24, 16)
        foot.setSpacing(10)
        foot.addWidget(self.note)
        foot.addLayout(row)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addLayout(top, 1)
        outer.addWidget(Line())
        outer.addLayout(foot)
        self.table.setFocus()
        self._refresh()

    def _button(self, name: str, text: str) -> Button:
        button = Button(text, height=32)
        button.setObjectName(name)
        button.setAccessibleName(text)
        return button

    @Slot(object)
    def set_backups(self, backups: Sequence[BackupInfo]) -> None:
        """Show these, newest first."""
        self.table.set_backups(backups)
        if not backups:
            self._say(self.tr("There is none yet."))
        elif self.note.text() in (self.tr("Reading…"), self.tr("There is none yet.")):
            self._say("")

    @Slot(bool)
    def set_busy(self, busy: bool) -> None:
        """One is made or restored, or no longer."""
        self._busy = busy
        if busy and self.focusWidget() in (self.make, self.restore):
            self.table.setFocus()  # off a button that can no longer be pressed
        if busy:
            self._say(self.tr("Working…"))
        elif self.note.text() == self.tr("Working…"):
            self._say("")
        self._refresh()

    @Slot(object)
    def say_made(self, backup: BackupInfo) -> None:
        """One more is there."""
        self._say(
            self.tr("Backed up. Chats: {conversations}, messages: {messages}.").format(
                conversations=QLocale().toString(backup.conversations),
                messages=QLocale().toString(backup.messages),
            )
        )

    @Slot(object)
    def say_restored(self, backup: BackupInfo) -> None:
        """The conversations are those of a backup now."""
        moment = moment_text(backup.made_at, QLocale())
        self._say(self.tr("The backup of {moment} is restored.").format(moment=moment))

    @Slot(object)
    def say_failed(self, report: Report) -> None:
        """What was asked for did not come about."""
        self._say(translated(report))

    def _say(self, text: str) -> None:
        self.note.setText(text)
        self.note.setAccessibleName(text)
        if text:
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))

    @Slot()
    def _refresh(self) -> None:
        chosen = self.table.chosen
        self.make.setEnabled(not self._busy)
        self.restore.setEnabled(not self._busy and chosen is not None and not chosen.is_damaged)

    @Slot()
    def _ask(self) -> None:
        chosen = self.table.chosen
        if chosen is None or not self.restore.isEnabled():
            return
        locale = QLocale()
        words = self.tr(
            "All chats are replaced by those of the backup of {moment} (chats: "
            "{conversations}, messages: {messages}). An answer that is being written is stopped. "
            "What there is now becomes a backup first, so that you can come back to it."
        ).format(
            moment=moment_text(chosen.made_at, locale),
            conversations=locale.toString(chosen.conversations),
            messages=locale.toString(chosen.messages),
        )
        ConfirmDialog(
            self.tr("Restore a backup"),
            words,
            self.tr("Restore"),
            lambda: self.restore_requested.emit(chosen),
            self,
        ).open()

    @Slot()
    def _show_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._folder)))
