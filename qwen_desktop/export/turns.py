"""What every readable document says of a conversation: its messages in order, each with its
heading and its facts. The forms are elsewhere. No Qt.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from qwen_desktop.chat.attached import tidy_name, title_of
from qwen_desktop.chat.exporting import ExportOptions
from qwen_desktop.chat.messages import Message, Role, Status
from qwen_desktop.chat.record import Record
from qwen_desktop.chat.text import whole
from qwen_desktop.chat.tree import Conversation, one_line
from qwen_desktop.export.words import Words

_TITLE = 300  # characters
_QUOTED = 60  # characters of the message that a version replies to
# What commands a terminal or ends a text for some readers; tabs and line feeds are text.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")


@dataclass(frozen=True)
class AttachedFile:
    """A file as it is told: its `heading` is a line that names it. Both are clean."""

    heading: str
    text: str


@dataclass(frozen=True)
class Turn:
    """One message as it is told. Texts are clean; `facts` and `note` are lines of plain text."""

    role: Role
    heading: str
    text: str
    reasoning: str = ""
    files: tuple[AttachedFile, ...] = ()
    facts: tuple[str, ...] = ()  # when it was written, how it was computed
    version: str = ""  # "Version 2 of 3", where all are told
    note: str = ""  # how it ended, where that was not as usual


@dataclass(frozen=True)
class Heading:
    """What stands above the messages."""

    title: str  # one line, clean
    facts: tuple[str, ...]


def clean(text: str) -> str:
    """`text` as every file and reader takes it: line feeds only, control characters replaced."""
    flat = whole(text).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("\ufffd", flat)


def heading(record: Record, words: Words) -> Heading:
    """Title, date and models of a conversation."""
    conversation = record.conversation
    title = one_line(clean(conversation.summary().title), _TITLE) or words.untitled
    models: dict[str, None] = {}
    for message in conversation.tree.messages.values():
        if message.stats is not None and message.stats.model:
            models.setdefault(" ".join(clean(message.stats.model).split()))
    moment = moment_text(conversation.created_at)
    return Heading(title, tuple(fact for fact in (moment, ", ".join(models)) if fact))


def turns(record: Record, options: ExportOptions, words: Words) -> Iterator[Turn]:
    """The messages in the order they are told: a path, or all versions from the top down."""
    conversation = record.conversation
    if options.versions:
        for message, version in _every(conversation, words):
            yield _turn(message, version, options, words)
    else:
        for message in conversation.tree.path():
            yield _turn(message, "", options, words)


def count(record: Record, options: ExportOptions) -> int:
    """How many `turns` there are."""
    tree = record.conversation.tree
    return len(tree.messages) if options.versions else len(tree.path())


def _every(conversation: Conversation, words: Words) -> Iterator[tuple[Message, str]]:
    """All messages, each branch told to its end before the next one begins."""
    messages = conversation.tree.messages
    below: dict[str | None, list[Message]] = {}
    for message in messages.values():
        below.setdefault(message.parent_id, []).append(message)
    waiting = list(reversed(below.get(None, [])))
    before: str | None = None
    while waiting:
        message = waiting.pop()
        beside = below[message.parent_id]
        version = ""
        if len(beside) > 1:
            version = words.version.format(number=beside.index(message) + 1, count=len(beside))
            if message.parent_id is not None and message.parent_id != before:
                above = one_line(clean(title_of(messages[message.parent_id])), _QUOTED)
                version += ", " + words.reply_to.format(text=above)
        yield message, version
        before = message.id
        waiting += reversed(below.get(message.id, []))


def _turn(message: Message, version: str, options: ExportOptions, words: Words) -> Turn:
    return Turn(
        role=message.role,
        heading=_name(message, words),
        text=clean(message.text),
        reasoning=clean(message.reasoning) if options.reasoning else "",
        files=tuple(
            AttachedFile(words.file.format(name=tidy_name(clean(part.name))), clean(part.text))
            for part in message.files
        ),
        facts=_facts(message, words) if options.details else (),
        version=version,
        note=_note(message, words),
    )


def _name(message: Message, words: Words) -> str:
    if message.role is Role.USER:
        return words.you
    if message.role is Role.SYSTEM:
        return words.system
    model = " ".join(clean(message.stats.model).split()) if message.stats is not None else ""
    return words.assistant_model.format(model=model) if model else words.assistant


def _note(message: Message, words: Words) -> str:
    endings = {
        Status.STOPPED: words.stopped,
        Status.STREAMING: words.interrupted,
        Status.INTERRUPTED: words.interrupted,
        Status.LENGTH: words.length,
        Status.CONTEXT_FULL: words.context_full,
        Status.LOOPING: words.looping,
        Status.FAILED: " ".join(clean(message.error).split()) or words.failed,
    }
    notes = (words.damaged if message.damaged else "", endings.get(message.status, ""))
    return " ".join(note for note in notes if note)


def _facts(message: Message, words: Words) -> tuple[str, ...]:
    stats, origin = message.stats, message.provenance
    found = [moment_text(message.created_at)]
    if stats is not None and stats.new_tokens:
        found.append(words.tokens.format(count=stats.new_tokens))
        seconds = stats.first_token_seconds + stats.decode_seconds
        found.append(words.seconds.format(seconds=f"{seconds:.1f}") if seconds else "")
    if origin is not None:
        found += [origin.precision, origin.device, origin.engine]
        found += [f"{name} {value:g}" for name, value in origin.sampling]
        found.append(words.seed.format(seed=origin.seed))
    lines = (" ".join(clean(fact).split()) for fact in found)
    return tuple(line for line in lines if line)


def moment_text(seconds: float) -> str:
    """A moment in the time of this machine, "2026-01-31 18:05"; empty where it has no date."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    except (OverflowError, OSError, ValueError):
        return ""
