"""Answers of servers, for the same requests and with the same events as those of a checkpoint.

One request at a time may run in each thread that asks; what is learned of a server (its program,
the lengths of its contexts, fields it refuses) is kept for the run of the application.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from qwen_desktop.chat.attached import content
from qwen_desktop.chat.connection import (
    Connection,
    ConnectionTest,
    RemoteModel,
    RemoteTarget,
    ServerKind,
    ServerState,
)
from qwen_desktop.chat.events import Delta, Finished, FinishReason, GenerationEvent, PromptCount
from qwen_desktop.chat.inspected import AnswerPrompt
from qwen_desktop.chat.messages import Message, PartKind, Role
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.sent import SentRequest
from qwen_desktop.engine.remote import listing, metrics, network, trouble
from qwen_desktop.engine.remote.asking import Asking, Facts
from qwen_desktop.engine.remote.inspecting import sent_now, sent_then, with_left_out
from qwen_desktop.engine.remote.link import Link
from qwen_desktop.engine.remote.reading import Silent, Stopped, Waiting, aside, read
from qwen_desktop.engine.remote.talk import (
    BYTES_PER_TOKEN,
    budget_of,
    estimate,
    talk_of,
)
from qwen_desktop.errors import Cancelled, Known

T = TypeVar("T")

STATE_SECONDS = 3.0
# Who has a page of metrics that is understood here, or may have one.
_TELLING = (ServerKind.VLLM, ServerKind.SGLANG, ServerKind.OPENAI)
_NEVER = threading.Event()


@dataclass(frozen=True)
class _Learned:
    """What was found out about a server."""

    facts: Facts
    models: tuple[RemoteModel, ...]


class RemoteEngine:
    """Asks servers. `key_of` gives the key of a connection, None for no key; `proxy` the address
    of the proxy that the user chose, "" for what the environment says.

    Nothing is sent before one of the methods is called, and `count_prompt` sends nothing at all.
    """

    def __init__(
        self, key_of: Callable[[Connection], str | None], proxy: Callable[[], str] = lambda: ""
    ) -> None:
        self._key_of = key_of
        self._proxy = proxy
        self._learned: dict[tuple[str, ServerKind], _Learned] = {}
        self._refused: dict[tuple[str, str], frozenset[str]] = {}  # fields, by server and model
        self._bytes_per_token: dict[tuple[str, str], float] = {}
        self._limits: dict[tuple[str, str], int] = {}  # that a refusal told, by server and model

    # Servers

    def models(
        self, connection: Connection, stop: threading.Event = _NEVER
    ) -> tuple[RemoteModel, ...]:
        """The models a server offers. Raises Known, and Cancelled where `stop` was set."""
        return self._run(connection, listing.models_of, stop, listing.SECONDS)

    def test(self, connection: Connection, stop: threading.Event = _NEVER) -> ConnectionTest:
        """Ask a server for its models and what it is. Raises as `models`."""

        def ask(link: Link) -> ConnectionTest:
            began = time.perf_counter()
            models = listing.models_of(link)
            latency = time.perf_counter() - began
            kind = listing.kind_of(link, models)
            models = listing.with_lengths(link, kind, models)
            return ConnectionTest(latency, models, kind, listing.version_of(link, kind))

        found = self._run(connection, ask, stop, listing.SECONDS * 2)
        self._learn(connection, Facts(found.kind, found.version), found.models)
        return found

    def state(self, connection: Connection, stop: threading.Event = _NEVER) -> ServerState | None:
        """How busy a server is; None where it does not tell, or cannot be asked now."""
        known = self._learned.get((connection.base, connection.kind))
        if known is not None and known.facts.kind not in _TELLING:
            return None

        def ask(link: Link) -> ServerState | None:
            status, body, _ = link.get("/metrics", STATE_SECONDS, root=True)
            return metrics.state_of(body.decode("utf-8", "replace")) if status == 200 else None

        try:
            return self._run(connection, ask, stop, STATE_SECONDS)
        except (Known, Cancelled):
            return None

    def _run(
        self, connection: Connection, ask: Callable[[Link], T], stop: threading.Event, most: float
    ) -> T:
        def produce() -> Iterator[T]:
            yield ask(link)

        try:
            link = Link(connection, self._key(connection, stop), self._proxy())
            for item in read(link, produce, stop, lambda: most):
                if not isinstance(item, Waiting):
                    found: T = item
                    return found
        except Stopped:
            raise Cancelled from None
        except Silent as silent:
            raise trouble.silent(connection.host, silent.seconds) from None
        raise network.cut_off(connection.host)

    def _key(self, connection: Connection, stop: threading.Event) -> str | None:
        """The key of a connection. Raises Stopped: a keyring may wait for the user."""
        return aside(lambda: self._key_of(connection), stop)

    def _learn(
        self, connection: Connection, facts: Facts, models: tuple[RemoteModel, ...]
    ) -> _Learned:
        learned = _Learned(facts, models)
        self._learned[connection.base, connection.kind] = learned
        return learned

    def _look(self, connection: Connection, stop: threading.Event) -> _Learned:
        """What the server is; asked once. Raises Cancelled, and Known where nobody is there."""
        known = self._learned.get((connection.base, connection.kind))
        if known is not None:
            return known
        try:
            found = self.test(connection, stop)
        except Known as error:
            if error.code in _NOBODY:
                raise
            # Whoever has no list may still answer.
            kind = connection.kind
            return _Learned(Facts(ServerKind.OPENAI if kind is ServerKind.AUTO else kind, ""), ())
        return _Learned(Facts(found.kind, found.version), found.models)

    # Requests

    def count_prompt(self, request: GenerationRequest) -> PromptCount:
        """About how long the prompt is: only the server knows. Asks nobody.

        `limit` and `budget` are 0 where nobody has told the length of the context.
        """
        target = _target(request)
        ratio, limit = self._ratio(target), self.context_length(target)
        talk = talk_of(request, limit, ratio)
        last = request.messages[-1] if request.messages else None
        draft = last if last is not None and last.role is Role.USER else None
        files = tuple(
            estimate(content(Message(Role.USER, (file,))), ratio)
            for file in (draft.files if draft is not None else ())
        )
        return PromptCount(
            prompt=talk.tokens,
            draft=estimate(content(draft), ratio) if draft is not None else 0,
            budget=budget_of(limit, request.settings.max_new_tokens),
            limit=limit,
            unseen=talk.unseen,
            overflows=talk.overflows,
            files=files,
            estimated=True,
        )

    def inspect(self, asked: GenerationRequest | AnswerPrompt) -> SentRequest:
        """What a request would send now, or what was sent for an answer. Asks nobody.

        It is made by the same functions as what is sent.
        """
        request = asked if isinstance(asked, GenerationRequest) else asked.request
        target = _target(request)
        ratio = self._ratio(target)
        said = {message.id: message for message in request.messages}
        if isinstance(asked, AnswerPrompt):
            sent = sent_then(request, target, asked.answer, ratio)
            origin = asked.answer.provenance
            unseen = origin.unseen if origin is not None else ()
        else:
            connection = target.connection
            learned = self._learned.get((connection.base, connection.kind))
            sent = sent_now(
                request,
                target,
                learned.facts.kind if learned is not None else connection.kind,
                limit=self.context_length(target),
                ratio=ratio,
                without=self._refused.get((connection.base, target.model), frozenset()),
            )
            unseen = self.count_prompt(request).unseen
        return with_left_out(sent, {one: said[one] for one in unseen if one in said}, ratio)

    def context_length(self, target: RemoteTarget) -> int:
        """Tokens of the model's context, 0 where nobody has told. Asks nobody."""
        connection = target.connection
        told = self._limits.get((connection.base, target.model), 0) or target.context_length
        if told:
            return told
        learned = self._learned.get((connection.base, connection.kind))
        models = learned.models if learned is not None else ()
        return next((m.context_length for m in models if m.name == target.model), 0)

    def _loaded_length(self, target: RemoteTarget, stop: threading.Event) -> int:
        """The length of a context that its server knows once the model is loaded; else 0."""
        connection = target.connection
        learned = self._learned.get((connection.base, connection.kind))
        if learned is None or learned.facts.kind is not ServerKind.OLLAMA:
            return 0
        asked = (RemoteModel(target.model),)

        def ask(link: Link) -> int:
            return listing.with_lengths(link, ServerKind.OLLAMA, asked)[0].context_length

        try:
            return self._run(connection, ask, stop, listing.SHORT_SECONDS)
        except Known:
            return 0

    def generate(
        self, request: GenerationRequest, stop: threading.Event
    ) -> Iterator[GenerationEvent]:
        """Answer `request`: Progress and Started, then Delta, Usage and others, at last Finished.

        Raises Known; text given out until then stands. `stop` ends it as an ordinary STOPPED
        within a fraction of a second, however silent the server is.
        """
        target = _target(request)
        connection = target.connection
        if not connection.base:
            raise trouble.bad_address(connection)
        if request.fork is not None:
            raise trouble.cannot_fork()
        last = request.messages[-1] if request.messages else None
        if last is not None and last.role is Role.ASSISTANT and not last.text:
            raise trouble.cannot_continue(connection.host)  # cut within a thought
        place = (connection.base, target.model)
        try:
            key = self._key(connection, stop)
        except Stopped:
            yield Finished(FinishReason.STOPPED)
            return
        asking = Asking(
            target,
            request,
            key,
            stop,
            look=lambda: self._look(connection, stop).facts,
            length=lambda: self.context_length(target) or self._loaded_length(target, stop),
            names=lambda: tuple(m.name for m in self.models(connection, stop)),
            ratio=self._ratio(target),
            without=self._refused.get(place, frozenset()),
            proxy=self._proxy(),
        )
        try:
            yield from asking.events()
        finally:
            self._refused[place] = asking.without
            if asking.limit_found:
                self._limits[place] = asking.limit_found
            if asking.ratio_found:
                self._bytes_per_token[place] = asking.ratio_found

    def write_title(self, request: GenerationRequest, stop: threading.Event) -> str:
        """What the model says to a request for a title, without its reasoning. Raises Known.

        Raises Cancelled where `stop` was set.
        """
        settings = replace(request.settings, thinking=False, logprobs=0, system_prompt="")
        said = [
            event.text
            for event in self.generate(replace(request, settings=settings), stop)
            if isinstance(event, Delta) and event.kind is PartKind.TEXT
        ]
        if stop.is_set():
            raise Cancelled
        return "".join(said)

    def _ratio(self, target: RemoteTarget) -> float:
        return self._bytes_per_token.get((target.connection.base, target.model), BYTES_PER_TOKEN)


# Why a server cannot even be asked: what it is need not be known then.
_NOBODY = frozenset(
    f"remote-{name}"
    for name in (
        *("address", "certificate", "dns", "key", "offline", "proxy"),
        *("redirect", "refused", "silent", "tls", "unanswered"),
    )
)


def _target(request: GenerationRequest) -> RemoteTarget:
    if request.remote is None:
        raise ValueError("the request names no server")
    return request.remote
