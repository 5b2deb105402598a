"""Get a checkpoint: which repository of which hub, what would be fetched, where it goes.

A hub is asked when Look it up is pressed, and not before.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QLocale, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.bridge.download_work import folder_of
from qwen_desktop.bridge.downloads import Downloads
from qwen_desktop.bridge.words import translated
from qwen_desktop.chat.hub import DownloadPlan, Hub, RepositoryAddress
from qwen_desktop.chat.hub_address import parse
from qwen_desktop.errors import Known, Report
from qwen_desktop.ui.controls import Button, Label, Line, TintedLabel
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.folder_picker import pick_folder
from qwen_desktop.ui.plan_files import PlanFiles
from qwen_desktop.ui.texts import small_size_text

SIZE = (760, 620)
PAUSE_MS = 400  # after the last key in the field of the folder


class GetDialog(Dialog):
    """Signals: `started(id)`: the download is in the list; `access_requested()`: for tokens."""

    started = Signal(str)
    access_requested = Signal()

    def __init__(self, downloads: Downloads, parent: QWidget | None = None) -> None:
        super().__init__("getDialog", self.tr("Get a checkpoint"), parent)
        self.resize(*SIZE)
        self.setMinimumSize(560, 460)
        self._downloads = downloads
        self._question = ""  # of the look-up under way
        self._address: RepositoryAddress | None = None  # of the plan
        self._plan: DownloadPlan | None = None
        self._build_question()
        self._build_place()
        self._build_foot()
        self.facts = TintedLabel("", 14, wrap=True)
        self.facts.setObjectName("getFacts")
        self.files = PlanFiles()
        column = QVBoxLayout()
        column.setContentsMargins(24, 18, 24, 12)
        column.setSpacing(10)
        column.addLayout(self._grid)
        column.addWidget(Line())
        column.addWidget(self.facts)
        column.addWidget(self.files, 1)
        column.addLayout(self._place)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addLayout(column, 1)
        outer.addWidget(Line())
        outer.addLayout(self._foot)
        downloads.planned.connect(self._on_planned)
        downloads.unplanned.connect(self._on_unplanned)
        self.finished.connect(self._leave)
        self._show()
        self.name.setFocus()

    # -- building --------------------------------------------------------------------------

    def _build_question(self) -> None:
        self.name = self._line("getName", self.tr("Repository name or address"))
        self.name.setPlaceholderText("Qwen/Qwen2.5-0.5B-Instruct")
        self.name.textChanged.connect(self._on_name)
        self.name.returnPressed.connect(self.look_up)
        self.hub = QComboBox()
        self.hub.setObjectName("getHub")
        self.hub.setAccessibleName(self.tr("Hub"))
        for hub in Hub:
            self.hub.addItem(hub.label, hub.value)
        self.hub.setCurrentIndex(self.hub.findData(self._downloads.hub.value))
        self.hub.currentIndexChanged.connect(self._forget_plan)
        self.revision = self._line("getRevision", self.tr("Revision"))
        self.revision.setPlaceholderText(self.tr("newest; or a branch, tag or commit"))
        self.revision.textChanged.connect(self._forget_plan)
        self.revision.returnPressed.connect(self.look_up)
        self.look = Button(self.tr("Look it up"), height=32)
        self.look.setObjectName("lookUp")
        self.look.setAccessibleName(self.tr("Look it up"))
        self.look.clicked.connect(self.look_up)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(8)
        self._grid.setColumnStretch(3, 1)
        self._grid.addWidget(self._label(self.tr("Repository"), self.name), 0, 0)
        self._grid.addWidget(self.name, 0, 1, 1, 3)
        self._grid.addWidget(self.look, 0, 4)
        self._grid.addWidget(self._label(self.tr("Hub"), self.hub), 1, 0)
        self._grid.addWidget(self.hub, 1, 1)
        self._grid.addWidget(self._label(self.tr("Revision"), self.revision), 1, 2)
        self._grid.addWidget(self.revision, 1, 3, 1, 2)

    def _build_place(self) -> None:
        self.parent_folder = self._line("getFolder", self.tr("Folder for it"))
        self.parent_folder.setText(str(self._downloads.models_folder))
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self._plan_again)
        self.parent_folder.textChanged.connect(self._on_folder)
        self.choose = Button(self.tr("Choose…"), height=32)
        self.choose.setObjectName("chooseTarget")
        self.choose.setAccessibleName(self.tr("Choose the folder"))
        self.choose.clicked.connect(self._choose)
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(self._label(self.tr("Save in"), self.parent_folder))
        row.addWidget(self.parent_folder, 1)
        row.addWidget(self.choose)
        self.room = TintedLabel("", 13, tint="dim", wrap=True)
        self.room.setObjectName("getRoom")
        self._place = QVBoxLayout()
        self._place.setSpacing(6)
        self._place.addLayout(row)
        self._place.addWidget(self.room)

    def _build_foot(self) -> None:
        self.access = Button(self.tr("Hub access…"), height=32)
        self.access.setObjectName("hubAccess")
        self.access.setAccessibleName(self.tr("Hub access"))
        self.access.clicked.connect(self.access_requested)
        self.download = self._push(self.tr("Download"), "download", self._start)
        cancel = self._push(self.tr("Cancel"), "cancelGet", self.reject)
        self._foot = QHBoxLayout()
        self._foot.setContentsMargins(24, 12, 24, 14)
        self._foot.setSpacing(8)
        self._foot.addWidget(self.access)
        self._foot.addStretch(1)
        self._foot.addWidget(cancel)
        self._foot.addWidget(self.download)

    def _push(self, words: str, name: str, call: Callable[[], object]) -> QPushButton:
        button = QPushButton(words)
        button.setObjectName(name)
        button.setAccessibleName(words)
        button.setAutoDefault(False)
        button.clicked.connect(call)
        return button

    def _line(self, name: str, words: str) -> QLineEdit:
        edit = QLineEdit()
        edit.setObjectName(name)
        edit.setAccessibleName(words)
        edit.setMinimumHeight(32)
        edit.setTextMargins(4, 0, 4, 0)
        return edit

    def _label(self, words: str, buddy: QWidget) -> Label:
        label = Label(words, 13, dim=True)
        label.setBuddy(buddy)
        return label

    # -- asking ----------------------------------------------------------------------------

    def show_repository(self, text: str, hub: Hub | None = None) -> None:
        """Fill in a repository, as of the catalogue. Asks nobody."""
        if hub is not None:
            self.hub.setCurrentIndex(self.hub.findData(hub.value))
        self.name.setText(text)

    def show_plan(self, plan: DownloadPlan) -> None:
        """Offer what is planned already, such as the files that a folder lacks."""
        listing = plan.listing
        self.show_repository(str(listing.repository), listing.hub)
        self.revision.setText(listing.revision)
        self.parent_folder.setText(str(plan.folder))
        self.parent_folder.setReadOnly(True)
        for fixed in (self.name, self.hub, self.revision):
            fixed.setEnabled(False)
        self.choose.hide()
        self.look.hide()
        self._pause.stop()
        self._plan, self._address = plan, RepositoryAddress(listing.repository, listing.hub)
        self._show()

    @Slot()
    def look_up(self) -> None:
        """Ask the hub."""
        if self._question:
            self._forget_plan()  # pressed again, it is Stop
            return
        try:
            address = parse(self.name.text())
        except Known as known:
            self._say(translated(known.report()), "error")
            return
        self._forget_plan()
        self._address = address
        self._question = self._downloads.look_up(
            address,
            hub=Hub(self.hub.currentData()),
            revision=self.revision.text().strip(),
            parent=self._parent(),
        )
        self._show()

    def _parent(self) -> Path:
        text = self.parent_folder.text().strip()
        return folder_of(text) if text else self._downloads.models_folder

    @Slot(str)
    def _on_name(self, text: str) -> None:
        self._forget_plan()
        try:
            address = parse(text)
        except Known:
            return
        if address.hub is not None:
            self.hub.setCurrentIndex(self.hub.findData(address.hub.value))

    @Slot()
    def _forget_plan(self) -> None:
        """What was found out is of another question."""
        self._downloads.leave(self._question)
        self._question, self._plan = "", None
        self._show()

    @Slot()
    def _on_folder(self) -> None:
        if self._plan is not None:
            self.download.setEnabled(False)
        self._pause.start()

    @Slot()
    def _plan_again(self) -> None:
        """Another folder: is there room, and is something there already?"""
        if self._plan is not None:
            folder = self._downloads.folder_for(self._plan.listing, self._parent())
            self._question = self._downloads.plan_again(self._plan.listing, folder)
            self._show()

    @Slot()
    def _choose(self) -> None:
        pick_folder(
            self, self.tr("Folder for checkpoints"), str(self._parent()), self.parent_folder.setText
        )

    @Slot(str, object)
    def _on_planned(self, question: str, plan: DownloadPlan) -> None:
        if question == self._question:
            self._question, self._plan = "", plan
            self._show()
            if self.look.hasFocus() or self.name.hasFocus():
                self.download.setFocus(Qt.FocusReason.TabFocusReason)
            self._announce(f"{self.facts.text()} {self.room.text()}")

    @Slot(str, object)
    def _on_unplanned(self, question: str, report: Report) -> None:
        if question == self._question:
            self._question, self._plan = "", None
            self._show()
            self._say(translated(report), "error")

    # -- what it shows ---------------------------------------------------------------------

    def _show(self) -> None:
        plan = self._plan
        asking = bool(self._question) and plan is None
        self.look.setText(self.tr("Stop") if asking else self.tr("Look it up"))
        self.look.setAccessibleName(self.look.text())
        self.look.setEnabled(asking or bool(self.name.text().strip()))
        self.look.kind = "outline" if plan is not None else "primary"
        self.look.update()
        self.files.set_plan(plan)
        fetches = plan is not None and plan.missing > 0
        self.download.setText(self.tr("Download") if fetches or plan is None else self.tr("Check"))
        self.download.setAccessibleName(self.download.text())
        self.download.setEnabled(plan is not None and plan.fits and not self._question)
        if plan is None:
            hub = self.hub.currentText()
            waits = self.tr("Asking {hub}…").format(hub=hub)
            rests = self.tr("{hub} is asked when you press Look it up.").format(hub=hub)
            self._say(waits if asking else rests, "dim")
            self.room.setText("")
            return
        self._say(self._facts(plan), "text")
        self._show_room(plan)

    def _facts(self, plan: DownloadPlan) -> str:
        locale, listing = QLocale(), plan.listing
        here = small_size_text(plan.here, locale)
        parts = [
            self.tr("{name} on {hub}").format(name=listing.repository, hub=listing.hub.label),
            self.tr("{count} files, {size}").format(
                count=locale.toString(len(plan.files)), size=small_size_text(plan.total, locale)
            ),
            self.tr("{size} of it here already").format(size=here) if plan.here else "",
            self.tr("Licence: {licence}").format(
                licence=listing.licence or self.tr("not named; see its page")
            ),
        ]
        return " · ".join(part for part in parts if part)

    def _show_room(self, plan: DownloadPlan) -> None:
        locale = QLocale()
        words = (
            self.tr("Goes to {folder}. {need} are needed, {free} are free.")
            if plan.fits
            else self.tr("There is no room in {folder}: {need} are needed, {free} are free.")
        )
        self.room.tint = "dim" if plan.fits else "error"
        self.room.setText(
            words.format(
                folder=plan.folder,
                need=small_size_text(plan.space_needed, locale),
                free=small_size_text(plan.free, locale),
            )
        )
        self.room.update()

    def _say(self, text: str, tint: str) -> None:
        self.facts.tint = tint
        self.facts.setText(text)
        self.facts.update()
        if tint == "error":
            self._announce(text)

    def _announce(self, text: str) -> None:
        if QAccessible.isActive():
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))

    # -- ending ----------------------------------------------------------------------------

    @Slot()
    def _start(self) -> None:
        if self._plan is None or not self.download.isEnabled():
            return
        address = self._address
        hub = self._plan.listing.hub
        named = address.endpoint if address is not None and address.hub is hub else ""
        entry_id = self._downloads.start(self._plan, named)
        self.accept()
        self.started.emit(entry_id)

    @Slot()
    def _leave(self) -> None:
        self._pause.stop()
        self._downloads.leave(self._question)
