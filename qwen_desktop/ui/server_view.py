"""The part of the panel that is about the server of the shown chat."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from qwen_desktop.bridge.asking import ChatPlace
from qwen_desktop.chat.connection import ServerState
from qwen_desktop.ui.controls import Bar, Label, Line
from qwen_desktop.ui.memory_panel import Fact

NEARLY_FULL = 0.9  # of the server's KV memory


class ServerView(QWidget):
    """Hidden while the open checkpoint answers."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("serverView")
        self.heading = Label(self.tr("Server of this chat"), 14, bold=True)
        self.host = Fact(self.tr("Server"))
        self.model = Fact(self.tr("Model"))
        self.context = Fact(self.tr("Context"))
        self.kv = Fact(self.tr("KV cache in use"))
        self.bar = Bar()
        self.bar.setObjectName("serverKv")
        self.bar.setAccessibleName(self.tr("KV cache in use on the server"))
        self.queue = Fact(self.tr("Requests"))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        for widget in (
            self.heading,
            self.host,
            self.model,
            self.context,
            self.kv,
            self.bar,
            self.queue,
            Line(),
        ):
            column.addWidget(widget)
        self.set_state(None)
        self.hide()

    @Slot(object)
    def set_place(self, place: ChatPlace) -> None:
        """Another chat is shown, or another server answers it."""
        self.setVisible(place.target is not None)
        if (target := place.target) is None:
            return
        self.host.set_value(target.connection.host)
        self.model.set_value(target.model)
        self.context.setVisible(target.context_length > 0)
        length = self.locale().toString(target.context_length)
        self.context.set_value(self.tr("{count} tokens").format(count=length))

    @Slot(object)
    def set_state(self, state: ServerState | None) -> None:
        """How busy it is; None where it does not tell."""
        usage = state.kv_usage if state is not None else None
        self.kv.setVisible(usage is not None)
        self.bar.setVisible(usage is not None)
        if usage is not None:
            percent = f"{self.locale().toString(usage * 100, 'f', 1)} %"
            self.kv.set_value(percent)
            self.bar.colour = "warning" if usage >= NEARLY_FULL else "accent"
            self.bar.set_share(usage, 1.0)
            self.bar.setAccessibleDescription(percent)
        running = state.running if state is not None else None
        waiting = state.waiting if state is not None else None
        self.queue.setVisible(running is not None or waiting is not None)
        words = []
        if running is not None:
            words.append(self.tr("{count} running").format(count=self.locale().toString(running)))
        if waiting is not None:
            words.append(self.tr("{count} waiting").format(count=self.locale().toString(waiting)))
        self.queue.set_value(", ".join(words))
