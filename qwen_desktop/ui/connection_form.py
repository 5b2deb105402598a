"""The fields of one connection: what they say, and what is to be said of it."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QWidget,
)

from qwen_desktop.chat.connection import (
    Connection,
    RemoteModel,
    ServerKind,
    Timeouts,
    normal_address,
)
from qwen_desktop.chat.downloads import Access, TokenPlace
from qwen_desktop.storage.connections import ConnectionEntry
from qwen_desktop.ui.controls import Label, TintedLabel

LONGEST = 200  # characters of a name
LONGEST_ADDRESS = 2000


class ConnectionForm(QWidget):
    """Signals: `changed()`: a field is another one; `key_unwanted()`: Remove key was pressed."""

    changed = Signal()
    key_unwanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._id = ""  # of what the fields show
        self._filling = False
        self.others: frozenset[str] = frozenset()  # names of other connections
        self.models: tuple[RemoteModel, ...] = ()  # those that the last test found
        self._build_fields()
        self._place_fields()
        for field in (self.name, self.address, self.key):
            field.textChanged.connect(self._on_changed)
        self.kind.currentIndexChanged.connect(self._on_changed)
        self.model.editTextChanged.connect(self._on_changed)
        self.titles.toggled.connect(self._on_changed)
        for box in self.waits:
            box.valueChanged.connect(self._on_changed)

    # -- building --------------------------------------------------------------------------

    def _build_fields(self) -> None:
        self.name = self._line("connectionName", self.tr("Name"), LONGEST)
        self.name_note = TintedLabel("", 12, tint="warning", wrap=True)
        self.name_note.setObjectName("nameNote")
        self.address = self._line("connectionAddress", self.tr("Address"), LONGEST_ADDRESS)
        self.address.setPlaceholderText("http://192.168.1.20:8000/v1")
        self.address_note = TintedLabel("", 12, tint="dim", wrap=True)
        self.address_note.setObjectName("addressNote")
        self.kind = QComboBox()
        self.kind.setObjectName("connectionKind")
        self.kind.setAccessibleName(self.tr("Server"))
        for kind in ServerKind:
            self.kind.addItem(kind.label or self.tr("Find out"), kind.value)
        self.key = self._line("connectionKey", self.tr("Key"), LONGEST_ADDRESS)
        self.key.setEchoMode(QLineEdit.EchoMode.Password)
        self.forget = QPushButton(self.tr("Remove key"))
        self.forget.setObjectName("forgetKey")
        self.forget.setAccessibleName(self.tr("Remove key"))
        self.forget.setAutoDefault(False)
        self.forget.clicked.connect(self.key_unwanted)
        self.key_note = TintedLabel("", 12, tint="dim", wrap=True)
        self.key_note.setObjectName("keyState")
        self.model = QComboBox()
        self.model.setObjectName("connectionModel")
        self.model.setAccessibleName(self.tr("Default model"))
        self.model.setEditable(True)
        self.model.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        field = self.model.lineEdit()
        assert field is not None
        field.setAccessibleName(self.tr("Default model"))
        field.setPlaceholderText(self.tr("Test lists those there are"))
        self.waits = (
            self._wait("waitConnect", self.tr("Seconds to connect"), 600),
            self._wait("waitFirst", self.tr("Seconds to the first token"), 86_400),
            self._wait("waitNext", self.tr("Seconds between tokens"), 86_400),
        )
        self.titles = QCheckBox(self.tr("Its models may be asked for titles of chats they answer"))
        self.titles.setObjectName("connectionTitles")
        self.titles.setToolTip(
            self.tr(
                "Where Titles by the model is on. Else the first words of a chat are its title."
            )
        )

    def _place_fields(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(1, 1)
        key = QHBoxLayout()
        key.setSpacing(8)
        key.addWidget(self.key, 1)
        key.addWidget(self.forget)
        row = 0
        for widget, below in (
            (self.name, self.name_note),
            (self.address, self.address_note),
            (self.kind, None),
            (self.key, self.key_note),
            (self.model, None),
            *((box, None) for box in self.waits),
        ):
            label = Label(widget.accessibleName(), 13, dim=True)
            label.setBuddy(widget)
            grid.addWidget(label, row, 0)
            if widget is self.key:
                grid.addLayout(key, row, 1)
            else:
                grid.addWidget(widget, row, 1)
            row += 1
            if below is not None:
                grid.addWidget(below, row, 1)
                row += 1
        grid.addWidget(self.titles, row, 0, 1, 2)

    def _line(self, name: str, words: str, longest: int) -> QLineEdit:
        edit = QLineEdit()
        edit.setObjectName(name)
        edit.setAccessibleName(words)
        edit.setMaxLength(longest)
        return edit

    def _wait(self, name: str, words: str, most: int) -> QDoubleSpinBox:
        box = QDoubleSpinBox()
        box.setObjectName(name)
        box.setAccessibleName(words)
        box.setDecimals(0)
        box.setRange(1, most)
        return box

    # -- what they say ---------------------------------------------------------------------

    def show_entry(self, entry: ConnectionEntry | None) -> None:
        """Fill the fields; None: for a new connection."""
        self._filling = True
        one = entry.connection if entry is not None else Connection("", "")
        self._id = one.id
        self.name.setText(one.name)
        self.address.setText(one.address)
        self.kind.setCurrentIndex(max(0, self.kind.findData(one.kind.value)))
        self.key.clear()
        self._fill_models(entry.models if entry is not None else (), one.model)
        times = (one.timeouts.connect, one.timeouts.first_token, one.timeouts.between_tokens)
        for box, seconds in zip(self.waits, times, strict=True):
            box.setValue(seconds)
        self.titles.setChecked(entry.titles if entry is not None else False)
        self.show_key(None)
        self._filling = False
        self._on_changed()

    def show_models(self, models: tuple[RemoteModel, ...]) -> None:
        """Offer `models`: the first one where none is named yet."""
        typed = self.model.currentText().strip()
        self._filling = True
        self._fill_models(models, typed or (models[0].name if models else ""))
        self._filling = False
        self._on_changed()

    def _fill_models(self, models: tuple[RemoteModel, ...], chosen: str) -> None:
        self.models = models
        self.model.clear()
        self.model.addItems([model.name for model in models])
        self.model.setEditText(chosen)

    def show_key(self, access: Access | None) -> None:
        """Tell whether there is a key; None: that is not known yet, or there is no connection."""
        texts = {
            TokenPlace.KEYRING: self.tr("The key is in the keyring of the system."),
            TokenPlace.RUN: self.tr("The key is kept until the program ends: it is in no file."),
        }
        words = ""
        if access is not None:
            words = texts.get(access.place, self.tr("There is no key."))
            if not access.has_keyring:
                none = self.tr("This system has no keyring that would keep one.")
                words = self.tr("{there} {none}").format(there=words, none=none)
        has_one = access is not None and access.place in texts
        self.key_note.setText(words)
        self.key_note.setVisible(bool(words))
        self.key.setPlaceholderText(
            self.tr("Kept; type another to replace it")
            if has_one
            else self.tr("Only where the server wants one")
        )
        self.forget.setEnabled(has_one)

    @property
    def _typed_name(self) -> str:
        """The name, else the host."""
        base = normal_address(self.address.text())
        host = Connection("", base).host if base else ""
        return " ".join(self.name.text().split()) or host

    def typed(self) -> ConnectionEntry | None:
        """What the fields say; None where that is no connection, or another is called so."""
        base = normal_address(self.address.text())
        if not base or self._typed_name in self.others:
            return None
        connection = Connection("", base, self._id)
        return ConnectionEntry(
            replace(
                connection,
                name=self._typed_name,
                kind=ServerKind(self.kind.currentData()),
                model=self.model.currentText().strip(),
                timeouts=Timeouts(*(box.value() for box in self.waits)),
            ),
            self.models,
            self.titles.isChecked(),
        )

    @property
    def typed_key(self) -> str:
        """A key that is to be kept; "" for none."""
        return self.key.text().strip()

    @Slot()
    def _on_changed(self) -> None:
        if self._filling:
            return
        is_taken = self._typed_name in self.others
        taken = self.tr("Another connection is called so.") if is_taken else ""
        self.name_note.setText(taken)
        self.name_note.setVisible(is_taken)
        self.name.setAccessibleDescription(taken)
        words, tint = self._address_words()
        self.address_note.tint = tint
        self.address_note.setText(words)
        self.address_note.setVisible(bool(words))
        self.address.setAccessibleDescription(words)
        self.changed.emit()

    def _address_words(self) -> tuple[str, str]:
        """What there is to say of the address, and in which colour."""
        text = self.address.text().strip()
        base = normal_address(text)
        if not text:
            return "", "dim"
        if not base:
            return self.tr("That is no address; write one as http://host:8000/v1."), "warning"
        connection = Connection("", base)
        if urlsplit(base).scheme == "http" and not connection.is_near:
            return (
                self.tr("Not encrypted: on the way others can read the chat and the key."),
                "warning",
            )
        if base != text:
            return self.tr("Asked at {address}").format(address=base), "dim"
        return "", "dim"
