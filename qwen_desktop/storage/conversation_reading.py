"""Reads a conversation out of JSON that anybody may have written. What it cannot take it refuses
whole, with a sentence that names the place; fields it does not know it passes over. No SQL here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from math import inf
from types import MappingProxyType
from typing import Any

from qwen_desktop.chat.context import ChatOptions, Policy
from qwen_desktop.chat.messages import (
    AnswerStats,
    AnswerTrace,
    Message,
    Part,
    PartKind,
    Provenance,
    Role,
    Status,
    TokenScore,
)
from qwen_desktop.chat.record import Record
from qwen_desktop.chat.settings import BY_NAME, Value
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.storage.damage import MOST_TOKENS
from qwen_desktop.storage.json_place import (
    CODE,
    DAMAGED,
    MAX_COUNT,
    MAX_TEXT,
    MAX_TOKEN,
    TOO_LONG,
    Place,
)

FORMAT = "qwen-desktop conversation"
SEVERAL = "qwen-desktop conversations"
VERSION = 2  # since messages can have files

MAX_TRACED = 2**27  # ids of all prompts together, of which most repeat those of another
MAX_UNSEEN = 2**23  # ids that all answers together name as unseen; a few words of a file name many


def parse(content: bytes) -> object:
    """The JSON in a file. Raises Known where it holds none, or one nested beyond reading."""
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "This is not JSON, or only the beginning of it."),
            DAMAGED,
            details=f"{type(error).__name__}: {error}",
            code=CODE,
        ) from error


def is_ours(value: object) -> bool:
    """Whether a JSON value says that it holds conversations of this program."""
    return isinstance(value, dict) and value.get("format") in (FORMAT, SEVERAL)


def entries(value: object) -> list[object]:
    """The values for `from_value` in a file of one or several. Raises Known."""
    if not isinstance(value, dict) or value.get("format") != SEVERAL:
        return [value]
    top = Place("", value)
    _check_version(top)
    return [place.value for place in top.field("conversations").items()]


def from_value(value: object) -> Record:
    """The conversation in a JSON value. Raises Known with the place of what is wrong.

    Text comes out as UTF-8 can hold it, and an answer that streams as interrupted.
    """
    top = Place("", value)
    if top.mapping().get("format") != FORMAT:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "This is not a chat of Qwen Desktop."),
            code=CODE,
        )
    _check_version(top)
    conversation_id = top.field("id").name()
    title = top.field("title", "").text()
    is_own = top.field("title_is_own", False).truth()
    messages, traces = _messages(top.field("messages"))
    created_at = top.field("created_at").moment()
    return Record(
        conversation=Conversation(
            id=conversation_id,
            title=title if is_own else "",
            created_at=created_at,
            updated_at=top.field("updated_at", created_at).moment(),
            tree=Tree.of(messages.values(), _head(top, messages)),
            options=_options(top.field("options", {})),
        ),
        traces=traces,
        folder=top.field("folder", "").text(),
        tags=tuple(sorted({tag.text() for tag in top.field("tags", []).items()})),
        pinned=top.field("pinned", False).truth(),
        archived=top.field("archived", False).truth(),
        source=top.field("source", "").text(),
    )


def _check_version(top: Place) -> None:
    version = top.field("version").whole_number(1, MAX_COUNT)
    if version > VERSION:
        raise Known(
            QT_TRANSLATE_NOOP(
                "errors",
                "This was written by a newer Qwen Desktop: its version is {found}, "
                "and this program reads up to {newest}.",
            ),
            QT_TRANSLATE_NOOP("errors", "Install the newer version to read it."),
            code=CODE,
            found=version,
            newest=VERSION,
        )


def _head(top: Place, messages: Mapping[str, Message]) -> str | None:
    place = top.field("head", None)
    if place.value is None:
        return None
    head = place.name()
    if head not in messages:
        raise place.wrong(QT_TRANSLATE_NOOP("errors", "{place} names no message of this file."))
    return head


def _options(place: Place) -> ChatOptions:
    policy = place.field("policy", None)
    values: dict[str, Value] = {}
    for name, value in place.field("values", {}).fields():
        if not isinstance(value.value, (str, int, float, bool, type(None))):
            raise value.wrong(QT_TRANSLATE_NOOP("errors", "{place} is no value of a setting."))
        plain = value.text() if isinstance(value.value, str) else value.value
        # Another version may have other settings, or other limits: that keeps nobody out.
        if name in BY_NAME and BY_NAME[name].accepts(plain) and plain not in (inf, -inf):
            values[name] = plain
    return ChatOptions(
        policy=None if policy.value is None else policy.one_of(Policy),
        values=MappingProxyType(values),
    )


def _messages(place: Place) -> tuple[dict[str, Message], Mapping[str, AnswerTrace]]:
    messages: dict[str, Message] = {}
    parents: dict[str, str | None] = {}
    traces = _Traces(messages)
    places = list(place.items())
    for one in places:
        message_id, parent = one.field("id").name(), one.field("parent", None)
        if message_id in parents:
            raise one.field("id").wrong(
                QT_TRANSLATE_NOOP("errors", "{place} is the id of another message.")
            )
        if parent.value is not None and parent.name() not in parents:
            raise parent.wrong(_NOT_BEFORE)
        parents[message_id] = None if parent.value is None else parent.name()
    unseen = _Unseen(parents)
    for (message_id, parent_id), one in zip(parents.items(), places, strict=True):
        traces.read(message_id, one)
        messages[message_id] = _message(message_id, parent_id, one, unseen)
    return messages, traces


_NOT_BEFORE = QT_TRANSLATE_NOOP("errors", "{place} names no message that stands before it.")


def _message(message_id: str, parent_id: str | None, one: Place, unseen: _Unseen) -> Message:
    status = one.field("status", Status.COMPLETE.value).one_of(Status)
    stats, provenance = one.field("stats", None), one.field("provenance", None)
    return Message(
        role=one.field("role").one_of(Role),
        parts=tuple(
            Part(
                part.field("kind").one_of(PartKind),
                part.field("text").text(MAX_TEXT),
                part.field("name", "").text(),
            )
            for part in one.field("parts").items()
        ),
        id=message_id,
        parent_id=parent_id,
        created_at=one.field("created_at").moment(),
        status=Status.INTERRUPTED if status is Status.STREAMING else status,
        stats=None if stats.value is None else _stats(stats),
        error=one.field("error", "").text(MAX_TEXT),
        pinned=one.field("pinned", False).truth(),
        token_ids=one.field("token_ids", []).tokens(),
        provenance=None if provenance.value is None else _provenance(provenance, unseen),
        damaged=one.field("damaged", False).truth(),
    )


def _stats(place: Place) -> AnswerStats:
    default = AnswerStats()
    return AnswerStats(**_plain_fields(place, fields(AnswerStats), default, MOST_TOKENS))


def _provenance(place: Place, unseen: _Unseen) -> Provenance:
    budget = place.field("thinking_budget", None)
    special: dict[str, Any] = {
        "thinking_budget": None
        if budget.value is None
        else budget.whole_number(-MAX_COUNT, MAX_COUNT),
        "sampling": tuple(_sampled(pair) for pair in place.field("sampling", []).items()),
        "stop_strings": tuple(
            text.text(MAX_TEXT) for text in place.field("stop_strings", []).items()
        ),
        "unseen": unseen.read(place.field("unseen", [])),
    }
    rest = [field for field in fields(Provenance) if field.name not in special]
    return Provenance(**_plain_fields(place, rest, Provenance()), **special)


def _sampled(pair: Place) -> tuple[str, float]:
    name, value = pair.items_of(2)
    return name.text(), value.number()


def _plain_fields(
    place: Place, names: Any, default: object, most: int = MAX_COUNT
) -> dict[str, Any]:
    """Fields that are text, a number or a truth, each as the default is."""
    read: dict[type, Callable[[Place], object]] = {
        str: Place.text,
        bool: Place.truth,
        float: Place.number,
        int: lambda one: one.whole_number(-most, most),
    }
    return {
        field.name: read[type(usual)](place.field(field.name, usual))
        for field in names
        for usual in (getattr(default, field.name),)
    }


class _Unseen:
    """Reads which messages an answer did not see: stretches of the tree by their ends."""

    def __init__(self, parents: Mapping[str, str | None]) -> None:
        self._parents = parents
        self._left = MAX_UNSEEN

    def read(self, place: Place) -> tuple[str, ...]:
        return tuple(one for stretch in place.items() for one in self._stretch(stretch))

    def _stretch(self, place: Place) -> list[str]:
        ends = list(place.items())
        if len(ends) not in (1, 2):
            raise place.wrong(
                QT_TRANSLATE_NOOP("errors", "{place} is not the first and last of a stretch.")
            )
        first, last = ends[0].text(), ends[-1].text()
        upwards = [last]
        step: str | None = last
        while step != first:
            step = self._parents.get(step) if step is not None else None
            if step is None:
                raise place.wrong(QT_TRANSLATE_NOOP("errors", "{place} is no stretch of the chat."))
            upwards.append(step)
        self._left -= len(upwards)
        if self._left < 0:
            raise place.wrong(TOO_LONG)
        return upwards[::-1]


class _Traces(Mapping[str, AnswerTrace]):
    """The traces of a file, each made when asked for: together they may be far larger than it."""

    def __init__(self, messages: Mapping[str, Message]) -> None:
        self._messages = messages
        # By message: how many ids are those of which message, and the ids after them.
        self._prompts: dict[str, tuple[int, str, tuple[int, ...]]] = {}
        self._scores: dict[str, tuple[TokenScore, ...]] = {}
        self._work: dict[str, int] = {}  # about what it takes to make the ids of a prompt
        self._left = MAX_TRACED

    def read(self, message_id: str, one: Place) -> None:
        """Check and keep the trace of a message; those before it have been read."""
        prompt = one.field("prompt_ids", [])
        if isinstance(prompt.value, dict):
            self._prompts[message_id] = self._shared(prompt)
        elif ids := prompt.tokens():
            self._prompts[message_id] = (0, "", ids)
        if message_id in self._prompts:
            self._measure(message_id, prompt)
        if scores := tuple(_score(score) for score in one.field("scores", []).items()):
            self._scores[message_id] = scores

    def _measure(self, message_id: str, prompt: Place) -> None:
        first, of, then = self._prompts[message_id]
        before = self._work[of] + len(self._messages[of].token_ids) if of else 0
        self._work[message_id] = before + len(then) + 1
        self._left -= max(first, before) + len(then) + 1
        if self._left < 0:
            raise prompt.wrong(TOO_LONG)

    def _shared(self, prompt: Place) -> tuple[int, str, tuple[int, ...]]:
        of = prompt.field("of").name()
        if of not in self._prompts:
            raise prompt.field("of").wrong(
                QT_TRANSLATE_NOOP(
                    "errors", "{place} names no message with a prompt that stands before it."
                )
            )
        first, _, then = self._prompts[of]
        there = first + len(then) + len(self._messages[of].token_ids)
        return prompt.field("first").whole_number(1, there), of, prompt.field("then", []).tokens()

    def _prompt(self, message_id: str) -> tuple[int, ...]:
        chain = [message_id]
        while of := self._prompts[chain[-1]][1]:
            chain.append(of)
        ids: list[int] = []
        for one in reversed(chain):
            first, _, then = self._prompts[one]
            del ids[first:]
            ids.extend(then)
            if one != message_id:  # the prompt after it may go on with the answer
                ids.extend(self._messages[one].token_ids)
        return tuple(ids)

    def __getitem__(self, message_id: str) -> AnswerTrace:
        if message_id not in self._prompts and message_id not in self._scores:
            raise KeyError(message_id)
        prompt = self._prompt(message_id) if message_id in self._prompts else ()
        return AnswerTrace(prompt, self._scores.get(message_id, ()))

    def __iter__(self) -> Iterator[str]:
        return (one for one in self._messages if one in self._prompts or one in self._scores)

    def __len__(self) -> int:
        return len(self._prompts.keys() | self._scores.keys())


def _score(place: Place) -> TokenScore:
    token, text, logprob, top = place.items_of(4)
    return TokenScore(
        *_token(token, text, logprob), tuple(_token(*o.items_of(3)) for o in top.items())
    )


def _token(token: Place, text: Place, logprob: Place) -> tuple[int, str, float]:
    likely = -inf if logprob.value is None else logprob.number()
    return token.whole_number(0, MAX_TOKEN), text.text(), likely
