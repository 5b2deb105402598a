"""Prompt inspectors: one of what would be sent now, one for each answer that is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QDateTime, QLocale, QObject, Slot

if TYPE_CHECKING:
    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.bridge.inspecting import Inspecting, Look
    from qwen_desktop.ui.inspector import Inspector
    from qwen_desktop.ui.main_window import MainWindow


class Inspection(QObject):
    """Belongs to the window. A prompt that is looked at already comes to the front."""

    def __init__(self, window: MainWindow, chats: Chats, inspecting: Inspecting) -> None:
        super().__init__(window)
        self._window = window
        self._chats = chats
        self._inspecting = inspecting
        self.open: dict[str, Inspector] = {}  # by the id of an answer; "" is what is sent now

    @Slot()
    def show_now(self) -> None:
        """What would be sent now; it follows what is typed."""
        if not self._raise(""):
            look = self._inspecting.now(self)
            self._show(
                "", look, self.tr("What would be sent now"), self.tr("Follows what is typed")
            )

    @Slot(str)
    def show_answer(self, message_id: str) -> None:
        """What the model was given for an answer of the shown conversation."""
        if self._raise(message_id):
            return
        message = self._chats.current.tree.messages.get(message_id)
        look = self._inspecting.back(message_id, self)
        if message is None or look is None:
            return
        moment = QDateTime.fromSecsSinceEpoch(int(message.created_at))
        when = QLocale().toString(moment, QLocale.FormatType.ShortFormat)
        model = (message.stats.model if message.stats else "") or "Qwen"
        self._show(message_id, look, self.tr("Prompt of an answer"), f"{model}, {when}")

    def _raise(self, key: str) -> bool:
        dialog = self.open.get(key)
        if dialog is not None:
            dialog.raise_()
            dialog.activateWindow()
        return dialog is not None

    def _show(self, key: str, look: Look, title: str, about: str) -> None:
        from qwen_desktop.ui.inspector import Inspector

        dialog = Inspector(look, title, about, self._window)
        look.setParent(dialog)
        dialog.destroyed.connect(lambda: self._forget(key, dialog))
        dialog.finished.connect(lambda: self._forget(key, dialog))
        self.open[key] = dialog
        dialog.show()

    def _forget(self, key: str, dialog: Inspector) -> None:
        """One is closed or gone; another for the same may have been opened in between."""
        if self.open.get(key) is dialog:
            del self.open[key]
