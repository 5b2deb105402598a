"""The local server of the window: its dialog, its log, and what is seen of it beside the dialog.

A mark in the sidebar while it runs, and a notice where a message waits for it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.bridge.serving import LOG_ROWS

if TYPE_CHECKING:
    from qwen_desktop.bridge.serving import Serving, ServingState
    from qwen_desktop.serve.served import Entry
    from qwen_desktop.ui.controls import Button
    from qwen_desktop.ui.main_window import MainWindow
    from qwen_desktop.ui.notices import Notice
    from qwen_desktop.ui.serving_dialog import ServingDialog


class ServingView(QObject):
    """Belongs to the window. Signal: `chosen(port, keyed)`, how the server was started last."""

    chosen = Signal(int, bool)

    def __init__(self, window: MainWindow, serving: Serving) -> None:
        super().__init__(window)
        self._window, self._serving = window, serving
        self._port, self._keyed = 0, False
        self._entries: deque[Entry] = deque(maxlen=LOG_ROWS)
        self.dialog: ServingDialog | None = None
        self.notice: Notice | None = None  # made when they are needed
        self.mark: Button | None = None
        serving.changed.connect(self._on_changed)
        serving.served.connect(self._on_served)

    def start_with(self, port: int, keyed: bool) -> None:
        """What the dialog offers: the port, 0 for the usual one, and whether a key is wanted."""
        self._port, self._keyed = port, keyed

    def show(self) -> None:
        """Open the dialog, or bring it to the front."""
        if self.dialog is None:
            from qwen_desktop.ui.serving_dialog import ServingDialog

            self.dialog = ServingDialog(self._serving, self._port, self._keyed, self._window)
            self.dialog.add_entries(self._entries)
            self.dialog.started.connect(self._on_started)
            self.dialog.cleared.connect(self._entries.clear)
            self.dialog.finished.connect(self._on_finished)
        self.dialog.show()
        self.dialog.raise_()
        self.dialog.activateWindow()

    @Slot()
    def _on_finished(self) -> None:
        self.dialog = None

    @Slot(int, bool)
    def _on_started(self, port: int, keyed: bool) -> None:
        if (port, keyed) != (self._port, self._keyed):
            self._port, self._keyed = port, keyed
            self.chosen.emit(port, keyed)

    @Slot(object)
    def _on_served(self, entry: Entry) -> None:
        self._entries.append(entry)

    @Slot(object)
    def _on_changed(self, state: ServingState) -> None:
        self._show_mark(state)
        if state.holds:
            if self.notice is None:
                from qwen_desktop.ui.notices import Notice

                self.notice = Notice("servingWait", self.tr("Close message"))
                self._window.notices.add(self.notice)
            text = self.tr("The local server is answering another program; your message is next.")
            self.notice.show_text(text, (self.tr("Show the server"), self.show))
        elif self.notice is not None:
            self.notice.hide()
        if self.notice is not None:
            self._window.notices.fit()

    def _show_mark(self, state: ServingState) -> None:
        if self.mark is None:
            if not state.running:
                return
            from qwen_desktop.ui.controls import Button

            words = self.tr("Local server is on")
            self.mark = Button(words, icon="server", kind="plain", align_left=True)
            self.mark.setObjectName("servingMark")
            self.mark.setAccessibleName(words)
            self.mark.clicked.connect(self.show)
            self._window.sidebar.add_foot(self.mark)
        self.mark.setToolTip(state.address)
        self.mark.setVisible(state.running)
