"""One connection to a server for one request; it can be cut under a thread that waits on it."""

from __future__ import annotations

import logging
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from qwen_desktop import __version__
from qwen_desktop.chat.connection import Connection
from qwen_desktop.engine.remote import network, trouble
from qwen_desktop.engine.remote.proxies import proxy_for, proxy_of
from qwen_desktop.errors import Cancelled, Known

if TYPE_CHECKING:
    import openai

WRITE_SECONDS = 60.0

# All that a server is told beside the request itself: nothing of this machine, nothing that the
# environment adds for other programs.
_HEADERS = (
    "host",
    "accept",
    "accept-encoding",
    "connection",
    "content-type",
    "content-length",
    "transfer-encoding",
)


class Link:
    """An OpenAI client and the sockets it opens. Made for one request, closed after it.

    `proxy` is that of the settings; `proxies.py` tells which one is taken. Redirects are not
    followed: a chat goes to the address the user gave. Raises Known for an address that is none.
    """

    def __init__(self, connection: Connection, key: str | None, proxy: str = "") -> None:
        import httpx2
        import openai

        from qwen_desktop.engine.remote.bounded import MOST, Bounded

        _hush()
        if not connection.base:
            raise trouble.bad_address(connection)
        self.connection = connection
        self.key = _one_line(key)
        self._lock = threading.Lock()
        self._sockets: list[Any] = []
        self.is_cut = False
        timeouts = connection.timeouts
        timeout = openai.Timeout(None, connect=timeouts.connect, write=WRITE_SECONDS)
        self._proxy = proxy_for(connection, proxy)
        tls = _tls()

        def bound(response: Any) -> None:
            response.stream = Bounded(response, connection.host)

        try:
            self.http = openai.DefaultHttpxClient(
                timeout=timeout,
                proxy=proxy_of(self._proxy, tls),
                trust_env=False,
                follow_redirects=False,
                event_hooks={"request": [self._on_request], "response": [bound]},
                verify=tls,
            )
        except ValueError as error:
            raise network.bad_proxy(type(error).__name__) from None
        self._most = MOST
        self._foreign = (request_errors(), OSError, ValueError)
        try:
            self.client: openai.OpenAI = openai.OpenAI(
                api_key=self.key or "none",
                base_url=connection.base,
                http_client=self.http,
                max_retries=0,
            )
        except httpx2.InvalidURL:
            self.http.close()
            raise trouble.bad_address(connection) from None

    def get(self, path: str, seconds: float, *, root: bool = False) -> tuple[int, bytes, str]:
        """Status, body and type of a short answer. `root`: the path is beside the API's own.

        Raises Known, and Cancelled once cut. Reads a few megabytes at most.
        """
        base = self.connection.base
        if root:
            base = base.removesuffix("/v1")
        deadline = time.monotonic() + seconds
        try:
            with self.http.stream("GET", base + path, timeout=seconds) as response:
                body = b""
                for piece in response.iter_bytes():
                    body += piece
                    if len(body) > self._most or time.monotonic() > deadline:
                        raise trouble.nonsense(self.connection.host, f"GET {path}: over the limit")
                return response.status_code, body, response.headers.get("content-type", "")
        except Known:
            raise
        except self._foreign as error:
            raise self.translated(error) from None

    def translated(self, error: BaseException) -> BaseException:
        """What to raise in place of an exception of the client that no status explains."""
        if self.is_cut:
            return Cancelled()
        if isinstance(error, ValueError):  # JSON, UTF-8
            return trouble.nonsense(self.connection.host, type(error).__name__)
        return self.of_network(error)

    def of_network(self, error: BaseException) -> Known:
        """The sentence for an exception of the HTTP client, before anything came."""
        return network.of_network(error, self.connection.host, proxied=bool(self._proxy))

    def cut(self) -> None:
        """End the connection at once, from any thread, and let none begin."""
        with self._lock:
            self.is_cut = True
            for sock in self._sockets:
                _shut(sock)

    def close(self) -> None:
        """Give back what the link holds, on the thread that used it."""
        with suppress(Exception):  # nothing is left to be said
            self.client.close()

    def _on_request(self, request: Any) -> None:
        for name in list(request.headers):
            if name.lower() not in _HEADERS:
                del request.headers[name]
        request.headers["Accept-Encoding"] = "identity"  # what unfolds has no bounds
        request.headers["User-Agent"] = f"Qwen-Desktop/{__version__}"
        if self.key:
            request.headers["Authorization"] = f"Bearer {self.key}"
        request.extensions["trace"] = self._on_trace

    def _on_trace(self, name: str, info: dict[str, Any]) -> None:
        if not name.endswith(("connect_tcp.complete", "start_tls.complete")):
            return
        sock = info["return_value"].get_extra_info("socket")
        with self._lock:
            self._sockets.append(sock)
            if self.is_cut:
                _shut(sock)


def request_errors() -> type[Exception]:
    """What the client's HTTP library raises, by whichever name it is installed."""
    import httpx2

    return httpx2.HTTPError


def retry_after(headers: Any) -> float | None:
    """Seconds until the server wants to be asked again, where it says so."""
    import email.utils

    text = str(headers.get("retry-after", "")).strip()
    if re.fullmatch(r"\d{1,9}(\.\d*)?", text):
        return float(text)
    with suppress(ValueError, TypeError, OverflowError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return None


def _hush() -> None:
    """Let the libraries log no requests, whatever the environment (OPENAI_LOG) wants of them.

    What they tell of one holds the chat, and headers.
    """
    for name in ("openai", "httpx", "httpx2", "httpcore", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _shut(sock: Any) -> None:
    """End a connection under a thread that waits on it: closing alone would not wake that."""
    if isinstance(sock, socket.socket):
        with suppress(OSError):  # it may have ended by itself
            # Not SSLSocket's own: that takes away the state in which another thread still reads.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _tls() -> ssl.SSLContext:
    """Certificates that this system trusts, those that a company or a user added included."""
    import truststore

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _one_line(key: str | None) -> str:
    """A key as a header can carry it: what was pasted may have ends of lines."""
    return "".join((key or "").split()).encode("ascii", "ignore").decode()
