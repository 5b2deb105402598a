"""What is looked for in conversations, and what was found. Frozen values, standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from qwen_desktop.chat.messages import Role
from qwen_desktop.chat.summary import Place


@dataclass(frozen=True)
class Snippet:
    """A stretch of text on one line, and where in it (begin, end) the words stand."""

    text: str
    marks: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Hit:
    """A message, or a title (`message_id` is ""), that has what was looked for."""

    conversation_id: str
    title: Snippet
    updated_at: float  # of the conversation, Unix seconds
    place: Place
    message_id: str = ""
    role: Role | None = None
    created_at: float = 0.0  # of the message, Unix seconds
    snippet: Snippet = Snippet("")
    in_reasoning: bool = False  # found only in what was thought before the answer


@dataclass(frozen=True)
class Found:
    """The answer to one search. Hits of one conversation stand together, newest talk first.

    `words` is what to mark in the messages; one with a star at its end may be the beginning of
    longer ones. `more`: there are others behind these, or may be while the search goes on.
    `unindexed` is how many messages are not searched yet. `unknown` lists filters with a value
    that says nothing, such as "before:soon".
    """

    query: str
    hits: tuple[Hit, ...] = ()
    words: tuple[str, ...] = ()
    more: bool = False
    unindexed: int = 0
    unknown: tuple[str, ...] = ()
