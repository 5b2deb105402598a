"""Which conversation a request goes on with: requests bring their messages, not an id.

What a conversation has read is kept by the engine under its id. So the id is found by what was
said: a request whose messages begin with those of an earlier one and its answer is its next turn.
Answers are remembered with their tokens, which may be others than the tokenizer would make of the
text, and with their reasoning, which clients leave out.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from qwen_desktop.chat.messages import Message, Role, new_id
from qwen_desktop.chat.model import UNKEPT

TALKS = 16  # conversations that are remembered
MARKS = 512  # turns of each


@dataclass
class _Talk:
    """`said` has the newest answer after each beginning of it, by the mark of the beginning.

    `text` is what a completion read and wrote, "" for a chat.
    """

    id: str
    text: str = ""
    said: OrderedDict[bytes, Message | None] = field(default_factory=OrderedDict)


class Talks:
    """The conversations of one checkpoint. Used on the server's thread alone."""

    def __init__(self) -> None:
        self._talks: OrderedDict[str, _Talk] = OrderedDict()  # the one used last is the last

    def find(self, messages: Sequence[Message]) -> tuple[str, tuple[Message, ...]]:
        """The conversation's id, and `messages` with answers of ours as they were generated."""
        marks = _marks(messages)
        best, length = None, 0
        for talk in self._talks.values():
            known = max((n for n, mark in enumerate(marks, 1) if mark in talk.said), default=0)
            if known >= length and known and _counts(messages, known):
                best, length = talk, known
        if best is None:
            return UNKEPT + new_id(), tuple(messages)
        self._talks.move_to_end(best.id)
        return best.id, tuple(
            _ours(message, best.said.get(mark))
            for message, mark in zip(messages, marks)  # noqa: B905
        )

    def find_text(self, prompt: str) -> str:
        """The id for a completion: of one whose whole text `prompt` goes on with, or repeats."""
        best, length = "", 0
        for talk in self._talks.values():
            both = min(len(talk.text), len(prompt))
            if both > length and talk.text[:both] == prompt[:both]:
                best, length = talk.id, both
        return best or UNKEPT + new_id()

    def keep_text(self, talk_id: str, text: str) -> tuple[str, ...]:
        """Remember what a completion read and wrote. Gives ids as `keep`."""
        self._talk(talk_id).text = text
        return self._surplus()

    def keep(self, talk_id: str, messages: Sequence[Message], answer: Message) -> tuple[str, ...]:
        """Remember a turn. Gives the ids of conversations that are no longer remembered."""
        talk = self._talk(talk_id)
        continued = bool(messages) and messages[-1].role is Role.ASSISTANT
        before = messages[:-1] if continued else messages
        marks = _marks([*before, answer])
        if before:
            talk.said[marks[-2]] = talk.said.get(marks[-2])
        talk.said[marks[-1]] = answer
        while len(talk.said) > MARKS:
            talk.said.popitem(last=False)
        return self._surplus()

    def _talk(self, talk_id: str) -> _Talk:
        talk = self._talks.setdefault(talk_id, _Talk(talk_id))
        self._talks.move_to_end(talk_id)
        return talk

    def _surplus(self) -> tuple[str, ...]:
        gone = []
        while len(self._talks) > TALKS:
            gone.append(self._talks.popitem(last=False)[0])
        return tuple(gone)

    def clear(self) -> tuple[str, ...]:
        """Remember nothing: the ids that were."""
        gone = tuple(self._talks)
        self._talks.clear()
        return gone


def _counts(messages: Sequence[Message], known: int) -> bool:
    """Whether it is worth a claim that the first `known` messages were said before.

    A system prompt alone, or a first question, may be that of many: they must have been answered,
    or be all there is, as in a request that is made again.
    """
    return known == len(messages) or any(m.role is Role.ASSISTANT for m in messages[:known])


def _marks(messages: Sequence[Message]) -> list[bytes]:
    """A mark of each beginning of `messages`: the first, the first two and so on."""
    found = []
    mark = b""
    for message in messages:
        text = message.text.strip()  # clients trim what they show
        said = f"{message.role.value}\0{text}".encode("utf-8", "surrogatepass")
        mark = hashlib.sha256(mark + said).digest()
        found.append(mark)
    return found


def _ours(message: Message, known: Message | None) -> Message:
    """`message` with the tokens that it was generated in, where it is `known`."""
    if known is None or message.role is not Role.ASSISTANT or message.reasoning:
        return message
    return known if message.text == known.text else message
