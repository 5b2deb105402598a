"""Asks the engine for the card of the open checkpoint. Lives on the main thread. QtCore only."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.bridge.engine_client import EngineClient
from qwen_desktop.chat.card import ModelCard
from qwen_desktop.chat.messages import new_id
from qwen_desktop.errors import Report


class Cards(QObject):
    """`made(ModelCard)`, None where nothing is open; `failed(Report)`. Only the newest counts."""

    made = Signal(object)
    failed = Signal(object)

    def __init__(self, engine: EngineClient, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self._request_id = ""
        engine.card_made.connect(self._on_made)
        engine.card_failed.connect(self._on_failed)

    def ask(self) -> None:
        """Ask for it. The engine answers after what it is doing now."""
        self._request_id = new_id()
        self._engine.card(self._request_id)

    @Slot(str, object)
    def _on_made(self, request_id: str, card: ModelCard | None) -> None:
        if request_id == self._request_id:
            self.made.emit(card)

    @Slot(str, object)
    def _on_failed(self, request_id: str, report: Report) -> None:
        if request_id == self._request_id:
            self.failed.emit(report)
