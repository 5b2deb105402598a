"""Exporting conversations: which, as what, with what in them; then how far it is."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QLocale, Qt, Signal
from PySide6.QtGui import QCloseEvent, QKeyEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QDialogButtonBox,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.chat.exporting import ExportOptions, ExportProgress, Format
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Bar, ElidedLabel, Label
from qwen_desktop.ui.dialog import Dialog


@dataclass(frozen=True)
class Scope:
    """What can be exported: `ids` None is everything; `count` conversations."""

    name: str  # "this", "selected", "all"
    ids: tuple[str, ...] | None
    count: int


class ExportDialog(Dialog):
    """Signals: `chosen(Scope, ExportOptions)`, the target is asked for next; `cancel_requested()`.

    It stays until the export has ended: `show_progress` and `show_choices` change what it shows.
    """

    chosen = Signal(object, object)
    cancel_requested = Signal()

    def __init__(
        self, scopes: tuple[Scope, ...], form: Format, parent: QWidget | None = None
    ) -> None:
        """`scopes` is what there is to choose from, the first one chosen."""
        super().__init__("exportDialog", self.tr("Export"), parent)
        self.setMinimumWidth(440)
        self._running = False
        self._scopes = scopes
        self._build_scopes()
        self._build_formats(form)
        self._build_options()
        self._build_progress()
        self._build_buttons()
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 16)
        column.setSpacing(8)
        column.addWidget(self._choices)
        column.addWidget(self._progress)
        column.addStretch(1)
        column.addWidget(self._buttons)
        self._adapt()
        self.formats.setFocus()

    # -- its parts -------------------------------------------------------------------------

    def _build_scopes(self) -> None:
        self._choices = QWidget()
        self._column = QVBoxLayout(self._choices)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(8)
        self._column.addWidget(Label(self.tr("What"), 13, dim=True))
        self._group = QButtonGroup(self)
        for number, scope in enumerate(self._scopes):
            button = QRadioButton(self._scope_text(scope))
            button.setObjectName(f"scope_{scope.name}")
            button.setAccessibleName(button.text())
            button.setFont(theme.body_font())
            button.setChecked(number == 0)
            self._group.addButton(button, number)
            self._column.addWidget(button)
        self._group.idToggled.connect(self._adapt)

    def _scope_text(self, scope: Scope) -> str:
        if scope.name == "this":
            return self.tr("This chat")
        count = QLocale().toString(scope.count)
        if scope.name == "selected":
            if scope.count == 1:
                return self.tr("The selected chat")
            return self.tr("{count} selected chats").format(count=count)
        return self.tr("All chats, archived ones included")

    def _build_formats(self, form: Format) -> None:
        self.formats = QComboBox()
        self.formats.setObjectName("exportFormat")
        self.formats.setAccessibleName(self.tr("Format"))
        self.formats.setFont(theme.body_font())
        for one, words in (
            (Format.MARKDOWN, self.tr("Markdown (.md)")),
            (Format.HTML, self.tr("Web page (.html)")),
            (Format.PDF, self.tr("PDF (.pdf)")),
            (Format.TEXT, self.tr("Plain text (.txt)")),
            (Format.JSON, self.tr("JSON, with everything (.qwenchat.json)")),
        ):
            self.formats.addItem(words, one.value)
        self.formats.setCurrentIndex(max(0, self.formats.findData(form.value)))
        self.formats.currentIndexChanged.connect(self._adapt)
        self._column.addSpacing(6)
        name = Label(self.tr("Format"), 13, dim=True)
        name.setBuddy(self.formats)  # on Linux a list to choose from is named by its label alone
        self._column.addWidget(name)
        self._column.addWidget(self.formats)

    def _build_options(self) -> None:
        self._column.addSpacing(6)
        self.reasoning = self._check("exportReasoning", self.tr("With reasoning"))
        self.details = self._check(
            "exportDetails", self.tr("With times, and how each answer was computed")
        )
        self.versions = self._check(
            "exportVersions", self.tr("All versions of the messages, not only the shown ones")
        )
        self.one_file = self._check("exportOneFile", self.tr("All in one file"))
        self.note = Label(
            self.tr(
                "JSON has every version, the reasoning and how each answer was computed. "
                "It can be imported again."
            ),
            12,
            dim=True,
            wrap=True,
        )
        self._column.addWidget(self.note)

    def _check(self, name: str, text: str, *, on: bool = False) -> QCheckBox:
        box = QCheckBox(text)
        box.setObjectName(name)
        box.setAccessibleName(text)
        box.setFont(theme.body_font())
        box.setChecked(on)
        self._column.addWidget(box)
        return box

    def _build_progress(self) -> None:
        self._progress = QWidget()
        column = QVBoxLayout(self._progress)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        self.words = Label(self.tr("Exporting…"), 14)
        self.title = ElidedLabel("", 13)
        self.bar = Bar()
        self.bar.setObjectName("exportProgress")
        self.bar.setAccessibleName(self.tr("Progress of the export"))
        for widget in (self.words, self.title, self.bar):
            column.addWidget(widget)
        self._progress.hide()

    def _build_buttons(self) -> None:
        self._buttons = QDialogButtonBox()
        self.go = QPushButton(self.tr("Export…"))
        self.go.setObjectName("exportGo")
        self.go.setAccessibleName(self.tr("Export…"))
        self.go.setDefault(True)
        self.go.clicked.connect(self._choose)
        self.cancel = QPushButton(self.tr("Cancel"))
        self.cancel.setObjectName("exportCancel")
        self.cancel.setAccessibleName(self.tr("Cancel"))
        self.cancel.setAutoDefault(False)
        self.cancel.clicked.connect(self.reject)
        role = QDialogButtonBox.ButtonRole
        self._buttons.addButton(self.go, role.AcceptRole)
        self._buttons.addButton(self.cancel, role.RejectRole)

    # -- what is chosen --------------------------------------------------------------------

    @property
    def scope(self) -> Scope:
        """Which conversations."""
        return self._scopes[self._group.checkedId()]

    @property
    def options(self) -> ExportOptions:
        """As what."""
        several = self.scope.count != 1
        return ExportOptions(
            Format(self.formats.currentData()),
            versions=self.versions.isChecked(),
            reasoning=self.reasoning.isChecked(),
            details=self.details.isChecked(),
            one_file=several and self.one_file.isChecked(),
        )

    def _adapt(self) -> None:
        """Offer what the choices leave open."""
        is_json = self.formats.currentData() == Format.JSON.value
        for box in (self.reasoning, self.details, self.versions):
            box.setVisible(not is_json)
        self.note.setVisible(is_json)
        self.one_file.setVisible(self.scope.count != 1)

    def _choose(self) -> None:
        self.chosen.emit(self.scope, self.options)

    # -- while it runs ---------------------------------------------------------------------

    def show_choices(self) -> None:
        """Nothing is under way: let the user choose, again after some trouble."""
        self._set_running(False)

    def show_progress(self, progress: ExportProgress | None) -> None:
        """How far it is; None: it has begun."""
        self._set_running(True)
        if progress is None:
            self.title.setText("")
            self.bar.setValue(0)
            return
        locale = QLocale()
        self.title.setText(progress.title)
        if progress.total > 1:
            self.words.setText(
                self.tr("Exporting {number} of {total}…").format(
                    number=locale.toString(min(progress.done + 1, progress.total)),
                    total=locale.toString(progress.total),
                )
            )
        done = (progress.done + progress.part) / max(1, progress.total)
        self.bar.setValue(round(done * Bar.STEPS))

    def _set_running(self, running: bool) -> None:
        if running == self._running:
            return
        self._running = running
        self._choices.setVisible(not running)
        self._progress.setVisible(running)
        self.go.setVisible(not running)
        self.cancel.setEnabled(True)
        if running:
            self.words.setText(self.tr("Exporting…"))
            self.cancel.setFocus(Qt.FocusReason.OtherFocusReason)

    def reject(self) -> None:
        """Cancel what runs; it closes when nothing is left of it."""
        if self._running:
            self.cancel.setEnabled(False)
            self.words.setText(self.tr("Cancelling…"))
            self.cancel_requested.emit()
        else:
            super().reject()

    def closeEvent(self, event: QCloseEvent) -> None:
        """The same as Cancel."""
        if self._running:
            event.ignore()
            self.reject()
        else:
            super().closeEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter is Export wherever the focus is."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not self._running:
            self._choose()
            return
        super().keyPressEvent(event)
