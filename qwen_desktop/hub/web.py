"""Requests to a hub over HTTP: redirects, proxy, token, and an end within moments.

urllib3 does the protocol; why it and nothing higher: docs/adr/0016-downloads.md.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.response import BaseHTTPResponse

from qwen_desktop import __version__
from qwen_desktop.chat.hub import Endpoint, Hub
from qwen_desktop.errors import Cancelled, Known
from qwen_desktop.hub import trouble
from qwen_desktop.hub.connections import Sockets, manager_of, proxy_of
from qwen_desktop.hub.trouble import Elsewhere, Transient

CONNECT_S = 15.0
SILENCE_S = 30.0  # the longest time without a byte
MAX_REDIRECTS = 10
MAX_JSON = 64 * 2**20
RETRIED = (408, 425, 429)  # besides 500 and above
_ERROR_TEXT = 2000  # bytes of a refusal's body that are kept for details
_SAID = ("x-repo-commit", "x-linked-etag", "x-linked-size")
_LINK = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)


class Web:
    """Connections to one endpoint and to where it sends on. Any thread may ask.

    `close` ends them all at once, whatever they wait for: from then on every request raises
    `Cancelled`.
    """

    def __init__(self, endpoint: Endpoint, connections: int = 1) -> None:
        self.endpoint = endpoint
        self._connections = connections
        self._lock = threading.Lock()
        self._sockets = Sockets()
        self._managers: dict[str, urllib3.PoolManager] = {}  # by proxy

    @property
    def closed(self) -> bool:
        """Whether everything has ended."""
        return self._sockets.closed

    @property
    def host(self) -> str:
        """The endpoint's name for people: "hf-mirror.com", "localhost:8000"."""
        return host_of(self.endpoint.address)

    def close(self) -> None:
        """End every connection, also those on which another thread waits."""
        self._sockets.close()

    @contextmanager
    def get(
        self,
        url: str,
        what: str,
        *,
        start: int = 0,
        stop: int | None = None,
        sent_to: str = "",
        ok: tuple[int, ...] = (200,),
    ) -> Iterator[Answer]:
        """The answer for `url`, its body unread; bytes [start, stop) of it where `stop` is given.

        `sent_to` is where the same URL was redirected before: it is asked at once. Raises Known
        and Transient; leaving the block gives the connection back, or ends it where the body was
        not read to its end.
        """
        headers = {"Accept-Encoding": "identity"}
        if stop is not None:
            headers["Range"] = f"bytes={start}-{stop - 1}"
        response, at, said = self._follow(sent_to or url, what, headers)
        try:
            if response.status not in ok:
                self._refuse(response, at, what)
            yield Answer(self, response, at, said)
        finally:
            if self._sockets.closed or not _is_read(response):
                response.close()
            response.release_conn()

    def get_json(self, url: str, what: str) -> tuple[Any, str]:
        """The value at `url`, and the address of its next page ("" where this is the last).

        Raises Known and Transient.
        """
        with self.get(url, what) as answer:
            body = answer.read_all(MAX_JSON)
            link = _LINK.search(answer.header("link"))
            following = self._joined(answer.url, link[1], what) if link else ""
            if _is_html(answer.header("content-type"), body):
                raise trouble.portal(answer.host, answer.url)
        try:
            return json.loads(body), following
        except (ValueError, RecursionError) as error:
            # It may have been cut by something on the way: worth a second question.
            known = trouble.nonsense(self.host, f"{url}\n{error}")
            raise Transient(known) from error

    def _follow(
        self, url: str, what: str, headers: Mapping[str, str]
    ) -> tuple[BaseHTTPResponse, str, dict[str, str]]:
        """Ask, and go where the answers send: the last answer, its address, what all of them said
        of the file.
        """
        seen: set[str] = set()
        said: dict[str, str] = {}
        while True:
            if url in seen or len(seen) > MAX_REDIRECTS:
                raise trouble.redirect_loop(self.host, "\n".join([*sorted(seen), url])[:2000])
            seen.add(url)
            response = self._ask(url, {**headers, **self._own_headers(url)})
            said.update(
                (name, response.headers[name]) for name in _SAID if name in response.headers
            )
            location = response.headers.get("location")
            if response.status not in (301, 302, 303, 307, 308) or not location:
                return response, url, said
            try:
                response.drain_conn()
            except Exception as error:
                raise self._translated(error, url) from error
            url = self._joined(url, location, what)

    def _joined(self, base: str, reference: str, what: str) -> str:
        """Where a server sends on to. Raises Known where that is no address."""
        try:
            url = urljoin(base, reference)
            split = urlsplit(url)
            if split.scheme in ("http", "https") and split.hostname and split.port != 0:
                return url
        except ValueError:  # brackets that match nothing, ports that there are not
            pass
        raise trouble.nonsense(self.host, f"{what}: {reference}"[:500])

    def _own_headers(self, url: str) -> dict[str, str]:
        """Who asks. The token goes to the endpoint's own server and to no other."""
        headers = {"User-Agent": f"qwen-desktop/{__version__}"}
        token = self.endpoint.token
        if token and _origin(url) == _origin(self.endpoint.address):
            headers["Authorization"] = f"Bearer {token}"
            if self.endpoint.hub is Hub.MODELSCOPE:
                headers["Cookie"] = f"m_session_id={token}"
        return headers

    def _ask(self, url: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
        if self._sockets.closed:
            raise Cancelled
        timeout = urllib3.Timeout(connect=CONNECT_S, read=SILENCE_S)
        try:
            return self._manager(url).request(
                "GET",
                url,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=timeout,
            )
        except Exception as error:
            raise self._translated(error, url) from error

    def _translated(self, error: Exception, url: str) -> BaseException:
        """What to raise in place of a foreign exception; ours as they are."""
        if self._sockets.closed:  # then whatever broke, broke by that
            return Cancelled()
        if isinstance(error, (Known, Transient)):
            return error
        if not isinstance(error, (urllib3.exceptions.HTTPError, OSError, ValueError)):
            return error  # a fault of ours
        known = trouble.of_network(error, host_of(url))
        return known if trouble.is_lasting(known, error) else Transient(known)

    def _refuse(self, response: BaseHTTPResponse, url: str, what: str) -> None:
        """Raise what an answer of the wrong status means."""
        try:
            text = response.read(_ERROR_TEXT, decode_content=False) or b""
        except Exception as error:
            raise self._translated(error, url) from error
        details = f"{url.partition('?')[0]}\n{response.status} {response.reason or ''}"
        if message := response.headers.get("x-error-message"):
            details += f"\n{message}"
        elif text and not _is_html("", text):
            details += f"\n{text.decode('utf-8', 'replace')}"
        known = trouble.of_status(response.status, self.endpoint, host_of(url), what, details)
        known.values = {**known.values, "error_code": response.headers.get("x-error-code", "")}
        if response.status in RETRIED or response.status >= 500:
            raise Transient(known, retry_after(response.headers))
        if _origin(url) != _origin(self.endpoint.address):
            raise Elsewhere(known)
        raise known

    def _manager(self, url: str) -> urllib3.PoolManager:
        proxy = self.endpoint.proxy or proxy_of(url)
        with self._lock:
            manager = self._managers.get(proxy)
            if manager is None:
                manager = manager_of(self._sockets, self._connections, proxy)
                self._managers[proxy] = manager
        return manager


class Answer:
    """An answer whose body is still to be read, by one thread."""

    def __init__(
        self, web: Web, response: BaseHTTPResponse, url: str, said: Mapping[str, str]
    ) -> None:
        self._web = web
        self.said = said  # headers of the hub about the file, of every answer on the way
        self._response = response
        self.url = url  # where it came from in the end
        self.status = response.status
        self.packed = response.headers.get("content-encoding", "identity") not in ("", "identity")

    @property
    def host(self) -> str:
        """The server that answered, for people."""
        return host_of(self.url)

    def header(self, name: str) -> str:
        """The value of a header, "" where there is none."""
        return self._response.headers.get(name, "")

    @property
    def length(self) -> int | None:
        """Bytes of the body as the server says, where it does."""
        text = self.header("content-length")
        return int(text) if text.isascii() and text.isdigit() else None

    @property
    def is_html(self) -> bool:
        """Whether it is a web page by its own account."""
        return _is_html(self.header("content-type"), b"")

    def read(self, most: int) -> bytes:
        """What has come, up to `most` bytes, waiting for the first; b"" at the end.

        Raises Transient where the connection breaks.
        """
        try:
            return self._response.read1(most, decode_content=self.packed)
        except Exception as error:
            raise self._web._translated(error, self.url) from error

    def read_all(self, limit: int) -> bytes:
        """The whole body. Raises Known where it is over `limit` bytes, and Transient."""
        pieces: list[bytes] = []
        count = 0
        while piece := self.read(1 << 16):
            count += len(piece)
            if count > limit:
                raise trouble.nonsense(self.host, f"{self.url}: over {limit} bytes")
            pieces.append(piece)
        if not self.packed and self.length is not None and count < self.length:
            raise Transient(trouble.cut_off(self.host, f"{self.url}: {count} of {self.length}"))
        return b"".join(pieces)


def host_of(url: str) -> str:
    """The server of `url` for people: its name, and the port where it is no usual one."""
    return urlsplit(url).netloc.rpartition("@")[2]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds until the server wants to be asked again: a number, a date, or a hub's own header."""
    import email.utils
    import time

    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d*)?", text):
        return float(text)
    if text:
        try:
            return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
        except (ValueError, TypeError, OverflowError):
            pass
    window = re.search(r"\bt=(\d{1,6})\b", headers.get("ratelimit", ""))
    spent = re.search(r"\br=0\b", headers.get("ratelimit", ""))
    return float(window[1]) if window and spent else None


def _origin(url: str) -> tuple[str, str, int | None]:
    split = urlsplit(url)
    port = split.port or {"http": 80, "https": 443}.get(split.scheme)
    return split.scheme, (split.hostname or "").lower(), port


def _is_html(content_type: str, body: bytes) -> bool:
    if body:
        return body.lstrip()[:1] == b"<"
    return content_type.partition(";")[0].strip().lower() in ("text/html", "application/xhtml+xml")


def _is_read(response: BaseHTTPResponse) -> bool:
    """Whether the body was read to its end, so that the connection may serve again."""
    return response.length_remaining == 0 or response.closed
