"""The line above the conversation: its title, the model menu, the panel toggle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QKeySequence, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QMenu, QSizePolicy, QWidget

from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Button, ElidedLabel, IconButton, Label, plain_tip

if TYPE_CHECKING:
    from qwen_desktop.bridge.models import ModelState
    from qwen_desktop.chat.model import ModelInfo
    from qwen_desktop.chat.recent import Recent

HEIGHT = 52
_RECENTS = 8  # in the menu; the open dialog has all
_WIDEST_MODEL = 280


class Header(QWidget):
    """Menu, conversation list, title, model button, panel button."""

    open_requested = Signal()  # let the user choose a checkpoint folder
    checkpoint_requested = Signal(Path)
    cancel_requested = Signal()
    card_requested = Signal()
    panel_toggled = Signal()
    sidebar_toggled = Signal()
    menu_requested = Signal()

    def __init__(self, demo: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("header")
        self._demo = demo
        self._state: ModelState | None = None
        self._server = ("", "")  # model and host, where one answers the shown chat
        self.recents: Callable[[], Sequence[Recent]] = tuple
        self.add_places: Callable[[QMenu], None] = lambda _menu: None  # who can answer the chat
        self.shortcut: Callable[[str], QKeySequence] = lambda _: QKeySequence()  # of an action
        self.menu = IconButton("menu", self.tr("Main menu"))
        self.menu.setObjectName("mainMenuButton")
        self.menu.clicked.connect(self.menu_requested)
        self.sidebar = IconButton("sidebar", self.tr("Show or hide the chat list"))
        self.sidebar.setObjectName("toggleSidebar")
        self.sidebar.clicked.connect(self.sidebar_toggled)
        self.title = ElidedLabel("", 16, bold=True)
        self.title.setObjectName("conversationTitle")
        self.mode = Label(self.tr("Base model"), 12, dim=True)
        self.mode.setObjectName("baseModel")
        self.mode.setToolTip(self.tr("Base model: it continues text; there are no turns."))
        self.mode.hide()
        self.model = Button(kind="outline", height=32)
        self.model.setObjectName("model")
        self.model.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.model.clicked.connect(self.show_menu)
        self.panel = IconButton("panel", self.tr("Show or hide the memory panel"))
        self.panel.setObjectName("togglePanel")
        self.panel.clicked.connect(self.panel_toggled)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 0, 12, 0)
        row.setSpacing(8)
        row.addWidget(self.menu)
        row.addWidget(self.sidebar)
        row.addWidget(self.title, 1)
        row.addWidget(self.mode)
        row.addWidget(self.model)
        row.addWidget(self.panel)
        self._name_model("", self.tr("Checkpoint"))
        self.follow_look()

    def follow_look(self) -> None:
        """Another size."""
        self.setFixedHeight(theme.px(HEIGHT))
        self.model.setMaximumWidth(min(theme.px(_WIDEST_MODEL), self.width() * 2 // 5))

    def set_title(self, title: str) -> None:
        """Show the conversation's title."""
        self.title.setText(title or self.tr("New chat"))

    def set_server(self, model: str, host: str) -> None:
        """A model of the server `host` answers the shown chat; "" for the open checkpoint."""
        self._server = (model, host)
        self.model.set_icon("server" if model else "")
        if self._state is not None:
            self.set_model(self._state)

    def _show_server(self) -> None:
        model, host = self._server
        self.mode.hide()
        self.model.setText(f"{model}  ▾")
        told = self.tr("{model} on {host}").format(model=model, host=host) if host else model
        self.model.setAccessibleName(self.tr("Answered on a server: {what}").format(what=told))
        self.model.setToolTip(plain_tip(told))
        self.model.setAccessibleDescription("")

    def set_model(self, state: ModelState) -> None:
        """Show the open model, or the one being loaded; the server's where one answers."""
        self._state = state
        if self._server[0]:
            self._show_server()
            return
        self.mode.setVisible(
            not state.busy and state.info is not None and not state.info.has_chat_template
        )
        if state.busy:
            name = state.folder.name if state.folder else ""
            self._name_model(name, self.tr("Loading {name}…").format(name=name))
        elif state.info is not None:
            self._name_model(state.info.name, state.info.name)
            if unusual := self._unusual(state.info):
                self.model.setToolTip(plain_tip(f"{state.info.name}\n{unusual}"))
                self.model.setAccessibleDescription(unusual)
        else:
            self._name_model("", self.tr("No checkpoint"))

    def _unusual(self, info: ModelInfo) -> str:
        """How it was opened, where that is not as usual."""
        from qwen_desktop.chat.checkpoint import KvFormat  # the first paint does without
        from qwen_desktop.ui.texts import kv_text, stretch_text

        words = []
        if info.kv_format is not KvFormat.MODEL:
            words.append(self.tr("KV cache: {format}").format(format=kv_text(info.kv_format)))
        if info.rope_factor > 1:
            words.append(stretch_text(info.rope_factor, self.locale()))
        return " · ".join(words)

    def _name_model(self, name: str, text: str) -> None:
        self.model.setText(f"{text}  ▾")
        self.model.setAccessibleName(
            self.tr("Checkpoint: {name}").format(name=name) if name else self.tr("Checkpoint")
        )
        self.model.setToolTip(plain_tip(name))
        self.model.setAccessibleDescription("")

    def show_menu(self) -> None:
        """What can be done about the checkpoint."""
        menu = QMenu(self)
        menu.setObjectName("modelMenu")
        menu.setAccessibleName(self.tr("Checkpoint"))
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        state = self._state
        open_folder = menu.addAction(self.tr("Open checkpoint folder…"))
        open_folder.setShortcut(self.shortcut("open"))
        open_folder.triggered.connect(self.open_requested)
        if state is not None and state.busy:
            menu.addAction(self.tr("Cancel loading")).triggered.connect(self.cancel_requested)
        info = state.info if state is not None else None
        if info is not None:
            card = menu.addAction(self.tr("Model card"))
            card.setShortcut(self.shortcut("card"))
            card.triggered.connect(self.card_requested)
        menu.addSeparator()
        for recent in self.recents()[:_RECENTS]:
            is_open = info is not None and str(info.folder) == recent.folder
            self._add_checkpoint(menu, recent.name, Path(recent.folder), is_open=is_open)
        menu.addSeparator()
        if self._demo.is_dir():
            is_open = info is not None and info.demo is not None
            self._add_checkpoint(menu, self.tr("Demo checkpoint"), self._demo, is_open=is_open)
        menu.addSeparator()
        self.add_places(menu)
        size = menu.sizeHint()
        corner = self.model.mapToGlobal(QPoint(self.model.width(), self.model.height() + 4))
        menu.popup(corner - QPoint(size.width(), 0))

    def _add_checkpoint(self, menu: QMenu, name: str, folder: Path, *, is_open: bool) -> None:
        action = menu.addAction(name.replace("&", "&&"))
        action.setCheckable(True)
        action.setChecked(is_open)
        action.setToolTip(plain_tip(str(folder)))
        if not is_open:
            action.triggered.connect(lambda: self.checkpoint_requested.emit(folder))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Where it is narrow the title and the model share the room."""
        super().resizeEvent(event)
        self.model.setMaximumWidth(min(theme.px(_WIDEST_MODEL), self.width() * 2 // 5))

    def sizeHint(self) -> QSize:
        """As wide as there is room."""
        return QSize(600, theme.px(HEIGHT))
