"""About: the version, the licence, those of all parts, and the button that asks for updates."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from qwen_desktop import __version__
from qwen_desktop.ui import icons, theme
from qwen_desktop.ui.controls import Label
from qwen_desktop.ui.dialog import Dialog

ICON = 64  # px
LICENCE = "Apache-2.0"


class AboutDialog(Dialog):
    """Signals: `licences_requested`, `update_requested`, `page_requested(str)`."""

    licences_requested = Signal()
    update_requested = Signal()
    page_requested = Signal(str)

    def __init__(self, links: Sequence[tuple[str, str]], parent: QWidget | None = None) -> None:
        """`links` are words and addresses."""
        super().__init__("aboutDialog", self.tr("About"), parent)
        self.setMinimumWidth(theme.px(460))
        self._page = ""
        picture = QLabel()
        picture.setObjectName("aboutIcon")
        picture.setAccessibleName("Qwen Desktop")
        size = QSize(theme.px(ICON), theme.px(ICON))
        picture.setPixmap(icons.application_icon().pixmap(size, self.devicePixelRatio()))
        picture.setFixedSize(size)
        self.version = Label(self.tr("Version {version}").format(version=__version__), 13, dim=True)
        self.version.setObjectName("aboutVersion")
        self.version.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        heading = QVBoxLayout()
        heading.setSpacing(2)
        heading.addStretch(1)
        heading.addWidget(Label("Qwen Desktop", 20, bold=True))
        heading.addWidget(self.version)
        heading.addStretch(1)
        top = QHBoxLayout()
        top.setSpacing(16)
        top.addWidget(picture)
        top.addLayout(heading, 1)
        words = self.tr(
            "Chat with any Qwen checkpoint on your own machine. Free software under the licence "
            "{licence}, without any warranty. It is made of parts by others, Qt (LGPL-3.0), "
            "PyTorch and Transformers among them."
        ).format(licence=LICENCE)
        self.licences_button = self._button("showLicences", self.tr("Third-party licences…"))
        self.licences_button.clicked.connect(self.licences_requested)
        self.update_button = self._button("checkForUpdates", self.tr("Check for updates"))
        self.update_button.clicked.connect(self._check)
        self.page_button = self._button("showRelease", self.tr("Show the release"))
        self.page_button.clicked.connect(lambda: self.page_requested.emit(self._page))
        self.page_button.hide()
        self.said = Label("", 13, wrap=True)
        self.said.setObjectName("updateSaid")
        self.said.setMinimumHeight(theme.px(40))
        self.say(self.tr("Qwen Desktop looks for new versions only when you press the button."))
        row = QHBoxLayout()
        row.setSpacing(8)
        for button in (self.licences_button, self.update_button, self.page_button):
            row.addWidget(button)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 24, 24, 16)
        column.setSpacing(14)
        column.addLayout(top)
        column.addWidget(Label(words, 13, wrap=True))
        if links:
            column.addWidget(self._links(links))
        column.addLayout(row)
        column.addWidget(self.said)
        column.addWidget(self.close_box())

    def _button(self, name: str, text: str) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName(name)
        button.setAccessibleName(text)
        button.setAutoDefault(False)
        return button

    def _links(self, links: Sequence[tuple[str, str]]) -> QLabel:
        colour = theme.current().accent
        shown = " · ".join(
            f'<a href="{address}" style="color: {colour}">{words}</a>' for words, address in links
        )
        label = Label(shown, 13)
        label.setObjectName("aboutLinks")
        label.setTextFormat(Qt.TextFormat.RichText)
        label.setTextInteractionFlags(
            Qt.TextInteractionFlag.LinksAccessibleByMouse
            | Qt.TextInteractionFlag.LinksAccessibleByKeyboard
        )
        label.setAccessibleName(", ".join(words for words, _ in links))
        label.linkActivated.connect(self.page_requested)
        return label

    # -- updates ---------------------------------------------------------------------------

    def _check(self) -> None:
        self.update_button.setEnabled(False)
        self.page_button.hide()
        self.say(self.tr("Asking…"))
        self.update_requested.emit()

    def show_release(self, version: str, page: str, is_newer: bool) -> None:
        """The newest release; `page` is "" where nobody told one."""
        if is_newer:
            text = self.tr("Version {version} is there; this is {current}.")
        else:
            text = self.tr("This is the newest version, {current}.")
        self._answered(text.format(version=version, current=__version__))
        self._page = page
        self.page_button.setVisible(is_newer and bool(page))

    def show_trouble(self, sentence: str) -> None:
        """Why nobody told."""
        self._answered(sentence)

    def _answered(self, text: str) -> None:
        self.update_button.setEnabled(True)
        self.say(text)
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))

    def say(self, text: str) -> None:
        """A line on updates."""
        self.said.setText(text)
        self.said.setAccessibleName(text)
