"""A server of OpenAI's protocol that misbehaves as told: threads, loopback, nothing else."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Answer = Callable[["Exchange"], None]

KEY = "sk-the-secret-of-the-tests"


def chunk(content: str | None = None, *, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """One chunk of a stream."""
    if content is not None:
        delta["content"] = content
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "as-served",
        "choices": [choice],
    }


def usage(prompt: int, made: int, **details: Any) -> dict[str, Any]:
    """The chunk that ends a stream with its counts."""
    counts = {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made}
    return {**chunk(), "choices": [], "usage": {**counts, **details}}


class Exchange:
    """One request, and the means to answer it."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: bytes, ended: threading.Event):
        self._handler = handler
        # A proxy is asked by whole addresses.
        self.host, self.path = "", handler.path
        if "://" in handler.path:
            self.host, _, path = handler.path.partition("://")[2].partition("/")
            self.path = f"/{path}"
        self.headers = dict(handler.headers.items())
        self.raw = body
        self.body: dict[str, Any] = json.loads(body) if body else {}
        self.ended = ended  # the server is closed

    def json(self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.send(json.dumps(value).encode(), "application/json", status, headers)

    def send(
        self,
        body: bytes,
        kind: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        h = self._handler
        h.send_response(status)
        h.send_header("Content-Type", kind)
        h.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            h.send_header(name, value)
        h.end_headers()
        h.wfile.write(body)

    def begin(self, kind: str = "text/event-stream", *, length: int | None = None) -> None:
        """Headers of a stream; with a `length` that is not reached, its end is a cut."""
        h = self._handler
        h.send_response(200)
        h.send_header("Content-Type", kind)
        if length is not None:
            h.send_header("Content-Length", str(length))
        h.send_header("Connection", "close")
        h.end_headers()
        h.close_connection = True

    def event(self, value: Any) -> None:
        self.line(f"data: {json.dumps(value)}\n\n".encode())

    def line(self, raw: bytes) -> None:
        self._handler.wfile.write(raw)
        self._handler.wfile.flush()

    def stream(self, *chunks: Any, done: bool = True) -> None:
        self.begin()
        for one in chunks:
            self.event(one)
        if done:
            self.line(b"data: [DONE]\n\n")

    def hang(self) -> None:
        """Say nothing until the client is gone, or the server is closed."""
        sock = self._handler.connection
        sock.settimeout(0.05)
        while not self.ended.is_set():
            try:
                if sock.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except OSError:
                return


class FakeServer:
    """Answers chats by `answer`, the last of `answers` again and again. Keeps what it was asked."""

    def __init__(self, *answers: Answer, certificate: Path | None = None) -> None:
        self.answers = list(answers) or [lambda x: x.stream(chunk("Hello"), chunk(finish="stop"))]
        self.asked: list[Exchange] = []  # chats
        self.seen: list[Exchange] = []  # all of them
        self.models: Any = {"object": "list", "data": [{"id": "m", "owned_by": "vllm"}]}
        self.pages: dict[str, Answer] = {}  # by path
        self.left = threading.Event()  # a client of `hang` is gone
        self.ended = threading.Event()
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer._get(self)

            def do_POST(self) -> None:
                outer._post(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
            self._http.socket = tls.wrap_socket(
                self._http.socket, server_side=True, do_handshake_on_connect=False
            )
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        self.port = self._http.server_address[1]
        scheme = "http" if certificate is None else "https"
        self.address = f"{scheme}://127.0.0.1:{self.port}/v1"

    def _get(self, handler: BaseHTTPRequestHandler) -> None:
        exchange = Exchange(handler, b"", self.ended)
        self.seen.append(exchange)
        if exchange.path in self.pages:
            self.pages[exchange.path](exchange)
        elif exchange.path == "/v1/models":
            exchange.json(self.models)
        else:
            exchange.json({"detail": "Not Found"}, 404)

    def _post(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", "0")))
        exchange = Exchange(handler, body, self.ended)
        with self._lock:
            self.seen.append(exchange)
            self.asked.append(exchange)
            answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        try:
            answer(exchange)
        except OSError:
            pass
        finally:
            self.left.set()

    def close(self) -> None:
        self.ended.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@contextmanager
def fake(*answers: Answer, certificate: Path | None = None) -> Iterator[FakeServer]:
    """A server for one test; over TLS with a `certificate` and its key."""
    server = FakeServer(*answers, certificate=certificate)
    try:
        yield server
    finally:
        server.close()
