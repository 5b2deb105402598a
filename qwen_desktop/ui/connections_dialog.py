"""Connections: servers that may answer chats. One is asked when Test is pressed, and not before."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QLocale, Qt, Slot
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.bridge.connections import Connections
from qwen_desktop.bridge.words import translated
from qwen_desktop.chat.connection import Connection, ConnectionTest
from qwen_desktop.chat.downloads import Access
from qwen_desktop.errors import Report
from qwen_desktop.storage.connections import ConnectionEntry
from qwen_desktop.ui import theme
from qwen_desktop.ui.connection_form import ConnectionForm
from qwen_desktop.ui.controls import Label, Line, TintedLabel, plain_tip
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.small_dialogs import ConfirmDialog

SIZE = (820, 620)
SMALLEST = (640, 560)
SHOWN_MODELS = 8  # of those that a test found
_ID = Qt.ItemDataRole.UserRole


class ConnectionsDialog(Dialog):
    """A list, and the fields of one of them.

    What is changed is kept by Save, by going to another one and by Close; Esc gives it up.
    """

    def __init__(
        self, connections: Connections, parent: QWidget | None = None, *, at: str = ""
    ) -> None:
        """Opens at the connection with the id `at`, else at the first."""
        super().__init__("connectionsDialog", self.tr("Connections"), parent)
        self.resize(theme.px(SIZE[0]), theme.px(SIZE[1]))
        self.setMinimumSize(*SMALLEST)
        self._connections = connections
        self._shown: ConnectionEntry | None = None  # as it is kept; None: a new one
        self._id = ""  # of what the fields show
        self._job = ""  # of the test under way
        self._tested = Connection("", "")  # what it asks
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
        column.addWidget(Line())
        column.addLayout(self._build_foot())
        connections.changed.connect(self._fill_list)
        connections.key_told.connect(self._on_key)
        connections.tested.connect(self._on_tested)
        connections.untested.connect(self._on_untested)
        entries = connections.entries
        first = entries[0] if entries else None
        self._show(next((entry for entry in entries if entry.connection.id == at), first))

    # -- building --------------------------------------------------------------------------

    def _build_list(self) -> QVBoxLayout:
        self.list = QListWidget()
        self.list.setObjectName("connectionList")
        self.list.setAccessibleName(self.tr("Connections"))
        self.list.setFont(theme.body_font())
        self.list.setSpacing(2)
        self.list.currentItemChanged.connect(self._on_current)
        self.new = self._button("newConnection", self.tr("New"), self._new)
        self.remove = self._button("removeConnection", self.tr("Remove"), self._ask_to_remove)
        row = QHBoxLayout()
        row.addWidget(self.new)
        row.addWidget(self.remove)
        row.addStretch(1)
        column = QVBoxLayout()
        column.setSpacing(10)
        column.addWidget(self.list, 1)
        column.addLayout(row)
        return column

    def _build_form(self) -> QVBoxLayout:
        self.form = ConnectionForm()
        self.form.changed.connect(self._refresh)
        self.form.key_unwanted.connect(self._forget_key)
        self.test = self._button("testConnection", self.tr("Test"), self._test)
        self.cancel = self._button("cancelTest", self.tr("Cancel the test"), self._cancel)
        self.state = TintedLabel("", 13, tint="dim", wrap=True)
        self.state.setObjectName("connectionState")
        self.state.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        asking = QHBoxLayout()
        asking.setSpacing(10)
        for button in (self.test, self.cancel):
            asking.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        asking.addWidget(self.state, 1)
        column = QVBoxLayout()
        column.setSpacing(12)
        column.addWidget(self.form)
        column.addLayout(asking)
        column.addStretch(1)
        return column

    def _build_foot(self) -> QHBoxLayout:
        self.save = self._button("saveConnection", self.tr("Save"), self._save)
        self.save.setDefault(True)
        closing = self.close_box()
        for button in closing.buttons():  # Enter saves
            if isinstance(button, QPushButton):
                button.setDefault(False)
                button.setAutoDefault(False)
        foot = QHBoxLayout()
        foot.addStretch(1)
        foot.addWidget(self.save)
        foot.addWidget(closing)
        return foot

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
            item.setToolTip(plain_tip(entry.connection.base))
            self.list.addItem(item)
            if entry.connection.id == self._id:
                self.list.setCurrentItem(item)
        if not self.list.count():
            nothing = QListWidgetItem(self.tr("None yet"))
            nothing.setFlags(Qt.ItemFlag.NoItemFlags)
            self.list.addItem(nothing)
        self.list.blockSignals(False)
        self.remove.setEnabled(self._connections.entry(self._id) is not None)

    def _show(self, entry: ConnectionEntry | None) -> None:
        self._cancel()
        self._shown = entry
        self._id = entry.connection.id if entry is not None else ""
        self.form.others = frozenset(
            one.connection.name
            for one in self._connections.entries
            if one.connection.id != self._id
        )
        self.form.show_entry(entry)
        self._say("")
        self._fill_list()
        self._refresh()
        if entry is not None:
            self._connections.look_key(entry.connection.id)
        else:
            self.form.name.setFocus()

    @property
    def _has_changed(self) -> bool:
        return self.form.typed() != self._shown or bool(self.form.typed_key)

    @Slot()
    def _refresh(self) -> None:
        is_good = self.form.typed() is not None
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
        entry = self.form.typed()
        if entry is None or not self._has_changed:
            return
        if not entry.connection.model and entry.models:
            first = entry.models[0].name
            entry = replace(entry, connection=replace(entry.connection, model=first))
        key, self._id = self.form.typed_key, entry.connection.id
        self._connections.save(entry)
        self._shown = self._connections.entry(self._id)
        self.form.show_entry(self._shown)
        if key:
            self._connections.set_key(self._id, key)
        else:
            self._connections.look_key(self._id)
        self._fill_list()

    @Slot()
    def _ask_to_remove(self) -> None:
        if self._shown is None:
            return
        words = self.tr(
            "“{name}” and its key are forgotten. Chats that it answers stay, and ask for another."
        )
        ConfirmDialog(
            self.tr("Remove this connection?"),
            words.format(name=self._shown.connection.name),
            self.tr("Remove"),
            self._remove,
            self,
        ).open()

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
        wanted = str(item.data(_ID) or "") if item is not None else ""
        if wanted and wanted != self._id:
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
        if connection_id == self._id:
            self.form.show_key(access)

    @Slot()
    def _test(self) -> None:
        entry = self.form.typed()
        if entry is None:
            return
        self._cancel()
        self._say(self.tr("Asking {host}…").format(host=entry.connection.host))
        self._tested = entry.connection
        self._job = self._connections.test(entry.connection, self.form.key.text())
        self._refresh()
        self.cancel.setFocus()

    @Slot()
    def _cancel(self) -> None:
        if self._job:
            self._connections.cancel(self._job)
            self._say("")
            self._end_test()

    def _end_test(self) -> None:
        had_focus = self.cancel.hasFocus()
        self._job = ""
        self._refresh()
        if had_focus:
            self.test.setFocus()

    @Slot(str, object)
    def _on_tested(self, job: str, found: ConnectionTest) -> None:
        if job != self._job:
            return
        locale = QLocale()
        program = " ".join(part for part in (found.kind.label, found.version) if part)
        words = self.tr("{program} answered in {milliseconds} ms.").format(
            program=program, milliseconds=locale.toString(round(found.latency * 1000))
        )
        offers = ", ".join(model.name for model in found.models[:SHOWN_MODELS])
        more = self.tr("%Ln models: {names}", "", len(found.models)).format(names=offers)
        if len(found.models) > SHOWN_MODELS:
            more += "…"
        self._say(f"{words} {more}" if found.models else words)
        shown = self._shown
        if shown is not None and shown.connection.base == self._tested.base:
            # What is known of a connection that is kept needs no Save.
            self._shown = replace(shown, models=found.models)
            self._connections.save(self._shown)
        self.form.show_models(found.models)
        self._end_test()

    @Slot(str, object)
    def _on_untested(self, job: str, report: Report) -> None:
        if job == self._job:
            self._say(translated(report), "error")
            self._end_test()

    def _say(self, words: str, tint: str = "dim") -> None:
        self.state.tint = tint
        self.state.setText(words)
        self.state.setAccessibleName(words)
        self.state.update()
        if words and QAccessible.isActive():
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, words))
