"""The prompt of the first Qwen's chat models, as its own code made it. Works on ids alone.

Every piece is encoded on its own: role, line feed, content. The ids differ from those of the
joined text, and these are the ones the models were trained with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qwen_desktop.chat.messages import Role
from qwen_desktop.engine.tokenizer import Rendered

SYSTEM = "You are a helpful assistant."  # where nothing else is asked for
WINDOW = 6144  # tokens of system and history, where generation_config.json says nothing


@dataclass(frozen=True)
class ChatFormat:
    """What a prompt is put together from. `encode` never makes a control token of its text."""

    encode: Callable[[str], list[int]]
    im_start: int
    im_end: int
    window: int = WINDOW  # max_window_size

    def make(self, messages: Sequence[dict[str, str]], *, answer: bool = True) -> Rendered:
        """The ids of `messages` (role, content), the system's first where there is one.

        The newest turns are kept that fit into the window together with the system's message; a
        turn is a user's message and what follows it. At the first that does not fit, all older
        ones go too. The system's message and the last turn, the question, are never left out.
        """
        newline = self.encode("\n")
        head, rest = SYSTEM, list(messages)
        if rest and rest[0]["role"] == Role.SYSTEM.value:
            head = rest.pop(0)["content"]
        ids = self._block(Role.SYSTEM.value, head)
        turns = _turns(rest)
        kept: list[list[int]] = []
        room = self.window - len(ids)
        dropped = 0
        for index in reversed(range(len(turns))):
            turn = [
                token
                for message in turns[index]
                for token in (*newline, *self._block(message["role"], message["content"]))
            ]
            if index < len(turns) - 1:  # the question takes no part in the count
                room -= len(turn)
                if room <= 0:
                    dropped = sum(map(len, turns[: index + 1]))
                    break
            kept.append(turn)
        for turn in reversed(kept):
            ids += turn
        if answer:
            ids += [*newline, self.im_start, *self.encode(Role.ASSISTANT.value), *newline]
        return Rendered(ids, dropped)

    def _block(self, role: str, content: str) -> list[int]:
        inner = [*self.encode(role), *self.encode("\n"), *self.encode(content)]
        return [self.im_start, *inner, self.im_end]


def _turns(messages: list[dict[str, str]]) -> list[list[dict[str, str]]]:
    """`messages` in groups that begin with a user's; what stands before the first is one too."""
    turns: list[list[dict[str, str]]] = []
    for message in messages:
        if not turns or message["role"] == Role.USER.value:
            turns.append([])
        turns[-1].append(message)
    return turns
