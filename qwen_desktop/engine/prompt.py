"""From messages to the ids the model reads. What somebody typed never becomes a control token."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qwen_desktop.chat.messages import Message, Role, Status
from qwen_desktop.chat.text import whole
from qwen_desktop.engine.tokenizer import THINK_CLOSE, THINK_OPEN, Tokenizer

_CUT_OFF = (Status.STOPPED, Status.INTERRUPTED, Status.LENGTH)
TAIL = 64  # tokens; longer than any beginning of an answer


@dataclass(frozen=True)
class Prompt:
    """What the model is given.

    `boundary` tokens of `ids` will begin every later prompt of the conversation too; there a
    cache that cannot be cropped is worth a snapshot. `thinking_open`: the answer begins inside a
    think block. `unseen`: ids of messages that did not fit and were left out. `given`: how many of
    the last ids are the answer so far, where one is continued.
    """

    ids: tuple[int, ...]
    boundary: int
    thinking_open: bool
    unseen: tuple[str, ...] = ()
    given: int = 0


def build_prompt(
    tokenizer: Tokenizer,
    messages: Iterable[Message],
    system: str,
    *,
    thinking: bool,
    with_boundary: bool = True,
) -> Prompt:
    """The prompt for an answer to the last of `messages`. Raises Known: the template failed.

    Looking for the boundary takes as long as the prompt itself; without it, it is 0.
    Without a chat template the model continues text: see `continued`.
    """
    said = list(messages)
    if not tokenizer.has_template:
        ids = tokenizer.encode(whole(continued(said, system)))
        return Prompt(tuple(ids), len(ids), thinking_open=False)
    rows = _rows(said, system)
    rendered = tokenizer.render(rows, answer=True, thinking=thinking)
    ids = rendered.ids
    unseen = [m.id for m in said if m.role is not Role.SYSTEM and not _is_silent(m)]
    boundary = _boundary(tokenizer, rows, ids, thinking) if with_boundary else 0
    return Prompt(tuple(ids), boundary, _is_open(tokenizer, ids), tuple(unseen[: rendered.dropped]))


def continued(messages: Iterable[Message], system: str) -> str:
    """The text a base model goes on with: there are no turns, only what stands so far.

    What the model wrote stands right after what it continued. Further text begins a paragraph,
    but goes on with the sentence where the model was stopped in the middle of it.
    """
    text, before = "", None
    for message in messages:
        if not message.text:
            continue
        if message.role is not Role.ASSISTANT and before is not None:
            text += _between(text, message.text, cut_off=before.status in _CUT_OFF)
        text += message.text
        before = message
    return f"{system}\n\n{text}" if system.strip() else text


def _between(text: str, following: str, *, cut_off: bool) -> str:
    if text[-1].isspace() or following[0].isspace():
        return ""
    if not cut_off:
        return "\n\n"
    # Latin words need a space between them; Chinese ones and punctuation do not.
    words = text[-1].isascii() and following[0].isascii() and following[0].isalnum()
    return " " if words else ""


def _rows(messages: list[Message], system: str) -> list[dict[str, str]]:
    """The messages as templates want them; reasoning apart from content.

    A conversation with a system message of its own keeps it: templates take only one.
    """
    rows = []
    if system.strip() and not (messages and messages[0].role is Role.SYSTEM):
        rows.append({"role": Role.SYSTEM.value, "content": whole(system)})
    for message in messages:
        role = Role(message.role).value  # anything else is refused here: roles are not sanitised
        if _is_silent(message):
            continue
        row = {"role": role, "content": whole(message.text)}
        if role == Role.ASSISTANT.value:
            # Also where it is empty: templates search the content for tags if it is absent.
            row["reasoning_content"] = whole(message.reasoning)
        rows.append(row)
    return rows


def _is_silent(message: Message) -> bool:
    """Whether it is an answer that failed before its first word."""
    return message.role is Role.ASSISTANT and not message.parts


def _boundary(
    tokenizer: Tokenizer, rows: list[dict[str, str]], ids: list[int], thinking: bool
) -> int:
    """Length of the prompt without the beginning of the answer, where that is a prefix."""
    stable = tokenizer.render(rows, answer=False, thinking=thinking).ids
    return len(stable) if ids[: len(stable)] == stable else 0


def _is_open(tokenizer: Tokenizer, ids: list[int]) -> bool:
    """Whether the prompt's last message ends within a think block."""
    start = tokenizer.message_start
    tail = ids[-TAIL:]
    if start in tail:
        tail = tail[len(tail) - 1 - tail[::-1].index(start) :]
    if tokenizer.has_think_tokens:
        marks = [i for i in tail if i in (tokenizer.think_open, tokenizer.think_close)]
        return bool(marks) and marks[-1] == tokenizer.think_open
    text = tokenizer.decode(tail)
    return text.rfind(THINK_OPEN) > text.rfind(THINK_CLOSE)
