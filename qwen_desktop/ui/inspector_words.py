"""A prompt that was taken apart, in words and colours. QtCore only."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, QLocale

from qwen_desktop.bridge.inspecting import Wait
from qwen_desktop.chat.context import Policy
from qwen_desktop.chat.inspected import Doubt, Inspected, LeftOut, Segment, SegmentKind, Why
from qwen_desktop.chat.messages import Role
from qwen_desktop.errors import QT_TRANSLATE_NOOP

CONTEXT = "inspector"

# Colour names of the theme; what is in none stays plain.
COLOURS = {
    SegmentKind.SYSTEM: "kv",
    SegmentKind.USER: "accent",
    SegmentKind.FILE: "warning",
    SegmentKind.ASSISTANT: "activations",
    SegmentKind.REASONING: "dim",
    SegmentKind.OPENING: "other",
    SegmentKind.GIVEN: "activations",
}
_KINDS = {
    SegmentKind.SYSTEM: QT_TRANSLATE_NOOP("inspector", "System prompt"),
    SegmentKind.USER: QT_TRANSLATE_NOOP("inspector", "User"),
    SegmentKind.FILE: QT_TRANSLATE_NOOP("inspector", "File"),
    SegmentKind.ASSISTANT: QT_TRANSLATE_NOOP("inspector", "Answer"),
    SegmentKind.REASONING: QT_TRANSLATE_NOOP("inspector", "Reasoning"),
    SegmentKind.FRAME: QT_TRANSLATE_NOOP("inspector", "Template"),
    SegmentKind.OPENING: QT_TRANSLATE_NOOP("inspector", "Generation prompt"),
    SegmentKind.GIVEN: QT_TRANSLATE_NOOP("inspector", "Answer so far"),
    SegmentKind.TEXT: QT_TRANSLATE_NOOP("inspector", "Tokens"),
}
_DROPPED = QT_TRANSLATE_NOOP("inspector", "Reasoning, dropped")
_LEFT_OUT = {
    Role.SYSTEM: QT_TRANSLATE_NOOP("inspector", "System prompt, left out"),
    Role.USER: QT_TRANSLATE_NOOP("inspector", "User, left out"),
    Role.ASSISTANT: QT_TRANSLATE_NOOP("inspector", "Answer, left out"),
}
_WAITS = {
    Wait.READING: QT_TRANSLATE_NOOP("inspector", "Reading…"),
    Wait.ANSWERING: QT_TRANSLATE_NOOP("inspector", "Shown after this answer…"),
    Wait.LOADING: QT_TRANSLATE_NOOP("inspector", "Shown when loading has ended…"),
    Wait.NO_MODEL: QT_TRANSLATE_NOOP("inspector", "No checkpoint is open."),
    Wait.NOT_KEPT: QT_TRANSLATE_NOOP("inspector", "The prompt of this answer was not kept."),
    Wait.NO_CONNECTION: QT_TRANSLATE_NOOP(
        "inspector", "The connection that answers this chat is not there any more."
    ),
}
_DOUBTS = {
    Doubt.OTHER_TOKENIZER: QT_TRANSLATE_NOOP(
        "inspector",
        "Another tokenizer made these ids than the one that is open: they are shown without text.",
    ),
    Doubt.OTHER_CHECKPOINT: QT_TRANSLATE_NOOP(
        "inspector",
        "Another checkpoint made this prompt; its tokenizer is the same as the open one.",
    ),
    Doubt.CHANGED: QT_TRANSLATE_NOOP(
        "inspector",
        "Chat, settings or template have changed since: they no longer give this prompt.",
    ),
    Doubt.NO_MARKS: QT_TRANSLATE_NOOP(
        "inspector", "Nothing in this prompt marks every turn: parts of it were told by their text."
    ),
}
_POLICIES = {
    Policy.DROP_OLDEST: QT_TRANSLATE_NOOP("inspector", "the oldest turns go first"),
    Policy.KEEP_FIRST: QT_TRANSLATE_NOOP("inspector", "the first turn stays, the oldest others go"),
    Policy.ASK: QT_TRANSLATE_NOOP("inspector", "you are asked"),
}
_TOKENS = QT_TRANSLATE_NOOP("inspector", "{count} tokens")
_FIT = QT_TRANSLATE_NOOP("inspector", "{count} tokens of {budget} that fit beside an answer")
_TOO_LONG = QT_TRANSLATE_NOOP(
    "inspector", "{count} tokens, more than the {budget} that fit beside an answer"
)
_CONTEXT = QT_TRANSLATE_NOOP("inspector", "context {limit}")
_CACHED = QT_TRANSLATE_NOOP(
    "inspector", "from the cache {reused} (underlined), to be read {prefilled}"
)
_WAS_CACHED = QT_TRANSLATE_NOOP(
    "inspector", "from the cache {reused} (underlined), read {prefilled}"
)
_UNKNOWN = QT_TRANSLATE_NOOP("inspector", "what came from the cache is not known")
_THINKING_ON = QT_TRANSLATE_NOOP("inspector", "thinking on")
_THINKING_OFF = QT_TRANSLATE_NOOP("inspector", "thinking off")
_POLICY = QT_TRANSLATE_NOOP(
    "inspector", "Left out: messages {messages}, tokens {tokens}. The context is full, {policy}."
)
_WINDOW = QT_TRANSLATE_NOOP(
    "inspector",
    "Left out: messages {messages}, tokens {tokens}. The chat format of this checkpoint takes no "
    "more.",
)
_REASONING = QT_TRANSLATE_NOOP(
    "inspector",
    "Reasoning dropped: answers {messages}, tokens {tokens}. The template leaves it out.",
)
_PINNED = QT_TRANSLATE_NOOP("inspector", "Pinned messages that stay: {count}.")
_LOOKALIKES = QT_TRANSLATE_NOOP(
    "inspector",
    "Text that reads like a control token, and is none: {count}. It has a dashed line below it.",
)
_FROM_CACHE = QT_TRANSLATE_NOOP("inspector", "from the cache")
_READ = QT_TRANSLATE_NOOP("inspector", "read for it")
_OF_ROLES = {
    Role.SYSTEM.value: QT_TRANSLATE_NOOP("inspector", "around the system prompt"),
    Role.USER.value: QT_TRANSLATE_NOOP("inspector", "around a message of the user"),
    Role.ASSISTANT.value: QT_TRANSLATE_NOOP("inspector", "around an answer"),
}


def tr(text: str) -> str:
    """In the language of the interface."""
    return QCoreApplication.translate(CONTEXT, text)


def number(count: int) -> str:
    """A count for people."""
    return QLocale().toString(count)


def wait_text(why: Wait) -> str:
    """Why there is nothing to show."""
    return tr(_WAITS[why])


def kind_text(segment: Segment) -> str:
    """What a segment is."""
    return tr(_KINDS[segment.kind])


def around_text(segment: Segment) -> str:
    """What a piece of the template stands around; "" where that is not known."""
    return tr(_OF_ROLES[segment.role]) if segment.role in _OF_ROLES else ""


def left_out_text(one: LeftOut) -> str:
    """What is left out."""
    return tr(_DROPPED if one.why is Why.REASONING else _LEFT_OUT[one.role])


def tokens_text(count: int) -> str:
    """How many tokens."""
    return tr(_TOKENS).format(count=number(count))


def place_text(found: Inspected, index: int) -> str:
    """Where a token is: its segment, and whether it is read."""
    at = found.segment_at(index)
    words = [kind_text(found.segments[at])] if at >= 0 else []
    if found.reused is not None:
        words.append(tr(_FROM_CACHE if index < found.reused else _READ))
    return " · ".join(words)


def facts(found: Inspected) -> str:
    """The numbers, in a line."""
    count, words = number(len(found.tokens)), []
    if found.budget:
        fits = len(found.tokens) <= found.budget
        words.append(
            tr(_FIT if fits else _TOO_LONG).format(count=count, budget=number(found.budget))
        )
    else:
        words.append(tr(_TOKENS).format(count=count))
    if found.limit:
        words.append(tr(_CONTEXT).format(limit=number(found.limit)))
    if found.reused is None or found.prefilled is None:
        words.append(tr(_UNKNOWN))
    else:
        cached = tr(_WAS_CACHED if found.answer_id else _CACHED)
        words.append(cached.format(reused=number(found.reused), prefilled=number(found.prefilled)))
    if found.thinking is not None:
        words.append(tr(_THINKING_ON if found.thinking else _THINKING_OFF))
    return " · ".join(words)


def notes(found: Inspected) -> str:
    """What there is to know besides, a sentence to a line."""
    lines = [tr(_DOUBTS[doubt]) for doubt in found.doubts]
    for why, words in ((Why.POLICY, _POLICY), (Why.TEMPLATE, _WINDOW), (Why.REASONING, _REASONING)):
        gone = [one for one in found.left_out if one.why is why]
        if gone:
            lines.append(left_out_words(gone, found.policy, words))
    if found.pinned:
        lines.append(tr(_PINNED).format(count=number(len(found.pinned))))
    if found.lookalikes:
        lines.append(tr(_LOOKALIKES).format(count=number(len(found.lookalikes))))
    return "\n".join(lines)


def left_out_words(gone: Sequence[LeftOut], policy: Policy, words: str = _POLICY) -> str:
    """How much is left out, and why."""
    return tr(words).format(
        messages=number(len(gone)),
        tokens=number(sum(one.tokens for one in gone)),
        policy=tr(_POLICIES[policy]),
    )


def in_order(found: Inspected) -> list[Segment | LeftOut]:
    """Segments, and what is left out: turns before all others, reasoning beside its answer."""
    dropped: dict[str, LeftOut] = {
        one.message_id: one for one in found.left_out if one.why is Why.REASONING
    }
    rows: list[Segment | LeftOut] = []
    gone: Sequence[LeftOut] = [one for one in found.left_out if one.why is not Why.REASONING]
    placed = False
    for segment in found.segments:
        if not placed and gone and segment.message_id is not None:
            rows.extend(gone)  # behind the system prompt
            placed = True
        rows.append(segment)
        if segment.kind is SegmentKind.FRAME or segment.message_id is None:
            continue
        if (thought := dropped.pop(segment.message_id, None)) is not None:
            rows.insert(len(rows) - 1, thought)
    return rows if placed else [*gone, *rows]
