"""The chat through a pseudo-terminal: every command, the keys, and what is on disk after it."""

import os
import signal
import sys
from pathlib import Path

import pytest

from qwen_desktop.chat.messages import Status
from qwen_desktop.chat.summary import ListFilter
from qwen_desktop.chat.tree import Conversation
from qwen_desktop.paths import demo_checkpoint
from qwen_desktop.storage.store import Store
from tests.engine.checkpoints import chatty_checkpoint
from tests.talk.terminal import ENVIRONMENT, arguments, run

pexpect = pytest.importorskip("pexpect")
READY = r"\x1b\[\?2004h"  # the line can be typed at
CTRL_C, CTRL_D, CTRL_J, ALT_ENTER = "\x03", "\x04", "\n", "\x1b\r"


class Terminal:
    def __init__(self, folder: Path | None, profile: Path, *more: str, **env: str) -> None:
        self.child = pexpect.spawn(
            sys.executable,
            arguments(folder, profile, *more),
            env=ENVIRONMENT | env,
            encoding="utf-8",
            dimensions=(50, 160),
            timeout=60,  # a busy machine takes long to start
        )
        self.child.delaybeforesend = None
        self.child.expect(READY)

    def say(self, text: str, expected: str) -> str:
        """Type a line; what was shown until the next can be typed."""
        self.child.send(f"{text}\r")
        self.child.expect(expected)
        before = self.child.before + self.child.after
        self.child.expect(READY)
        return before + self.child.before

    def complete(self, text: str, expected: str) -> None:
        """Type a beginning, and Tab until the rest of it stands there."""
        self.child.send(text)
        self.child.expect_exact(text[-1])
        self.child.send("\t")
        self.child.expect_exact(expected)

    def leave(self, keys: str = CTRL_D) -> int:
        self.child.send(keys)
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus


def kept(profile: Path) -> list[Conversation]:
    store = Store.open(profile / "conversations.db")
    try:
        return [store.load(row.id) for row in store.listing.page(ListFilter(), 0, 50)]
    finally:
        store.close()


def test_every_command(tmp_path):
    profile, saved = tmp_path / "profile", tmp_path / "chat.md"
    it = Terminal(demo_checkpoint(), profile, "--max-new-tokens", "12")
    for name in (":help", ":h"):
        assert ":reset-conf" in it.say(name, "exact tokens")
    it.say(":clear", "H")
    it.say(":cl", "H")
    it.say("What can you do?", "12 tokens")
    for name in (":history", ":his"):
        it.say(name, "you: ")
    it.say(":seed 7", "seed = 7")
    it.say(":seed", "seed = 7")
    it.say(":seed x", "cannot be")
    it.say(":conf temperature=0.5 top-k=3", "top_k = 3")
    it.say(':conf temperature=__import__("os").getpid()', "cannot be")
    it.say(":conf temperature=99", "Say a number from 0 to 2")
    it.say(":conf loop_guard=maybe", "Say on or off")
    it.say(":conf nothing=1", "no setting")
    it.say(":conf theme=dark", "no setting")  # of the window
    it.say(":conf", r"temperature\s+0\.5")
    it.say(":think off", "thinking = off")
    it.say(":regen", "12 tokens")
    it.say(":edit Who are you?", "12 tokens")
    it.say(":memory", "tokens used")
    it.say(":prompt", "opening")
    it.say(f":save {saved}", r"chat.md\x1b\[0m")
    it.say(":save x.pdf", "ends with")
    it.say(":nonsense", "no command")
    it.say(":reset-conf", "general settings")
    it.say(":clear-his", "A new chat")
    it.say(f"two{CTRL_J}lines{ALT_ENTER}three", "12 tokens")
    it.say("\x1b[200~pasted\rwhole\x1b[201~", "12 tokens")
    it.say(":clh", "A new chat")
    it.say(":open", "Who are you")
    it.say(":open whole", ":open N")
    it.say(":open 1", "4 messages")
    it.say(f":open {demo_checkpoint()}", "on CPU")
    it.child.send(CTRL_C)
    it.child.expect("leaves")
    it.child.expect(READY)
    assert it.leave(":q\r") == 0

    second, first = kept(profile)
    assert "Who are you?" in saved.read_text(encoding="utf-8")
    assert len(first.tree.children(None)) == 2  # the edited question
    old = first.tree.children(None)[0]
    assert len(first.tree.children(old.id)) == 2  # the answer that was made anew
    assert [m.text for m in second.tree.path()][::2] == ["two\nlines\nthree", "pasted\nwhole"]
    assert all(m.status is Status.LENGTH for m in second.tree.path()[1::2])
    assert (profile / "terminal-history").stat().st_mode & 0o077 == 0


def test_ctrl_c_keeps_the_text_and_so_does_a_kill(tmp_path):
    folder, profile = chatty_checkpoint(tmp_path / "model"), tmp_path / "profile"
    it = Terminal(folder, profile, "--max-new-tokens", "100000", "--loop-guard", "off")
    it.child.send("Go on\r")
    it.child.expect("prefill 100 %")
    it.child.expect(r"\w{3}.*\w{3}")
    it.child.send(CTRL_C)
    it.child.expect("stopped")
    assert "^C" not in it.child.before  # it would move what is drawn again
    it.child.expect(READY)
    (chat,) = kept_beside(profile)
    assert chat.tree.path()[-1].status is Status.STOPPED
    assert chat.tree.path()[-1].token_ids

    refused = run(folder, profile, "--prompt", "Hi")
    assert refused.returncode == 1
    assert "already open" in refused.stderr

    it.child.send("And on\r")
    it.child.expect("prefill 100 %")
    while not journalled(profile):
        it.child.expect(r"\w")
    os.kill(it.child.pid, signal.SIGKILL)
    it.child.expect(pexpect.EOF)
    it.child.close()

    again = Terminal(folder, profile, "--continue")
    assert "And on" in again.say(":his", "interrupted")
    assert again.leave() == 0
    (chat,) = kept(profile)
    path = chat.tree.path()
    assert [m.text for m in path[::2]] == ["Go on", "And on"]
    assert path[-1].status is Status.INTERRUPTED
    assert path[-1].token_ids


def kept_beside(profile: Path) -> list[Conversation]:
    """What is on disk while another process writes there: of a copy."""
    import sqlite3

    copy = profile.parent / "copy"
    copy.mkdir()
    with sqlite3.connect(profile / "conversations.db") as there:
        with sqlite3.connect(copy / "conversations.db") as here:
            there.backup(here)
        here.close()
    there.close()
    return kept(copy)


def journalled(profile: Path) -> bool:
    import sqlite3

    there = sqlite3.connect(f"file:{profile / 'conversations.db'}?mode=ro", uri=True)
    try:
        return there.execute("SELECT count(*) FROM answer_journal").fetchone()[0] > 0
    finally:
        there.close()
