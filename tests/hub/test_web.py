"""Connections to a hub: they end at once, whatever they wait for; who asks is told to few."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest

from qwen_desktop.chat.hub import Endpoint, Hub, RepositoryName
from qwen_desktop.errors import Cancelled, Known
from qwen_desktop.hub.listing import fetch_listing
from qwen_desktop.hub.web import Web, retry_after

NAME = RepositoryName("Qwen", "Q")


@pytest.fixture
def silent():
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        yield server


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_cancelling_ends_the_connection_to_a_silent_server(silent, scheme):
    """With https it waits in the middle of agreeing on TLS."""
    cancel = threading.Event()
    there = Endpoint(Hub.HUGGING_FACE, f"{scheme}://127.0.0.1:{silent.getsockname()[1]}")
    ended: list[BaseException] = []

    def ask():
        try:
            fetch_listing(there, NAME, cancel=cancel)
        except BaseException as error:  # noqa: BLE001 - looked at below
            ended.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    connection, _ = silent.accept()
    with connection:
        connection.settimeout(20)
        assert connection.recv(1 << 16)  # it has begun
        cancel.set()
        assert connection.recv(1 << 16) == b""  # the client is gone, long before its patience ends
    thread.join()
    assert isinstance(ended[0], Cancelled)


def test_nothing_is_asked_after_the_end(silent):
    web = Web(Endpoint(Hub.HUGGING_FACE, f"http://127.0.0.1:{silent.getsockname()[1]}"))
    web.close()
    with pytest.raises(Cancelled):
        web.get_json(f"{web.endpoint.address}/x", "x")


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:{}", "socks5h://127.0.0.1:{}"])
def test_a_proxy_that_is_not_there_is_named_as_the_trouble(proxy):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    there = Endpoint(Hub.HUGGING_FACE, "http://hub.example", proxy=proxy.format(port))
    with pytest.raises(Known) as caught:
        fetch_listing(there, NAME)
    assert caught.value.code == "hub-proxy"


def test_https_where_the_server_speaks_http_is_told():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        there = Endpoint(Hub.HUGGING_FACE, f"https://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(Known) as caught:
            fetch_listing(there, NAME)
        thread.join()
    assert caught.value.code == "hub-tls"
    assert ssl.OPENSSL_VERSION not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "Fri, 01 Jan 2010 00:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"ratelimit": '"api";r=0;t=55'}, 55.0),
        ({"ratelimit": '"api";r=12;t=55'}, None),
    ],
)
def test_the_servers_pause_is_understood(headers, seconds):
    assert retry_after(headers) == seconds


@pytest.mark.parametrize("to", ["http://127.0.0.1:99999/x", "http://[x/y", "ftp://127.0.0.1/x"])
@pytest.mark.parametrize("token", ["", "hf_secret"])
def test_a_hub_that_sends_on_to_no_address_is_told_of_in_a_sentence(hub, to, token):
    hub.add(str(NAME), {"config.json": b"{}"})
    hub.misbehave("redirect", on="info", to=to, times=0)
    with pytest.raises(Known) as caught:
        fetch_listing(Endpoint(Hub.HUGGING_FACE, hub.endpoint, token), NAME)
    assert caught.value.code == "hub-nonsense"
