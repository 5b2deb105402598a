"""What can be done with a message: one place for buttons, cards and the menu. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from qwen_desktop.chat.messages import Message, Role, Status


class Act(Enum):
    """Something to be done with one message."""

    RESUME = "resume"  # go on where the answer was cut
    RESUME_OTHERWISE = "resume_otherwise"  # the same with a presence penalty
    RETRY = "retry"
    EDIT = "edit"
    ANSWER = "answer"  # a question that has no answer
    COPY = "copy"  # as it was written, in Markdown
    COPY_TEXT = "copy_text"  # as it reads
    BRANCH = "branch"  # into a new conversation
    DELETE = "delete"  # with all that hangs below
    PROMPT = "prompt"  # what the model was given
    TOKENS = "tokens"  # what it is made of
    TURN = "turn"  # how it came about, step by step
    MORE = "more"  # the menu of all of these
    PIN = "pin"  # or unpin
    DETAILS = "details"  # provenance and statistics
    ERROR = "error"  # details of what went wrong
    CONTEXT = "context"  # what is left out of the prompt


# These need a free model.
ASKING = frozenset({Act.RESUME, Act.RESUME_OTHERWISE, Act.RETRY, Act.EDIT, Act.ANSWER})
SETTLED = ASKING | {Act.DELETE}  # and these wait for the end of an answer that is being written
_EXPLAINED = (Status.CONTEXT_FULL, Status.LOOPING)


def offered(message: Message, last: bool) -> frozenset[Act]:
    """What can be done with `message`; `last`: nothing follows it."""
    if message.role is Role.USER:
        asked = {Act.EDIT, Act.COPY, Act.PIN, Act.BRANCH, Act.DELETE}
        return frozenset(asked | {Act.ANSWER} if last else asked)
    if message.status is Status.STREAMING:
        return frozenset()
    acts = {Act.RETRY, Act.BRANCH, Act.DELETE, Act.MORE}
    if message.text:
        acts |= {Act.COPY, Act.COPY_TEXT, Act.PIN}
    if message.provenance is not None:
        acts |= {Act.PROMPT, Act.TURN}
    if message.token_ids:
        acts.add(Act.TOKENS)
    if message.provenance is not None or (message.stats and message.stats.new_tokens):
        acts.add(Act.DETAILS)
    if message.status is Status.FAILED:
        acts.add(Act.ERROR)
    # With a full context there is no room to go on in.
    full = message.status is Status.CONTEXT_FULL
    if last and message.status.is_cut and message.parts and not full:
        acts.add(Act.RESUME)
        if message.status is Status.LOOPING:
            acts.add(Act.RESUME_OTHERWISE)
    if last and full:
        acts.add(Act.CONTEXT)
    return frozenset(acts)


@dataclass(frozen=True)
class Split:
    """Where the acts of an answer are offered: on the card under it, or in its last line."""

    card: tuple[Act, ...]
    line: tuple[Act, ...]
    strong: bool  # Continue and Retry are seen without the pointer


_CARD = (Act.RESUME, Act.RESUME_OTHERWISE, Act.RETRY, Act.CONTEXT, Act.ERROR)
_LINE = (Act.RESUME, Act.RETRY, Act.COPY, Act.PIN, Act.DETAILS, Act.MORE)


def split(message: Message, last: bool) -> Split:
    """The acts of a finished answer by place, in the order in which they stand."""
    acts = offered(message, last)
    carded = needs_card(message, last)
    card = tuple(act for act in _CARD if carded and act in acts)
    line = tuple(act for act in _LINE if act in acts and act not in card)
    return Split(card, line, last and message.status.is_cut)


def needs_card(message: Message, last: bool) -> bool:
    """Whether the end of an answer takes a sentence of its own."""
    failed = message.status is Status.FAILED
    return failed or (last and message.status in _EXPLAINED)
