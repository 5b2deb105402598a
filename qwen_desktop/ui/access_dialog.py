"""Hub access: the tokens of the hubs, where they are kept, a test, and away with them."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from qwen_desktop.bridge.hub_access import HubAccess
from qwen_desktop.bridge.words import translated
from qwen_desktop.chat.downloads import Access, TokenPlace
from qwen_desktop.chat.hub import Hub
from qwen_desktop.errors import Report
from qwen_desktop.ui.controls import Button, Label, Line, TintedLabel
from qwen_desktop.ui.dialog import Dialog


class AccessDialog(Dialog):
    """Public checkpoints need no token. Asks a hub only when Test is pressed."""

    def __init__(self, access: HubAccess, parent: QWidget | None = None) -> None:
        super().__init__("accessDialog", self.tr("Hub access"), parent)
        self.resize(560, 420)
        self.setMinimumWidth(480)
        words = Label(
            self.tr(
                "Public checkpoints need no token. One that is entered here is kept in the keyring "
                "of the system, and goes to the hub's own server alone."
            ),
            13,
            dim=True,
            wrap=True,
        )
        self.parts = {hub: HubPart(hub, access) for hub in Hub}
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 18, 24, 16)
        column.setSpacing(14)
        column.addWidget(words)
        for part in self.parts.values():
            column.addWidget(Line())
            column.addWidget(part)
        column.addStretch(1)
        buttons = self.close_box()
        for button in buttons.buttons():  # Enter saves the token that was typed
            if isinstance(button, QPushButton):
                button.setDefault(False)
                button.setAutoDefault(False)
        column.addWidget(buttons)
        self.parts[Hub.HUGGING_FACE].token.setFocus()


class HubPart(QWidget):
    """The token of one hub."""

    def __init__(self, hub: Hub, access: HubAccess, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._hub, self._hub_access = hub, access
        self.token = QLineEdit()
        self.token.setObjectName(f"token_{hub.value}")
        self.token.setEchoMode(QLineEdit.EchoMode.Password)
        self.token.setPlaceholderText(self.tr("Paste a token of yours"))
        self.token.setAccessibleName(self.tr("Token for {hub}").format(hub=hub.label))
        self.token.setMinimumHeight(30)
        self.token.setTextMargins(4, 0, 4, 0)
        self.token.textChanged.connect(self._refresh)
        self.token.returnPressed.connect(self._save)
        self.save = self._button(self.tr("Save"), "saveToken", self._save)
        self.test = self._button(self.tr("Test"), "testToken", self._test)
        self.forget = self._button(self.tr("Remove"), "forgetToken", self._forget)
        self.state = TintedLabel(self.tr("Looking…"), 13, tint="dim", wrap=True)
        self.state.setObjectName(f"tokenState_{hub.value}")
        name = Label(hub.label, 14, bold=True)
        name.setBuddy(self.token)
        row = QHBoxLayout()
        row.setSpacing(8)
        for widget in (self.token, self.save, self.test, self.forget):
            row.addWidget(widget, 1 if widget is self.token else 0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(name)
        column.addLayout(row)
        column.addWidget(self.state)
        self._access = Access()
        access.changed.connect(self._on_changed)
        access.tested.connect(self._on_tested)
        access.problem.connect(self._on_problem)
        access.look(hub)
        self._refresh()

    def _button(self, words: str, name: str, call: object) -> Button:
        button = Button(words, height=30)
        button.setObjectName(f"{name}_{self._hub.value}")
        button.setAccessibleName(f"{words}: {self._hub.label}")
        button.clicked.connect(call)
        return button

    def _refresh(self) -> None:
        self.save.setEnabled(bool(self.token.text().strip()))
        self.test.setEnabled(self._access.place is not TokenPlace.NONE)
        self.forget.setEnabled(self._access.place in (TokenPlace.RUN, TokenPlace.KEYRING))

    @Slot()
    def _save(self) -> None:
        if token := self.token.text().strip():
            self.token.clear()
            self._say(self.tr("Saving…"))
            self._hub_access.save(self._hub, token)

    @Slot()
    def _test(self) -> None:
        self._say(self.tr("Asking {hub}…").format(hub=self._hub.label))
        self._hub_access.test(self._hub)

    @Slot()
    def _forget(self) -> None:
        self._hub_access.forget(self._hub)

    @Slot(object, object)
    def _on_changed(self, hub: Hub, access: Access) -> None:
        if hub is not self._hub:
            return
        self._access = access
        self._say(self._place_text(access))
        self._refresh()

    def _place_text(self, access: Access) -> str:
        texts = {
            TokenPlace.NONE: self.tr("There is no token."),
            TokenPlace.ENVIRONMENT: self.tr("From the environment: {variable}."),
            TokenPlace.FILE: self.tr("From the file that the hub's own programs keep."),
            TokenPlace.KEYRING: self.tr("In the keyring of the system."),
            TokenPlace.RUN: self.tr("Kept until the program ends: it is in no file."),
        }
        text = texts[access.place].format(variable=access.variable)
        if not access.has_keyring and access.place in (TokenPlace.NONE, TokenPlace.RUN):
            hint = self.tr(
                "This system has no keyring. Set {variable} in the environment for a lasting one."
            )
            text = f"{text} {hint.format(variable=access.variable)}"
        return text

    @Slot(object, str)
    def _on_tested(self, hub: Hub, name: str) -> None:
        if hub is self._hub:
            words = self.tr("The token is good. It belongs to {name}.").format(name=name)
            self._say(words if name else self.tr("The token is good."))

    @Slot(object, object)
    def _on_problem(self, hub: Hub, report: Report) -> None:
        if hub is self._hub:
            self._say(translated(report), "error")

    def _say(self, text: str, tint: str = "dim") -> None:
        self.state.tint = tint
        self.state.setText(text)
        self.state.update()
        if QAccessible.isActive():
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))
