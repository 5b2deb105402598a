"""One request for an answer: its wait in the queue, its stream or object, its end.

When the client goes away, or nobody is to wait any more, the job's event is set: the engine ends
within a token, and the place in the queue is given up when it has. A client that stays and does not
read is taken for one that went: others wait behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from qwen_desktop.chat.events import (
    Finished,
    FinishReason,
    GenerationEvent,
    Progress,
    Stage,
    Started,
)
from qwen_desktop.chat.messages import new_id
from qwen_desktop.chat.model import ModelInfo
from qwen_desktop.errors import Report
from qwen_desktop.serve.line import Line, Ticket
from qwen_desktop.serve.reading import Asked
from qwen_desktop.serve.source import Job, Phase, Source, Standing
from qwen_desktop.serve.talks import Talks
from qwen_desktop.serve.trouble import SERVER, Refused, bad, refused_by
from qwen_desktop.serve.writing import DONE, Written, comment, sse, to_json

NOTES = "qwen_desktop.serve"  # where a request's notes for the log are in its scope
RETRY_S = 5
UNREAD_S = 60.0  # that a client may leave lying what it is sent


@dataclass
class Notes:
    """What is known of a request when it has ended."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    new_tokens: int = 0
    speed: float = 0.0
    left: bool = False


def ready(standing: Standing) -> ModelInfo:
    """The model that can be asked now. Raises Refused."""
    if standing.phase is Phase.READY and standing.info is not None:
        return standing.info
    message, code = {
        Phase.LOADING: ("The model is still loading.", "model_loading"),
        Phase.ENGAGED: ("The model is being measured.", "model_busy"),
    }.get(standing.phase, ("No checkpoint is open.", "no_model"))
    raise Refused(503, message, code=code, kind=SERVER, retry_s=RETRY_S)


def named(asked: Asked, info: ModelInfo) -> None:
    """Raises Refused where another model is asked for."""
    if asked.model and asked.model != info.name:
        raise Refused(
            404,
            f"The model “{asked.model[:100]}” is not here; {info.name} is.",
            code="model_not_found",
            param="model",
        )
    if asked.chat and not info.has_chat_template:
        raise bad(
            f"{info.name} has no chat format: ask /v1/completions to go on with a text.",
            "messages",
            "no_chat_template",
        )


class Jobs:
    """The jobs that are under way, so that all can be stopped. From any thread."""

    def __init__(self) -> None:
        self._stops: dict[str, threading.Event] = {}
        self.closing = False

    def add(self, job: Job) -> None:
        """It begins."""
        self._stops[job.id] = job.stop
        if self.closing:
            job.stop.set()

    def remove(self, job: Job) -> None:
        """It has ended."""
        self._stops.pop(job.id, None)

    def stop(self) -> None:
        """End all of them within a token."""
        for stop in tuple(self._stops.values()):
            stop.set()


@dataclass(frozen=True)
class Desk:
    """What all answers share."""

    source: Source
    talks: Talks
    line: Line
    jobs: Jobs


class AnswerResponse(Response):
    """The response to one request that was read."""

    def __init__(self, desk: Desk, asked: Asked) -> None:
        self._desk, self._asked = desk, asked
        self._stop = threading.Event()
        self._gone = asyncio.Event()
        self._begun = False  # whether the first line of the response is out
        self._told = False  # whether the last one is: whoever goes now leaves nothing
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; an ASGI application."""
        self._sending = send
        self._notes: Notes = scope.setdefault(NOTES, Notes())
        watcher = asyncio.create_task(self._watch(receive))
        try:
            async with self._desk.line.place() as ticket:
                await self._wait(ticket)
                if not self._gone.is_set():
                    await self._answer()
        except Refused as refused:
            if not self._begun:
                raise
            await self._more(sse(refused.body()))
            await self._end()
        finally:
            self._stop.set()
            left = self._gone.is_set() and not self._told
            self._notes.left = self._notes.left or left
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher

    async def _watch(self, receive: Receive) -> None:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self._stop.set()
                self._gone.set()
                return

    # -- the queue -------------------------------------------------------------------------

    async def _wait(self, ticket: Ticket) -> None:
        """Wait for its turn, or until nobody waits for it."""
        self._place = ticket.ahead
        while ticket.ahead and not self._gone.is_set():
            if self._asked.stream:
                await self._begin_stream()
                await self._more(comment(f"queued {ticket.ahead}"))
            moved = asyncio.ensure_future(ticket.moved())
            gone = asyncio.ensure_future(self._gone.wait())
            await asyncio.wait({moved, gone}, return_when=asyncio.FIRST_COMPLETED)
            for task in (moved, gone):
                task.cancel()

    # -- the answer ------------------------------------------------------------------------

    async def _answer(self) -> None:
        desk, asked = self._desk, self._asked
        info = ready(desk.source.standing())
        named(asked, info)
        if asked.chat:
            talk_id, messages = desk.talks.find(asked.messages)
        else:
            talk_id, messages = desk.talks.find_text(asked.messages[0].text), asked.messages
        written = Written(asked, info)
        events: asyncio.Queue[GenerationEvent | Report] = asyncio.Queue()
        request = asked.request(talk_id, messages)
        job = Job(new_id(), request, self._stop, _crossing(events))
        desk.jobs.add(job)
        try:
            desk.source.begin(job)
            await self._follow(events, written)
        finally:
            desk.jobs.remove(job)
        if asked.chat:
            gone = desk.talks.keep(talk_id, messages, written.message)
        else:
            said = "".join(part.text for part in written.answer.parts)
            gone = desk.talks.keep_text(talk_id, asked.messages[0].text + said)
        if gone:
            desk.source.forget(gone)
        await self._tell_end(written)
        if asked.chat and written.is_complete:
            # Clients leave reasoning out: with it the next prompt parts from what is cached.
            desk.source.prepare(asked.request(talk_id, (*messages, written.message)))

    async def _follow(
        self, events: asyncio.Queue[GenerationEvent | Report], written: Written
    ) -> None:
        """Take in what the engine says until it has ended. Raises Refused."""
        stream = self._asked.stream
        while True:
            event = await events.get()
            if isinstance(event, Report):
                raise refused_by(event)
            chunks = list(written.take(event))
            self._note(written)
            if isinstance(event, Finished) and event.reason is FinishReason.STOPPED:
                self._notes.left = True
                if not self._gone.is_set():
                    raise Refused(
                        503, "The answer was stopped by the server.", code="stopped", kind=SERVER
                    )
                return
            if stream and not self._gone.is_set():
                if isinstance(event, Started):
                    await self._begin_stream()
                if isinstance(event, Progress) and event.stage is Stage.PREFILL and self._begun:
                    await self._more(comment(f"reading {event.done}/{event.total}"))
                if chunks:
                    await self._more(b"".join(sse(chunk) for chunk in chunks))
            if isinstance(event, Finished):
                return

    def _note(self, written: Written) -> None:
        stats, notes = written.stats, self._notes
        notes.prompt_tokens, notes.cached_tokens = stats.prompt_tokens, stats.reused_tokens
        notes.new_tokens, notes.speed = stats.new_tokens, stats.decode_speed

    async def _tell_end(self, written: Written) -> None:
        if self._gone.is_set():
            return
        if self._asked.stream:
            usage = sse(written.usage_chunk()) if self._asked.include_usage else b""
            await self._more(usage + DONE)
            await self._end()
            return
        body = to_json(written.whole())
        size = [("content-length", str(len(body)))]
        await self._begin([("content-type", "application/json"), *size])
        await self._send({"type": "http.response.body", "body": body})

    # -- the wire --------------------------------------------------------------------------

    async def _send(self, message: Message) -> None:
        """Send, unless the client is gone; it is where it reads nothing for too long."""
        if self._gone.is_set():
            return
        try:
            await asyncio.wait_for(self._sending(message), UNREAD_S)
        except asyncio.TimeoutError:  # the built-in one from Python 3.11 on
            self._stop.set()
            self._gone.set()
            return
        if message["type"] == "http.response.body":
            self._told = not message.get("more_body", False)

    async def _begin_stream(self) -> None:
        if not self._begun:
            await self._begin([("content-type", "text/event-stream; charset=utf-8")])

    async def _begin(self, headers: list[tuple[str, str]]) -> None:
        self._begun = True
        headers = [*headers, ("x-queue-position", str(self._place)), ("x-accel-buffering", "no")]
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        await self._send({"type": "http.response.start", "status": 200, "headers": raw})

    async def _more(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def _end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _crossing(events: asyncio.Queue[Any]) -> Callable[[Any], None]:
    """What other threads put events in with."""
    loop = asyncio.get_running_loop()

    def put(event: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
            loop.call_soon_threadsafe(events.put_nowait, event)

    return put
