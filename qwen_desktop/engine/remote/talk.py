"""What a server is sent of a conversation, and about how long that is. Pure.

Only what the conversation holds: system prompt, files as text before the message they came with,
answers without their reasoning, as Qwen's templates leave it out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qwen_desktop.chat.attached import content
from qwen_desktop.chat.context import Policy
from qwen_desktop.chat.messages import Message, Role
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.text import whole
from qwen_desktop.engine.window import Turn, left_out

BYTES_PER_TOKEN = 3.4  # of UTF-8; Qwen's vocabularies take a little more of it in most languages
AROUND = 5  # tokens that a chat format puts around a message
ANSWER_SHARE = 4  # of the context at most is kept free for an answer, as for a checkpoint


@dataclass(frozen=True)
class Talk:
    """The messages that are sent, with their ids, None for the system prompt of the settings.

    `tokens` is an estimate, `unseen` are ids of those left out.
    """

    messages: list[dict[str, Any]]
    ids: tuple[str | None, ...]
    tokens: int
    unseen: tuple[str, ...]
    continued: bool
    overflows: bool
    budget: int  # tokens it may take, 0 where that is not known


def estimate(text: str, bytes_per_token: float = BYTES_PER_TOKEN) -> int:
    """About how many tokens `text` has."""
    return math.ceil(len(text.encode("utf-8", "replace")) / bytes_per_token)


def budget_of(limit: int, max_new_tokens: int) -> int:
    """Tokens a prompt may take of a context of `limit`; 0 where that is not known."""
    return limit - min(max_new_tokens, limit // ANSWER_SHARE) if limit > 0 else 0


def talk_of(request: GenerationRequest, limit: int, bytes_per_token: float) -> Talk:
    """What `request` sends to a model with a context of `limit` tokens, 0 where nobody told it."""
    said = [message for message in request.messages if not _is_silent(message)]
    sizes = [AROUND + estimate(content(message), bytes_per_token) for message in said]
    system = request.settings.system_prompt
    has_own = bool(said) and said[0].role is Role.SYSTEM
    around = 0
    rows: list[dict[str, Any]] = []
    if system.strip() and not has_own:
        rows.append({"role": Role.SYSTEM.value, "content": whole(system)})
        around = AROUND + estimate(system, bytes_per_token)
    around += sum(size for m, size in zip(said, sizes, strict=True) if m.role is Role.SYSTEM)
    budget = budget_of(limit, request.settings.max_new_tokens)
    gone: set[str] = set()
    if budget:
        turns = _turns(said, sizes)
        for index in left_out(turns, around, budget, request.policy):
            gone.update(turns[index].messages)
    kept = [(m, size) for m, size in zip(said, sizes, strict=True) if m.id not in gone]
    ids = (*(None for _ in rows), *(m.id for m, _ in kept))
    rows += [{"role": Role(m.role).value, "content": whole(content(m))} for m, _ in kept]
    tokens = around + sum(size for m, size in kept if m.role is not Role.SYSTEM)
    return Talk(
        messages=rows,
        ids=ids,
        tokens=tokens,
        unseen=tuple(m.id for m in said if m.id in gone),
        continued=bool(said) and said[-1].role is Role.ASSISTANT,
        overflows=bool(budget) and tokens > budget and request.policy is Policy.ASK,
        budget=budget,
    )


def _turns(said: Sequence[Message], sizes: Sequence[int]) -> list[Turn]:
    turns: list[Turn] = []
    for message, size in zip(said, sizes, strict=True):
        if message.role is Role.SYSTEM:
            continue
        if message.role is Role.USER or not turns:
            turns.append(Turn((), 0, pinned=False))
        last = turns[-1]
        turns[-1] = Turn(
            (*last.messages, message.id), last.tokens + size, last.pinned or message.pinned
        )
    return turns


def _is_silent(message: Message) -> bool:
    """Whether it is an answer that failed before its first word, or said nothing but thoughts."""
    return message.role is Role.ASSISTANT and not content(message)
