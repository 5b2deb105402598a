"""Taking back what was deleted, also after the notice that offered it is gone."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from qwen_desktop.bridge.list_change import Change, ChangeKind
from qwen_desktop.ui.toast import Toast


class Undoing(QObject):
    """Holds what was deleted from the shown conversation until another is shown, in memory alone.

    `changed(bool)`: whether there is something to take back.
    """

    changed = Signal(bool)

    def __init__(self, toast: Toast, parent: QObject) -> None:
        super().__init__(parent)
        self._toast = toast
        self._conversation_id = ""
        self._deleted: list[Change] = []  # the newest last
        toast.hidden.connect(self._tell)

    @property
    def possible(self) -> bool:
        """Whether there is something to take back."""
        return self._toast.can_undo or bool(self._deleted)

    def undo_of(self, change: Change, otherwise: Callable[[], None]) -> Callable[[], None]:
        """What takes `change` back; `otherwise` what does so where no messages were deleted."""
        if change.kind is not ChangeKind.MESSAGES_DELETED:
            return otherwise
        self._deleted.append(change)

        def undo() -> None:
            if change in self._deleted:
                self._deleted.remove(change)
            change.undo()
            self._tell()

        return undo

    def told(self) -> None:
        """The notice was shown."""
        self._tell()

    def leave_for(self, conversation_id: str) -> None:
        """Another conversation is shown: what was deleted from this one is gone for good."""
        if conversation_id != self._conversation_id:
            self._conversation_id = conversation_id
            self._deleted.clear()
            self._tell()

    def undo(self) -> None:
        """Take back what the notice offers, else what was deleted last and still is."""
        if self._toast.can_undo:
            self._toast.undo()
        elif self._deleted:
            self._deleted.pop().undo()
            self._tell()

    def _tell(self) -> None:
        self.changed.emit(self.possible)
