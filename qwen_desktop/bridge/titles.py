"""Lets the model name conversations, while nobody waits for it. Lives on the main thread. QtCore.

After a complete answer in a conversation without a title of its own the engine is asked for one.
That is work of the lowest rank: whatever is asked of the engine ends it, and it is tried again
after the next answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from PySide6.QtCore import QObject, Slot

from qwen_desktop.bridge.chats import Chats
from qwen_desktop.bridge.engine_client import EngineClient
from qwen_desktop.bridge.run import Run
from qwen_desktop.chat import titles
from qwen_desktop.chat.settings import Value
from qwen_desktop.chat.titles import title_request


class Titles(QObject):
    """Asks for titles where the settings say so. `values` gives the general settings by name."""

    def __init__(
        self,
        chats: Chats,
        engine: EngineClient,
        values: Callable[[], Mapping[str, Value]],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._chats = chats
        self._engine = engine
        self._values = values
        # Whether a server may be asked, by the id of its connection.
        self.may_ask: Callable[[str], bool] = lambda _: False
        self._answered: set[str] = set()  # conversations that the model has said something about
        chats.answered.connect(self._on_answered)
        engine.titled.connect(self._on_titled)

    @Slot(object)
    def _on_answered(self, run: Run) -> None:
        conversation = run.conversation
        if not self._values()["title_by_model"] or conversation.title:
            return
        if conversation.id in self._answered:
            return
        request = title_request(conversation)
        target = run.request.remote
        if target is not None and not self.may_ask(target.connection.id):
            return
        if request is not None:
            self._engine.title(replace(request, remote=target))

    @Slot(str, str)
    def _on_titled(self, conversation_id: str, said: str) -> None:
        self._answered.add(conversation_id)
        title = titles.clean(said)
        if title:
            self._chats.set_title_by_model(conversation_id, title)
