"""The bytes of a server's answer, as many as make sense: a server may send without end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2

from qwen_desktop.engine.remote import trouble

MOST = 8 << 20  # bytes of an answer that is read whole, and of one event of a stream
PACKED = 1 << 18  # of one that is compressed though nobody asked for that: it may unfold to much
_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")  # of an event


class Bounded(httpx2.SyncByteStream):
    """The body of `response`. Reading it raises Known where it is over its limit."""

    def __init__(self, response: httpx2.Response, host: str) -> None:
        self._stream: Any = response.stream
        self._host = host
        is_packed = response.headers.get("content-encoding", "identity").lower() != "identity"
        kind = response.headers.get("content-type", "").lower()
        self._is_events = not is_packed and response.is_success and "event-stream" in kind
        self._most = PACKED if is_packed else MOST

    def __iter__(self) -> Iterator[bytes]:
        """The pieces as they come."""
        size, tail = 0, b""
        for piece in self._stream:
            size += len(piece)
            if self._is_events:
                seen = tail + piece
                ends = [at + len(end) for end in _ENDS if (at := seen.rfind(end)) >= 0]
                if ends:
                    size = len(seen) - max(ends)
                tail = seen[-3:]
            if size > self._most:
                raise trouble.nonsense(self._host, "over the limit")
            yield piece

    def close(self) -> None:
        """Let go of the connection."""
        self._stream.close()
