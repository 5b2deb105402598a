"""Asks before a link of an answer is opened, and shows where it really goes."""

from __future__ import annotations

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import (
    QDialogButtonBox,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Label
from qwen_desktop.ui.dialog import Dialog

SCHEMES = ("http", "https", "mailto")


class LinkDialog(Dialog):
    """The address as plain text; Open in browser, Copy or Cancel (the default)."""

    def __init__(self, url: QUrl, parent: QWidget | None = None) -> None:
        super().__init__("linkDialog", self.tr("Open link?"), parent)
        self.setMinimumWidth(480)
        self._url = url
        # Encoded: a look-alike letter in a host name shows as what it is.
        self.address = url.toString(QUrl.ComponentFormattingOption.FullyEncoded)
        shown = QPlainTextEdit(self.address)
        shown.setReadOnly(True)
        shown.setObjectName("linkTarget")
        shown.setAccessibleName(self.tr("Address"))
        shown.setFont(theme.code_font())
        shown.setTabChangesFocus(True)
        shown.setFixedHeight(72)
        host = url.host(QUrl.ComponentFormattingOption.FullyEncoded)
        words = (
            self.tr("The model wrote this link to {host}. Open it in your browser?").format(
                host=host
            )
            if host
            else self.tr("The model wrote this link. Open it?")
        )
        buttons = QDialogButtonBox()
        role = QDialogButtonBox.ButtonRole
        for text, name, where, slot in (
            (self.tr("Open"), "openLink", role.AcceptRole, self._open),
            (self.tr("Copy"), "copyLink", role.ActionRole, self._copy),
            (self.tr("Cancel"), "cancelLink", role.RejectRole, self.reject),
        ):
            button = QPushButton(text)
            button.setObjectName(name)
            button.setAccessibleName(text)
            button.setAutoDefault(False)
            button.setDefault(name == "cancelLink")
            button.clicked.connect(slot)
            buttons.addButton(button, where)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 20, 20, 16)
        column.setSpacing(12)
        column.addWidget(Label(words, 14, wrap=True))
        column.addWidget(shown)
        column.addWidget(buttons)

    def _open(self) -> None:
        if self._url.scheme().lower() in SCHEMES:
            QDesktopServices.openUrl(self._url)
        self.accept()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.address)
        self.accept()
