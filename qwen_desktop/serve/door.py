"""Who may come in: names of this machine, pages of our own, holders of the key.

A page of a stranger's, open in the user's browser, can reach a server on loopback. It is kept out
by three things: its `Origin` is another, a request that needs none of ours must be JSON (a browser
asks before it sends that to another origin), and a name that was bound to 127.0.0.1 for the
purpose (DNS rebinding) is not ours.
"""

from __future__ import annotations

import hmac
import logging
import re
import time
from collections.abc import Callable, Iterable

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qwen_desktop.errors import report_of
from qwen_desktop.serve.answers import NOTES, Notes
from qwen_desktop.serve.served import Entry
from qwen_desktop.serve.trouble import Refused, refused_by
from qwen_desktop.serve.writing import to_json

_log = logging.getLogger(__name__)

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
OPEN = frozenset({"/", "/health"})  # paths that tell nothing: no key is asked for
_HOST = re.compile(r"(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::\d{1,5})?")
_SAFE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


def refusal(refused: Refused) -> Response:
    """The response that tells of it."""
    return Response(to_json(refused.body()), refused.status, refused.headers(), "application/json")


class Door:
    """Middleware around everything: checks, headers that every answer gets, and the log.

    `names` are those that may stand in `Host`; None for any, where the server is meant for others.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        key: str,
        names: frozenset[str] | None,
        origins: Iterable[str],
        paths: frozenset[str],
        tell: Callable[[Entry], None],
    ) -> None:
        self._app = app
        self._key = key.encode()
        self._names = names
        self._origins = frozenset(origins)
        self._paths = paths
        self._tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it in or not; an ASGI application."""
        if scope["type"] != "http":
            return
        begun, started, status = time.time(), time.perf_counter(), 0
        headers = Headers(scope=scope)
        allowed = self._origin(headers)

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = {name for name, _ in message.get("headers", [])}
                more = {**_SAFE, **_cors(allowed)}
                message["headers"] = [
                    *message.get("headers", []),
                    *((n.encode(), v.encode()) for n, v in more.items() if n.encode() not in own),
                ]
            await send(message)

        notes = scope.setdefault(NOTES, Notes())
        try:
            try:
                self._check(scope, headers, allowed)
            except Refused as refused:
                await refusal(refused)(scope, receive, sending)
                return
            if scope["method"] == "OPTIONS" and allowed:
                await Response(status_code=204)(scope, receive, sending)
                return
            await self._app(scope, receive, sending)
        except Exception as error:  # noqa: BLE001 - the border: others would log its words
            _log.error("local server: %s", report_of(error).for_log())
            if not status:
                await refusal(refused_by(report_of(error)))(scope, receive, sending)
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._tell(
                Entry(
                    begun,
                    scope["method"] if scope["method"].isalpha() else "?",
                    path,
                    status,
                    notes.prompt_tokens,
                    notes.cached_tokens,
                    notes.new_tokens,
                    time.perf_counter() - started,
                    notes.speed,
                    notes.left,
                )
            )

    def _check(self, scope: Scope, headers: Headers, allowed: str) -> None:
        hosts = headers.getlist("host")
        found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if found is None:
            raise Refused(400, "The Host header is missing or malformed.", code="host_invalid")
        if self._names is not None and found[1].lower() not in self._names:
            raise Refused(403, "This server answers to names of this machine.", code="host_refused")
        origin = headers.get("origin")
        if origin is not None and not allowed and origin != f"http://{hosts[0]}":
            raise Refused(
                403, "Pages from elsewhere may not use this server.", code="origin_refused"
            )
        api = scope["path"] not in OPEN
        strange = headers.get("sec-fetch-site", "") in ("cross-site", "same-site")
        if api and strange and not allowed:
            raise Refused(
                403, "Pages from elsewhere may not use this server.", code="origin_refused"
            )
        if api and self._key and scope["method"] != "OPTIONS" and not self._opens(headers):
            raise Refused(401, "The API key is missing or wrong.", code="invalid_api_key")

    def _opens(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # Bytes: a text that is not ASCII cannot be compared in constant time.
        same = hmac.compare_digest(given.strip().encode("latin-1", "replace"), self._key)
        return same and scheme.lower() == "bearer"

    def _origin(self, headers: Headers) -> str:
        """The origin of a page from elsewhere that was let in by name; else ""."""
        origin = headers.get("origin", "")
        return origin if origin in self._origins else ""


def _cors(origin: str) -> dict[str, str]:
    if not origin:
        return {}
    return {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": "GET, POST, OPTIONS",
        "access-control-allow-headers": "authorization, content-type",
        "access-control-expose-headers": "x-queue-position, retry-after",
        "cross-origin-resource-policy": "cross-origin",
        "vary": "origin",
    }
