"""The newest release of this program: asked for when a user presses the button, and never else.

One request to the address that the user set, without a token, a name or a number of this machine.
It answers with a JSON object: `version` and `url`, or `tag_name` and `html_url` as the releases of
GitHub and Gitea have them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import urllib3

from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known
from qwen_desktop.hub import trouble
from qwen_desktop.hub.connections import Sockets, manager_of, proxy_of

CONNECT_S, SILENCE_S = 10.0, 20.0
MAX_BYTES = 2**20
_HERE = ("localhost", "127.0.0.1", "::1")
_CHECK = QT_TRANSLATE_NOOP("errors", "Check the address of releases in Settings.")


@dataclass(frozen=True)
class Release:
    """A release. `is_newer` than this program; `page` is for a browser, "" where none is told."""

    version: str
    page: str
    is_newer: bool


class Asking:
    """One request. `cancel`, from another thread, ends it at once."""

    def __init__(self) -> None:
        self._sockets = Sockets()

    def cancel(self) -> None:
        """Nobody waits any more: `newest` raises Cancelled."""
        self._sockets.close()

    def newest(self, address: str, current: str, proxy: str = "") -> Release:
        """The newest release of which `address` tells. Raises Known and Cancelled."""
        url = _checked(address)
        host = urlsplit(url).netloc
        try:
            with self._answer(url, proxy) as response:
                body = response.read(MAX_BYTES + 1, decode_content=True) or b""
                status = response.status
        except Exception as error:
            if self._sockets.closed:
                raise Cancelled from error
            if not isinstance(error, (urllib3.exceptions.HTTPError, OSError)):
                raise  # a sentence already, or a fault of ours
            raise _unreachable(error, host) from error
        if status == 404:
            raise Known(
                QT_TRANSLATE_NOOP("errors", "{host} knows of no release."),
                _CHECK,
                code="no-release",
                host=host,
            )
        if status != 200 or len(body) > MAX_BYTES:
            raise _nonsense(host, f"HTTP {status}, {len(body)} bytes")
        return _read(body, host, current)

    def _answer(self, url: str, proxy: str) -> Any:
        is_here = urlsplit(url).hostname in _HERE  # reached by no proxy
        way = "" if is_here else proxy or proxy_of(url)
        manager = manager_of(self._sockets, 1, way)
        return manager.request(
            "GET",
            url,
            headers={"User-Agent": "qwen-desktop", "Accept": "application/json"},
            redirect=False,  # one request it is
            retries=False,
            preload_content=False,
            timeout=urllib3.Timeout(connect=CONNECT_S, read=SILENCE_S),
        )


def _checked(address: str) -> str:
    url = address.strip()
    if not url:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "No address of releases is set."),
            QT_TRANSLATE_NOOP(
                "errors", "Enter one in Settings, or look where you got Qwen Desktop from."
            ),
            code="no-release-address",
        )
    try:
        split = urlsplit(url)
        host, _ = split.hostname, split.port
    except ValueError:
        host = None
    safe = bool(host) and not split.username and not split.password
    if not safe or (split.scheme != "https" and not (split.scheme == "http" and host in _HERE)):
        raise Known(
            QT_TRANSLATE_NOOP("errors", "The address of releases has to begin with https://."),
            _CHECK,
            code="bad-release-address",
        )
    return url


def _unreachable(error: Exception, host: str) -> Known:
    """The sentence for what the network did, with the remedy of this button."""
    known = trouble.of_network(error, host)
    if known.code in ("hub-dns", "hub-offline", "hub-silent", "hub-refused"):
        known.remedy = QT_TRANSLATE_NOOP(
            "errors", "Check the connection to the internet and the address of releases."
        )
    return known


def _read(body: bytes, host: str, current: str) -> Release:
    from packaging.version import InvalidVersion, Version

    try:
        told = json.loads(body)
        version = str(told.get("version") or told["tag_name"])
        page = str(told.get("url" if "version" in told else "html_url") or "")
        newest = Version(version)
    except (ValueError, KeyError, AttributeError, RecursionError, InvalidVersion) as error:
        raise _nonsense(host, f"{type(error).__name__}: {error}"[:300]) from error
    if urlsplit(page).scheme not in ("https", "http"):
        page = ""  # nothing else is opened by a click
    return Release(str(newest), page, newest > Version(current))


def _nonsense(host: str, details: str) -> Known:
    return Known(
        QT_TRANSLATE_NOOP("errors", "What {host} answers tells of no release."),
        _CHECK,
        details=details,
        code="release-nonsense",
        host=host,
    )
