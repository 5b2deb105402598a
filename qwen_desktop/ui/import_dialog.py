"""Importing conversations: what can be, how far it is, what came in and what did not."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication, QKeyEvent
from PySide6.QtWidgets import (
    QDialogButtonBox,
    QHBoxLayout,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.bridge.words import translated
from qwen_desktop.chat.importing import Outcome, Progress, Result
from qwen_desktop.ui.controls import Bar, Button, ElidedLabel, Label, Line, TintedLabel
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.drop_overlay import local_paths
from qwen_desktop.ui.import_table import EntryTable, summary_of

_MARGIN = 24
_INTRO, _WORK, _RESULT = range(3)
_COPIED_MS = 2000


class ImportDialog(Dialog):
    """Three pages: choosing, progress, and the result. Closing it ends no import.

    `files_requested()`, `folder_requested()`: a picker is wanted; `dropped(list of Path)`;
    `cancel_requested()`; `undo_requested(Result)`; `conversation_chosen(id)`.
    """

    files_requested = Signal()
    folder_requested = Signal()
    dropped = Signal(object)
    cancel_requested = Signal()
    undo_requested = Signal(object)
    conversation_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("importDialog", self.tr("Import chats"), parent)
        self.resize(820, 520)
        self.setMinimumSize(560, 360)
        self.setAcceptDrops(True)
        self._result = Result()
        self.pages = QStackedWidget()
        for page in (self._intro(), self._work(), self._result_page()):
            self.pages.addWidget(page)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(self.pages, 1)
        outer.addWidget(Line())
        outer.addWidget(self._foot())
        self._show_page(_INTRO)

    # -- building --------------------------------------------------------------------------

    def _intro(self) -> QWidget:
        page = QWidget()
        formats = (
            self.tr("Qwen Desktop: saved chats (.qwenchat.json) and profiles (.qwenprofile)"),
            self.tr("ChatGPT: the export as it is downloaded (.zip), or its conversations.json"),
            self.tr("Open WebUI: exported chats"),
            self.tr("LM Studio: its conversations folder, or single chats"),
            self.tr("Jan: its threads folder, or single threads"),
            self.tr("Messages as the OpenAI API and ShareGPT have them: .json, .jsonl"),
        )
        self.choose_files = Button(self.tr("Choose files\u2026"), kind="primary")
        self.choose_files.setObjectName("importFiles")
        self.choose_files.setAccessibleName(self.tr("Choose files"))
        self.choose_files.clicked.connect(self.files_requested)
        self.choose_folder = Button(self.tr("Choose folder\u2026"), icon="folder")
        self.choose_folder.setObjectName("importFolder")
        self.choose_folder.setAccessibleName(self.tr("Choose folder"))
        self.choose_folder.clicked.connect(self.folder_requested)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addWidget(self.choose_files)
        buttons.addWidget(self.choose_folder)
        buttons.addStretch(1)
        column = QVBoxLayout(page)
        column.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, 16)
        column.setSpacing(8)
        column.addWidget(Label(self.tr("Bring your chats along"), 16, bold=True))
        said = self.tr(
            "What is here already is not doubled, and nothing here is changed or lost. "
            "Files can be dropped here, too."
        )
        column.addWidget(Label(said, 13, dim=True, wrap=True))
        column.addSpacing(8)
        for line in formats:
            column.addWidget(Label("\u2022  " + line, 13, wrap=True))
        column.addSpacing(12)
        column.addLayout(buttons)
        column.addStretch(1)
        return page

    def _work(self) -> QWidget:
        page = QWidget()
        self.working = Label("", 16, bold=True)
        self.working.setObjectName("importWorking")
        self.file = ElidedLabel("", 13, dim=True)
        self.file.elide = Qt.TextElideMode.ElideMiddle
        self.bar = Bar()
        self.bar.setAccessibleName(self.tr("Progress of the import"))
        column = QVBoxLayout(page)
        column.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, 16)
        column.setSpacing(10)
        column.addWidget(self.working)
        column.addWidget(self.bar)
        column.addWidget(self.file)
        column.addStretch(1)
        return page

    def _result_page(self) -> QWidget:
        page = QWidget()
        self.summary = Label("", 16, bold=True, wrap=True)
        self.summary.setObjectName("importSummary")
        self.trouble = TintedLabel("", 13, tint="error", wrap=True)
        self.trouble.setObjectName("importTrouble")
        self.table = EntryTable()
        self.table.chosen.connect(self._choose)
        self.notes = Label("", 13, dim=True, wrap=True)
        self.notes.setObjectName("importNotes")
        self.notes.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.table.noted.connect(self._show_notes)
        column = QVBoxLayout(page)
        column.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, 12)
        column.setSpacing(10)
        column.addWidget(self.summary)
        column.addWidget(self.trouble)
        column.addWidget(self.table, 1)
        column.addWidget(self.notes)
        return page

    def _foot(self) -> QWidget:
        self.undo_button = self._button(self.tr("Undo import"), "undoImport")
        self.undo_button.setToolTip(self.tr("Moves what was added to the bin"))
        self.undo_button.clicked.connect(self._undo)
        self.copy_button = self._button(self.tr("Copy list"), "copyImport")
        self.copy_button.clicked.connect(self._copy)
        self.more_button = self._button(self.tr("Import more\u2026"), "importMore")
        self.more_button.clicked.connect(lambda: self._show_page(_INTRO))
        self.cancel_button = self._button(self.tr("Cancel import"), "cancelImport")
        self.cancel_button.clicked.connect(self.cancel_requested)
        buttons = self.close_box()
        for button in (self.undo_button, self.copy_button, self.more_button, self.cancel_button):
            buttons.addButton(button, QDialogButtonBox.ButtonRole.ActionRole)
        foot = QWidget()
        row = QHBoxLayout(foot)
        row.setContentsMargins(_MARGIN, 12, _MARGIN, 16)
        row.addWidget(buttons)
        return foot

    def _button(self, text: str, name: str) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName(name)
        button.setAccessibleName(text.rstrip("\u2026"))
        button.setAutoDefault(False)
        return button

    def _show_page(self, page: int) -> None:
        self.pages.setCurrentIndex(page)
        self.cancel_button.setVisible(page == _WORK)
        self.copy_button.setVisible(page == _RESULT)
        self.more_button.setVisible(page == _RESULT)
        self.undo_button.setVisible(page == _RESULT and bool(self._result.of(Outcome.ADDED)))
        if page == _INTRO:
            self.choose_files.setFocus()
        elif page == _RESULT:
            self.table.setFocus()

    # -- what happens ----------------------------------------------------------------------

    def show_progress(self, progress: Progress) -> None:
        """Tell how far it is."""
        if self.pages.currentIndex() != _WORK:
            self._show_page(_WORK)
        self.working.setText(
            self.tr("Chats so far: {count}").format(count=progress.conversations)
            if progress.conversations
            else self.tr("Reading\u2026")
        )
        self.file.setText(progress.file)
        self.bar.set_share(progress.done, progress.total)

    def show_result(self, result: Result) -> None:
        """Tell what came in and what did not."""
        self._result = result
        self.summary.setText(summary_of(result))
        trouble = translated(result.trouble) if result.trouble is not None else ""
        if result.cancelled:
            trouble = self.tr("It was cancelled: the rest was not looked at.")
        self.trouble.setText(trouble)
        self.trouble.setVisible(bool(trouble))
        self.table.entries.set_entries(result.entries)
        if result.entries:
            self.table.selectRow(0)
        self._show_page(_RESULT)

    @Slot(str)
    def _show_notes(self, notes: str) -> None:
        """Everything there is to say of the row that is selected; it is cut off in the table."""
        self.notes.setText(notes)
        self.notes.setVisible(bool(notes))

    def _undo(self) -> None:
        self.undo_requested.emit(self._result)
        self.accept()

    def _choose(self, conversation_id: str) -> None:
        self.conversation_chosen.emit(conversation_id)
        self.accept()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(
            f"{self.summary.text()}\n{self.trouble.text()}\n{self.table.entries.as_text()}"
        )
        self.copy_button.setText(self.tr("Copied"))
        QTimer.singleShot(
            _COPIED_MS, self.copy_button, lambda: self.copy_button.setText(self.tr("Copy list"))
        )

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter chooses files where there is nothing else to do yet."""
        if (
            event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
            and self.pages.currentIndex() == _INTRO
        ):
            self.files_requested.emit()
            return
        super().keyPressEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Files and folders may be dropped while there is nothing under way."""
        if self.pages.currentIndex() != _WORK and local_paths(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Tell of them."""
        event.acceptProposedAction()
        self.dropped.emit(local_paths(event.mimeData()))
