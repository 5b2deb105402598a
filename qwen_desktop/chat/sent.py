"""What a server is sent for an answer, as the prompt inspector shows it. Frozen values.

Of such a prompt nobody here knows tokens or ids: the server makes them of what is sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from qwen_desktop.chat.context import Policy
from qwen_desktop.chat.inspected import LeftOut


@dataclass(frozen=True)
class SentMessage:
    """A message as it is sent. `message_id` None: the system prompt of the settings.

    `tokens` are an estimate.
    """

    role: str
    content: str
    message_id: str | None
    tokens: int


@dataclass(frozen=True)
class SentRequest:
    """A whole request. `body` is its JSON, `settings` that without the messages; no key in either.

    `tokens` are an estimate; `budget` and `limit` are tokens for the prompt and for the context, 0
    where nobody has told them. `answer_id` is the answer it was made for, "" where it is what would
    be sent now. `not_taken` are settings that this server is not told. `is_guess`: what program the
    server is shows with the first message to it, and may change the settings. `is_remade`: what was
    sent then is not kept, and was made once more of the chat and of what the answer remembers.
    """

    server: str
    url: str
    model: str
    messages: tuple[SentMessage, ...]
    settings: str
    body: str
    tokens: int
    conversation_id: str = ""
    answer_id: str = ""
    budget: int = 0
    limit: int = 0
    policy: Policy = Policy.DROP_OLDEST
    overflows: bool = False
    left_out: tuple[LeftOut, ...] = ()
    not_taken: tuple[str, ...] = ()
    is_guess: bool = False
    is_remade: bool = False

    @property
    def text(self) -> str:
        """The messages below their roles."""
        return "\n\n".join(f"[{one.role}]\n{one.content}" for one in self.messages)
