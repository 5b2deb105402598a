"""From one conversation to the next in the order of use, as windows are switched between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, Qt, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication, QWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.chat.tree import Conversation

_MOST = 100  # conversations that are remembered
_HELD = (
    Qt.KeyboardModifier.ControlModifier
    | Qt.KeyboardModifier.AltModifier
    | Qt.KeyboardModifier.MetaModifier
)


class Switching(QObject):
    """Belongs to the window. While the modifiers are held, the order stays as it was."""

    def __init__(self, window: QWidget, chats: Chats, open_one: Callable[[str], None]) -> None:
        super().__init__(window)
        self._chats = chats
        self._open = open_one
        self._used: list[str] = []  # ids, the one in use first
        self._round: list[str] = []  # the order while one switches; empty otherwise
        chats.opened.connect(self._on_opened)
        chats.message_added.connect(self._on_added)
        chats.rewound.connect(self._on_rewound)
        chats.list.deleted.connect(lambda ids, _title: self._forget(ids))
        chats.list.removed.connect(self._forget)

    @property
    def order(self) -> tuple[str, ...]:
        """All there is to switch between: those that were used, then the others of the list."""
        listed = (summary.id for summary in self._chats.list.top())
        return tuple(dict.fromkeys((*self._used, *listed)))

    def step(self, by: int) -> None:
        """Go `by` further back in the order of use; round at the ends."""
        if not self._round:
            self._round = list(self.order)
            application = QApplication.instance()
            if application is not None:
                application.installEventFilter(self)
        here = self._chats.current.id
        if here in self._round:
            wanted = self._round[(self._round.index(here) + by) % len(self._round)]
        elif self._round:  # in a new chat, which is not among them yet
            wanted = self._round[0 if by > 0 else -1]
        else:
            wanted = here
        if wanted != here:
            self._open(wanted)
        if not QApplication.queryKeyboardModifiers() & _HELD:
            self.settle()

    def settle(self) -> None:
        """The switching is over: what is shown was used last."""
        application = QApplication.instance()
        if application is not None:
            application.removeEventFilter(self)
        self._round = []
        self._use(self._chats.current)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """See the modifiers go up, or the window go away under them."""
        released = event.type() == QEvent.Type.KeyRelease and isinstance(event, QKeyEvent)
        up = released and not event.modifiers() & _HELD  # type: ignore[attr-defined]
        if up or event.type() == QEvent.Type.ApplicationDeactivate:
            self.settle()
        return False

    @Slot(object)
    def _on_opened(self, conversation: Conversation) -> None:
        if not self._round:
            self._use(conversation)

    @Slot(object)
    def _on_added(self, _message: object) -> None:
        self._use(self._chats.current)

    @Slot(object)
    def _on_rewound(self, conversation: Conversation) -> None:
        if not conversation.tree.messages:  # its first message was refused: it is on no disk
            self._forget((conversation.id,))

    def _use(self, conversation: Conversation) -> None:
        if conversation.tree.messages:  # an empty chat is nothing to come back to
            self._forget((conversation.id,))
            self._used.insert(0, conversation.id)
            del self._used[_MOST:]

    def _forget(self, ids: Iterable[str]) -> None:
        gone = set(ids)
        self._used = [one for one in self._used if one not in gone]
        self._round = [one for one in self._round if one not in gone]
