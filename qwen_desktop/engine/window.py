"""What the model no longer sees of a conversation that outgrew its context. Pure arithmetic.

The turns are walked through as they happened: where they exceed the budget, enough is left out
for three quarters of it. So the same turns stay for several more, and with them the beginning of
the prompt that the KV cache holds. Nothing has to be remembered of earlier requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qwen_desktop.chat.context import TRIM_TO, Policy


@dataclass(frozen=True)
class Turn:
    """A message of the user with what was answered: their ids and tokens. Pinned ones stay."""

    messages: tuple[str, ...]
    tokens: int
    pinned: bool


def left_out(turns: Sequence[Turn], around: int, budget: int, policy: Policy) -> tuple[int, ...]:
    """Which of `turns` are left out of a prompt of at most `budget` tokens, by their index.

    `around` are the tokens of what always stays besides: system prompt, beginning of the answer.
    The last turn stays, and pinned ones; with them the prompt may be longer than the budget.
    """
    if policy is Policy.ASK:
        return ()
    first = 1 if policy is Policy.KEEP_FIRST else 0
    gone: list[int] = []
    candidates: list[int] = []  # in the order they go
    total = around
    for index, turn in enumerate(turns):
        total += turn.tokens
        if total > budget:
            while candidates and total > TRIM_TO * budget:
                oldest = candidates.pop(0)
                total -= turns[oldest].tokens
                gone.append(oldest)
        if index >= first and not turn.pinned:
            candidates.append(index)
    return tuple(gone)
