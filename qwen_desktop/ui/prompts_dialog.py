"""The prompt library: prompts by name, and the one that is looked at, to be changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.bridge.words import translated
from qwen_desktop.chat.prompts import LONGEST_NAME, LONGEST_TEXT, SavedPrompt
from qwen_desktop.errors import Report
from qwen_desktop.ui import theme
from qwen_desktop.ui.checkpoints import QT_DIALOGS
from qwen_desktop.ui.controls import Label
from qwen_desktop.ui.dialog import Dialog

if TYPE_CHECKING:
    from qwen_desktop.bridge.prompts import Prompts

_NAME = int(Qt.ItemDataRole.UserRole)  # as it is kept; empty for a new one
_FROM_TEXT = 40  # characters of a text that name it


class PromptsDialog(Dialog):
    """Signal: `chosen(SavedPrompt)`, to be put into the message.

    What is changed is kept when another one is looked at, and when the dialog is closed.
    """

    chosen = Signal(object)

    def __init__(self, prompts: Prompts, parent: QWidget | None = None) -> None:
        super().__init__("promptsDialog", self.tr("Prompt library"), parent)
        self._prompts = prompts
        self._shown = ""  # name of the one that is looked at; empty for a new one
        self._is_new = False
        self._deleted: SavedPrompt | None = None
        self._saving = False
        self.resize(theme.px(780), theme.px(520))
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 20, 20, 16)
        column.setSpacing(12)
        sides = QHBoxLayout()
        sides.setSpacing(16)
        sides.addLayout(self._build_list(), 2)
        sides.addLayout(self._build_editor(), 3)
        column.addLayout(sides, 1)
        self.note = Label("", 13, dim=True, wrap=True)
        self.note.setObjectName("promptsNote")
        column.addWidget(self.note)
        buttons = self.close_box()
        role = buttons.ButtonRole.ActionRole
        self.import_button = self._button("importPrompts", self.tr("Import…"))
        self.export_button = self._button("exportPrompts", self.tr("Export…"))
        for button in (self.import_button, self.export_button):
            buttons.addButton(button, role)
        column.addWidget(buttons)
        self.import_button.clicked.connect(self._choose_import)
        self.export_button.clicked.connect(self._choose_export)
        prompts.changed.connect(self._fill)
        prompts.imported.connect(self._on_imported)
        prompts.exported.connect(self._on_exported)
        prompts.problem.connect(self._on_problem)
        prompts.load()
        self._fill()
        if not prompts.entries:
            self.name.setFocus()

    def _build_list(self) -> QVBoxLayout:
        self.list = QListWidget()
        self.list.setObjectName("promptList")
        self.list.setAccessibleName(self.tr("Prompts"))
        self.list.setFont(theme.body_font())
        self.list.currentItemChanged.connect(self._on_current)
        self.list.itemActivated.connect(lambda _: self._insert())
        self.new_button = self._button("newPrompt", self.tr("New"))
        self.new_button.clicked.connect(self._new)
        self.delete_button = self._button("deletePrompt", self.tr("Delete"))
        self.delete_button.clicked.connect(self._delete)
        self.undo_button = self._button("undoDelete", self.tr("Undo"))
        self.undo_button.clicked.connect(self._undo)
        self.undo_button.hide()
        row = QHBoxLayout()
        for button in (self.new_button, self.delete_button, self.undo_button):
            row.addWidget(button)
        row.addStretch(1)
        column = QVBoxLayout()
        column.addWidget(self.list, 1)
        column.addLayout(row)
        return column

    def _build_editor(self) -> QVBoxLayout:
        self.name = QLineEdit()
        self.name.setObjectName("promptName")
        self.name.setAccessibleName(self.tr("Name of the prompt"))
        self.name.setMaxLength(LONGEST_NAME)
        self.name.setFont(theme.body_font())
        self.name.editingFinished.connect(self._save)
        self.name.textChanged.connect(self._show_name)
        self.text = QPlainTextEdit()
        self.text.setObjectName("promptText")
        self.text.setAccessibleName(self.tr("Text of the prompt"))
        self.text.setTabChangesFocus(True)
        self.text.setFont(theme.body_font())
        self.text.textChanged.connect(self._show_fields)
        self.text.textChanged.connect(self._show_name)
        self.fields = Label("", 12, dim=True, wrap=True)
        self.fields.setObjectName("promptFieldNames")
        self.insert_button = self._button("insertPrompt", self.tr("Insert into the message"))
        self.insert_button.clicked.connect(self._insert)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(self.insert_button)
        column = QVBoxLayout()
        column.setSpacing(6)
        for words, widget in ((self.tr("Name"), self.name), (self.tr("Text"), self.text)):
            label = Label(words, 13, dim=True)
            label.setBuddy(widget)
            column.addWidget(label)
            column.addWidget(widget)
        column.addWidget(self.fields)
        column.addLayout(row)
        return column

    def _button(self, name: str, words: str) -> QPushButton:
        button = QPushButton(words)
        button.setObjectName(name)
        button.setAccessibleName(words)
        button.setAutoDefault(False)
        return button

    # -- what is shown ---------------------------------------------------------------------

    @Slot()
    def _fill(self) -> None:
        """Show the names as they are now, and a new one below; what is looked at stays."""
        if self._saving:
            return
        entries = self._prompts.entries
        if self._prompts.is_read and not self._shown and (not entries or self._has_typed()):
            self._is_new = True
        self.list.blockSignals(True)
        self.list.clear()
        for prompt in entries:
            item = QListWidgetItem(prompt.name)
            item.setData(_NAME, prompt.name)
            item.setToolTip(prompt.text[:500] if "<" not in prompt.text[:500] else "")
            self.list.addItem(item)
        if self._is_new:
            item = QListWidgetItem()
            item.setData(_NAME, "")
            self.list.addItem(item)
        self._select(self._shown)
        self._show_name()
        self.list.blockSignals(False)
        self.export_button.setEnabled(bool(entries))
        if not self._shown and not self._is_new and not self._has_typed() and self.list.count():
            self.list.setCurrentRow(0)
        self._refresh()

    def _select(self, name: str) -> None:
        rows = range(self.list.count())
        self.list.setCurrentRow(
            next((row for row in rows if self.list.item(row).data(_NAME) == name), -1)
        )

    @Slot()
    def _show_name(self) -> None:
        """Call what is looked at in the list as it will be called."""
        item = self.list.currentItem()
        if item is not None and item.data(_NAME) == self._shown:
            item.setText(self._name_now() or self.tr("New prompt"))

    def _name_now(self) -> str:
        """The name that is typed, else how the text begins."""
        text = self.text.toPlainText()[: 10 * _FROM_TEXT]
        return " ".join(self.name.text().split()) or " ".join(text.split())[:_FROM_TEXT]

    def _has_typed(self) -> bool:
        return bool(self.name.text().strip() or self.text.toPlainText().strip())

    def _show(self, prompt: SavedPrompt | None) -> None:
        blocked = self.list.blockSignals(True)
        for row in reversed(range(self.list.count())):  # a new one that nothing was typed for
            if prompt is not None and not self.list.item(row).data(_NAME):
                self.list.takeItem(row)
        self._is_new = prompt is None
        self._shown = ""  # while neither name nor text are those of one that is kept
        self.list.setCurrentRow(-1)
        self.name.setText(prompt.name if prompt is not None else "")
        self.text.setPlainText(prompt.text if prompt is not None else "")
        self._shown = prompt.name if prompt is not None else ""
        self._select(self._shown)
        self.list.blockSignals(blocked)
        self._refresh()

    def _refresh(self) -> None:
        self.delete_button.setEnabled(bool(self._shown))
        self._show_fields()

    def _show_fields(self) -> None:
        text = self.text.toPlainText()
        names = SavedPrompt("", text).fields if len(text) <= LONGEST_TEXT else ()
        if names:
            said = self.tr("Asked for each time: {names}").format(names=", ".join(names))
        else:
            said = self.tr("A name in braces, like {city}, is asked for each time.")
        self.fields.setText(said)
        self.insert_button.setEnabled(bool(text.strip()))

    def _on_current(self, item: QListWidgetItem | None, _before: QListWidgetItem | None) -> None:
        if item is None:
            return
        wanted = item.data(_NAME)
        if not self._save():
            self.list.blockSignals(True)
            self._select(self._shown)
            self.list.blockSignals(False)
            return
        self._show(next((one for one in self._prompts.entries if one.name == wanted), None))

    # -- changing --------------------------------------------------------------------------

    def _new(self) -> None:
        if not self._save():
            return
        self._shown, self._is_new = "", True
        self.name.clear()
        self.text.clear()
        self._fill()
        self.name.setFocus()

    @Slot()
    def _save(self) -> bool:
        """Keep what is looked at, if it is anything and differs from what there is.

        False where it cannot be kept: the note says why.
        """
        name, text = self._name_now(), self.text.toPlainText()
        there = next((one for one in self._prompts.entries if one.name == self._shown), None)
        if not text.strip():
            return True
        if there is not None and (there.name, there.text) == (name, text):
            return True
        other = name != self._shown and any(one.name == name for one in self._prompts.entries)
        if other:
            self._say(self.tr("There is another prompt of this name; choose another one."))
            return False
        self._saving = True
        try:
            kept = self._prompts.save(name, text, self._shown)
        except ValueError:
            self._say(self.tr("This text is too long for the library."))
            return False
        finally:
            self._saving = False
        self._shown, self._is_new = kept.name, False
        self._fill()
        return True

    def _delete(self) -> None:
        gone = self._prompts.delete(self._shown)
        self._shown, self._is_new = "", False
        self.name.clear()
        self.text.clear()
        self._fill()
        if gone is not None:
            self._deleted = gone
            self.undo_button.show()
            self.undo_button.setFocus()
            self._say(self.tr("“{name}” was deleted.").format(name=gone.name))

    def _undo(self) -> None:
        gone, self._deleted = self._deleted, None
        self.undo_button.hide()
        if gone is not None:
            self._save()
            self._prompts.save(gone.name, gone.text)
            self._show(gone)
            self._fill()
            self._say("")
        self.list.setFocus()

    def _insert(self) -> None:
        text = self.text.toPlainText()
        if text.strip():
            prompt = SavedPrompt(self.name.text(), text)
            self.accept()
            if self.result() == self.DialogCode.Accepted:
                self.chosen.emit(prompt)

    def done(self, result: int) -> None:
        """Keep what was changed last; where that cannot be done, stay."""
        if self._save():
            super().done(result)

    # -- files -----------------------------------------------------------------------------

    def _picker(self, title: str) -> QFileDialog:
        picker = QFileDialog(self, title)
        picker.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        picker.setNameFilters([self.tr("Prompts") + " (*.json)", self.tr("All files") + " (*)"])
        if os.environ.get(QT_DIALOGS) == "1":
            picker.setOption(QFileDialog.Option.DontUseNativeDialog)
        return picker

    def _choose_import(self) -> None:
        picker = self._picker(self.tr("Import prompts"))
        picker.setFileMode(QFileDialog.FileMode.ExistingFile)
        picker.fileSelected.connect(lambda name: self._prompts.take_from(Path(name)))
        picker.open()

    def _choose_export(self) -> None:
        self._save()
        picker = self._picker(self.tr("Export prompts"))
        picker.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        picker.setDefaultSuffix("json")
        picker.selectFile("prompts.json")
        picker.fileSelected.connect(lambda name: self._prompts.export(Path(name)))
        picker.open()

    @Slot(int)
    def _on_imported(self, count: int) -> None:
        self._say(self.tr("%Ln prompts came in.", "", count))

    @Slot(object)
    def _on_exported(self, target: Path) -> None:
        self._say(self.tr("Written to {file}.").format(file=target.name))

    @Slot(object)
    def _on_problem(self, report: Report) -> None:
        self._say(translated(report))

    def _say(self, words: str) -> None:
        self.note.setText(words)
        self.note.setAccessibleName(words)
