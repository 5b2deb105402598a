"""A conversation that goes on for as long as it fits."""

from __future__ import annotations

from qwen_desktop.chat.context import Policy
from qwen_desktop.chat.events import PromptCount
from qwen_desktop.chat.messages import Message, Part, PartKind, Role, user_message
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.engine.engine import Engine
from tests.engine.helpers import ask, text_of


class Talk:
    """Turns of about `words`, three words each; nothing may be left out."""

    def __init__(self, engine: Engine, words: int, **settings: object) -> None:
        self.engine, self.words = engine, words
        values = {"max_new_tokens": 64, "thinking": False, "temperature": 1.5, "seed": 1}
        self.settings = GenerationSettings(**(values | settings))
        self.path: list[Message] = []

    def asked(self, text: str) -> GenerationRequest:
        parent = self.path[-1].id if self.path else None
        message = user_message(text, parent)
        return GenerationRequest("c", (*self.path, message), self.settings, Policy.ASK)

    def count(self, text: str = "") -> PromptCount:
        return self.engine.count_prompt(self.asked(text))

    def turn(self) -> bool:
        """Ask once more; whether it still fitted."""
        asked = self.asked("hello the in " * self.words)
        if self.engine.count_prompt(asked).overflows:
            return False
        said = text_of(ask(self.engine, asked))
        answer = Part(PartKind.TEXT, said or "…")
        last = asked.messages[-1]
        self.path = [*asked.messages, Message(Role.ASSISTANT, (answer,), parent_id=last.id)]
        return True
