"""A second start on the same profile: what it hands over, what is ignored, two real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent

from qwen_desktop.bridge import instance
from qwen_desktop.bridge.instance import Arguments, InstanceServer, arguments_of, hand_over
from qwen_desktop.paths import Profile

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and sockets of POSIX")


@pytest.fixture
def profile(tmp_path):
    made = Profile(tmp_path / "profile")
    made.root.mkdir()
    return made


def ended(made):
    """Close a server and delete it now: the garbage collector may do it on another thread, where
    what belongs to its sockets cannot be stopped.
    """
    made.close()
    made.deleteLater()
    QCoreApplication.sendPostedEvents(made, QEvent.Type.DeferredDelete.value)


@pytest.fixture
def server(qtbot, profile):
    made = InstanceServer(profile)
    yield made
    ended(made)


def elsewhere(job):
    """Do a blocking job on another thread; what it gives comes into the list."""
    given = []
    threading.Thread(target=lambda: given.append(job()), daemon=True).start()
    return given


def test_what_a_second_start_asks_for_arrives_and_it_is_told_so(qtbot, profile, server, tmp_path):
    wanted = Arguments(
        tmp_path / "模型 7B", (tmp_path / "a.json", tmp_path / "b\udce9.json"), "tok"
    )

    with qtbot.waitSignal(server.arguments_received) as caught:
        given = elsewhere(lambda: hand_over(profile, wanted))
    qtbot.waitUntil(lambda: bool(given))

    assert caught.args == [wanted]
    assert given == [True]


def test_paths_are_made_absolute_where_the_second_start_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(instance.ACTIVATION, "token")

    found = arguments_of(Path("model"), (Path("chat.json"),))

    assert found == Arguments(tmp_path / "model", (tmp_path / "chat.json",), "token")


def test_nobody_there_is_told_after_two_seconds_at_most(profile, monkeypatch):
    monkeypatch.setattr(instance, "HAND_OVER_SECONDS", 0.2)

    assert not hand_over(profile, Arguments())


def test_a_first_start_that_is_still_starting_is_waited_for(qtbot, profile, monkeypatch):
    monkeypatch.setattr(instance, "HAND_OVER_SECONDS", 60.0)
    given = elsewhere(lambda: hand_over(profile, Arguments()))
    qtbot.wait(100)

    made = InstanceServer(profile)
    try:
        qtbot.waitUntil(lambda: given == [True])
    finally:
        ended(made)


def test_two_profiles_do_not_hear_each_other(qtbot, server, tmp_path, monkeypatch):
    monkeypatch.setattr(instance, "HAND_OVER_SECONDS", 0.2)
    other = Profile(tmp_path / "other")
    other.root.mkdir()
    given = elsewhere(lambda: hand_over(other, Arguments()))
    qtbot.waitUntil(lambda: bool(given))

    assert given == [False]


@posix
@pytest.mark.parametrize("long", [False, True])
def test_only_this_user_can_reach_the_first_start(qtbot, tmp_path, long, monkeypatch):
    short = tmp_path.parents[1 if tmp_path.parent.name.startswith("popen") else 0]
    runtime = Path(tempfile.mkdtemp(prefix="run", dir=short))  # a name that a socket may have
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    deep = Profile(runtime / ("d" * 120 if long else "d"))
    deep.root.mkdir()

    made = InstanceServer(deep)
    try:
        place = Path(made.name)
        assert place.parent == (runtime if long else deep.root)
        assert place.stat().st_mode & 0o077 == 0
    finally:
        ended(made)


GOOD = Arguments().to_line()
BAD = {
    "no JSON": b"hello\n",
    "no object": b"[1]\n",
    "another program": b'{"other": 1}\n',
    "a newer message": json.dumps({"qwen-desktop": 2}).encode() + b"\n",
    "a number for a path": b'{"qwen-desktop": 1, "checkpoint": 5}\n',
    "a relative path": b'{"qwen-desktop": 1, "checkpoint": "model"}\n',
    "a path with a zero": b'{"qwen-desktop": 1, "checkpoint": "/a\\u0000b"}\n',
    "files that are none": b'{"qwen-desktop": 1, "files": "a"}\n',
    "too many files": json.dumps({"qwen-desktop": 1, "files": ["/a"] * 1001}).encode() + b"\n",
    "a token of lines": b'{"qwen-desktop": 1, "activation": "a\\nb"}\n',
    "nested deeply": b"[" * 60_000 + b"\n",
    "bytes": b"\xff\xfe\x00\n",
    "too long": b'{"qwen-desktop": 1, "activation": "' + b"a" * 70_000,
}


@posix
@pytest.mark.parametrize("message", BAD.values(), ids=BAD)
def test_a_malformed_message_is_ignored_and_the_next_one_heard(
    qtbot, profile, server, message, monkeypatch
):
    heard = []
    server.arguments_received.connect(heard.append)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(server.name)
        stranger.sendall(message)
        answers = elsewhere(lambda: _rest(stranger))
        qtbot.waitUntil(lambda: bool(answers))
    assert answers == [b""]
    assert heard == []

    given = elsewhere(lambda: hand_over(profile, Arguments()))
    qtbot.waitUntil(lambda: bool(given))
    assert (given, heard) == ([True], [Arguments()])


def _rest(connection: socket.socket) -> bytes:
    """What comes until the other side ends the connection."""
    found = b""
    try:
        while piece := connection.recv(100):
            found += piece
    except ConnectionResetError:
        pass
    return found


@posix
def test_whoever_says_nothing_or_half_is_left_after_a_while(qtbot, server, monkeypatch):
    monkeypatch.setattr(instance, "READ_MS", 50)
    heard = []
    server.arguments_received.connect(heard.append)
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as half:
        for stranger, said in ((silent, b""), (half, GOOD[:10])):
            stranger.connect(server.name)
            stranger.sendall(said)
        answers = elsewhere(lambda: (_rest(silent), _rest(half)))
        qtbot.waitUntil(lambda: bool(answers))

    assert answers == [(b"", b"")]
    assert heard == []


# -- processes ---------------------------------------------------------------------------------


def start(profile: Profile, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    return subprocess.Popen(
        [sys.executable, "-m", "qwen_desktop", "--profile", str(profile.root), *arguments],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(condition, process, seconds=60.0):
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.02)


def is_heard(profile: Profile) -> bool:
    return hand_over(profile, Arguments())


@posix
def test_a_second_process_hands_its_checkpoint_over_and_a_killed_one_leaves_the_profile_free(
    profile, endless
):
    first = start(profile)
    try:
        wait_until(lambda: is_heard(profile), first)

        second = start(profile, "--checkpoint", str(endless))
        assert second.wait(60) == 0
        assert second.stderr.read() == ""
        # The first remembers what it has opened.
        state = profile.state
        wait_until(lambda: state.exists() and str(endless) in state.read_text(), first)

        headless = start(profile, "--headless")
        assert headless.wait(60) == 1
        assert "already open" in headless.stderr.read()
    finally:
        first.kill()
        first.wait()

    again = start(profile)
    try:
        wait_until(lambda: is_heard(profile), again)
        again.send_signal(signal.SIGTERM)
        assert again.wait(60) == 0
    finally:
        again.kill()
        again.wait()


@posix
def test_a_first_process_that_does_not_answer_is_told_in_a_sentence(profile):
    first = start(profile)
    try:
        wait_until(lambda: is_heard(profile), first)
        first.send_signal(signal.SIGSTOP)

        second = start(profile)
        assert second.wait(60) == 1
        assert "already open" in second.stderr.read()
    finally:
        first.kill()
        first.wait()
