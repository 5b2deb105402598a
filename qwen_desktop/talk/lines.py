"""`qwen-desktop chat DIR --json`: requests on the lines of stdin, events on those of stdout.

docs/terminal.md tells the form of both. One request is answered at a time; a thread reads meanwhile
so that a stop is heard.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TextIO

from qwen_desktop.bridge.asking import LOCAL, Terms
from qwen_desktop.chat.events import (
    Delta,
    Finished,
    GenerationEvent,
    Progress,
    Started,
    Usage,
)
from qwen_desktop.chat.messages import Message, Part, PartKind, Role, user_message
from qwen_desktop.chat.model import UNKEPT
from qwen_desktop.chat.settings import Value
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known, report_of
from qwen_desktop.talk.clean import whole
from qwen_desktop.talk.desk import SETTINGS, Desk
from qwen_desktop.talk.source import Source

_PIECE = 1 << 16  # bytes of stdin at a time
Keeper = Callable[[], Desk]  # opens the store where something is to be kept; raises Known


@dataclass
class Asked:
    """One request as it was read."""

    id: object
    messages: tuple[Message, ...]
    values: Mapping[str, Value]
    keep: bool = False
    stop: threading.Event = field(default_factory=threading.Event)


def bad(reason: str) -> Known:
    """A line that says nothing we know."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "The request is not understood: {reason}."),
        code="bad-request",
        reason=reason,
    )


def heard(raw: bytes) -> dict[str, Any]:
    """The JSON object on a line. Raises Known."""
    try:
        value = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise bad("it is no UTF-8") from None
    except (ValueError, RecursionError):
        raise bad("it is no JSON") from None
    if not isinstance(value, dict):
        raise bad("it is no object")
    return value


def read(value: Mapping[str, Any]) -> Asked:
    """The request in a JSON object. Raises Known."""
    unknown = set(value) - {"id", "messages", "settings", "keep"}
    if unknown:
        raise bad(f"there is no {sorted(unknown)[0]!r}")
    values: dict[str, Value] = {}
    settings = value.get("settings", {})
    if not isinstance(settings, dict):
        raise bad("settings is no object")
    for name, one in settings.items():
        if name not in SETTINGS or not SETTINGS[name].accepts(one):
            raise bad(f"the setting {name} cannot be {json.dumps(one)}")
        values[name] = whole(one) if isinstance(one, str) else one
    messages = _messages(value.get("messages"), values)
    keep = value.get("keep", False)
    if not isinstance(keep, bool):
        raise bad("keep is true or false")
    return Asked(value.get("id"), messages, values, keep)


def _messages(given: object, values: dict[str, Value]) -> tuple[Message, ...]:
    if not isinstance(given, list) or not given:
        raise bad("messages is no list of messages")
    found: list[Message] = []
    for number, one in enumerate(given):
        role = one.get("role") if isinstance(one, dict) else None
        text = one.get("content") if isinstance(one, dict) else None
        if role not in [known.value for known in Role] or not isinstance(text, str):
            raise bad("a message has a role (system, user, assistant) and a content")
        text = whole(text)
        if role == Role.SYSTEM.value:
            if number:
                raise bad("a system message stands first")
            values["system_prompt"] = text
            continue
        parent = found[-1].id if found else None
        if (role == Role.USER.value) is (len(found) % 2 == 1):
            raise bad("user and assistant take turns, the user first")
        if role == Role.USER.value:
            found.append(user_message(text, parent))
        else:
            parts = (Part(PartKind.TEXT, text),)
            found.append(Message(role=Role.ASSISTANT, parts=parts, parent_id=parent))
    if not found or found[-1].role is not Role.USER:
        raise bad("the last message is the user's")
    return tuple(found)


def lines_of(stream: BinaryIO) -> Iterator[bytes]:
    """The lines of a stream that nobody has read from yet.

    Read around its buffer: a thread that waits within a buffer lets no interpreter end.
    """
    raw = getattr(stream, "raw", stream)
    begun: list[bytes] = []  # of a line
    while piece := raw.read(_PIECE):
        first, *more = piece.split(b"\n")
        begun.append(first)
        for part in more:
            yield b"".join(begun)
            begun = [part]
    yield b"".join(begun)


class Lines:
    """Answers what lines ask, until `end` is set.

    `keeper` gives the desk of the store, opened at the first use; `place` is who is asked.
    """

    def __init__(
        self,
        general: Mapping[str, Value],
        out: TextIO,
        keeper: Keeper,
        end: threading.Event,
    ) -> None:
        self._general = general
        self._out = out
        self._keeper = keeper
        self._asked: queue.SimpleQueue[Asked | Known | None] = queue.SimpleQueue()
        self._waiting: list[Asked] = []  # not answered yet; changed under the lock
        self._lock = threading.Lock()
        self.place = LOCAL
        self._ended = end

    def tell(self, event: str, **values: object) -> None:
        """Write one event."""
        self._out.write(json.dumps({"event": event, **values}) + "\n")
        self._out.flush()

    def progress(self, progress: Progress, asked: object = None) -> None:
        """Tell of a load or of the reading of a prompt."""
        self.tell(
            "progress",
            id=asked,
            stage=progress.stage.value,
            done=progress.done,
            total=progress.total,
        )

    def run(self, source: Source, lines: Iterable[bytes]) -> bool:
        """Answer from `source` until `lines` end; whether all went well."""
        for name, work in (("stdin", lambda: self._read(lines)), ("end", self._end)):
            threading.Thread(target=work, name=name, daemon=True).start()
        well = True
        while not self._ended.is_set():
            try:
                asked = self._asked.get(timeout=0.5)  # without it Windows would hear no Ctrl+C
            except queue.Empty:
                continue
            if asked is None or self._ended.is_set():
                break
            if isinstance(asked, Known):
                self._tell_trouble(None, asked)
                well = False
                continue
            well = self._answer(source, asked) and well
            with self._lock:
                self._waiting = [one for one in self._waiting if one is not asked]
        return well

    def _end(self) -> None:
        """Stop what is answered once `end` is set: a server may be silent for minutes."""
        self._ended.wait()
        with self._lock:
            for one in self._waiting:
                one.stop.set()

    def _read(self, lines: Iterable[bytes]) -> None:
        try:
            for line in lines:
                if not line.strip():
                    continue
                try:
                    self._take(line)
                except Known as known:
                    self._asked.put(known)
        finally:
            self._asked.put(None)  # whatever happens: else nobody would hear the end

    def _take(self, line: bytes) -> None:
        value = heard(line)
        if "stop" in value:
            with self._lock:
                for one in self._waiting:
                    if _same(one.id, value["stop"]):
                        one.stop.set()
            return
        try:
            asked = read(value)
        except Known as known:
            known.values = {**known.values, "id": value.get("id")}
            raise
        with self._lock:
            self._waiting.append(asked)
        self._asked.put(asked)

    def _answer(self, source: Source, asked: Asked) -> bool:
        try:
            # Closed at once where nobody reads: what came is kept while the store is open.
            with closing(self._events(source, asked)) as events:
                for event in events:
                    self._tell_event(asked, event)
        except Cancelled:
            self.tell("finished", id=asked.id, reason="stopped")
        except Exception as error:  # noqa: BLE001 - the border: one bad request ends no others
            self._tell_trouble(asked, error)
            return False
        return True

    def _events(self, source: Source, asked: Asked) -> Generator[GenerationEvent, None, None]:
        if asked.keep:
            desk = self._keeper()
            desk.take_over(asked.messages[:-1], asked.values)
            run = desk.ask(asked.messages[-1].text)
            yield from desk.answer(run, asked.stop)
            return
        general = {**self._general, **asked.values}
        chat = Conversation(id=f"{UNKEPT}lines", tree=Tree.of(asked.messages))
        info = source.info
        name = info.name if info is not None else ""
        terms = Terms.of(general, chat.options, name, self.place)
        yield from source.generate(terms.request(chat, asked.messages), asked.stop)

    def _tell_event(self, asked: Asked, event: GenerationEvent) -> None:
        if isinstance(event, Progress):
            self.progress(event, asked.id)
        elif isinstance(event, Started):
            self.tell("started", id=asked.id, prompt_ids=list(event.prompt_ids))
        elif isinstance(event, Delta):
            self.tell(
                "delta", id=asked.id, kind=event.kind.value, text=event.text, ids=list(event.ids)
            )
        elif isinstance(event, Usage):
            stats = event.stats
            self.tell(
                "usage",
                id=asked.id,
                prompt_tokens=stats.prompt_tokens,
                reused_tokens=stats.reused_tokens,
                new_tokens=stats.new_tokens,
                tokens_per_second=round(stats.decode_speed, 2),
                context_tokens=event.context_tokens,
                context_length=event.context_length,
            )
        elif isinstance(event, Finished):
            self.tell("finished", id=asked.id, reason=event.reason.value)

    def _tell_trouble(self, asked: Asked | None, error: Exception) -> None:
        report = report_of(error)
        where = asked.id if asked is not None else None
        if asked is None and isinstance(error, Known):
            where = error.values.get("id")
        self.tell("error", id=where, message=report.text(), code=report.code)


def _same(one: object, other: object) -> bool:
    """Whether two ids are the same JSON: 1 is neither true nor 1.0."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
