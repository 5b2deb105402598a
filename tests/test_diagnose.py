"""`--diagnose` tells of the program and its data, nothing private, and changes nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qwen_desktop import __version__, diagnose
from qwen_desktop.bridge import profile_lock
from qwen_desktop.bridge.qt_facts import qt_section
from qwen_desktop.chat.messages import user_message
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.diagnose import Row, Section, data, machine
from qwen_desktop.engine import gpus
from qwen_desktop.paths import Profile
from qwen_desktop.storage.store import Store

SECRET = "wombat-in-the-attic"
SECTIONS = [
    *("program", "system", "processor", "devices", "engine", "qt", "keyring", "paths", "disk"),
    *("database", "libraries"),
]


@pytest.fixture
def profile(tmp_path) -> Profile:
    return Profile(tmp_path / "profile")


@pytest.fixture
def store(profile):
    """A profile with a chat whose every word is private, open as a window has it."""
    opened = Store.open(profile.database)
    asked = user_message(f"{SECRET}, please", None)
    opened.create(Conversation(title=SECRET, tree=Tree.of([asked])))
    yield opened
    opened.close()


def contents(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(file.relative_to(root)): (file.stat().st_mtime_ns, file.read_bytes())
        for file in root.rglob("*")
        if file.is_file()
    }


def rows(section: Section) -> dict[str, object]:
    return {row.key: row.value for row in section.rows}


def diagnosed(profile: Profile, *more: str) -> str:
    """What a process of its own prints that has no display, and whose environment holds secrets."""
    bare = {
        name: text
        for name, text in os.environ.items()
        if name not in ("DISPLAY", "QT_QPA_PLATFORM")
    }
    secrets = {"HTTPS_PROXY": f"http://me:{SECRET}@proxy:1", "HF_TOKEN": SECRET}
    done = subprocess.run(
        [sys.executable, "-m", "qwen_desktop", "--profile", str(profile.root), "--diagnose", *more],
        env={**bare, **secrets, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_process_without_a_display_tells_all_and_changes_nothing(profile, store):
    store.close()
    (profile.root / f"{SECRET}.txt").write_text(SECRET)
    before = contents(profile.root)
    printed = diagnosed(profile, "--json")
    assert contents(profile.root) == before
    assert SECRET not in printed
    told = json.loads(printed)
    assert told.pop("format") == 1
    assert list(told) == SECTIONS
    assert told["program"]["version"] == __version__
    assert told["system"]["HTTPS_PROXY"] is True
    assert told["engine"]["torch_computes"] is True
    assert told["engine"]["openmp"] == 1
    assert told["qt"]["platform_qoffscreen"] == "loads"
    assert told["paths"]["demo_checkpoint"] is True
    assert (told["database"]["chats"], told["database"]["messages"]) == (1, 1)
    assert (told["database"]["check"], told["database"]["open_in_a_window"]) == ("no fault", False)
    assert {"torch", "SQLite", "OpenSSL"} <= told["libraries"].keys()
    assert "cannot_be_told" not in {key for section in told.values() for key in section}


def test_a_profile_that_is_not_there_is_not_made(profile):
    found = rows(data.chats(profile, is_open=profile_lock.is_taken(profile)))
    assert found["state"] == "none yet"
    assert rows(data.disk(profile))["database_size"] == 0
    assert not profile.root.exists()


def test_beside_an_open_window_the_database_is_read_and_writing_goes_on(profile, store):
    lock = profile_lock.taken(profile)
    try:
        assert profile_lock.is_taken(profile)
        found = rows(data.chats(profile, is_open=True))
        assert (found["chats"], found["check"], found["open_in_a_window"]) == (1, "no fault", True)
        store.create(Conversation(tree=Tree.of([user_message("more", None)])))
        assert rows(data.chats(profile, is_open=True))["chats"] == 2
    finally:
        lock.unlock()
    assert not profile_lock.is_taken(profile)


def test_asking_for_the_lock_leaves_none_and_takes_none(profile):
    profile_lock.make_folder(profile)
    assert not profile_lock.is_taken(profile)
    assert list(profile.root.iterdir()) == []
    (profile.root / "lock").touch()  # of a run that was killed
    assert not profile_lock.is_taken(profile)
    profile_lock.taken(profile).unlock()


def test_what_a_killed_run_left_in_the_log_is_counted_and_not_folded(profile, store, tmp_path):
    left = Profile(tmp_path / "left")
    left.root.mkdir()
    for file in (profile.database, profile.database.with_name("conversations.db-wal")):
        (left.root / file.name).write_bytes(file.read_bytes())
    before = contents(left.root)
    assert before["conversations.db-wal"][1]
    found = rows(data.chats(left, is_open=False))
    assert (found["chats"], found["check"]) == (1, "no fault")
    after = contents(left.root)
    assert {name: after[name] for name in before} == before


def test_a_damaged_database_is_the_finding(profile, store):
    store.close()
    raw = bytearray(profile.database.read_bytes())
    raw[8192:] = bytes(len(raw) - 8192)
    profile.database.write_bytes(raw)
    shown = diagnose.as_text([data.chats(profile, is_open=False)])
    assert "trouble           cannot be read: damaged" in shown
    assert SECRET not in shown


def test_a_file_that_is_no_database_is_the_finding(profile):
    profile.root.mkdir()
    profile.database.write_text(SECRET * 1000)
    shown = diagnose.as_text([data.chats(profile, is_open=False)])
    assert "damaged" in shown or "of another program" in shown
    assert SECRET not in shown


def test_a_section_that_fails_does_not_take_the_others_with_it(profile):
    from qwen_desktop.diagnose.collecting import everything

    def broken() -> Section:
        raise FileNotFoundError(SECRET)

    sections = everything(profile, False, broken)
    shown = diagnose.as_text(sections)
    assert [section.key for section in sections] == SECTIONS
    assert "cannot be told  FileNotFoundError" in shown
    assert SECRET not in shown


def test_cards_are_listed_with_their_driver(monkeypatch):
    card = gpus.Gpu(gpus.Device("cuda:0", "A card", 24 * 10**9, 20 * 10**9), (8, 9))
    ram = gpus.Device("cpu", "CPU", 64 * 10**9, 32 * 10**9)
    monkeypatch.setattr(gpus, "this_machine", lambda: gpus.Machine(ram, (card,)))
    found = rows(machine.devices())
    assert (found["memory"], found["cards_usable"]) == (64 * 10**9, True)
    assert found["cuda:0"] == "A card, 24.0 GB, 20.0 GB free, 8.9"


def test_a_plugin_that_lacks_a_library_says_which(tmp_path, monkeypatch):
    from PySide6.QtCore import QLibraryInfo

    (tmp_path / "platforms").mkdir()
    (tmp_path / "platforms" / "libqbroken.so").write_bytes(b"\x7fELF no plugin")
    monkeypatch.setattr(QLibraryInfo, "path", lambda _which: str(tmp_path))
    found = {row.key: row for row in qt_section().rows}
    assert found["platform_qbroken"].value == "does not load"
    assert len(found["platform_qbroken"].text) > len("does not load: ")


def test_the_home_folder_has_no_name(home):
    section = Section(
        "x", "X", (Row("data", str(home / "data")), Row("none", None), Row("on", True))
    )
    text = diagnose.as_text([section])
    assert text == f"X\n  data  {Path('~') / 'data'}\n  none  none\n  on    yes"
    assert json.loads(diagnose.as_json([section]))["x"]["data"] == str(Path("~") / "data")
