"""Pausing, going on, other servers in the middle, limits and proxies."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from qwen_desktop.chat.hub import DownloadState, Hub
from qwen_desktop.errors import Known
from qwen_desktop.hub.download import Download, discard
from tests.hub.fakehub import FakeHub
from tests.hub.fetching import (
    NAME,
    SIZE,
    WEIGHTS,
    Watched,
    assert_whole,
    endpoint,
    fetch,
    files,
    listed,
    planned,
    shards,
)

MIB = 2**20
LARGE = 40 * MIB


def paused(hub: FakeHub, folder, at: int, kind: Hub = Hub.HUGGING_FACE, file: str = WEIGHTS) -> int:
    """Run a download until the hub stands before the byte `at`, pause it; bytes that are here."""
    fault = hub.misbehave("hold", at=at, file=file)
    with Watched(Download(planned(hub, folder, kind), endpoint(hub, kind))) as watched:
        assert fault.reached.wait(60)
        watched.wait_for(lambda one: one.done >= at)
        watched.cancel.set()
        watched.end()  # the hub still holds: nobody waits for it
        assert watched.was_cancelled
        assert not fault.go.is_set()
    hub.heal()
    return planned(hub, folder, kind).here


@pytest.mark.parametrize("kind", list(Hub))
def test_what_was_paused_goes_on_from_there(hub, kind, tmp_path):
    repo = hub.add(NAME, files())
    small = sum(len(repo.files[path].content) for path in ("README.md", "config.json"))
    here = paused(hub, tmp_path, 1_700_000, kind)
    assert here >= 1_700_000 + small
    assert not (tmp_path / WEIGHTS).exists()
    before = hub.sent(WEIGHTS)
    fetch(hub, tmp_path, kind)
    assert_whole(tmp_path, repo)
    assert hub.sent(WEIGHTS) - before == SIZE - 1_700_000


def test_one_that_is_silent_is_paused_too(hub, tmp_path):
    hub.add(NAME, files())
    for stage in ("resolve", "bytes"):
        fault = hub.misbehave("silent", on=stage, file=WEIGHTS)
        with Watched(Download(planned(hub, tmp_path), endpoint(hub))) as watched:
            assert fault.reached.wait(60)
            watched.cancel.set()
            watched.end()
            assert watched.was_cancelled
            assert not fault.go.is_set()
        hub.heal()


def test_one_that_waits_for_a_busy_hub_is_paused_too(hub, tmp_path):
    hub.add(NAME, files())
    hub.misbehave("status", status=429, headers={"Retry-After": "3000"}, file=WEIGHTS, times=0)
    with Watched(Download(planned(hub, tmp_path), endpoint(hub))) as watched:
        progress = watched.wait_for(lambda one: one.state is DownloadState.RETRYING)
        assert progress.retry_in_s > 2000
        watched.cancel.set()
        watched.end()
        assert watched.was_cancelled


def test_a_slow_one_is_paused_too(hub, tmp_path):
    hub.add(NAME, files())
    hub.misbehave("slow", rate=200_000, file=WEIGHTS, times=0)
    with Watched(Download(planned(hub, tmp_path), endpoint(hub))) as watched:
        watched.wait_for(lambda one: one.done > 100_000)
        watched.cancel.set()
        watched.end()
        assert watched.was_cancelled
    assert hub.sent(WEIGHTS) < SIZE


def test_of_several_connections_every_block_is_kept(hub, tmp_path):
    repo = hub.add(NAME, shards((LARGE, LARGE)))
    first = "model-00001-of-00002.safetensors"
    here = paused(hub, tmp_path, 30 * MIB, file=first)
    assert here > 0
    before = hub.sent()
    fetch(hub, tmp_path)
    assert_whole(tmp_path, repo)
    total = sum(file.size for file in repo.files.values())
    index = repo.files["model.safetensors.index.json"].size  # a listing reads it, each time
    assert hub.sent() - before <= total - here + 2 * index


@pytest.mark.parametrize(("before", "after"), [(a, b) for a in Hub for b in Hub if a is not b])
def test_the_other_hub_goes_on_with_equal_files(hub, before, after, tmp_path):
    repo = hub.add(NAME, files())
    with FakeHub() as other:
        other.add(NAME, files())
        paused(hub, tmp_path, 2_000_000, before)
        fetch(other, tmp_path, after)
        assert_whole(tmp_path, repo)
        assert other.sent(WEIGHTS) == SIZE - 2_000_000


def test_a_mirror_goes_on_with_equal_files(hub, tmp_path):
    repo = hub.add(NAME, files())
    with FakeHub(redirects=False) as mirror:
        mirror.add(NAME, files())
        paused(hub, tmp_path, 1_000_000)
        fetch(mirror, tmp_path)
        assert_whole(tmp_path, repo)
        assert mirror.sent(WEIGHTS) == SIZE - 1_000_000


def test_another_version_begins_anew(hub, tmp_path):
    hub.add(NAME, files(seed=1))
    paused(hub, tmp_path, 2_000_000)
    hub.repos[NAME].commit(files(seed=2))
    fetch(hub, tmp_path)
    digest = hashlib.sha256((tmp_path / WEIGHTS).read_bytes()).hexdigest()
    assert digest == hub.repos[NAME].files[WEIGHTS].sha256


def test_a_part_that_was_spoilt_meanwhile_is_found_out(hub, tmp_path):
    repo = hub.add(NAME, files())
    paused(hub, tmp_path, 2_000_000)
    (part,) = tmp_path.glob(f"{WEIGHTS}*.part")
    with part.open("r+b") as file:
        file.seek(500_000)
        file.write(b"\0" * 1000)
    fetch(hub, tmp_path)
    assert_whole(tmp_path, repo)


@pytest.mark.parametrize("keep", [0, 1, 10, 200])
def test_notes_beside_a_part_may_be_spoilt_too(hub, tmp_path, keep):
    repo = hub.add(NAME, files())
    paused(hub, tmp_path, 2_000_000)
    (notes,) = tmp_path.glob(f"{WEIGHTS}*.ranges")
    notes.write_bytes(notes.read_bytes()[:keep])
    fetch(hub, tmp_path)
    assert_whole(tmp_path, repo)


def test_what_a_paused_download_left_can_be_thrown_away(hub, tmp_path):
    hub.add(NAME, files())
    (tmp_path / "mine.txt").write_text("kept")
    paused(hub, tmp_path, 2_000_000)
    discard(tmp_path)
    left = {path.name for path in tmp_path.rglob("*")}
    assert "mine.txt" in left
    assert not [name for name in left if ".part" in name]
    hub.misbehave("status", status=404, on="resolve", times=0)
    with pytest.raises(Known):
        fetch(hub, tmp_path)


def test_what_a_process_left_that_was_killed_goes_with_the_next_run(hub, tmp_path):
    repo = hub.add(NAME, files())
    fetch(hub, tmp_path)
    source = (tmp_path / ".qwen-desktop-source.json").read_bytes()
    (tmp_path / f"{WEIGHTS}.part.ranges").write_bytes(b"killed before it was removed")
    (tmp_path / f"{WEIGHTS}.part.ranges.77.tmp").write_bytes(b"killed while it was written")
    (tmp_path / ".qwen-desktop-source.json.77.tmp").write_bytes(source[:9])
    fetch(hub, tmp_path)
    assert_whole(tmp_path, repo)
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_limit_holds_over_all_connections_and_may_be_lifted(hub, tmp_path):
    repo = hub.add(NAME, shards((LARGE, LARGE)))
    download = Download(planned(hub, tmp_path), endpoint(hub), connections=4, limit=MIB)
    with Watched(download) as watched:
        progress = watched.wait_for(lambda one: one.speed > 0)
        assert progress.speed < 4 * MIB  # without a limit it is hundreds
        assert progress.remaining_s is not None
        assert progress.remaining_s > 10
        download.limit = 0
        watched.end()
        assert watched.source is not None
    assert_whole(tmp_path, repo)


# --- A proxy -------------------------------------------------------------------------------------


@contextmanager
def proxy() -> Iterator[tuple[str, list[str]]]:
    """One for plain HTTP on loopback: its address, and the first lines of what was asked."""
    asked: list[str] = []
    server = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def pass_on(here: socket.socket) -> None:
        with here, here.makefile("rwb") as stream:
            head = [stream.readline()]
            if not head[0]:  # what wakes it at the end
                return
            while (line := stream.readline()) not in (b"\r\n", b""):
                if not line.lower().startswith((b"connection:", b"proxy-")):
                    head.append(line)
            method, url, _ = head[0].decode().split(" ", 2)
            asked.append(f"{method} {url}")
            host, _, path = url.removeprefix("http://").partition("/")
            name, _, port = host.partition(":")
            with socket.create_connection((name, int(port))) as there:
                head[0] = f"{method} /{path} HTTP/1.1\r\n".encode()
                there.sendall(b"".join(head) + b"Connection: close\r\n\r\n")
                while piece := there.recv(1 << 16):
                    stream.write(piece)
                stream.flush()

    def serve() -> None:
        threads = []
        while not ended.is_set():
            try:
                here, _ = server.accept()
            except OSError:
                break
            threads.append(threading.Thread(target=pass_on, args=(here,)))
            threads[-1].start()
        for thread in threads:
            thread.join()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
    finally:
        ended.set()
        socket.create_connection(server.getsockname()).close()  # wakes it
        server.close()
        thread.join()


def test_a_proxy_of_the_environment_is_used(hub, tmp_path, monkeypatch):
    repo = hub.add(NAME, files())
    with proxy() as (address, asked):
        monkeypatch.setenv("HTTP_PROXY", address)
        monkeypatch.setenv("http_proxy", address)
        fetch(hub, tmp_path, connections=2)
    assert_whole(tmp_path, repo)
    assert len(asked) == len([one for one in hub.log if one.stage != "bytes"]) + len(
        [one for one in hub.asked("bytes") if "/blobs/" in one.path or "resolve-cache" in one.path]
    )


def test_addresses_without_a_proxy_are_asked_directly(hub, tmp_path, monkeypatch):
    repo = hub.add(NAME, files())
    with proxy() as (address, asked):
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, address)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "127.0.0.1")
        fetch(hub, tmp_path)
    assert_whole(tmp_path, repo)
    assert asked == []


def test_a_proxy_that_is_not_there_is_told(hub, monkeypatch):
    hub.add(NAME, files())
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(Known) as caught:
        listed(hub)
    assert caught.value.code == "hub-proxy"
