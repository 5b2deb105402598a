"""What the window does when the program is started once more on the same profile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal, Slot

from qwen_desktop.bridge.instance import ACTIVATION, Arguments

if TYPE_CHECKING:
    from qwen_desktop.bridge.instance import InstanceServer
    from qwen_desktop.bridge.models import Models
    from qwen_desktop.ui.main_window import MainWindow


class Arrivals(QObject):
    """Belongs to the window. Signal: `files_arrived(tuple[Path, ...])`, to be opened."""

    files_arrived = Signal(object)

    def __init__(self, window: MainWindow, models: Models, server: InstanceServer) -> None:
        super().__init__(window)
        self._window = window
        self._models = models
        server.arguments_received.connect(self._on_arguments)

    @Slot(object)
    def _on_arguments(self, arguments: Arguments) -> None:
        self._come_forward(arguments.activation)
        info = self._models.state.info
        if arguments.checkpoint is not None and (
            info is None or info.folder != arguments.checkpoint or self._models.state.busy
        ):
            self._window.checkpoints.open_folder(arguments.checkpoint)
        if arguments.files:
            self.files_arrived.emit(arguments.files)

    def _come_forward(self, activation: str) -> None:
        """Show the window above others. Wayland gives the focus for a token only; without one
        the taskbar shows that the window asks for attention."""
        if activation:
            os.environ[ACTIVATION] = activation  # Qt takes it from there, once
        window = self._window
        window.setWindowState(window.windowState() & ~Qt.WindowState.WindowMinimized)
        window.show()
        window.raise_()
        window.activateWindow()
