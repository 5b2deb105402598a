"""One request to a server, asked again where that helps: before anything came, and only then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from qwen_desktop.chat.connection import RemoteTarget, ServerKind
from qwen_desktop.chat.context import Policy
from qwen_desktop.chat.events import (
    Finished,
    FinishReason,
    GenerationEvent,
    Progress,
    Stage,
    Started,
)
from qwen_desktop.chat.messages import Provenance, Role
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.text import whole
from qwen_desktop.engine.remote import network, trouble
from qwen_desktop.engine.remote.answer import RemoteAnswer
from qwen_desktop.engine.remote.fields import body_of
from qwen_desktop.engine.remote.link import Link, request_errors
from qwen_desktop.engine.remote.reading import Silent, Stopped, Waiting, read
from qwen_desktop.engine.remote.refusals import Again, Changes, understood
from qwen_desktop.engine.remote.talk import Talk, talk_of
from qwen_desktop.errors import Cancelled, Known

CONNECTS = 3  # attempts to connect
CONNECT_PAUSE = 0.3  # seconds, longer with each
NAMED = 200  # characters of the name that a server gives its model


@dataclass(frozen=True)
class Facts:
    """What a server is."""

    kind: ServerKind
    version: str = ""

    @property
    def label(self) -> str:
        """For people: "vLLM 0.11.0"."""
        return f"{self.kind.label} {self.version}".strip()


class Asking:
    """One request. `without` are fields the server refuses, `ratio` bytes of text per token.

    `look` tells what the server is, `length` then the length of the context, `names` its models.
    `proxy` is that of the settings.
    """

    def __init__(
        self,
        target: RemoteTarget,
        request: GenerationRequest,
        key: str | None,
        stop: threading.Event,
        *,
        look: Callable[[], Facts],
        length: Callable[[], int],
        names: Callable[[], tuple[str, ...]],
        ratio: float,
        without: frozenset[str],
        proxy: str = "",
    ) -> None:
        self._target = target
        self._connection = target.connection
        self._request = request
        self._key = key
        self._stop = stop
        self._look, self._length, self._names = look, length, names
        self._ratio = ratio
        self._proxy = proxy
        self._changes = Changes(without)
        self.ratio_found = 0.0  # bytes of text per token, where the server counted
        self._left: tuple[str, ...] = ()
        self._sent: Talk | None = None  # as the last attempt had it
        self._connects = 0
        self._thinking = thinks(request)

    @property
    def without(self) -> frozenset[str]:
        """Fields that the server is known to refuse."""
        return self._changes.without

    @property
    def limit_found(self) -> int:
        """The length of the context by the server's word in this request; 0: it said none."""
        return self._changes.limit

    def events(self) -> Iterator[GenerationEvent]:
        """All events of the answer. Raises Known."""
        yield Progress(Stage.PREFILL)
        while True:
            try:
                facts = self._look()
                limit = self._changes.limit or self._length()
                talk = self._sent = self._talk(limit)
                if talk.overflows:
                    raise trouble.overflow(talk.tokens, talk.budget)
                yield from self._attempt(facts, talk, limit)
            except Known as known:
                if known.code not in _UNCONNECTED or self._connects + 1 >= CONNECTS:
                    raise
                self._connects += 1
                again = Again(CONNECT_PAUSE * self._connects)
            except Again as asked:
                again = asked
            except (Stopped, Cancelled):
                yield Finished(FinishReason.STOPPED)
                return
            else:
                return
            yield from self._pause(again)
            if self._stop.is_set():
                yield Finished(FinishReason.STOPPED)
                return

    def _pause(self, again: Again) -> Iterator[GenerationEvent]:
        """Wait as long as asked, telling it each second; a stop ends it."""
        end = time.monotonic() + again.seconds
        total = max(1, round(again.seconds))
        while (rest := end - time.monotonic()) > 0:
            if again.busy:
                yield Progress(Stage.WAITING, max(0, total - round(rest)), total)
            if self._stop.wait(min(1.0, rest)):
                return

    def _attempt(self, facts: Facts, talk: Talk, limit: int) -> Iterator[GenerationEvent]:
        settings, target = self._request.settings, self._target
        body, self._left = body_of(
            target.model,
            talk.messages,
            settings,
            facts.kind,
            thinking=self._thinking,
            continued=talk.continued,
            without=self._changes.without | self._changes.once,
        )
        last = self._request.messages[-1] if self._request.messages else None
        answer = RemoteAnswer(
            target.model,
            settings,
            prompt_tokens=talk.tokens,
            context_length=limit,
            unseen=talk.unseen,
            thinking=self._thinking,
            continued=talk.continued,
            before=last.text if talk.continued and last is not None else "",
        )
        link = Link(self._connection, self._key, self._proxy)
        timeouts = self._connection.timeouts
        items = read(
            link,
            lambda: _stream(link, body),
            self._stop,
            # Some tell at once that an answer begins, and read the prompt then.
            lambda: (
                timeouts.between_tokens
                if answer.has_begun
                else timeouts.connect + timeouts.first_token
            ),
            tells,
        )
        opened = False
        try:
            for item in items:
                if isinstance(item, Waiting):
                    if not opened or not answer.has_begun:
                        yield Progress(Stage.PREFILL)
                elif not opened:
                    opened = True
                    yield Started(self._origin(facts, talk, limit, item), ())
                else:
                    yield from answer.take(item)
                    if answer.is_over:
                        break
        except Stopped:
            yield from answer.end()
            yield Finished(FinishReason.STOPPED, estimated=answer.is_estimated)
            return
        except Exception as error:  # noqa: BLE001 - told apart in `_known`
            known = self._known(error, body, link, opened=opened)
            if opened:
                yield from answer.end()
            raise known from None
        finally:
            items.close()
        yield from answer.end()
        if not (answer.has_ended or answer.is_over):
            raise network.cut_off(self._connection.host, "the stream ended without a reason")
        if (odd := answer.odd_end(self._connection.host)) is not None:
            raise odd
        self._measure(answer, body)
        yield Finished(answer.reason, estimated=answer.is_estimated)

    def _known(
        self, error: Exception, body: dict[str, Any], link: Link, *, opened: bool
    ) -> BaseException:
        """What to raise for `error`: Known, or Again where the same may go better."""
        import openai

        host = self._connection.host
        if isinstance(error, (Known, Cancelled)):
            return error
        if isinstance(error, Silent):
            return trouble.silent(host, error.seconds)
        if isinstance(error, openai.APIStatusError):
            return understood(
                error,
                self._target,
                body,
                self._key,
                changes=self._changes,
                shorten=self._shorten,
                names=self._names,
            )
        # A timeout is one too; amid the words of a refusal it is the HTTP library that tells.
        if isinstance(error, (openai.APIConnectionError, request_errors())):
            known = link.of_network(error.__cause__ or error)
            return network.cut_off(host, known.details) if opened else known
        if isinstance(error, openai.APIError):
            return trouble.failed(
                host,
                str(error.code or "-"),
                trouble.said_by(error.body or error.message, self._key),
            )
        if isinstance(error, (ValueError, RecursionError)):  # JSON may be nested without end
            return trouble.nonsense(host, type(error).__name__)
        return error  # a bug of ours

    def _shorten(self, said: str) -> bool:
        """Make the chat shorter, as its policy allows; False where nothing of it may go."""
        before, limit = self._sent, self._changes.limit or self._length()
        while self._request.policy is not Policy.ASK and self._changes.shorten(said, limit):
            limit = self._changes.limit or limit
            talk = self._talk(limit)
            if before is None or len(talk.messages) < len(before.messages):
                return True
            if "max_tokens" not in self._changes.once:  # it is the answer that does not fit
                self._changes.once |= {"max_tokens", "max_completion_tokens"}
                return True
        return False

    def _talk(self, limit: int) -> Talk:
        return talk_of(self._request, limit, self._ratio / self._changes.scale)

    def _origin(self, facts: Facts, talk: Talk, limit: int, served: str) -> Provenance:
        settings = self._request.settings
        names = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "presence_penalty")
        told = ((name, getattr(settings, name)) for name in names if name not in self._left)
        thinking = self._thinking
        budget = settings.thinking_budget if thinking else None
        return Provenance(
            device=self._connection.host,
            engine=facts.label,
            thinking=thinking,
            sampling=tuple((name, float(value)) for name, value in told if value is not None),
            seed=settings.seed or 0,
            thinking_budget=None if "thinking_budget" in self._left else budget,
            stop_strings=settings.stops,
            context_limit=limit,
            unseen=talk.unseen,
            connection=self._connection.name,
            address=self._connection.base,
            remote_model=served or self._target.model,
            not_taken=", ".join(self._left),
        )

    def _measure(self, answer: RemoteAnswer, body: dict[str, Any]) -> None:
        """Learn how many bytes of text a token has with this model."""
        if answer.is_estimated:
            return
        size = sum(len(str(row["content"]).encode("utf-8", "replace")) for row in body["messages"])
        tokens = answer.usage().stats.prompt_tokens
        if size >= 200 and tokens > 0:
            self.ratio_found = min(8.0, max(0.8, size / tokens))


# Where the words of a chunk are, or what stands in their place.
_OF_DELTA = ("content", "reasoning_content", "reasoning", "refusal", "tool_calls", "function_call")

# Nobody was reached: nothing has been sent.
_UNCONNECTED = frozenset(("remote-refused", "remote-offline"))


def _stream(link: Link, body: dict[str, Any]) -> Iterator[Any]:
    """The name of the model as the server says it, then the chunks of its answer."""
    stream: Any = link.client.post(
        "/chat/completions",
        cast_to=_chunk_type(),
        body=body,
        stream=True,
        stream_cls=_stream_type(),
        options={"headers": {"Accept": "text/event-stream"}},
    )
    kind = stream.response.headers.get("content-type", "").lower()
    if stream.response.is_redirect:
        raise trouble.of_status(link.connection, stream.response.status_code, "", key=False)
    if "html" in kind:
        raise trouble.page(link.connection.host)
    if "json" in kind:
        raise trouble.nonsense(link.connection.host, "no stream")
    first = True
    try:
        for chunk in stream:
            if first:
                first = False
                model = getattr(chunk, "model", None)
                yield whole(model[:NAMED]) if isinstance(model, str) else ""
            yield chunk
    finally:
        stream.close()
    if first:
        yield ""


def tells(item: Any) -> bool:
    """Whether a chunk of a stream brings the answer on, and does not only keep it open."""
    choices = getattr(item, "choices", None)
    if not isinstance(choices, list):
        return True  # the name of the model; of what makes no sense others judge
    for choice in choices[:1]:
        delta = getattr(choice, "delta", None)
        said = (getattr(delta, name, None) for name in _OF_DELTA)
        if getattr(choice, "finish_reason", None) or any(said):
            return True
    return False


def _chunk_type() -> Any:
    from openai.types.chat import ChatCompletionChunk

    return ChatCompletionChunk


def _stream_type() -> Any:
    import openai

    chunk: Any = _chunk_type()
    return openai.Stream[chunk]


def thinks(request: GenerationRequest) -> bool:
    """Whether the model is to think; an answer that was begun goes on as it was."""
    last = request.messages[-1] if request.messages else None
    if last is not None and last.role is Role.ASSISTANT and last.provenance is not None:
        return last.provenance.thinking
    return request.settings.thinking
