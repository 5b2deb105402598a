"""The look for a newer release: one request to a real server, every other answer a sentence."""

import http.server
import json
import threading

import pytest

from qwen_desktop.errors import Cancelled, Known
from qwen_desktop.hub.releases import Asking, Release


@pytest.fixture
def server():
    """Answers `server.answer`; `server.asked` are the requests with their headers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            made.asked.append((self.path, dict(self.headers)))
            made.reached.set()
            if made.hangs is not None:
                made.hangs.wait()
                return
            status, body, more = made.answer
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.asked, made.hangs, made.reached = [], None, threading.Event()
    made.answer = (200, b"{}", {})
    made.url = f"http://127.0.0.1:{made.server_port}/latest"
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    if made.hangs is not None:
        made.hangs.set()
    made.shutdown()
    thread.join()
    made.server_close()


def answering(server, told, status=200, **headers):
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    server.answer = (status, body, headers)
    return server.url


def refused(address: str, current: str = "1.0") -> Known:
    with pytest.raises(Known) as caught:
        Asking().newest(address, current)
    return caught.value


def test_a_newer_release_is_told_in_one_request_that_tells_nothing(server):
    url = answering(server, {"version": "1.10.0", "url": "https://example.org/new"})
    assert Asking().newest(url, "1.9.3") == Release("1.10.0", "https://example.org/new", True)
    ((path, headers),) = server.asked
    assert path == "/latest"
    assert not {"Authorization", "Cookie"} & headers.keys()
    assert headers["User-Agent"] == "qwen-desktop"  # not even the version


def test_the_form_of_git_forges_is_read(server):
    url = answering(server, {"tag_name": "v1.0.0", "html_url": "https://example.org/r"})
    assert Asking().newest(url, "1.0") == Release("1.0.0", "https://example.org/r", False)


@pytest.mark.parametrize("page", ["javascript:alert(1)", "file:///etc/passwd", None, 7])
def test_only_web_pages_are_offered(server, page):
    url = answering(server, {"version": "2", "url": page})
    assert Asking().newest(url, "1").page == ""


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"7",
        b"[" * 100000,
        {"version": "newest"},
        {"tag_name": None},
        b'{"version": "2", "x": "' + b"x" * 2**20 + b'"}',
    ],
    ids=range(9),
)
def test_an_answer_that_tells_of_no_release_is_a_sentence(server, told):
    assert refused(answering(server, told)).code == "release-nonsense"


def test_refusals_are_sentences_and_no_redirect_is_followed(server):
    assert refused(answering(server, b"", 404)).code == "no-release"
    assert refused(answering(server, b"", 500)).code == "release-nonsense"
    moved = answering(server, b"", 302, Location=server.url)
    assert refused(moved).code == "release-nonsense"
    assert len(server.asked) == 3


@pytest.mark.parametrize("address", ["", "  "])
def test_without_an_address_nobody_is_asked(address):
    assert refused(address).code == "no-release-address"


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/latest",
        "ftp://x",
        "example.org",
        "https://",
        "https://me:pw@example.org",
        "https://[::1",
        "https://x:99999/",
    ],
)
def test_an_address_that_is_not_safe_is_refused_before_anything_is_asked(address):
    assert refused(address).code == "bad-release-address"


def test_a_server_that_is_not_there_is_a_sentence(server):
    server.shutdown()
    server.server_close()
    trouble = refused(server.url)
    assert "does not take connections" in str(trouble)
    assert "address of releases" in str(trouble)
    assert "hub" not in str(trouble)


def test_this_machine_is_asked_by_no_proxy(server):
    url = answering(server, {"version": "2.0", "url": ""})
    nobody = "http://127.0.0.1:9"
    assert Asking().newest(url, "1.0", nobody) == Release("2.0", "", True)


def test_an_answer_that_nobody_waits_for_ends_at_once(server):
    server.hangs = threading.Event()
    asking, ended = Asking(), []

    def ask():
        try:
            asking.newest(server.url, "1.0")
        except Cancelled:
            ended.append("cancelled")

    thread = threading.Thread(target=ask)
    thread.start()
    assert server.reached.wait(30)
    asking.cancel()
    thread.join(30)
    assert ended == ["cancelled"]
