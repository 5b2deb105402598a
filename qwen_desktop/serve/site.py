"""What the server offers at which path, as an ASGI application."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from qwen_desktop.chat.connection import is_loopback
from qwen_desktop.serve import page, reading
from qwen_desktop.serve.answers import AnswerResponse, Desk, Jobs, named, ready
from qwen_desktop.serve.door import LOOPBACK, Door, refusal
from qwen_desktop.serve.line import Line
from qwen_desktop.serve.reading import Asked
from qwen_desktop.serve.served import Entry, Load
from qwen_desktop.serve.source import Phase, Source
from qwen_desktop.serve.talks import Talks
from qwen_desktop.serve.trouble import SERVER, Refused, bad
from qwen_desktop.serve.writing import model_object, to_json

MAX_BODY = 16 * 2**20  # bytes; a context of a million tokens is about four
BODY_S = 30.0  # for a body to come
WAITING = 8


@dataclass(frozen=True)
class ServeOptions:
    """How it is served. `key` "" asks for none; that is for loopback alone.

    `waiting` requests are kept beside the one that is answered. `origins` are those of pages
    elsewhere that may use it.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    key: str = ""
    waiting: int = WAITING
    origins: tuple[str, ...] = ()
    max_body: int = MAX_BODY

    @property
    def is_loopback(self) -> bool:
        """Whether nobody from another machine can reach it."""
        return is_loopback(self.host)


class Site:
    """One server's application and what it keeps while it runs.

    `told` hears of each request that has ended, `moved` of the queue, on the server's thread.
    """

    def __init__(
        self,
        source: Source,
        options: ServeOptions,
        told: Callable[[Entry], None],
        moved: Callable[[Load], None],
    ) -> None:
        self._source, self._options = source, options
        self._since = int(time.time())
        self._model = ""  # fingerprint of the one that `talks` are of
        self._talks = Talks()
        self._line = Line(options.waiting, lambda: moved(Load(self._line.length)))
        self.jobs = Jobs()
        self._desk = Desk(source, self._talks, self._line, self.jobs)
        routes = [
            Route("/", self._page),
            Route("/health", self._health),
            Route("/v1/models", self._models),
            Route("/v1/models/{name:path}", self._one_model),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/completions", self._completion, methods=["POST"]),
        ]
        self.app = Starlette(
            routes=routes,
            middleware=[
                Middleware(
                    Door,
                    key=options.key,
                    names=LOOPBACK | {options.host} if options.is_loopback else None,
                    origins=options.origins,
                    paths=frozenset(route.path for route in routes),
                    tell=told,
                )
            ],
            exception_handlers={Refused: _on_refused, HTTPException: _on_http},  # type: ignore[dict-item]
        )

    # -- paths -----------------------------------------------------------------------------

    async def _page(self, _: Request) -> Response:
        found = page.page()
        headers = {"content-security-policy": found.policy}
        return Response(found.html, 200, headers, "text/html")

    async def _health(self, _: Request) -> Response:
        phase = self._source.standing().phase
        status = 200 if phase is Phase.READY else 503
        words = {Phase.READY: "ok", Phase.LOADING: "loading", Phase.ENGAGED: "busy"}
        return _json({"status": words.get(phase, "no model")}, status)

    async def _models(self, _: Request) -> Response:
        info = self._source.standing().info
        data = [model_object(info, self._since)] if info is not None else []
        return _json({"object": "list", "data": data})

    async def _one_model(self, request: Request) -> Response:
        info = ready(self._source.standing())
        named(Asked(False, request.path_params["name"], (), reading.NO_SETTINGS), info)
        return _json(model_object(info, self._since))

    async def _chat(self, request: Request) -> Response:
        return self._answer(reading.chat(reading.parse(await self._body(request))))

    async def _completion(self, request: Request) -> Response:
        return self._answer(reading.completion(reading.parse(await self._body(request))))

    def _answer(self, asked: Asked) -> Response:
        info = ready(self._source.standing())
        named(asked, info)
        if info.fingerprint != self._model:  # another tokenizer would not know the answers
            self._model = info.fingerprint
            self._source.forget(self._talks.clear())
        return AnswerResponse(self._desk, asked)

    async def _body(self, request: Request) -> bytes:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refused(415, "Send the body as application/json.", code="unsupported_media_type")
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise Refused(415, "Send the body as it is.", code="unsupported_media_type")
        most = self._options.max_body
        length = request.headers.get("content-length", "0")
        if len(length) > 19 or (length.isdigit() and int(length) > most):
            raise _too_large(most)
        try:
            return await asyncio.wait_for(_read(request, most), BODY_S)
        except asyncio.TimeoutError:  # the built-in one from Python 3.11 on
            raise Refused(408, "The body took too long.", code="timeout") from None
        except ClientDisconnect:
            raise bad("The body is not whole.", code="invalid_json") from None


async def _read(request: Request, most: int) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise _too_large(most)
    return bytes(body)


def _too_large(most: int) -> Refused:
    return Refused(413, f"The body is larger than {most:,} bytes.", code="request_too_large")


def _json(value: object, status: int = 200) -> Response:
    return Response(to_json(value), status, media_type="application/json")


async def _on_refused(_: Request, refused: Refused) -> Response:
    return refusal(refused)


async def _on_http(_: Request, error: HTTPException) -> Response:
    sentence = {404: "There is nothing at this path.", 405: "This path takes another method."}
    kind = "invalid_request_error" if error.status_code < 500 else SERVER
    message = sentence.get(error.status_code, error.detail)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code)
    response = refusal(Refused(error.status_code, message, code=code, kind=kind))
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response
