"""The way to a server: proxies of the settings and the environment, certificates, slow keyrings."""

from __future__ import annotations

import base64
import contextlib
import socket
import socketserver
import threading
from pathlib import Path

import pytest

from qwen_desktop.chat.connection import Connection
from qwen_desktop.chat.events import Delta, Finished, FinishReason
from qwen_desktop.engine.remote import RemoteEngine
from qwen_desktop.engine.remote.proxies import proxy_for
from qwen_desktop.errors import Cancelled, Known
from tests.engine.remote.conftest import key_of, request_to
from tests.engine.remote.fakeserver import KEY, chunk, fake

CERTIFICATE = Path(__file__).parents[2] / "hub" / "selfsigned.pem"
ELSEWHERE = "http://gpu.example:8000/v1"  # no such name: only a proxy can go there


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """The environment says nothing of proxies."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def by(proxy: str) -> RemoteEngine:
    return RemoteEngine(key_of, lambda: proxy)


def text_of(events):
    return "".join(event.text for event in events if isinstance(event, Delta))


class Socks(socketserver.ThreadingTCPServer):
    """A SOCKS5 proxy that leads to `there`, whatever name it is told."""

    daemon_threads = True

    def __init__(self, there: int, *, login: bool = False) -> None:
        self.there, self.login, self.names = there, login, []
        super().__init__(("127.0.0.1", 0), _Socks)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def __exit__(self, *args: object) -> None:
        self.shutdown()
        super().__exit__(*args)


class _Socks(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server: Socks = self.server  # type: ignore[assignment]
        _, count = self.rfile.read(2)
        methods = self.rfile.read(count)
        if server.login and 2 not in methods:
            self.wfile.write(b"\x05\xff")
            return
        self.wfile.write(b"\x05\x00")
        assert self.rfile.read(4) == b"\x05\x01\x00\x03"  # to a name, not looked up here
        name = self.rfile.read(self.rfile.read(1)[0])
        server.names.append((name.decode(), int.from_bytes(self.rfile.read(2), "big")))
        with socket.create_connection(("127.0.0.1", server.there)) as there:
            self.wfile.write(b"\x05\x00\x00\x01" + bytes(6))
            back = threading.Thread(target=_copy, args=(there, self.connection), daemon=True)
            back.start()
            _copy(self.connection, there)
            back.join(10)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(1 << 16):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def test_by_the_proxy_of_the_settings(stop):
    with fake() as proxy:
        events = list(by(f"127.0.0.1:{proxy.port}").generate(request_to(ELSEWHERE), stop))
    assert text_of(events) == "Hello"
    assert {exchange.host for exchange in proxy.seen} == {"gpu.example:8000"}
    assert proxy.asked[0].headers["Authorization"] == f"Bearer {KEY}"


def test_its_password_goes_to_the_proxy_and_nowhere_else(stop):
    with fake() as proxy:
        engine = by(f"http://user:hunter2@127.0.0.1:{proxy.port}")
        list(engine.generate(request_to(ELSEWHERE), stop))
        told = proxy.asked[0].headers["Proxy-Authorization"]
        assert base64.b64decode(told.removeprefix("Basic ")) == b"user:hunter2"
    with pytest.raises(Known) as caught:  # now nobody is there
        list(engine.generate(request_to(ELSEWHERE), stop))
    assert caught.value.code == "remote-proxy"
    assert "hunter2" not in repr(caught.value.report()) + caught.value.report().for_log()


def test_by_that_of_the_environment(stop, monkeypatch):
    with fake() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        assert text_of(by("").generate(request_to(ELSEWHERE), stop)) == "Hello"
        assert proxy.asked[0].host == "gpu.example:8000"


def test_by_socks_with_the_name_looked_up_there(stop):
    with fake() as server, Socks(server.port) as proxy:
        events = list(by(f"socks5://{proxy.address}").generate(request_to(ELSEWHERE), stop))
    assert text_of(events) == "Hello"
    assert set(proxy.names) == {("gpu.example", 8000)}


@pytest.mark.parametrize("way", ["http", "socks5h"])
def test_stop_ends_a_silent_server_behind_a_proxy(way):
    def quiet(x):
        x.begin()
        x.event(chunk("so far"))
        x.hang()

    stop = threading.Event()
    with fake(quiet) as server, Socks(server.port) as socks:
        at = socks.address if way == "socks5h" else f"127.0.0.1:{server.port}"
        events = []
        for event in by(f"{way}://{at}").generate(request_to(ELSEWHERE), stop):
            events.append(event)
            if isinstance(event, Delta):
                stop.set()
        assert server.left.wait(10), "the server sees that nobody waits"
    assert events[-1].reason is FinishReason.STOPPED


@pytest.mark.parametrize("way", ["http", "socks5h"])
def test_a_proxy_that_is_not_there(stop, way):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Known, match="proxy on the way to gpu") as caught:
        list(by(f"{way}://127.0.0.1:{port}").generate(request_to(ELSEWHERE), stop))
    assert caught.value.code == "remote-proxy"


def test_a_proxy_that_wants_a_login(stop):
    with fake(lambda x: x.json({}, 407)) as proxy:
        proxy.pages["/v1/models"] = lambda x: x.json({}, 407)
        with pytest.raises(Known, match="user name"):
            list(by(f"127.0.0.1:{proxy.port}").generate(request_to(ELSEWHERE), stop))
        https = ELSEWHERE.replace("http:", "https:")
        with pytest.raises(Known, match="proxy"):  # CONNECT is refused
            list(by(f"127.0.0.1:{proxy.port}").generate(request_to(https), stop))


@pytest.mark.parametrize("nonsense", ["http://", "ftp://proxy:1", "http://[x", "http://p:99999"])
def test_no_proxy_of_that_name(stop, nonsense):
    with pytest.raises(Known) as caught:
        list(by(nonsense).generate(request_to(ELSEWHERE), stop))
    assert caught.value.code == "remote-proxy"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.9.1", "x.localhost"])
def test_this_machine_is_reached_by_none(host, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "http://proxy:1")
    monkeypatch.setenv("http_proxy", "http://proxy:1")
    here = Connection("Lab", f"http://{host}:8000/v1")
    assert proxy_for(here) == proxy_for(here, "http://proxy:2") == ""


def test_which_proxy(monkeypatch):
    there = Connection("Lab", ELSEWHERE)
    assert proxy_for(there) == ""
    monkeypatch.setenv("all_proxy", "socks5://proxy:1")
    assert proxy_for(there) == "socks5h://proxy:1"
    assert proxy_for(there, " proxy:2 ") == "http://proxy:2"
    monkeypatch.setenv("no_proxy", ".example")
    assert proxy_for(there, "http://proxy:2") == proxy_for(there) == ""


def test_a_certificate_that_nobody_signed(remote, stop):
    with fake(certificate=CERTIFICATE) as server:
        with pytest.raises(Known) as caught:
            list(remote.generate(request_to(server.address), stop))
        assert caught.value.code == "remote-certificate"
        assert not server.seen, "neither the chat nor the key was sent"


def test_a_certificate_of_one_s_own(remote, stop, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    with fake(certificate=CERTIFICATE) as server:
        assert text_of(remote.generate(request_to(server.address), stop)) == "Hello"
        wrong = server.address.replace("127.0.0.1", "127.0.0.2")  # it is of another name
        with pytest.raises(Known) as caught:
            list(remote.generate(request_to(wrong), stop))
    assert caught.value.code in ("remote-certificate", "remote-refused")


def test_a_stop_is_heard_while_the_keyring_waits_for_the_user():
    asked, unlocked = threading.Event(), threading.Event()

    def waits(_):
        asked.set()
        unlocked.wait(30)
        return KEY

    stop, events = threading.Event(), []
    engine = RemoteEngine(waits)
    with fake() as server:
        request = request_to(server.address)
        thread = threading.Thread(target=lambda: events.extend(engine.generate(request, stop)))
        thread.start()
        assert asked.wait(20)
        stop.set()
        thread.join(20)
        assert events == [Finished(FinishReason.STOPPED)]
        with pytest.raises(Cancelled):
            engine.test(request.remote.connection, stop)
        assert not server.seen
        unlocked.set()
