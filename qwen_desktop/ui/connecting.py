"""What the window does about servers: who answers the shown chat, and that it is plainly seen.

Belongs to the window. Its dialogs are imported when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QPoint, Qt, Slot
from PySide6.QtWidgets import QMenu, QSizePolicy, QWidget

from qwen_desktop.ui.controls import Button, plain_tip

if TYPE_CHECKING:
    from PySide6.QtGui import QAction

    from qwen_desktop.bridge.asking import ChatPlace
    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.bridge.connections import Connections
    from qwen_desktop.bridge.models import Models
    from qwen_desktop.bridge.placing import Placing
    from qwen_desktop.bridge.server_watch import ServerWatch
    from qwen_desktop.chat.connection import RemoteTarget
    from qwen_desktop.ui.connections_dialog import ConnectionsDialog
    from qwen_desktop.ui.main_window import MainWindow
    from qwen_desktop.ui.server_view import ServerView

_MOST_MODELS = 25  # of a connection, in the menu


class Connecting(QObject):
    """A chip in the composer and the button of the model say where the shown chat goes."""

    def __init__(
        self,
        window: MainWindow,
        chats: Chats,
        models: Models,
        connections: Connections,
        placing: Placing,
        watch: ServerWatch,
    ) -> None:
        super().__init__(window)
        self._window, self._chats, self._models = window, chats, models
        self._connections, self._placing, self._watch = connections, placing, watch
        self.dialog: ConnectionsDialog | None = None
        self.view: ServerView | None = None
        self.chip = Button("", icon="server", kind="tinted", tint="warning", height=28)
        self.chip.setAccessibleName(self.tr("Who answers this chat"))
        self.chip.setObjectName("serverChip")
        self.chip.padding = 10
        self.chip.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.chip.clicked.connect(lambda: self.show_places(self.chip))
        self.chip.hide()
        window.composer.add_chip(self.chip)
        window.header.add_places = self.fill
        placing.changed.connect(self._on_place)
        chats.agreement_wanted.connect(self._ask)
        models.changed.connect(self._show)
        connections.changed.connect(self._show)

    def build(self) -> None:
        """Make the part of the panel; after the first paint."""
        from qwen_desktop.ui.server_view import ServerView

        self.view = ServerView()
        self._window.panel.server_slot.addWidget(self.view)
        self._watch.told.connect(self.view.set_state)
        self._placing.changed.connect(self.view.set_place)
        self.view.set_place(self._placing.place)

    # -- choosing --------------------------------------------------------------------------

    @Slot()
    def show_connections(self) -> None:
        """The dialog of connections, at the one that answers this chat. Asks no server."""
        choice = self._placing.place.choice
        self._show_connection(choice.connection if choice is not None else "")

    def _show_connection(self, connection_id: str) -> None:
        if self.dialog is None:
            from qwen_desktop.ui.connections_dialog import ConnectionsDialog

            self.dialog = ConnectionsDialog(self._connections, self._window, at=connection_id)
            self.dialog.finished.connect(self._on_finished)
        self.dialog.open()

    @Slot()
    def _on_finished(self) -> None:
        self.dialog = None

    def fill(self, menu: QMenu) -> None:
        """Offer in `menu` who can answer this chat: the checkpoint here, models of servers."""
        entries, place = self._connections.entries, self._placing.place
        if entries or place.is_remote:
            menu.addSection(self.tr("This chat is answered by"))
            info = self._models.state.info
            name = info.name if info is not None else self.tr("A checkpoint on this computer")
            here = self._add(menu, name, self._placing.use_checkpoint, on=not place.is_remote)
            here.setToolTip(self.tr("Nothing leaves this computer."))
        for entry in entries:
            connection = entry.connection
            names = [model.name for model in entry.models]
            choice = place.choice
            chosen = choice.model if choice and choice.connection == connection.id else ""
            first = [name for name in (chosen, connection.model) if name]
            names = list(dict.fromkeys([*first, *names]))[:_MOST_MODELS]
            part = menu.addMenu(_plain(f"{connection.name} ({connection.host})"))
            part.setObjectName(f"server_{connection.id}")
            part.setAccessibleName(part.title())
            for model in names:
                self._add(part, model, self._using(connection.id, model), on=model == chosen)
            if not names:
                part.addAction(self.tr("Test the connection to see its models…")).triggered.connect(
                    self._showing(connection.id)
                )
        more = menu.addAction(self.tr("Connections…"))
        more.setShortcut(self._window.header.shortcut("connections"))
        more.triggered.connect(self.show_connections)

    def _using(self, connection_id: str, model: str) -> Callable[[], None]:
        return lambda: self._placing.use_server(connection_id, model)

    def _showing(self, connection_id: str) -> Callable[[], None]:
        return lambda: self._show_connection(connection_id)

    def _add(self, menu: QMenu, name: str, use: Callable[[], None], *, on: bool) -> QAction:
        action = menu.addAction(_plain(name))
        action.setCheckable(True)
        action.setChecked(on)
        action.triggered.connect(lambda: use())
        return action

    def show_places(self, beside: QWidget) -> QMenu:
        """The choice alone, at `beside`."""
        menu = QMenu(self._window)
        menu.setObjectName("placeMenu")
        menu.setAccessibleName(self.tr("Who answers this chat"))
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.fill(menu)
        menu.popup(beside.mapToGlobal(QPoint(0, -menu.sizeHint().height() - 4)))
        return menu

    # -- telling ---------------------------------------------------------------------------

    @Slot(object)
    def _on_place(self, _place: ChatPlace) -> None:
        self._show()
        self._window.asking.follow(self._models.state)

    @Slot()
    def _show(self) -> None:
        place = self._placing.place
        self.chip.setVisible(place.is_remote)
        self._window.header.set_server("", "")
        target = place.target
        self._window.empty.set_server(target.connection.host if target is not None else "")
        if place.choice is None:
            return
        if place.target is None:
            words = self.tr("Connection removed")
            told = self.tr("The connection that answers this chat is gone. Choose another.")
            self._window.header.set_server(place.choice.model, "")
        else:
            connection = place.target.connection
            words = connection.host
            told = self.tr(
                "This chat is answered by {model} on {host} (“{name}”): what you send goes there."
            ).format(model=place.target.model, host=connection.host, name=connection.name)
            self._window.header.set_server(place.target.model, connection.host)
        shown = self.chip.fontMetrics().elidedText(words, Qt.TextElideMode.ElideMiddle, 220)
        self.chip.setText(shown)
        self.chip.setAccessibleName(self.tr("Answered on {host}").format(host=words))
        self.chip.setAccessibleDescription(told)
        self.chip.setToolTip(plain_tip(told))

    @Slot(object)
    def _ask(self, target: RemoteTarget) -> None:
        """The whole chat would go to a server for the first time."""
        from qwen_desktop.ui.small_dialogs import ConfirmDialog

        host, name = target.connection.host, target.connection.name
        words = self.tr(
            "This sends the whole chat, %Ln messages, to {host}.", "", self._placing.said
        ).format(host=host)
        more = self.tr(
            "“{name}” answers it from then on, and gets all of it with every message. You are "
            "not asked again for this chat while it stays there."
        ).format(name=name)
        dialog = ConfirmDialog(
            self.tr("Send this chat to a server?"),
            f"{words} {more}",
            self.tr("Send"),
            self._agree,
            self._window,
        )
        dialog.open()

    def _agree(self) -> None:
        self._placing.agree()
        self._window.asking.again()


def _plain(text: str) -> str:
    """Text in a menu in which & marks no key."""
    return " ".join(text.split())[:80].replace("&", "&&")
