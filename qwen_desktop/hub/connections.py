"""Connections that can be ended under the threads that wait on them, and by which proxy they go."""

from __future__ import annotations

import socket
import ssl
import threading
import urllib.request
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known


class Sockets:
    """Every connection that stands. After `close` there is none, and none begins."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[HTTPConnection] = set()
        self._begun: set[socket.socket] = set()  # connections whose TLS is still agreed on
        self.closed = False

    def close(self) -> None:
        """End them all, also those on which another thread waits."""
        with self._lock:
            self.closed = True
            for begun in self._begun:
                _shut(begun)
            for connection in self._open:
                _shut(connection.sock)
            self._open.clear()

    def begin(self, sock: socket.socket) -> socket.socket:
        """A connection stands, its TLS does not yet: a second handle on it, for `close`."""
        handle = sock.dup()
        with self._lock:
            self._begun.add(handle)
            if self.closed:
                _shut(handle)
        return handle

    def enter(self, connection: HTTPConnection) -> None:
        """A connection is ready."""
        with self._lock:
            if not self.closed:
                self._open = {one for one in self._open if one.sock is not None}
                self._open.add(connection)
                return
        connection.close()
        raise Cancelled

    def leave(self, handle: socket.socket) -> None:
        """What `_begin` gave is not needed any more."""
        with self._lock:
            self._begun.discard(handle)
        handle.close()

    def telling(self, pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
        """`pool` with connections that tell of themselves, so that `close` finds them."""
        kind: Any = pool.ConnectionCls
        sockets = self

        def new_socket(connection: Any) -> socket.socket:
            sock: socket.socket = kind._new_conn(connection)
            connection.begun = sockets.begin(sock)
            return sock

        def connect(connection: Any) -> None:
            connection.begun = None
            try:
                kind.connect(connection)
            finally:
                if connection.begun is not None:
                    sockets.leave(connection.begun)
            sockets.enter(connection)

        telling = type(kind.__name__, (kind,), {"connect": connect, "_new_conn": new_socket})
        return type(pool.__name__, (pool,), {"ConnectionCls": telling})


def proxy_of(url: str) -> str:
    """The proxy for `url` as the environment says, on Windows its settings too; "" for none."""
    split = urlsplit(url)
    proxies = urllib.request.getproxies()
    if not proxies or urllib.request.proxy_bypass(split.netloc.rpartition("@")[2]):
        return ""
    return proxies.get(split.scheme) or proxies.get("all") or ""


def manager_of(sockets: Sockets, connections: int, proxy: str) -> urllib3.PoolManager:
    """Pools of connections by `proxy`, "" for none, that are known to `sockets`. Raises Known."""
    options: dict[str, Any] = {
        "num_pools": 16,
        "maxsize": connections,
        "block": False,
        "ssl_context": _tls(),
    }
    try:
        if not proxy:
            manager = urllib3.PoolManager(**options)
        elif proxy.lower().startswith("socks"):
            from urllib3.contrib.socks import SOCKSProxyManager

            manager = SOCKSProxyManager(proxy.replace("socks://", "socks5h://"), **options)
        else:
            named = proxy if "://" in proxy else f"http://{proxy}"
            user = unquote(urlsplit(named).netloc.rpartition("@")[0])
            sign = urllib3.make_headers(proxy_basic_auth=user) if user else None
            manager = urllib3.ProxyManager(named, proxy_headers=sign, **options)
    except (ValueError, urllib3.exceptions.HTTPError) as error:
        raise _bad_proxy(error) from error
    manager.pool_classes_by_scheme = {
        scheme: sockets.telling(pool) for scheme, pool in manager.pool_classes_by_scheme.items()
    }
    return manager


def _shut(sock: Any) -> None:
    """End a connection under a thread that waits on it: closing alone would not wake that."""
    if not isinstance(sock, socket.socket):  # TLS inside the TLS of a proxy
        sock = getattr(sock, "socket", None)
    if isinstance(sock, socket.socket):
        with suppress(OSError):  # it may have ended by itself
            # Not SSLSocket's own: that takes away the state in which another thread still reads.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _tls() -> ssl.SSLContext:
    """Certificates that this system trusts, those that a company or a user added included."""
    import truststore

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _bad_proxy(error: Exception) -> Known:
    return Known(
        QT_TRANSLATE_NOOP("errors", "The address of the proxy makes no sense."),
        QT_TRANSLATE_NOOP("errors", "Write it as http://host:port in Settings or in HTTPS_PROXY."),
        details=f"{type(error).__name__}: {error}",
        code="hub-proxy",
    )
