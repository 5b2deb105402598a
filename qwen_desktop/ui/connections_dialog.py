"""Connections: servers that may answer chats. One is asked when Test is pressed, and not before."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QLocale, Qt, Slot
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.bridge.connections import Connections
from qwen_desktop.bridge.words import translated
from qwen_desktop.chat.connection import (
    Connection,
    ConnectionTest,
    RemoteModel,
    ServerKind,
    Timeouts,
    normal_address,
)
from qwen_desktop.chat.downloads import Access, TokenPlace
from qwen_desktop.errors import Report
from qwen_desktop.storage.connections import ConnectionEntry
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Label, Line, TintedLabel
from qwen_desktop.ui.dialog import Dialog

SIZE = (820, 600)
LONGEST = 200  # characters of a name
_ID = Qt.ItemDataRole.UserRole


class ConnectionsDialog(Dialog):
    """A list, and the fields of one of them. What is changed is kept by Save, or on leaving it."""

    def __init__(self, connections: Connections, parent: QWidget | None = None) -> None:
        super().__init__("connectionsDialog", self.tr("Connections"), parent)
        self.resize(*SIZE)
        self.setMinimumSize(640, 520)
        self._connections = connections
        self._shown: ConnectionEntry | None = None  # as it is kept; None: a new one
        self._id = ""  # of what the fields show
        self._models: tuple[RemoteModel, ...] = ()
        self._job = ""  # of the test under way
        self._filling = False
        words = Label(
            self.tr(
                "Servers that may answer chats in place of the checkpoint here. Nothing goes to "
                "one unless you choose it for a chat, at the name of the model above the chat."
            ),
            13,
            dim=True,
            wrap=True,
        )
        sides = QHBoxLayout()
        sides.setSpacing(18)
        sides.addLayout(self._build_list(), 2)
        sides.addLayout(self._build_form(), 5)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 18, 24, 16)
        column.setSpacing(12)
        column.addWidget(words)
        column.addWidget(Line())
        column.addLayout(sides, 1)
        buttons = self.close_box()
        for button in buttons.buttons():  # Enter saves
            if isinstance(button, QPushButton):
                button.setDefault(False)
                button.setAutoDefault(False)
        column.addWidget(buttons)
        connections.changed.connect(self._fill_list)
        connections.key_told.connect(self._on_key)
        connections.tested.connect(self._on_tested)
        connections.untested.connect(self._on_untested)
        entries = connections.entries
        self._fill_list()
        self._show(entries[0] if entries else None)

    # -- building --------------------------------------------------------------------------

    def _build_list(self) -> QVBoxLayout:
        self.list = QListWidget()
        self.list.setObjectName("connectionList")
        self.list.setAccessibleName(self.tr("Connections"))
        self.list.setFont(theme.body_font())
        self.list.currentItemChanged.connect(self._on_current)
        self.new = self._button("newConnection", self.tr("New"), self._new)
        self.remove = self._button("removeConnection", self.tr("Remove"), self._remove)
        row = QHBoxLayout()
        row.addWidget(self.new)
        row.addWidget(self.remove)
        row.addStretch(1)
        column = QVBoxLayout()
        column.addWidget(self.list, 1)
        column.addLayout(row)
        return column

    def _build_form(self) -> QVBoxLayout:
        self.name = self._line("connectionName", self.tr("Name"))
        self.name.setMaxLength(LONGEST)
        self.address = self._line("connectionAddress", self.tr("Address"))
        self.address.setPlaceholderText("http://192.168.1.20:8000/v1")
        self.kind = QComboBox()
        self.kind.setObjectName("connectionKind")
        self.kind.setAccessibleName(self.tr("Server"))
        for kind in ServerKind:
            self.kind.addItem(kind.label or self.tr("Find out"), kind.value)
        self.key = self._line("connectionKey", self.tr("Key"))
        self.key.setEchoMode(QLineEdit.EchoMode.Password)
        self.key.setPlaceholderText(self.tr("Only where the server wants one"))
        self.forget = self._button("forgetKey", self.tr("Remove key"), self._forget_key)
        self.key_state = TintedLabel("", 12, tint="dim", wrap=True)
        self.key_state.setObjectName("keyState")
        self.model = QComboBox()
        self.model.setObjectName("connectionModel")
        self.model.setAccessibleName(self.tr("Default model"))
        self.model.setEditable(True)
        self.model.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        field = self.model.lineEdit()
        assert field is not None
        field.setAccessibleName(self.tr("Default model"))
        field.setPlaceholderText(self.tr("Test lists those there are"))
        self.titles = QCheckBox(self.tr("Its models may be asked for titles of chats they answer"))
        self.titles.setObjectName("connectionTitles")
        self.titles.setToolTip(
            self.tr(
                "Where Titles by the model is on. Else the first words of a chat are its title."
            )
        )
        self.waits = [
            self._wait("waitConnect", self.tr("Seconds to connect"), 1, 600),
            self._wait("waitFirst", self.tr("Seconds to the first token"), 1, 86_400),
            self._wait("waitNext", self.tr("Seconds between tokens"), 1, 86_400),
        ]
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(1, 1)
        key = QHBoxLayout()
        key.addWidget(self.key, 1)
        key.addWidget(self.forget)
        for row, (words, widget) in enumerate(
            (
                (self.tr("Name"), self.name),
                (self.tr("Address"), self.address),
                (self.tr("Server"), self.kind),
            )
        ):
            self._place(grid, row, words, widget)
        self._place(grid, 3, self.tr("Key"), self.key, key)
        grid.addWidget(self.key_state, 4, 1)
        self._place(grid, 5, self.tr("Default model"), self.model)
        for number, (box, words) in enumerate(self.waits):
            self._place(grid, 6 + number, words, box)
        grid.addWidget(self.titles, 9, 0, 1, 2)
        self.test = self._button("testConnection", self.tr("Test"), self._test)
        self.cancel = self._button("cancelTest", self.tr("Cancel the test"), self._cancel)
        self.save = self._button("saveConnection", self.tr("Save"), self._save)
        self.save.setDefault(True)
        self.state = TintedLabel("", 13, tint="dim", wrap=True)
        self.state.setObjectName("connectionState")
        self.state.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        foot = QHBoxLayout()
        foot.addWidget(self.test)
        foot.addWidget(self.cancel)
        foot.addStretch(1)
        foot.addWidget(self.save)
        column = QVBoxLayout()
        column.setSpacing(10)
        column.addLayout(grid)
        column.addWidget(self.state)
        column.addStretch(1)
        column.addLayout(foot)
        self.name.textChanged.connect(self._refresh)
        self.address.textChanged.connect(self._refresh)
        self.key.textChanged.connect(self._refresh)
        self.kind.currentIndexChanged.connect(self._refresh)
        self.model.editTextChanged.connect(self._refresh)
        self.titles.toggled.connect(self._refresh)
        for box, _ in self.waits:
            box.valueChanged.connect(self._refresh)
        return column

    def _place(
        self, grid: QGridLayout, row: int, words: str, buddy: QWidget, layout: object = None
    ) -> None:
        label = Label(words, 13, dim=True)
        label.setBuddy(buddy)
        grid.addWidget(label, row, 0)
        if isinstance(layout, QHBoxLayout):
            grid.addLayout(layout, row, 1)
        else:
            grid.addWidget(buddy, row, 1)

    def _line(self, name: str, words: str) -> QLineEdit:
        edit = QLineEdit()
        edit.setObjectName(name)
        edit.setAccessibleName(words)
        edit.setMinimumHeight(30)
        edit.setTextMargins(4, 0, 4, 0)
        return edit

    def _wait(self, name: str, words: str, least: int, most: int) -> tuple[QDoubleSpinBox, str]:
        box = QDoubleSpinBox()
        box.setObjectName(name)
        box.setAccessibleName(words)
        box.setDecimals(0)
        box.setRange(least, most)
        return box, words

    def _button(self, name: str, words: str, call: object) -> QPushButton:
        button = QPushButton(words)
        button.setObjectName(name)
        button.setAccessibleName(words)
        button.setAutoDefault(False)
        button.clicked.connect(call)
        return button

    # -- what is shown ---------------------------------------------------------------------

    @Slot()
    def _fill_list(self) -> None:
        self.list.blockSignals(True)
        self.list.clear()
        for entry in self._connections.entries:
            item = QListWidgetItem(entry.connection.name)
            item.setData(_ID, entry.connection.id)
            self.list.addItem(item)
            if entry.connection.id == self._id:
                self.list.setCurrentItem(item)
        self.list.blockSignals(False)
        self.remove.setEnabled(self._connections.entry(self._id) is not None)

    def _show(self, entry: ConnectionEntry | None) -> None:
        self._cancel()
        self._filling = True
        self._shown = entry
        one = entry.connection if entry is not None else Connection("", "")
        self._id = one.id
        self._models = entry.models if entry is not None else ()
        self.name.setText(one.name)
        self.address.setText(one.address)
        self.kind.setCurrentIndex(max(0, self.kind.findData(one.kind.value)))
        self.key.clear()
        self._fill_models(one.model)
        times = (one.timeouts.connect, one.timeouts.first_token, one.timeouts.between_tokens)
        for (box, _), seconds in zip(self.waits, times, strict=True):
            box.setValue(seconds)
        self.titles.setChecked(entry.titles if entry is not None else False)
        self.forget.setEnabled(False)
        self.key_state.setText("")
        self._filling = False
        self._say("")
        self._fill_list()
        self._refresh()
        if entry is not None:
            self._connections.look_key(one.id)
        else:
            self.name.setFocus()

    def _fill_models(self, chosen: str) -> None:
        filling, self._filling = self._filling, True
        self.model.clear()
        self.model.addItems([model.name for model in self._models])
        self.model.setEditText(chosen)
        self._filling = filling

    def _typed(self) -> ConnectionEntry | None:
        """What the fields say; None where that is no connection."""
        address = self.address.text().strip()
        base = normal_address(address)
        if not base:
            return None
        connection = Connection("", base, self._id)
        return ConnectionEntry(
            replace(
                connection,
                name=" ".join(self.name.text().split()) or connection.host,
                kind=ServerKind(self.kind.currentData()),
                model=self.model.currentText().strip(),
                timeouts=Timeouts(*(box.value() for box, _ in self.waits)),
            ),
            self._models,
            self.titles.isChecked(),
        )

    @property
    def _has_changed(self) -> bool:
        return self._typed() != self._shown or bool(self.key.text().strip())

    @Slot()
    def _refresh(self) -> None:
        if self._filling:
            return
        is_good = self._typed() is not None
        self.test.setEnabled(is_good and not self._job)
        self.cancel.setVisible(bool(self._job))
        self.save.setEnabled(is_good and self._has_changed)

    # -- changing --------------------------------------------------------------------------

    @Slot()
    def _new(self) -> None:
        self._save()
        self.list.setCurrentRow(-1)
        self._show(None)

    @Slot()
    def _save(self) -> None:
        """Keep what the fields say, where they say a connection."""
        entry = self._typed()
        if entry is None or not self._has_changed:
            return
        if not entry.connection.model and self._models:
            entry = replace(entry, connection=replace(entry.connection, model=self._models[0].name))
            self._fill_models(entry.connection.model)
        self._connections.save(entry)
        self._shown = self._connections.entry(entry.connection.id)
        self.name.setText(entry.connection.name)
        self.address.setText(entry.connection.address)
        if key := self.key.text().strip():
            self.key.clear()
            self._connections.set_key(entry.connection.id, key)
        else:
            self._connections.look_key(entry.connection.id)
        self._fill_list()
        self._refresh()

    @Slot()
    def _remove(self) -> None:
        self._cancel()
        self._connections.remove(self._id)
        entries = self._connections.entries
        self._show(entries[0] if entries else None)

    @Slot()
    def _forget_key(self) -> None:
        self._connections.forget_key(self._id)

    @Slot(QListWidgetItem, QListWidgetItem)
    def _on_current(self, item: QListWidgetItem | None, _before: QListWidgetItem | None) -> None:
        if item is None:
            return
        wanted = str(item.data(_ID))
        if wanted != self._id:
            self._save()
            self._show(self._connections.entry(wanted))

    def done(self, result: int) -> None:
        """Keep what was changed, unless the dialog is given up."""
        self._cancel()
        if result == self.DialogCode.Accepted:
            self._save()
        super().done(result)

    # -- keys and tests --------------------------------------------------------------------

    @Slot(str, object)
    def _on_key(self, connection_id: str, access: Access) -> None:
        if connection_id != self._id:
            return
        texts = {
            TokenPlace.KEYRING: self.tr("The key is in the keyring of the system."),
            TokenPlace.RUN: self.tr("The key is kept until the program ends: it is in no file."),
        }
        words = texts.get(access.place, self.tr("There is no key."))
        if not access.has_keyring:
            words = f"{words} {self.tr('This system has no keyring that would keep one.')}"
        self.key_state.setText(words)
        self.forget.setEnabled(access.place in texts)

    @Slot()
    def _test(self) -> None:
        entry = self._typed()
        if entry is None:
            return
        self._cancel()
        self._say(self.tr("Asking {host}…").format(host=entry.connection.host))
        self._job = self._connections.test(entry.connection, self.key.text())
        self._refresh()

    @Slot()
    def _cancel(self) -> None:
        if self._job:
            self._connections.cancel(self._job)
            self._job = ""
            self._say("")
            self._refresh()

    @Slot(str, object)
    def _on_tested(self, job: str, found: ConnectionTest) -> None:
        if job != self._job:
            return
        self._job = ""
        self._models = found.models
        chosen = self.model.currentText().strip()
        self._fill_models(chosen or (found.models[0].name if found.models else ""))
        locale = QLocale()
        program = " ".join(part for part in (found.kind.label, found.version) if part)
        words = self.tr("{program} answered in {milliseconds} ms.").format(
            program=program, milliseconds=locale.toString(round(found.latency * 1000))
        )
        offers = ", ".join(model.name for model in found.models[:8])
        more = self.tr("%Ln models: {names}", "", len(found.models)).format(names=offers)
        if len(found.models) > 8:
            more += "…"
        self._say(f"{words} {more}" if found.models else words)
        if self._shown is not None and self._shown.models != found.models:
            # What is known of a connection that is kept needs no Save.
            self._shown = replace(self._shown, models=found.models)
            self._connections.save(self._shown)
        self._refresh()

    @Slot(str, object)
    def _on_untested(self, job: str, report: Report) -> None:
        if job == self._job:
            self._job = ""
            self._say(translated(report), "error")
            self._refresh()

    def _say(self, words: str, tint: str = "dim") -> None:
        self.state.tint = tint
        self.state.setText(words)
        self.state.setAccessibleName(words)
        self.state.update()
        if words and QAccessible.isActive():
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, words))
