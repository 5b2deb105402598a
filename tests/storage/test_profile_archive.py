"""A whole profile as one file: saved while it is used, verified before it is used, put in place."""

import hashlib
import json
import os
import random
import shutil
import sqlite3
import warnings
import zipfile
from contextlib import closing
from dataclasses import replace

import pytest

from qwen_desktop.chat.connection import Connection
from qwen_desktop.chat.context import ChatOptions, RemoteChoice
from qwen_desktop.errors import Cancelled, Known
from qwen_desktop.paths import Profile
from qwen_desktop.storage import profile_archive as pa
from qwen_desktop.storage import profile_restore as pr
from qwen_desktop.storage.connections import ConnectionEntry, ConnectionFile
from qwen_desktop.storage.records import Records
from qwen_desktop.storage.store import Store
from tests.export.conversations import branched, said


@pytest.fixture
def profile(tmp_path):
    made = Profile(tmp_path / "profile")
    store = Store.open(made.database)
    store.create(branched().conversation)
    store.close()
    made.preferences.write_text('{"theme": "dark"}')
    made.presets.write_text("[]")
    made.log.write_text("a log")
    return made


@pytest.fixture
def saved(profile, tmp_path):
    file = tmp_path / "all.qwenprofile"
    pa.save(profile, file)
    return file


def everything(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def conversations(profile):
    records = Records.open(profile.database)
    try:
        return [records.read(one) for one in records.ids()]
    finally:
        records.close()


def test_a_profile_is_saved_and_takes_the_place_of_another(profile, saved, tmp_path):
    other = Profile(tmp_path / "other")
    store = Store.open(other.database)
    store.create(said("to be replaced").conversation)
    store.close()
    other.preferences.write_text('{"theme": "light"}')
    before = everything(other.root)
    contents = pr.prepare(saved, other)
    assert (contents.conversations, contents.messages) == (1, 4)
    assert pr.is_prepared(other)
    aside = pr.finish(other)
    assert conversations(other) == conversations(profile)
    assert json.loads(other.preferences.read_text()) == {"theme": "dark"}
    assert everything(aside)["conversations.db"] == before["conversations.db"]
    assert everything(aside)["settings.json"] == before["settings.json"]
    assert not pr.is_prepared(other)
    assert pr.finish(other) is None


@pytest.mark.parametrize(
    "written",
    [
        '{"remote": {"connection": "lab", "model": "m", "agreed": "", "agreed": "http://h"}}',
        '{"remote": 1, "remote": {"connection": "lab", "model": "m", "agreed": "http://h"}}',
        '{"x": NaN, "remote": {"connection": "lab", "model": "m", "agreed": "http://h"}}',
        b'{"remote": {"connection": "lab", "model": "m", "agreed": "http://h"}}',
    ],
)
def test_no_chat_agrees_by_a_trick_of_whoever_wrote_the_file(profile, tmp_path, written):
    (chat,) = conversations(profile)
    with closing(sqlite3.connect(profile.database)) as one, one:
        one.execute("UPDATE conversations SET options = ?", (written,))
    file = tmp_path / "all.qwenprofile"
    pa.save(profile, file)
    other = Profile(tmp_path / "other")
    pr.prepare(file, other)
    pr.finish(other)
    (kept,) = conversations(other)
    assert kept.conversation.id == chat.conversation.id
    assert kept.conversation.options.remote == RemoteChoice("lab", "m")


def test_connections_go_along_and_no_chat_goes_to_a_server_before_it_is_asked(profile, tmp_path):
    """Whoever wrote the file may have let a chat go to a server: that is asked again here."""
    store = Store.open(profile.database)
    choice = RemoteChoice("lab", "m", "http://gpu.example:8000")
    served = replace(said("served").conversation, options=ChatOptions(remote=choice))
    store.create(served)
    store.close()
    one = Connection("Lab", "http://gpu.example:8000/v1", "lab")
    ConnectionFile(profile.connections).save([ConnectionEntry(one)])
    file = tmp_path / "all.qwenprofile"
    pa.save(profile, file)
    other = Profile(tmp_path / "other")
    pr.prepare(file, other)
    pr.finish(other)
    assert ConnectionFile(other.connections).entries == (ConnectionEntry(one),)
    kept = {record.conversation.id: record.conversation for record in conversations(other)}
    assert kept[served.id].options.remote == replace(choice, agreed="")
    assert len(kept) == 2
    with pa.records_in(file, tmp_path) as records:
        assert all(record.conversation.options.remote is None for record in records)


def test_what_is_written_meanwhile_does_not_begin_it_again(profile, tmp_path):
    """As every answer does, four times a second."""
    rng = random.Random(1)
    store = Store.open(profile.database)
    store.create(said(*(rng.randbytes(1_500_000).hex() for _ in range(8))).conversation)
    parts = []

    def step(part):
        parts.append(part)
        assert len(parts) < 100
        if part < 0.5:
            store.save_draft("", f"{part}")

    pa.save(profile, tmp_path / "all.qwenprofile", step)
    assert sum(0 < part < 0.5 for part in parts) > 1
    assert store.drafts()[""]
    store.close()


def test_only_what_belongs_to_the_user_is_in_the_file(saved):
    with zipfile.ZipFile(saved) as archive:
        assert sorted(archive.namelist()) == [
            "conversations.db",
            "manifest.json",
            "presets.json",
            "settings.json",
        ]


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ((), 1),
        (("prompts",), 2),
        (("words",), 3),
        (("prompts", "words"), 3),
        (("connections",), 4),
    ],
)
def test_older_versions_can_read_what_has_nothing_they_do_not_know(
    profile, tmp_path, files, version
):
    for name in files:
        getattr(profile, name).write_text("[]")
    file = tmp_path / "all.qwenprofile"
    pa.save(profile, file)
    with zipfile.ZipFile(file) as archive:
        assert json.loads(archive.read("manifest.json"))["version"] == version
        assert {getattr(profile, name).name for name in files} <= set(archive.namelist())


def test_a_profile_in_use_is_saved_as_it_stands_on_disk(profile, tmp_path):
    store = Store.open(profile.database)
    question = said("written a moment ago").conversation
    store.create(question)  # in the log of the database only
    pa.save(profile, tmp_path / "live.qwenprofile")
    store.close()
    fresh = Profile(tmp_path / "fresh")
    pr.prepare(tmp_path / "live.qwenprofile", fresh)
    pr.finish(fresh)
    assert len(conversations(fresh)) == 2


def test_cancelling_leaves_the_old_file_and_nothing_else(profile, saved, tmp_path):
    before = everything(tmp_path)

    def step(part):
        if part > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        pa.save(profile, saved, step)
    assert everything(tmp_path) == before


def repacked(saved, change=lambda members: None, *, manifest=lambda value: None, extra=()):
    """The file with other members, or another manifest."""
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    value = json.loads(members["manifest.json"])
    manifest(value)
    members["manifest.json"] = json.dumps(value).encode()
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in [*members.items(), *extra]:
            archive.writestr(name, content)


def agreeing(members):
    """Make the manifest tell of the members as they are."""
    value = json.loads(members["manifest.json"])
    value["members"] = [
        {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in members.items()
        if name != "manifest.json"
    ]
    members["manifest.json"] = json.dumps(value).encode()


def with_database(saved, tmp_path, *statements):
    def change(members):
        file = tmp_path / "changed.db"
        file.write_bytes(members["conversations.db"])
        with sqlite3.connect(file) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()
        members["conversations.db"] = file.read_bytes()
        agreeing(members)

    repacked(saved, change)


def longer(members):
    members["conversations.db"] += b"x"


def other_byte(members):
    content = bytearray(members["conversations.db"])
    content[5000] ^= 1
    members["conversations.db"] = bytes(content)


def no_database(members):
    del members["conversations.db"]
    agreeing(members)


def bomb(members):
    members["settings.json"] = b"0" * (pa.MAX_SMALL + 1)
    agreeing(members)


def renamed(name):
    def change(members):
        members[name] = members.pop("settings.json")
        agreeing(members)

    return change


BROKEN = {
    "no zip": lambda f, t: f.write_bytes(b"not a zip"),
    "empty": lambda f, t: f.write_bytes(b""),
    "cut off": lambda f, t: f.write_bytes(f.read_bytes()[:-200]),
    "begin lost": lambda f, t: f.write_bytes(f.read_bytes()[2000:]),
    "changed byte": lambda f, t: repacked(f, other_byte),
    "longer": lambda f, t: repacked(f, longer),
    "no database": lambda f, t: repacked(f, no_database),
    "bomb": lambda f, t: repacked(f, bomb),
    "lies about its size": lambda f, t: repacked(
        f, manifest=lambda v: v["members"][0].update(bytes=10)
    ),
    "out of the folder": lambda f, t: repacked(f, renamed("../settings.json")),
    "absolute": lambda f, t: repacked(f, renamed("/tmp/settings.json")),
    "unknown member": lambda f, t: repacked(f, renamed("run.sh")),
    "untold member": lambda f, t: repacked(f, extra=[("../evil", b"x")]),
    "twice": lambda f, t: repacked(f, extra=[("settings.json", b"{}")]),
    "no manifest": lambda f, t: repacked_without_manifest(f),
    "manifest of text": lambda f, t: repacked(f, manifest=lambda v: v.update(members="all")),
    "another format": lambda f, t: repacked(f, manifest=lambda v: v.update(format="other")),
    "newer": lambda f, t: repacked(f, manifest=lambda v: v.update(version=5)),
    "newer database": lambda f, t: with_database(f, t, "PRAGMA user_version = 999"),
    "other database": lambda f, t: with_database(f, t, "PRAGMA application_id = 7"),
    "no table of drafts": lambda f, t: with_database(f, t, "DROP TABLE drafts"),
    "trigger": lambda f, t: with_database(
        f,
        t,
        "CREATE TRIGGER evil AFTER INSERT ON messages BEGIN DELETE FROM conversations; END",
    ),
    "view": lambda f, t: with_database(f, t, "CREATE VIEW evil AS SELECT 1"),
}


def repacked_without_manifest(file):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("conversations.db", b"x")


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_not_whole_is_one_sentence_and_nothing_is_touched(
    name, saved, profile, tmp_path
):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is twice in an archive
        BROKEN[name](saved, tmp_path)
    (tmp_path / "changed.db").unlink(missing_ok=True)
    before = everything(tmp_path)
    with pytest.raises(Known) as caught:
        pr.prepare(saved, profile)
    assert "\n" not in str(caught.value)
    assert everything(tmp_path) == before
    assert not pr.is_prepared(profile)


def test_a_file_with_too_little_room_for_it_is_refused(saved, profile, monkeypatch):
    usage = shutil.disk_usage(profile.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(Known, match="disk is full"):
        pr.prepare(saved, profile)
    assert not pr.is_prepared(profile)


def test_a_crash_at_any_move_is_made_good_by_doing_it_again(saved, tmp_path, monkeypatch):
    """Every call that changes the disk is the last one once."""
    for last in range(20):
        other = Profile(tmp_path / f"other{last}")
        store = Store.open(other.database)
        store.create(said("before").conversation)
        store.close()
        other.preferences.write_text('{"theme": "light"}')
        old = everything(other.root)
        pr.prepare(saved, other)
        moves = 0

        def replace(source, target, real=os.replace, last=last):
            nonlocal moves
            moves += 1
            if moves > last:
                raise KeyboardInterrupt
            real(source, target)

        with monkeypatch.context() as patched:
            patched.setattr("pathlib.Path.replace", lambda s, t: replace(s, t))
            try:
                aside = pr.finish(other)
            except KeyboardInterrupt:
                aside = None
        if aside is None:
            aside = pr.finish(other)
            assert aside is not None
        assert [one.conversation.id for one in conversations(other)] == ["c"]
        assert conversations(other)[0].conversation.title == "Rain"
        assert everything(aside)["conversations.db"] == old["conversations.db"]
        assert everything(aside)["settings.json"] == old["settings.json"]
        if moves <= last:
            break
    else:
        raise AssertionError("it never got to the end")
