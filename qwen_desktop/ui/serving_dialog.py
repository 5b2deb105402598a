"""The local server: started and stopped, its address and key, what it has answered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from PySide6.QtCore import QLocale, QTimer, Signal, Slot
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent, QGuiApplication
from PySide6.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.bridge.words import translated
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Label, Line, TintedLabel
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.serving_log import ServingLog, ServingTable

if TYPE_CHECKING:
    from qwen_desktop.bridge.serving import Serving, ServingState
    from qwen_desktop.errors import Report
    from qwen_desktop.serve.served import Entry

SIZE = (760, 560)  # a key is seen whole
PORT = 8080
SAID_MS = 1500  # how long a button says that it has copied
PORTS = (1024, 65535)


class ServingDialog(Dialog):
    """Not modal: one goes on with the chat while it runs. It goes on when the dialog closes.

    Signals: `started(port, keyed)`: the server was asked to begin so; `cleared()`: the log was.
    """

    started = Signal(int, bool)
    cleared = Signal()

    def __init__(
        self, serving: Serving, port: int, keyed: bool, parent: QWidget | None = None
    ) -> None:
        """`port` and `keyed` are what was chosen last; 0 is the usual port."""
        super().__init__("servingDialog", self.tr("Local server"), parent)
        self.resize(theme.px(SIZE[0]), theme.px(SIZE[1]))
        self.setMinimumSize(520, 420)
        self._serving = serving
        self._build_choices()
        self._build_state()
        self._build_log()
        self.port.setValue(port or PORT)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 18, 24, 14)
        column.setSpacing(10)
        column.addWidget(
            Label(
                self.tr(
                    "Other programs of this computer can ask the open model here, as they would "
                    "ask OpenAI's API. Nothing that they ask is stored."
                ),
                14,
                wrap=True,
            )
        )
        column.addLayout(self._grid)
        column.addWidget(self.trouble)
        column.addWidget(Line())
        column.addLayout(self._standing)
        column.addLayout(self._places)
        column.addWidget(self.log_label)
        column.addWidget(self.log, 1)
        foot = QHBoxLayout()
        foot.addWidget(self.copy_log)
        foot.addWidget(self.clear_log)
        foot.addStretch(1)
        closing = self.close_box()
        foot.addWidget(closing)
        column.addLayout(foot)
        (self._close,) = closing.buttons()
        serving.changed.connect(self._show)
        serving.served.connect(self.add_entry)
        serving.problem.connect(self._on_problem)
        serving.key.changed.connect(self._show_key)
        self._show(serving.state)
        self.keyed.setChecked(keyed or self.keyed.isChecked())
        self._show_key()
        (self.go if serving.state.running else self.port).setFocus()

    # -- its parts -------------------------------------------------------------------------

    def _build_choices(self) -> None:
        self.port = QSpinBox()
        self.port.setObjectName("servingPort")
        self.port.setRange(*PORTS)
        self.port.setGroupSeparatorShown(False)
        self.port.valueChanged.connect(self._on_port)
        port_label = Label(self.tr("Port"), 14)
        port_label.setBuddy(self.port)
        self.port.setAccessibleName(port_label.text())
        self.keyed = QCheckBox(self.tr("Ask for a key"))
        self.keyed.setObjectName("servingKeyed")
        self.keyed.toggled.connect(self._on_keyed)
        self.key = QLineEdit()
        self.key.setObjectName("servingKey")
        self.key.setReadOnly(True)
        self.key.setEchoMode(QLineEdit.EchoMode.Password)
        self.key.setAccessibleName(self.tr("Key"))
        self.show_key = self._button(self.tr("Show"), "servingShowKey", self._on_show_key)
        self.show_key.setCheckable(True)
        self.copy_key = self._button(self.tr("Copy key"), "servingCopyKey", self._on_copy_key)
        self.new_key = self._button(self.tr("New key"), "servingNewKey", self._serving.key.renew)
        self.key_note = TintedLabel("", 12, tint="dim", wrap=True)
        self.trouble = TintedLabel("", 13, tint="warning", wrap=True)
        self.trouble.setObjectName("servingTrouble")
        self.trouble.hide()
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(10)
        self._grid.addWidget(port_label, 0, 0)
        self._grid.addWidget(self.port, 0, 1)
        self._grid.addWidget(self.keyed, 1, 0, 1, 2)
        for column, widget in enumerate((self.key, self.show_key, self.copy_key, self.new_key), 2):
            self._grid.addWidget(widget, 1, column)
        self._grid.addWidget(self.key_note, 2, 2, 1, 4)
        self._grid.setColumnStretch(2, 1)

    def _build_state(self) -> None:
        self.words = Label("", 14, wrap=True)
        self.words.setObjectName("servingState")
        self.go = self._button(self.tr("Start"), "servingGo", self._on_go)
        self._standing = QHBoxLayout()
        self._standing.addWidget(self.words, 1)
        self._standing.addWidget(self.go)
        self.address = QLineEdit()
        self.address.setObjectName("servingAddress")
        self.address.setReadOnly(True)
        self.address.setAccessibleName(self.tr("Address"))
        self.copy = self._button(self.tr("Copy address"), "servingCopy", self._on_copy)
        self.page = self._button(self.tr("Copy page"), "servingCopyPage", self._on_copy_page)
        self.page.setToolTip(self.tr("The address of a page to chat at, for a browser"))
        self._places = QHBoxLayout()
        self._places.addWidget(self.address, 1)
        self._places.addWidget(self.copy)
        self._places.addWidget(self.page)

    def _build_log(self) -> None:
        self.log_label = Label(self.tr("Requests. Their texts are not noted."), 13, dim=True)
        self.entries = ServingLog()
        self.log = ServingTable(self.entries)
        self.log.setObjectName("servingLog")
        self.log.setAccessibleName(self.tr("Requests"))
        self.log_label.setBuddy(self.log)
        self.copy_log = self._button(self.tr("Copy the log"), "servingCopyLog", self.log.copy)
        self.clear_log = self._button(self.tr("Clear the log"), "servingClearLog", self._on_clear)
        self._show_log()

    def _button(self, words: str, name: str, call: object) -> QPushButton:
        button = QPushButton(words)
        button.setObjectName(name)
        button.setAccessibleName(words)
        button.setAutoDefault(False)
        button.clicked.connect(call)
        return button

    # -- what it shows ---------------------------------------------------------------------

    @Slot(object)
    def _show(self, state: ServingState) -> None:
        active = state.starting or state.running
        before = self.words.text()
        self.words.setText(self._state_text(state))
        self.go.setText(self.tr("Stop") if active else self.tr("Start"))
        self.go.setAccessibleName(self.go.text())
        self.go.setEnabled(not state.stopping)
        for button, is_default in ((self.go, not active), (self._close, active)):
            if isinstance(button, QPushButton):  # what Enter does
                button.setDefault(is_default)
        self.port.setEnabled(not active)
        self.keyed.setEnabled(not active)
        self.address.setText(f"{state.address}/v1" if state.address else "")
        for button in (self.copy, self.page):
            button.setEnabled(bool(state.address))
        if active:
            self.trouble.hide()
        self._show_key()
        if before and before != self.words.text():
            event = QAccessibleAnnouncementEvent(self, self.words.text())
            QAccessible.updateAccessibility(event)

    def _state_text(self, state: ServingState) -> str:
        if state.stopping:
            return self.tr("Stopping…")
        if state.starting:
            return self.tr("Starting…")
        if not state.running:
            return self.tr("The server is off.")
        if state.waits:
            return self.tr("Running. A request waits for the answer in the window.")
        if state.requests > 1:
            waiting = QLocale().toString(state.requests - 1)
            return self.tr("Running. Answering a request; {count} wait.").format(count=waiting)
        if state.requests:
            return self.tr("Running. Answering a request.")
        return self.tr("Running.")

    @Slot()
    def _show_key(self) -> None:
        state, key = self._serving.state, self._serving.key
        active = state.starting or state.running
        if active:
            self.keyed.setChecked(state.keyed)
        wanted = self.keyed.isChecked()
        for widget in (self.key, self.show_key, self.copy_key, self.new_key, self.key_note):
            widget.setVisible(wanted)
        self.key.setText(key.key if wanted else "")
        self.copy_key.setEnabled(bool(key.key))
        self.new_key.setEnabled(bool(key.key) and not active)
        self.go.setEnabled(not state.stopping and (active or not wanted or bool(key.key)))
        if not key.key:
            self.key_note.setText(self.tr("Looking into the keyring of the system…"))
        elif key.kept:
            self.key_note.setText(self.tr("Kept in the keyring of the system."))
        else:
            self.key_note.setText(
                self.tr("This system has no keyring: the key holds until the program ends.")
            )

    @Slot(object)
    def add_entry(self, entry: Entry) -> None:
        """A request has ended."""
        self.add_entries((entry,))

    def add_entries(self, entries: Iterable[Entry]) -> None:
        """Requests have ended."""
        self.entries.add(entries)
        self._show_log()

    def _show_log(self) -> None:
        for button in (self.copy_log, self.clear_log):
            button.setEnabled(self.entries.rowCount() > 0)

    @Slot()
    def _on_clear(self) -> None:
        self.entries.clear()
        self._show_log()
        self.log.setFocus()
        self.cleared.emit()

    @Slot(object)
    def _on_problem(self, report: Report) -> None:
        self.trouble.setText(translated(report))
        self.trouble.show()
        if report.code == "port-taken":
            self.port.setFocus()
            self.port.selectAll()

    # -- what is pressed -------------------------------------------------------------------

    @Slot()
    def _on_go(self) -> None:
        state = self._serving.state
        if state.starting or state.running:
            self._serving.stop()
            return
        self.trouble.hide()
        keyed = self.keyed.isChecked()
        self.started.emit(self.port.value(), keyed)
        self._serving.start(self.port.value(), self._serving.key.key if keyed else "")

    @Slot()
    def _on_port(self) -> None:
        self.trouble.hide()  # it was about another one

    @Slot(bool)
    def _on_keyed(self, on: bool) -> None:
        if on:
            self._serving.key.want()
        self._show_key()

    @Slot(bool)
    def _on_show_key(self, on: bool) -> None:
        mode = QLineEdit.EchoMode.Normal if on else QLineEdit.EchoMode.Password
        self.key.setEchoMode(mode)
        self.key.setCursorPosition(0)

    @Slot()
    def _on_copy_key(self) -> None:
        self._copied(self.copy_key, self._serving.key.key)

    @Slot()
    def _on_copy(self) -> None:
        self._copied(self.copy, self.address.text())

    @Slot()
    def _on_copy_page(self) -> None:
        self._copied(self.page, self._serving.state.address + "/")

    def _copied(self, button: QPushButton, text: str) -> None:
        QGuiApplication.clipboard().setText(text)
        words = button.accessibleName()
        button.setText(self.tr("Copied"))
        QTimer.singleShot(SAID_MS, button, lambda: button.setText(words))
