"""A disk that is really full: every write is refused whole, and taken when there is room."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from qwen_desktop.chat.backup import BackupReason
from qwen_desktop.chat.context import ChatOptions, Policy
from qwen_desktop.chat.messages import AnswerTrace, PartKind, Provenance, Status, user_message
from qwen_desktop.chat.messages import pending_answer as pending
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import Known
from qwen_desktop.storage import migrations, trouble
from qwen_desktop.storage.store import Store
from tests.storage import profiles
from tests.storage.test_migrations import made_by
from tests.storage.test_opening import files_in, state_of

DISK_BYTES = 4 * 2**20
QUESTION = replace(user_message("kept", None), id="q")
ANSWER = replace(pending("q", "Qwen3-4B"), id="a")


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A small file system of its own."""
    folder = tmp_path_factory.mktemp("disk")
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("needs to mount")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", folder]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def folder(disk):
    """An empty profile on it."""
    profile = disk / "profile"
    profile.mkdir()
    yield profile
    shutil.rmtree(profile)
    (disk / "filler").unlink(missing_ok=True)


def fill(disk):
    """Leave no page free."""
    with (disk / "filler").open("wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(4096))
        except OSError:
            pass
    assert shutil.disk_usage(disk).free == 0


def make_room(disk):
    (disk / "filler").unlink()


@pytest.fixture
def file(folder):
    return filled(folder / "conversations.db")


def filled(file):
    """A database with a conversation, another one in the bin, a draft and a backup."""
    store = Store.open(file)
    store.create(Conversation(id="c", title="own", tree=Tree.of([QUESTION])))
    store.create(Conversation(id="binned"))
    store.listing.delete(["binned"])
    store.backups.make(BackupReason.ASKED)
    store.save_draft("", "unsent")
    store.close()
    return file


def start(store):
    store.add_message("c", ANSWER)
    store.journal("a", PartKind.TEXT, "so far")


DONE = replace(ANSWER, status=Status.COMPLETE).appended(PartKind.TEXT, "so far and all")
WRITES = {
    "create": lambda store: store.create(
        Conversation(id="n", tree=Tree.of([user_message("x", None)]))
    ),
    "add a message": lambda store: store.add_message("c", user_message("x", "q")),
    "add messages": lambda store: store.add_messages("c", (user_message("x", "q"),)),
    "start": lambda store: store.save_start("a", Provenance(seed=3), (1, 2, 3)),
    "journal": lambda store: store.journal("a", PartKind.TEXT, " more"),
    "reopen": lambda store: store.reopen("c", ANSWER),
    "finish": lambda store: store.finish("c", DONE, AnswerTrace((1, 2, 3))),
    "pin a message": lambda store: store.set_pinned("c", "q", True),
    "options": lambda store: store.set_options("c", ChatOptions(Policy.ASK)),
    "rename": lambda store: store.rename("c", "other"),
    "read up to": lambda store: store.set_head("c", "q"),
    "draft": lambda store: store.save_draft("", "unsent and more"),
    "forget a draft": lambda store: store.save_draft("", ""),
    "pin": lambda store: store.listing.set_pinned(["c"], True),
    "archive": lambda store: store.listing.set_archived(["c"], True),
    "folder": lambda store: store.listing.make_folder("Work"),
    "tag": lambda store: store.listing.add_tag(["c"], "tag"),
    "delete": lambda store: store.listing.delete(["c"]),
    "restore": lambda store: store.listing.restore(["binned"]),
    "delete for good": lambda store: store.listing.delete_for_good(["binned"]),
    "empty the bin": lambda store: store.listing.empty_bin(),
    "index": lambda store: store.index.add_some(10),
    "back up": lambda store: store.backups.make(BackupReason.ASKED),
    "go back": lambda store: store.backups.restore(store.backups.list()[-1]),
}


def snapshot(store):
    return profiles.everything(store), [info.file for info in store.backups.list()]


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_is_refused_whole_and_taken_when_there_is_room(disk, file, write):
    store = Store.open(file)
    start(store)
    # Folded into the file, so that the log begins anew and every write needs room.
    store.database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = snapshot(store)
    fill(disk)
    for _ in range(2):
        with pytest.raises(Known) as caught:
            write(store)
        assert caught.value.code == trouble.DISK_FULL
        assert snapshot(store) == before
    make_room(disk)
    write(store)
    after = profiles.everything(store)
    store.close()
    again = Store.open(file)
    assert again.opening.damaged is None
    for one, conversation in after.conversations.items():
        for message_id, message in conversation.tree.messages.items():
            assert again.load(one).tree.messages[message_id].text == message.text
    assert again.drafts() == after.drafts
    again.close()


@pytest.fixture
def failing():
    """Lets every file of this process that would grow fail, as a disk does."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fail(on):
        resource.setrlimit(resource.RLIMIT_FSIZE, (0 if on else soft, hard))

    yield fail
    fail(False)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_disk_that_fails_undoes_the_write_and_works_again(tmp_path, failing, write):
    store = Store.open(filled(tmp_path / "conversations.db"))
    start(store)
    store.database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = snapshot(store)
    failing(True)
    try:
        with pytest.raises(Known) as caught:
            write(store)
    finally:
        failing(False)
    assert caught.value.code == trouble.IO
    assert snapshot(store) == before
    write(store)
    store.close()


def test_a_full_disk_at_the_end_leaves_all_in_the_log(disk, file):
    store = Store.open(file)
    start(store)
    fill(disk)
    store.close()
    make_room(disk)
    again = Store.open(file)
    assert again.load("c").tree.messages["a"].text == "so far"
    again.close()


def test_a_full_disk_at_the_start_lets_everything_be_read(disk, file):
    fill(disk)
    store = Store.open(file)
    assert store.load("c").tree.messages == {"q": QUESTION}
    with pytest.raises(Known) as caught:
        store.save_draft("", "more")
    assert caught.value.code == trouble.DISK_FULL
    make_room(disk)
    store.save_draft("", "more")
    assert store.drafts() == {"": "more"}
    store.close()


@pytest.mark.parametrize("version", range(1, migrations.LATEST))
def test_no_room_for_the_backup_before_a_new_format(disk, folder, version):
    """The file stays as it is and is read; when there is room, it is brought to the new format."""
    file = made_by(version, folder / "conversations.db")
    before = state_of(folder)
    fill(disk)
    store = Store.open(file)
    assert store.opening.read_only.code == trouble.DISK_FULL
    assert len(store.load("c1").tree.messages) == 3
    with pytest.raises(Known):
        store.rename("c1", "no")
    now = state_of(folder)
    assert {name: now[name] for name in before} == before
    make_room(disk)
    store.rename("c1", "yes")
    assert [info.reason for info in store.backups.list()] == [BackupReason.MIGRATION]
    store.close()
    store = Store.open(file)
    assert store.load("c1").title == "yes"
    store.close()


def test_no_room_to_recover_leaves_the_damaged_file_where_it_is(disk, file):
    content = bytearray(file.read_bytes())
    content[20] = 9
    file.write_bytes(content)
    fill(disk)
    with pytest.raises(Known) as caught:
        Store.open(file)
    assert caught.value.code == trouble.DISK_FULL
    assert file.read_bytes() == bytes(content)
    assert "conversations.db.recovering" not in files_in(file.parent)
    make_room(disk)
    store = Store.open(file)
    assert store.load("c").tree.messages == {"q": QUESTION}
    assert store.opening.damaged is not None
    store.close()
