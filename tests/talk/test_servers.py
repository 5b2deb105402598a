"""Chats that a server answers, from the terminal: consent, keys, what is kept, and the ends."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from qwen_desktop.bridge import profile_lock
from qwen_desktop.chat.connection import Connection, RemoteModel
from qwen_desktop.chat.context import ChatOptions, RemoteChoice
from qwen_desktop.chat.messages import Status, user_message
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import Known
from qwen_desktop.paths import Profile
from qwen_desktop.storage.connections import ConnectionEntry, ConnectionFile
from qwen_desktop.storage.store import Store
from tests.engine.remote.fakeserver import KEY, chunk, fake, usage
from tests.talk.terminal import ENVIRONMENT, arguments, run
from tests.talk.test_terminal import CTRL_C, CTRL_D, READY, Terminal, kept

pexpect = pytest.importorskip("pexpect")
UP, CTRL_U = "\x1b[A", "\x15"
SPARE = {"NO_COLOR": "1"}


def says(*words):
    def answer(exchange):
        exchange.stream(
            *(chunk(word) for word in words), chunk(finish="stop"), usage(7, len(words))
        )

    return answer


def begins(*words):
    """An answer that never ends."""

    def answer(exchange):
        exchange.begin()
        for word in words:
            exchange.event(chunk(word))
        exchange.hang()

    return answer


def known(profile, server, name="Lab one"):
    profile.mkdir(exist_ok=True)
    made = Connection(name, server.address, id="lab")
    entry = ConnectionEntry(made, (RemoteModel("m", 4096),), titles=True)
    ConnectionFile(profile / "connections.json").save([entry])
    return made


def talks(exchange):
    """Names what it is asked to name, and says the same to all else."""
    asked = exchange.body["messages"][-1]["content"]
    says(*(["Of rain"] if "conversation a title" in asked else ["Soft ", "rain"]))(exchange)


def titled(profile):
    there = sqlite3.connect(f"file:{profile / 'conversations.db'}?mode=ro", uri=True)
    try:
        return there.execute("SELECT count(*) FROM conversations WHERE title_is_own").fetchone()[0]
    finally:
        there.close()


def test_a_server_is_asked_once_the_user_agrees(tmp_path):
    profile = tmp_path / "profile"
    with fake(talks) as server:
        made = known(profile, server)
        it = Terminal(
            None,
            profile,
            *("--connection", "lab ONE", "--title-by-model", "on"),
            KEY_OF_TESTS=KEY,
        )
        it.child.send("Hello\r")
        it.child.expect(r"127\.0\.0\.1.*Send it\?")
        it.child.send("\r")
        it.child.expect("Nothing was sent")
        it.child.expect(READY)
        assert not server.seen
        it.child.send("\r")  # the text is still there
        it.child.expect("Send it")
        it.child.send("y\r")
        it.child.expect("2 tokens")
        it.child.expect(READY)
        for _ in range(20):  # a line that is typed ends the title, which is asked for anew
            if titled(profile):
                break
            it.say("More", "2 tokens")
        assert titled(profile) == 1
        it.say(":prompt", "Only the server")
        it.say(":memory", "does not tell")
        it.say(":open", "Of rain")
        it.say(":clh", "A new chat")
        it.say("Elsewhere", "2 tokens")  # not asked again
        assert it.leave() == 0
        assert server.asked[0].headers["Authorization"] == f"Bearer {KEY}"
    first = next(chat for chat in kept(profile) if chat.tree.path()[0].text == "Hello")
    assert first.title == "Of rain"
    assert first.options.remote == RemoteChoice("lab", "m", made.origin)
    answer = first.tree.path()[1]
    assert (answer.text, answer.provenance.connection) == ("Soft rain", "Lab one")
    for file in profile.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes()


def drafts(profile):
    store = Store.open(profile / "conversations.db")
    try:
        return store.drafts()
    finally:
        store.close()


def test_a_chat_of_the_window_goes_on_where_it_was(tmp_path):
    profile = tmp_path / "profile"
    with fake(talks) as server:
        made = known(profile, server)
        store = Store.open(profile / "conversations.db")
        store.create(
            Conversation(
                tree=Tree.of((user_message("Said in the window", None),)),
                options=ChatOptions(remote=RemoteChoice("lab", "m", made.origin)),
            )
        )
        store.save_draft("", "from the window")
        store.close()
        # Another chat would have to be agreed to, and nobody can be asked.
        refused = run(None, profile, "--connection", "Lab one", "--prompt", "Hi")
        assert (refused.returncode, "--yes" in refused.stderr) == (1, True)
        assert run(None, profile, "--connection", "x", "--prompt", "Hi").returncode == 1
        assert not server.seen
        with_file = tmp_path / "notes.txt"
        with_file.write_text("A note", encoding="utf-8")
        done = run(
            *(None, profile, "--connection", "Lab one", "--model", "other", "--yes"),
            *("--prompt", "-", "--attach", str(with_file)),
            stdin="Käse".encode("latin-1"),
        )
        assert (done.returncode, done.stdout) == (0, "Soft rain\n")
        assert server.asked[0].body["model"] == "other"
        content = server.asked[0].body["messages"][0]["content"]
        assert content.index("A note") < content.index("Käse")
        it = Terminal(None, profile, "--connection", "Lab one", **SPARE)
        it.child.expect("from the window")
        assert it.say(f"{CTRL_U}:open Said in the window", "answers this chat")
        it.child.send(CTRL_D)
        it.child.expect(pexpect.EOF)
        it.child.close()
        it = Terminal(None, profile, "--connection", "Lab one", **SPARE)
        it.child.expect("from the window")  # a command was typed over it
        it.child.send(CTRL_C)  # to the history
        it.child.expect(READY)
        it.say(":open Said in the window", "answers this chat")
        it.say("And on", "2 tokens")
        it.child.send(f"{UP}{UP}{UP}")
        it.child.expect("from the window")
        it.child.send(CTRL_C)
        it.child.expect(READY)
        assert it.leave() == 0
    assert not drafts(profile)
    chats = {chat.tree.path()[0].text: chat for chat in kept(profile)}
    assert [m.text for m in chats["Said in the window"].tree.path()] == [
        *("Said in the window", "And on", "Soft rain"),
    ]
    assert chats["Käse"].tree.path()[0].files[0].name == "notes.txt"


def test_what_is_typed_is_completed_and_a_signal_loses_none_of_it(tmp_path):
    profile, file = tmp_path / "profile", tmp_path / "a long name.txt"
    file.write_text("A note", encoding="utf-8")
    with fake(says("雨が静かに降る。" * 40)) as server:
        known(profile, server)
        it = Terminal(None, profile, "--connection", "Lab one", "--yes", **SPARE)
        assert "\x1b[31m" not in it.say(":conf nothing=1", "no setting")  # NO_COLOR
        with pytest.raises(Known, match="already open"):  # what the window says
            profile_lock.taken(Profile(profile))
        for typed, completed, rest, found in (
            (":conf tempe", "rature=", "0.5", "temperature = 0.5"),
            (":conf context_policy=drop", "_oldest", "", "context_policy = drop_oldest"),
            (":think of", "f", "", "thinking = off"),
            (f":attach {tmp_path}/a l", "ong name.txt", "", "1  a long name.txt: 6 characters"),
            (":detach ", "1", "", "Nothing is attached"),
            (":server o", "ff", "", "No checkpoint is open"),
            (":server Lab on", "e", " m", "answers this chat"),
            (":sav", "e", f" {tmp_path}/x.md", "Nothing was asked"),
            (":att", "ach", f" {file}", "go along"),
        ):
            it.complete(typed, completed)
            it.say(rest, found)
        it.child.setwinsize(10, 30)
        os.write(it.child.child_fd, "降る？".encode() + b" \xff")  # no UTF-8
        it.child.expect("？")
        it.say("", "1 tokens")
        it.child.setwinsize(50, 120)
        assert "降る" in it.say(":his", "you: ")
        it.complete(":open 降", "る")
        it.say("", "2 messages")
        it.say(f":attach {file}", "go along")
        it.child.send("not sent")
        it.child.expect("not sent")
        os.kill(it.child.pid, signal.SIGTERM)
        it.child.expect(pexpect.EOF)
        it.child.close()
        assert it.child.exitstatus == 128 + signal.SIGTERM
        again = Terminal(None, profile, "--connection", "Lab one", "--continue", "--yes", **SPARE)
        again.child.expect("not sent")
        again.child.send("\r")
        again.child.expect("1 tokens")
        again.child.expect(READY)
        assert again.leave() == 0
        assert "A note" in server.asked[-1].body["messages"][-1]["content"]
    (chat,) = kept(profile)
    asked = [m for m in chat.tree.path() if m.files]
    assert [m.text for m in asked] == ["降る？ \ufffd", "not sent"]
    assert chat.tree.path()[1].text == "雨が静かに降る。" * 40
    assert not (profile / "lock").exists()


def test_ctrl_c_twice_and_a_signal_keep_the_text_of_an_answer(tmp_path):
    profile = tmp_path / "profile"
    with fake(begins("Half of it")) as server:
        known(profile, server)
        it = Terminal(None, profile, "--connection", "Lab one", "--yes")
        it.child.send("First\r")
        it.child.expect("Half of it")
        it.child.send(CTRL_C + CTRL_C)
        it.child.expect("stopped")
        it.child.expect(READY)
        it.child.send("Second\r")
        it.child.expect("Half of it")
        os.kill(it.child.pid, signal.SIGTERM)
        it.child.expect(pexpect.EOF)
        it.child.close()
        assert it.child.exitstatus == 128 + signal.SIGTERM
    (chat,) = kept(profile)
    path = chat.tree.path()
    assert [m.text for m in path] == ["First", "Half of it", "Second", "Half of it"]
    assert [m.status for m in path[1::2]] == [Status.STOPPED] * 2


def test_whoever_reads_may_go(tmp_path):
    profile = tmp_path / "profile"
    with fake(begins(*["word "] * 100)) as server:
        known(profile, server)
        one = ("--connection", "Lab one", "--yes", "--prompt", "Hi")
        process = subprocess.Popen(
            [sys.executable, *arguments(None, profile, *one)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        process.stdout.close()
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait(60) == 1
    (chat,) = kept(profile)
    assert chat.tree.path()[-1].status is Status.INTERRUPTED


class Lines:
    """`--json` in a process, a line at a time."""

    def __init__(self, profile, *more):
        self.process = subprocess.Popen(
            [
                *(sys.executable, *arguments(None, profile, "--connection", "Lab one", "--json")),
                *more,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
        )

    def say(self, *lines):
        for line in lines:
            raw = line if isinstance(line, bytes) else json.dumps(line).encode()
            self.process.stdin.write(raw + b"\n")
        self.process.stdin.flush()

    def until(self, event, **values):
        """The next event of this kind."""
        while raw := self.process.stdout.readline():
            found = json.loads(raw)
            if found["event"] == event and values.items() <= found.items():
                return found
        raise AssertionError(event)

    def end(self):
        self.process.stdin.close()
        rest = [json.loads(line) for line in self.process.stdout]
        self.process.stdout.close()
        return self.process.wait(60), rest


def asks(text, **values):
    return {"messages": [{"role": "user", "content": text}], **values}


def test_lines_that_stop_and_lines_that_are_none(tmp_path):
    profile = tmp_path / "profile"
    with fake(begins("Half"), begins("Half"), talks) as server:
        known(profile, server)
        before = sorted(profile.rglob("*"))
        it = Lines(profile, "--yes")
        assert it.until("ready")["model"] == "m"
        it.say(asks("one", id=1), asks("two", id=1), asks("three", id=True))
        assert it.until("delta", id=1)["text"] == "Half"
        it.say(b"\xff\xfe{", b"[]", b"[" * 100_000, {"stop": "nobody"}, {"stop": 1.0}, {"stop": 1})
        assert it.until("finished", id=1)["reason"] == "stopped"
        assert it.until("finished", id=1)["reason"] == "stopped"  # it had not begun
        assert it.until("delta", id=True)["text"]
        it.say({"stop": True})
        assert it.until("finished", id=True)["reason"] == "stopped"
        it.say(
            *(asks("x", id=2, settings={name: value}) for name, value in WRONG.items()),
            b'{"id": 3, "messages": [{"role": "user", "content": "\\ud800 half a pair"}]}',
        )
        status, rest = it.end()  # the answer is still to come
        assert status == 1
        assert [e["code"] for e in rest if e["event"] == "error"] == ["bad-request"] * (
            len(WRONG) + 3
        )
        assert rest[-1] == {"event": "finished", "id": 3, "reason": "stop"}
        assert server.asked[-1].body["messages"][-1]["content"] == "\ufffd half a pair"
        assert sorted(profile.rglob("*")) == before  # nothing is kept

        unasked = Lines(profile)
        status, rest = unasked.end()
        assert (status, rest[-1]["code"]) == (1, "not-agreed")


WRONG = {
    "temperature": float("nan"),
    "top_k": True,
    "thinking": "on",
    "max_new_tokens": 10**30,
    "theme": "dark",
    "seed": [1],
}


def test_a_signal_ends_lines_while_their_server_is_silent(tmp_path):
    profile = tmp_path / "profile"
    with fake(begins("Half")) as server:
        known(profile, server)
        it = Lines(profile, "--yes")
        it.say(asks("one", id=1, keep=True))
        assert it.until("delta")["text"] == "Half"
        it.process.send_signal(signal.SIGTERM)
        assert it.until("finished")["reason"] == "stopped"  # long before the server is given up
        assert it.process.wait(60) == 128 + signal.SIGTERM  # though more may be asked
        it.end()
    answer = kept(profile)[0].tree.path()[-1]
    assert (answer.text, answer.status) == ("Half", Status.STOPPED)


def test_whoever_reads_lines_may_go(tmp_path):
    profile = tmp_path / "profile"
    with fake(begins(*["word "] * 100)) as server:
        known(profile, server)
        it = Lines(profile, "--yes")
        it.say(asks("one", id=1, keep=True))
        assert it.until("delta")
        it.process.stdout.close()
        assert it.process.wait(60) == 1  # though more may be asked
        it.process.stdin.close()
    answer = kept(profile)[0].tree.path()[-1]
    assert answer.text.startswith("word ")
    assert answer.status is Status.INTERRUPTED
