"""Opening a database whatever became of it: checked, set aside, only read; nothing is removed."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import pytest

from qwen_desktop.chat.backup import BackupReason
from qwen_desktop.chat.messages import PartKind, Status, pending_answer, user_message
from qwen_desktop.chat.opening import OpeningReport
from qwen_desktop.chat.summary import ListFilter, Place
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import Known
from qwen_desktop.storage import migrations, opening, trouble
from qwen_desktop.storage.database import mark_of
from qwen_desktop.storage.store import Store
from tests.storage import profiles
from tests.storage.test_migrations import made_by

QUESTION = user_message("Is it kept?", None)


@pytest.fixture
def file(tmp_path):
    """A closed database with one conversation."""
    file = tmp_path / "profile" / "conversations.db"
    store = Store.open(file)
    store.create(Conversation(id="c", tree=Tree.of([QUESTION])))
    store.close()
    return file


def killed(file, folder, change=lambda store: None):
    """The files as a run leaves them that is killed after `change`."""
    folder.mkdir()
    store = Store.open(file)
    store.save_draft("", "unsent")
    change(store)
    for one in profiles.beside(file):
        shutil.copy(one, folder / one.name)
    store.close()
    assert (folder / f"{file.name}-wal").stat().st_size > 0
    return folder / file.name


def state_of(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_file_that_was_closed_is_not_checked(file):
    store = Store.open(file)
    assert store.opening == OpeningReport()
    store.close()
    assert files_in(file.parent) == ["conversations.db"]


def test_a_new_profile_has_nothing_to_tell(tmp_path):
    store = Store.open(tmp_path / "new" / "conversations.db")
    assert store.opening == OpeningReport()
    store.close()


def test_after_a_kill_every_page_is_checked_and_nothing_is_set_aside(file, tmp_path):
    left = killed(file, tmp_path / "killed")
    store = Store.open(left)
    assert (store.opening.clean, store.opening.checked) == (False, True)
    assert store.opening.damaged is None
    assert store.drafts() == {"": "unsent"}
    store.close()
    assert files_in(left.parent) == ["conversations.db"]


def spoil_page(file, said):
    """Spoil the page of a table that has this text; returns all the bytes."""
    content = bytearray(file.read_bytes())
    begin = next(
        begin
        for begin in range(0, len(content), 8192)
        if content[begin] == 13 and said in content[begin : begin + 8192]
    )
    content[begin : begin + 100] = b"\xff" * 100
    file.write_bytes(content)
    return bytes(content)


def test_damage_that_a_job_meets_is_seen_to_at_the_next_start(file):
    content = spoil_page(file, b"Is it kept?")
    store = Store.open(file)
    assert not store.opening.checked
    with pytest.raises(Known) as caught:
        store.add_message("c", user_message("more", QUESTION.id))
    assert caught.value.code == trouble.DAMAGED
    store.close()
    assert mark_of(file).exists()
    store = Store.open(file)
    assert store.opening.checked
    assert store.opening.damaged is not None
    assert store.load("c").tree.messages == {QUESTION.id: QUESTION}
    store.close()
    assert not mark_of(file).exists()
    assert (store.opening.damaged.set_aside / file.name).read_bytes() == content


def test_of_a_conversation_on_damaged_pages_is_shown_what_can_be_read(file):
    store = Store.open(file)
    for number in range(12):
        message = user_message(
            f"message {number} " + "".join(map(chr, range(0x4E00, 0x5A00))), None
        )
        store.add_message("c", replace(message, parent_id=store.load("c").tree.head))
    store.create(Conversation(id="d", tree=Tree.of([user_message("beside it", None)])))
    expected = {message.id: message for message in store.load("c").tree.path()}
    other = store.load("d")
    store.close()
    gone = next(one for one in expected.values() if one.text.startswith("message 5 "))
    spoil_page(file, gone.id.encode())
    store = Store.open(file)
    read = store.load("c").tree.path()
    assert 8 <= len(read) < 13
    for message in read:
        assert replace(message, parent_id=None) == replace(expected[message.id], parent_id=None)
    assert store.load("d") == other
    store.close()
    store = Store.open(file)
    assert store.opening.damaged is not None
    assert store.load("d") == other
    store.close()


def test_a_mark_on_a_good_file_only_has_it_checked(file):
    mark_of(file).touch()
    store = Store.open(file)
    assert (store.opening.clean, store.opening.checked) == (True, True)
    assert store.opening.damaged is None
    store.close()
    assert files_in(file.parent) == ["conversations.db"]


@pytest.mark.parametrize(
    "content",
    [b"not a database " * 1000, b"SQLite format 3\0" + b"\xff" * 5000, b"\0" * 8192],
    ids=["text", "header only", "zeros"],
)
def test_a_file_that_is_no_database_is_set_aside_and_a_new_one_begins(tmp_path, content):
    file = tmp_path / "conversations.db"
    file.write_bytes(content)
    store = Store.open(file)
    report = store.opening.damaged
    assert (report.backup, report.messages, report.conversations) == (None, 0, 0)
    assert (report.set_aside / file.name).read_bytes() == content
    store.save_draft("", "it works")
    store.close()


def test_an_empty_file_is_a_loss_only_where_there_are_backups(file):
    store = Store.open(file)
    made = store.backups.make(BackupReason.DAILY)
    store.close()
    file.write_bytes(b"")
    store = Store.open(file)
    assert store.opening.damaged.backup.file == made.file
    assert store.load("c").tree.messages == {QUESTION.id: QUESTION}
    store.close()


def test_a_file_that_is_gone_comes_back_from_its_newest_backup(file):
    store = Store.open(file)
    made = store.backups.make(BackupReason.DAILY)
    store.close()
    file.unlink()
    store = Store.open(file)
    assert store.opening.damaged.was_missing
    assert store.opening.damaged.backup.file == made.file
    assert store.load("c").tree.messages == {QUESTION.id: QUESTION}
    store.close()
    assert not (file.parent / "damaged").exists()


def test_what_was_written_last_is_recovered_where_only_the_log_is_left(file, tmp_path):
    left = killed(file, tmp_path / "killed", lambda store: store.save_draft("", "the last words"))
    left.unlink()
    store = Store.open(left)
    assert store.drafts() == {"": "the last words"}
    assert (store.opening.damaged.set_aside / f"{left.name}-wal").stat().st_size > 0
    store.close()


def test_twice_damaged_is_set_aside_twice(file):
    for _ in range(2):
        file.write_bytes(b"junk" * 100)
        Store.open(file).close()
    folders = list((file.parent / "damaged").iterdir())
    assert len(folders) == 2
    assert all((folder / file.name).read_bytes() == b"junk" * 100 for folder in folders)


def test_a_newest_backup_that_is_damaged_is_passed_over(file):
    store = Store.open(file)
    good = store.backups.make(BackupReason.ASKED)
    store.rename("c", "newer")
    bad = store.backups.make(BackupReason.ASKED)
    store.close()
    content = bytearray(bad.file.read_bytes())
    content[8192:9000] = bytes(808)
    bad.file.write_bytes(content)
    file.write_bytes(b"junk")
    store = Store.open(file)
    assert store.opening.damaged.backup.file == good.file
    store.close()


@pytest.mark.parametrize("step", ["sync", "replace", "rename 0", "rename 1", "replace again"])
def test_a_recovery_that_is_cut_off_is_done_by_the_next_start(file, tmp_path, monkeypatch, step):
    """Between any two of its steps: whatever was done, the next start ends with all of it."""
    left = killed(file, tmp_path / "killed", lambda store: store.rename("c", "renamed"))
    content = bytearray(left.read_bytes())
    content[20] = 99  # a header that is none
    left.write_bytes(content)

    class Killed(BaseException):
        pass

    count = {"sync": 0, "rename": 0, "replace": 0}

    def killing(name, done):
        def call(*args):
            number = count[name]
            count[name] += 1
            wanted = {"sync": "sync", "replace": "replace", "replace again": "replace 1"}
            if wanted.get(step, step) in (f"{name} {number}", name):
                raise Killed
            return done(*args)

        return call

    path = type(left)
    with monkeypatch.context() as patch:
        patch.setattr(opening, "sync", killing("sync", opening.sync))
        patch.setattr(path, "rename", killing("rename", path.rename))
        patch.setattr(path, "replace", killing("replace", path.replace))
        with pytest.raises(Killed):
            Store.open(left)
    store = Store.open(left)
    assert store.load("c").title == "renamed"
    assert store.load("c").tree.messages == {QUESTION.id: QUESTION}
    assert store.drafts() == {"": "unsent"}
    store.close()
    kept = b"".join(
        one.read_bytes() for one in (left.parent / "damaged").rglob("*") if one.is_file()
    )
    assert bytes(content) in kept


def test_a_new_format_that_stands_alone_in_the_number_is_damage(file):
    """Every format changes the schema: no newer one looks like ours."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA user_version = {migrations.LATEST + 7}")
    store = Store.open(file)
    assert store.opening.damaged is not None
    assert store.load("c").tree.messages == {QUESTION.id: QUESTION}
    store.close()


@pytest.mark.parametrize("version", range(migrations.LATEST))
def test_a_number_of_an_older_format_is_damage_as_well(file, version):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    store = Store.open(file)
    assert store.opening.damaged is not None
    assert store.load("c").tree.messages == {QUESTION.id: QUESTION}
    store.close()


def test_the_mark_of_the_application_may_be_damaged(file):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA application_id = 7")
    store = Store.open(file)
    assert store.load("c").tree.messages == {QUESTION.id: QUESTION}
    store.close()


def newer(connection):
    connection.execute("ALTER TABLE messages ADD COLUMN mood TEXT NOT NULL DEFAULT ''")
    connection.execute("CREATE TABLE moods (name TEXT)")
    connection.execute(f"PRAGMA user_version = {migrations.LATEST + 1}")
    connection.commit()


def refuses_writes(store, code):
    """Every kind of write is refused with the same sentence, and reading goes on."""
    answer = pending_answer(QUESTION.id, "")
    writes = {
        "create": lambda: store.create(Conversation()),
        "add": lambda: store.add_message("c", user_message("x", QUESTION.id)),
        "journal": lambda: store.journal(QUESTION.id, PartKind.TEXT, "x"),
        "finish": lambda: store.finish("c", replace(answer, status=Status.COMPLETE)),
        "rename": lambda: store.rename("c", "x"),
        "draft": lambda: store.save_draft("", "x"),
        "delete": lambda: store.listing.delete(["c"]),
        "tag": lambda: store.listing.add_tag(["c"], "x"),
        "restore": lambda: store.backups.restore(store.backups.list()[0]),
    }
    for name, write in writes.items():
        if name == "restore" and not store.backups.list():
            continue
        with pytest.raises(Known) as caught:
            write()
        assert (name, caught.value.code) == (name, code)
        assert store.load("c").tree.messages == {QUESTION.id: QUESTION}


@pytest.mark.parametrize("in_log", [False, True])
def test_a_newer_format_is_read_and_not_changed(file, tmp_path, in_log):
    if in_log:
        left = tmp_path / "killed"
        left.mkdir()
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            newer(connection)
            for name in (file.name, f"{file.name}-wal"):
                shutil.copy(file.parent / name, left / name)
        file = left / file.name
    else:
        with closing(sqlite3.connect(file)) as connection:
            newer(connection)
    before = state_of(file.parent)
    store = Store.open(file)
    assert store.opening.read_only.code == trouble.NEWER
    assert str(file) in store.opening.read_only.text()
    assert store.listing.ids(ListFilter()) == ("c",)
    refuses_writes(store, trouble.NEWER)
    store.close()
    now = {name: content for name, content in state_of(file.parent).items() if "-shm" not in name}
    assert now == before


def test_a_newer_format_that_cannot_be_read_is_refused_with_both_numbers(file):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("ALTER TABLE messages RENAME COLUMN parts TO pieces")
        newer(connection)
    before = state_of(file.parent)
    with pytest.raises(Known, match=rf"format is {migrations.LATEST + 1}.*up to") as caught:
        Store.open(file)
    assert caught.value.code == trouble.NEWER
    assert state_of(file.parent) == before


# -- where nothing can be written --------------------------------------------------------------


@pytest.fixture
def locked_folder(tmp_path):
    """Makes a folder that nobody can write to, root neither: of a file system that only reads."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("needs to mount")
    mounted = []

    def lock(folder):
        done = subprocess.run(["mount", "--bind", folder, folder], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("may not mount")
        mounted.append(folder)
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)

        def unlock():
            subprocess.run(["mount", "-o", "remount,bind,rw", folder], check=True)

        return unlock

    yield lock
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


def test_a_folder_that_cannot_be_written_is_read_and_written_when_it_can(file, locked_folder):
    store = Store.open(file)
    store.backups.make(BackupReason.ASKED)
    store.close()
    before = state_of(file.parent)
    unlock = locked_folder(file.parent)
    store = Store.open(file)
    assert store.opening.read_only.code == trouble.READ_ONLY
    assert store.listing.ids(ListFilter()) == ("c",)
    refuses_writes(store, trouble.READ_ONLY)
    assert state_of(file.parent) == before
    unlock()
    store.rename("c", "written again")
    store.close()
    store = Store.open(file)
    assert store.opening == OpeningReport()
    assert store.load("c").title == "written again"
    store.close()


def test_a_log_in_a_folder_that_cannot_be_written_is_read_too(file, tmp_path, locked_folder):
    left = killed(file, tmp_path / "killed", lambda store: store.rename("c", "in the log"))
    left.with_name(f"{left.name}-shm").unlink()
    before = state_of(left.parent)
    unlock = locked_folder(left.parent)
    store = Store.open(left)
    assert store.load("c").title == "in the log"
    assert store.drafts() == {"": "unsent"}
    assert state_of(left.parent) == before
    unlock()
    store.save_draft("", "written")
    store.close()
    assert files_in(left.parent) == ["conversations.db"]


@pytest.mark.parametrize("version", range(1, migrations.LATEST))
def test_an_older_format_in_such_a_folder_is_read_as_it_will_be(version, tmp_path, locked_folder):
    folder = tmp_path / "profile"
    folder.mkdir()
    file = made_by(version, folder / "conversations.db")
    before = state_of(folder)
    unlock = locked_folder(folder)
    store = Store.open(file)
    assert len(store.load("c1").tree.messages) == 3
    assert store.listing.ids(ListFilter(Place.BIN)) == ("c2",)
    with pytest.raises(Known):
        store.rename("c1", "no")
    assert state_of(folder) == before
    unlock()
    store.rename("c1", "yes")
    store.close()
    store = Store.open(file)
    assert store.load("c1").title == "yes"
    (backup,) = store.backups.list()
    assert backup.reason is BackupReason.MIGRATION
    store.close()


def test_a_damaged_file_where_nothing_can_be_written_is_left_alone(file, locked_folder):
    file.write_bytes(b"junk" * 100)
    locked_folder(file.parent)
    with pytest.raises(Known) as caught:
        Store.open(file)
    assert caught.value.code == trouble.DAMAGED


# -- who may read ------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="folders of a user's data are closed there anyway")
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_only_the_owner_reads_what_is_kept(tmp_path, umask):
    folder = tmp_path / "profile"
    before = os.umask(umask)
    try:
        store = Store.open(folder / "conversations.db")
        store.create(Conversation(id="c", tree=Tree.of([QUESTION])))
        store.backups.make(BackupReason.ASKED)
        modes = {
            path.name.split("-")[-1]: path.stat().st_mode & 0o777 for path in folder.rglob("*")
        }
        assert {"conversations.db", "wal", "shm", "asked.db", "backups"} <= modes.keys()
        assert modes.pop("backups") == 0o700
        assert set(modes.values()) == {0o600}
        assert folder.stat().st_mode & 0o777 == 0o700
        store.close()
    finally:
        os.umask(before)


@pytest.mark.skipif(os.name == "nt", reason="folders of a user's data are closed there anyway")
def test_what_was_open_to_others_is_closed(file, tmp_path):
    left = killed(file, tmp_path / "killed")
    left.parent.chmod(0o755)
    for one in profiles.beside(left):
        one.chmod(0o644)
    store = Store.open(left)
    modes = {one.stat().st_mode & 0o777 for one in profiles.beside(left)}
    assert modes == {0o600}
    assert left.parent.stat().st_mode & 0o777 == 0o700
    store.close()


@pytest.mark.skipif(os.name == "nt", reason="such folders are there only elsewhere")
def test_a_folder_that_is_shared_on_purpose_stays_so(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    Store.open(shared / "conversations.db").close()
    assert shared.stat().st_mode & 0o7777 == 0o1777
