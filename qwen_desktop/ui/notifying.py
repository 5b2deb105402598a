"""Telling of a long answer or a download that has ended while the window was not in front.

The taskbar shows that the window asks for attention; where the system shows messages, one names
the conversation. What was said in it is never told: others may see the screen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtWidgets import QApplication, QWidget

from qwen_desktop.ui import icons

if TYPE_CHECKING:
    from PySide6.QtWidgets import QSystemTrayIcon

    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.bridge.preferences import PreferencesModel
    from qwen_desktop.bridge.run import RunState

LONG_S = 10.0
SHOWN_MS = 10_000  # a message, and the icon in the tray that it needs as long as it is shown


class Notifying(QObject):
    """Belongs to the window. Signal: `told(text)`, what was said."""

    told = Signal(str)

    def __init__(
        self,
        window: QWidget,
        chats: Chats,
        preferences: PreferencesModel,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(window)
        self._window = window
        self._preferences = preferences
        self._clock = clock
        self._run: RunState | None = None  # the last that was under way
        self._begun = 0.0
        self._icon: QSystemTrayIcon | None = None
        self._away = QTimer(self)
        self._away.setSingleShot(True)
        self._away.setInterval(SHOWN_MS)
        self._away.timeout.connect(self._take_away)
        chats.run_changed.connect(self._on_run)

    @Slot(object)
    def _on_run(self, run: RunState) -> None:
        if run.running:
            if self._run is None or self._run.conversation_id != run.conversation_id:
                self._begun = self._clock()
            self._run = run
            return
        ended, self._run = self._run, None
        if ended is None or self._clock() - self._begun < LONG_S:
            return
        title = ended.title or self.tr("New chat")
        self.tell(self.tr("The answer in “{title}” is ready.").format(title=title))

    def tell(self, text: str) -> None:
        """Tell it where the window is not in front and the user wants to hear of such things."""
        if not self._preferences.get("notify") or self._window.isActiveWindow():
            return
        QApplication.alert(self._window)
        self._show_message(text)
        self.told.emit(text)

    def _show_message(self, text: str) -> None:
        from PySide6.QtWidgets import QSystemTrayIcon

        if not (QSystemTrayIcon.isSystemTrayAvailable() and QSystemTrayIcon.supportsMessages()):
            return
        if self._icon is None:
            self._icon = QSystemTrayIcon(icons.application_icon(), self)
            self._icon.setToolTip(QApplication.applicationDisplayName())
            self._icon.messageClicked.connect(self._come_forward)
            self._icon.activated.connect(self._come_forward)
        self._icon.show()
        self._icon.showMessage(
            QApplication.applicationDisplayName(), text, icons.application_icon(), SHOWN_MS
        )
        self._away.start()

    @Slot()
    def _come_forward(self) -> None:
        self._window.show()
        self._window.raise_()
        self._window.activateWindow()
        self._take_away()

    @Slot()
    def _take_away(self) -> None:
        if self._icon is not None:
            self._icon.hide()
