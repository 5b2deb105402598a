"""Get what a half-finished folder lacks: which repository it is of, then what would be fetched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent, QShowEvent
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from qwen_desktop.bridge.adopting import Adopting
from qwen_desktop.bridge.words import translated
from qwen_desktop.chat.hub import DownloadPlan, Guess, Hub
from qwen_desktop.chat.hub_address import parse
from qwen_desktop.errors import Known, Report
from qwen_desktop.ui.controls import Label, TintedLabel
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.library_words import clue_text
from qwen_desktop.ui.sorted_table import labelled_box


class AdoptDialog(Dialog):
    """`planned(DownloadPlan)` closes it. A hub is asked when Look it up is pressed."""

    planned = Signal(object)

    def __init__(self, adopting: Adopting, folder: Path, parent: QWidget | None = None) -> None:
        super().__init__("adoptDialog", self.tr("Get what is missing"), parent)
        self.setMinimumWidth(560)
        self._adopting, self._folder = adopting, folder
        self._question = ""
        self._guesses: tuple[Guess, ...] = ()
        where = Label(str(folder), 12, dim=True, wrap=True)
        words = self.tr(
            "What is whole in the folder is kept; only what is missing or damaged is fetched. "
            "Which repository is it of?"
        )
        self.name = QComboBox()
        self.name.setObjectName("adoptName")
        self.name.setAccessibleName(self.tr("Repository"))
        self.name.setEditable(True)
        self.name.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.name.currentIndexChanged.connect(self._on_picked)
        self.name.editTextChanged.connect(self._on_name)
        label = Label(self.tr("Repository"), 13, dim=True)
        label.setBuddy(self.name)
        hub_label, self.hub = labelled_box(
            self.tr("Hub"), "adoptHub", tuple((hub.label, hub.value) for hub in Hub)
        )
        self.hub.setCurrentIndex(self.hub.findData(adopting.hub.value))
        self.note = TintedLabel(self.tr("Looking into the folder…"), 13, tint="dim", wrap=True)
        self.note.setObjectName("adoptNote")
        self.look = QPushButton(self.tr("Look it up"))
        self.look.setObjectName("adoptLook")
        self.look.setAccessibleName(self.tr("Look it up"))
        self.look.setDefault(True)
        self.look.clicked.connect(self._look_up)
        cancel = QPushButton(self.tr("Cancel"))
        cancel.setObjectName("adoptCancel")
        cancel.setAccessibleName(self.tr("Cancel"))
        cancel.setAutoDefault(False)
        cancel.clicked.connect(self.reject)
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(1, 1)
        grid.addWidget(label, 0, 0)
        grid.addWidget(self.name, 0, 1)
        grid.addWidget(hub_label, 1, 0)
        grid.addWidget(self.hub, 1, 1, Qt.AlignmentFlag.AlignLeft)
        foot = QHBoxLayout()
        foot.addStretch(1)
        foot.addWidget(cancel)
        foot.addWidget(self.look)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 18, 24, 14)
        column.setSpacing(12)
        column.addWidget(Label(words, 14, wrap=True))
        column.addWidget(where)
        column.addLayout(grid)
        column.addWidget(self.note)
        column.addStretch(1)
        column.addLayout(foot)
        adopting.planned.connect(self._on_planned)
        adopting.unplanned.connect(self._on_unplanned)
        self.finished.connect(lambda: adopting.leave(self._question))
        self._on_name(self.name.currentText())
        self.name.setFocus()

    def showEvent(self, event: QShowEvent) -> None:
        """As high as its wrapped lines need."""
        super().showEvent(event)
        self.resize(self.width(), max(self.heightForWidth(self.width()), self.height()))

    def set_guesses(self, guesses: Sequence[Guess]) -> None:
        """Offer these, the first of them filled in."""
        self._guesses = tuple(guesses)
        typed = self.name.currentText()
        self.name.clear()
        for guess in guesses:
            revision = guess.address.revision
            at = f"@{revision}" if revision else ""
            self.name.addItem(f"{guess.address.repository}{at}")
        if typed:
            self.name.setEditText(typed)
        elif guesses:
            self.name.setCurrentIndex(0)
            self._on_picked(0)
        else:
            self._say(self.tr("The files do not tell. Type its name, or paste its address."), "dim")

    @Slot(int)
    def _on_picked(self, number: int) -> None:
        if not 0 <= number < len(self._guesses):
            return
        guess = self._guesses[number]
        if guess.address.hub is not None:
            self.hub.setCurrentIndex(self.hub.findData(guess.address.hub.value))
        words = self.tr("{name}: {why}.").format(
            name=guess.address.repository, why=clue_text(guess.clue)
        )
        if len(self._guesses) > 1:
            others = self.tr("There are other possibilities in the list.")
            words = f"{words} {others}"
        self._say(words, "dim")

    @Slot(str)
    def _on_name(self, text: str) -> None:
        self._leave()
        self.look.setEnabled(bool(text.strip()))

    @Slot()
    def _look_up(self) -> None:
        if self._question:
            self._leave()
            return
        text = self.name.currentText().strip()
        try:
            address = parse(text)
        except Known as known:
            self._say(translated(known.report()), "error")
            return
        hub = Hub(self.hub.currentData())
        self._question = self._adopting.look_up(self._folder, address, hub)
        self.look.setText(self.tr("Stop"))
        self.look.setAccessibleName(self.tr("Stop"))
        self._say(self.tr("Asking {hub}…").format(hub=hub.label), "dim")

    def _leave(self) -> None:
        if self._question:
            self._adopting.leave(self._question)
            self._question = ""
            self._say("", "dim")
        self.look.setText(self.tr("Look it up"))
        self.look.setAccessibleName(self.tr("Look it up"))

    @Slot(str, object)
    def _on_planned(self, question: str, plan: DownloadPlan) -> None:
        if question and question == self._question:
            self._question = ""
            self.accept()
            self.planned.emit(plan)

    @Slot(str, object)
    def _on_unplanned(self, question: str, report: Report) -> None:
        if question and question == self._question:
            self._question = ""
            self._leave()
            self._say(translated(report), "error")

    def _say(self, text: str, tint: str) -> None:
        self.note.tint = tint
        self.note.setText(text)
        self.note.setAccessibleName(text)
        self.note.update()
        if tint == "error":
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))
