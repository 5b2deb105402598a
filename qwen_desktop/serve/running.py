"""The server on a thread of its own: begun, told where it is, ended."""

from __future__ import annotations

import errno
import logging
import socket
import threading
from collections.abc import Callable

import uvicorn

from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known, report_of
from qwen_desktop.serve.served import Entry, Load
from qwen_desktop.serve.site import ServeOptions, Site
from qwen_desktop.serve.source import Source

_log = logging.getLogger(__name__)

GRACE_S = 2  # for answers under way, once they were told to stop
CONNECTIONS = 64
TAKEN = (errno.EADDRINUSE, errno.EACCES, 10013, 10048)  # the last two are Windows' own


class Running:
    """One server. Made and ended from any one thread."""

    def __init__(
        self,
        source: Source,
        options: ServeOptions,
        told: Callable[[Entry], None],
        moved: Callable[[Load], None],
        ended: Callable[[], None],
    ) -> None:
        """Take the port. Raises Known. `told`, `moved`, `ended` are called on its thread."""
        self._site = Site(source, options, told, moved)
        self._socket = _bound(options)
        self._ended = ended
        # Port 0 is any free one.
        self.port: int = self._socket.getsockname()[1]
        host = "127.0.0.1" if options.host == "0.0.0.0" else options.host
        host = f"[{host}]" if ":" in host else host
        self.address = f"http://{host}:{self.port}"
        config = uvicorn.Config(
            self._site.app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.run, name="local server", daemon=True)

    def start(self) -> None:
        """Answer on a thread of its own."""
        self._thread.start()

    def stop_answers(self) -> None:
        """End all answers within a token; their clients are told."""
        self._site.jobs.stop()

    def close(self) -> None:
        """End it soon: answers are stopped, connections closed. Does not wait."""
        self._site.jobs.closing = True
        self._site.jobs.stop()
        self._server.should_exit = True

    def join(self, seconds: float) -> bool:
        """Wait until it has ended; whether it has."""
        if self._thread.ident is None:  # it never began
            self._socket.close()
            return True
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def run(self) -> None:
        """Answer on this thread, until `close`."""
        try:
            self._server.run(sockets=[self._socket])
        except Exception as error:  # noqa: BLE001 - the border of this thread
            _log.error("the local server ended: %s", report_of(error).for_log())
        finally:
            self._socket.close()
            self._ended()


def _bound(options: ServeOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows lets others in otherwise
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((options.host, options.port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise _no_port(options, error) from error
    listener.set_inheritable(False)
    return listener


def _no_port(options: ServeOptions, error: OSError) -> Known:
    if error.errno in TAKEN:
        return Known(
            QT_TRANSLATE_NOOP("errors", "Port {port} is in use already, or not allowed."),
            QT_TRANSLATE_NOOP("errors", "Take another port."),
            details=str(error),
            code="port-taken",
            port=options.port,
        )
    return Known(
        QT_TRANSLATE_NOOP("errors", "The server cannot listen at {host}, port {port}: {reason}."),
        QT_TRANSLATE_NOOP("errors", "Take another address, as 127.0.0.1."),
        code="no-address",
        host=options.host,
        port=options.port,
        reason=error.strerror or str(error),
    )
