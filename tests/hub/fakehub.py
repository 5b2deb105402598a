"""A hub on loopback that speaks as Hugging Face's and ModelScope's do, and misbehaves on demand.

In a test:

    with FakeHub() as hub:
        hub.add("Qwen/Tiny", {"config.json": b"{}", "model.safetensors": noise(3_000_000)})
        fault = hub.misbehave("cut", at=1_000_000)
        ...  # endpoint: hub.endpoint, for either protocol
        assert hub.sent("model.safetensors") < 4_000_000

As a process of its own, for what is measured; it prints {"endpoint": ...} and ends with its input:

    python -m tests.hub.fakehub ROOT [--rate BYTES_PER_S]     ROOT/OWNER/NAME/files

Large files are redirected to another port, which wants no token, as both hubs do it.
"""

from __future__ import annotations

import argparse
import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.hub.contents import LARGE, HubFile, Repo
from tests.hub.faults import Fault, Faults
from tests.hub.speaking import CdnHandler, HubHandler

CERTIFICATE = Path(__file__).with_name("selfsigned.pem")  # nobody trusts it
PATIENCE_S = 120.0


@dataclass
class Served:
    """One question and what became of it. `sent`: bytes of the body that left, at most."""

    stage: str
    method: str
    path: str
    file: str
    headers: Mapping[str, str]  # names in small letters
    start: int = 0  # of the range that was asked for
    status: int = 0
    sent: int = 0
    is_over: bool = False
    moment: float = field(default_factory=time.monotonic)  # when it was asked


@dataclass
class Pace:
    """So many bytes per second leave in all, whoever asks. None: as many as can."""

    rate: float | None
    _next: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self, count: int) -> None:
        """Until `count` bytes may leave."""
        if not self.rate:
            return
        with self._lock:
            now = time.monotonic()
            begins = max(now, self._next)
            self._next = begins + count / self.rate
        if begins > now:
            time.sleep(begins - now)


class Server(ThreadingHTTPServer):
    """One port of a hub."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, hub: FakeHub, handler: type, tls: bool) -> None:
        self.hub = hub
        super().__init__(("127.0.0.1", 0), handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "https" if tls else "http"
        self.endpoint = f"{scheme}://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients go when they like; all else is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class FakeHub:
    """The hub; both protocols at one address. Ends with `close`, or at the end of a `with`."""

    def __init__(
        self,
        *,
        rate: float | None = None,
        tls: bool = False,
        redirects: bool = True,
        page_size: int = 1000,
        send_buffer: int = 0,
    ) -> None:
        """`redirects`: large files come from another port. `page_size`: entries of a tree.

        `send_buffer`: bytes that the system may keep for a client, 0 for as many as it likes.
        """
        self.redirects, self.page_size, self.send_buffer = redirects, page_size, send_buffer
        self.repos: dict[str, Repo] = {}
        self.faults = Faults()
        self.pace = Pace(rate)
        self.log: list[Served] = []
        self.ended = threading.Event()
        self._moved = threading.Condition()
        self._servers = [Server(self, HubHandler, tls), Server(self, CdnHandler, tls)]
        self.endpoint, self.cdn = (server.endpoint for server in self._servers)
        self._threads = [
            threading.Thread(
                target=server.serve_forever, args=(0.02,), name="fake hub", daemon=True
            )
            for server in self._servers
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> FakeHub:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """No more answers; the ports are free."""
        self.ended.set()
        self.faults.clear()
        for server in self._servers:
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()

    def add(
        self,
        name: str,
        files: Mapping[str, bytes | Path],
        *,
        gated: bool = False,
        private: bool = False,
        tokens: tuple[str, ...] = (),
        lfs_from: int = LARGE,
    ) -> Repo:
        """A repository with one commit."""
        repo = Repo(name, gated, private, frozenset(tokens))
        repo.commit(files, lfs_from)
        self.repos[name] = repo
        return repo

    def add_folder(self, root: Path) -> None:
        """ROOT/OWNER/NAME/files as repositories OWNER/NAME."""
        for folder in sorted(root.glob("*/*")):
            files = {
                file.relative_to(folder).as_posix(): file
                for file in sorted(folder.rglob("*"))
                if file.is_file()
            }
            self.add(f"{folder.parent.name}/{folder.name}", files)

    def misbehave(self, kind: str, **values: Any) -> Fault:
        """From now on; what `values` there are says `tests.hub.faults`."""
        fault = Fault(kind, **values)
        self.faults.add(fault)
        return fault

    def heal(self) -> None:
        """No faults any more; what was held goes on."""
        self.faults.clear()

    def blob(self, sha256: str) -> HubFile | None:
        """A file of any repository by its digest."""
        for repo in self.repos.values():
            for files in repo.commits.values():
                for file in files.values():
                    if file.sha256 == sha256:
                        return file
        return None

    def asked(self, stage: str, file: str | None = None) -> list[Served]:
        """The questions of a kind up to now; `bytes` are those that were answered with some."""
        with self._moved:
            return [one for one in self.log if one.stage == stage and file in (None, one.file)]

    def sent(self, file: str | None = None) -> int:
        """Bytes of files that left up to now: what is on its way is among them."""
        return sum(one.sent for one in self.asked("bytes", file))

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        """Until it is so; looked at whenever something was asked or sent."""
        with self._moved:
            if not self._moved.wait_for(is_so, PATIENCE_S):
                raise TimeoutError("the hub waited for long")

    def note(self, served: Served) -> None:
        """Something was asked; for the handlers."""
        with self._moved:
            self.log.append(served)
            self._moved.notify_all()

    def moved(self, served: Served, count: int) -> None:
        """So many bytes left; for the handlers."""
        with self._moved:
            served.sent += count
            self._moved.notify_all()

    def tune(self, connection: socket.socket) -> None:
        """A new connection; for the handlers."""
        if self.send_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.send_buffer)


def main() -> int:
    """A hub as a process of its own, until its standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--rate", type=float)
    given = parser.parse_args()
    with FakeHub(rate=given.rate) as hub:
        hub.add_folder(given.root)
        print(json.dumps({"endpoint": hub.endpoint, "cdn": hub.cdn}), flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
