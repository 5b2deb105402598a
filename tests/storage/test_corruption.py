"""Two hundred ways to damage a database file: all that was not touched is there afterwards, and
all that is in the backup.
"""

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from qwen_desktop.chat.backup import BackupReason
from qwen_desktop.errors import Known
from qwen_desktop.storage import trouble
from qwen_desktop.storage.carve import Reader
from qwen_desktop.storage.pages import Log, Pages
from qwen_desktop.storage.store import Store
from tests.storage import profiles

PAGE = 1024  # small ones: more of them for so many rows
IN_BACKUP, LATER = range(1, 8), range(8, 20)


@dataclass(frozen=True)
class Whole:
    """The undamaged profile."""

    folder: Path
    everything: profiles.Everything
    in_backup: profiles.Everything


def made(folder, *, closed):
    """A profile with a backup of its beginning; not `closed`, its end is in the log."""
    file = folder / "profile" / "conversations.db"
    draw = random.Random(11)
    store = Store.open(file)
    profiles.fill(store, draw, list(IN_BACKUP))
    store.backups.make(BackupReason.DAILY)
    in_backup = profiles.everything(store)
    if not closed:
        store.close()  # so that the log begins here
        store = Store.open(file)
    profiles.fill(store, draw, list(LATER))
    everything = profiles.everything(store)
    kept = folder / "kept"
    if closed:
        store.close()
    shutil.copytree(file.parent, kept)  # as a killed run leaves it where it is not closed
    store.close()
    (kept / "conversations.db-shm").unlink(missing_ok=True)
    return Whole(kept, everything, in_backup)


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """By whether it was closed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qwen_desktop.storage.database.PAGE_BYTES", PAGE)
        return {
            closed: made(tmp_path_factory.mktemp("whole"), closed=closed)
            for closed in (True, False)
        }


# -- damage: each changes the bytes of the file or of its log ---------------------------------


def flip(draw, data):
    for _ in range(draw.choice((1, 3, 20))):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def zero_pages(draw, data):
    for _ in range(draw.choice((1, 2, 8))):
        at = draw.randrange(len(data) // PAGE) * PAGE
        data[at : at + PAGE] = bytes(PAGE)


def overwrite(draw, data):
    at = draw.randrange(len(data) - 600)
    data[at : at + 512] = draw.randbytes(512)


def truncate(draw, data):
    del data[draw.randrange(1, len(data)) :]


def truncate_to_pages(draw, data):
    del data[draw.randrange(1, len(data) // PAGE) * PAGE :]


def swap_pages(draw, data):
    one, other = (draw.randrange(1, len(data) // PAGE) * PAGE for _ in range(2))
    data[one : one + PAGE], data[other : other + PAGE] = (
        data[other : other + PAGE],
        data[one : one + PAGE],
    )


def spoil_header(draw, data):
    for _ in range(draw.choice((1, 2, 40))):
        data[draw.randrange(min(100, len(data)))] = draw.randrange(256)


def junk(draw, data):
    data[:] = draw.randbytes(len(data))


def zeros(draw, data):
    data[:] = bytes(len(data))


def nothing(draw, data):
    del data[:]


KINDS = {
    "flip": (flip, 44),
    "zero pages": (zero_pages, 30),
    "overwrite": (overwrite, 24),
    "truncate": (truncate, 8),
    "truncate to pages": (truncate_to_pages, 8),
    "swap pages": (swap_pages, 24),
    "header": (spoil_header, 30),
    "junk": (junk, 2),
    "zeros": (zeros, 1),
    "nothing": (nothing, 1),
}
LOG_KINDS = {
    "flip": (flip, 14),
    "overwrite": (overwrite, 8),
    "truncate": (truncate, 3),
    "header": (spoil_header, 3),
}
CASES = [
    *((kind, seed, "file") for kind, (_, count) in KINDS.items() for seed in range(count)),
    *((kind, seed, "log") for kind, (_, count) in LOG_KINDS.items() for seed in range(count)),
]


def test_there_are_two_hundred_of_them():
    assert len(CASES) >= 200


def untouched(whole, file):
    """The messages none of whose bytes were touched, by where the undamaged file has them.

    Of the log, as many transactions as are still committed; one whose end is damaged never was.
    """
    good, bad = Pages.of(whole.folder / file.name), Pages.of(file)
    log = good.log
    last = len(log.frames) if bad.log.loses_something else bad.log.committed
    frames = log.frames[:last]
    good.log = Log(log.content[: frames[-1].at + PAGE] if frames else b"")
    good = Pages(good.content, good.log, PAGE)
    places = {frame.page: frame for frame in frames}

    def is_touched(number):
        if number in places:
            at = places[number].at
            # With its head, and the one before it: where its check sum comes from.
            begin, end = max(at - 48 - PAGE, 0), at + PAGE
            return good.log.content[begin:end] != bad.log.content[begin:end]
        begin, end = (number - 1) * PAGE, number * PAGE
        return good.content[begin:end] != bad.content[begin:end]

    asked = []

    class Traced(Pages):
        def page(self, number):
            asked.append(number)
            return super().page(number)

    traced = Traced(good.content, good.log, PAGE)
    reader = Reader(traced)
    free = reader.free()
    found = {"messages": set(), "conversations": set(), "drafts": set()}
    for number in set(range(1, traced.count + 1)) - free:
        page = Pages.page(traced, number)
        asked[:] = [number]
        for row in reader.rows(page, 100 if number == 1 else 0):
            key = row.values.get("conversation_id", row.values.get("id"))
            if row.table in found and not any(is_touched(one) for one in asked):
                found[row.table].add(key)
            asked[:] = [number]
    bad.close()
    good.close()
    return found


def opened(file):
    """All there is, read as the application does: damage that shows late is seen to by the next
    start, and the daily backup looks at every page.
    """
    reports = []
    for _ in range(3):
        store = Store.open(file)
        reports.append(store.opening)
        try:
            found = profiles.everything(store)
            store.backups.make(BackupReason.DAILY)
        except Known as known:
            assert known.code == trouble.DAMAGED  # noqa: PT017 - the only one there may be
        else:
            return found, reports
        finally:
            store.close()
    raise AssertionError("still damaged")


@pytest.mark.parametrize(("kind", "seed", "where"), CASES)
def test_what_was_not_touched_is_there(profile, tmp_path, kind, seed, where):
    draw = random.Random(f"{kind} {seed} {where}")
    closed = where == "file" and seed % 3 != 0
    whole = profile[closed]
    folder = tmp_path / "profile"
    shutil.copytree(whole.folder, folder)
    file = folder / "conversations.db"
    has_backup = seed % 2 == 0
    if not has_backup:
        shutil.rmtree(folder / "backups")
    target = file if where == "file" else file.with_name(f"{file.name}-wal")
    data = bytearray(target.read_bytes())
    (KINDS if where == "file" else LOG_KINDS)[kind][0](draw, data)
    target.write_bytes(data)
    there = untouched(whole, file)

    found, reports = opened(file)

    messages = found.messages
    expected = whole.everything.messages
    lost = [one for one in there["messages"] if one not in messages]
    assert not lost
    for one in there["messages"]:
        conversation_id, message = expected[one]
        its_conversation, read = messages[one]
        assert (read.text, read.reasoning) == (message.text, message.reasoning) or (
            message.text.startswith(profiles.STREAMED)  # its journal is elsewhere
        )
        if conversation_id in there["conversations"]:
            assert its_conversation == conversation_id
    if has_backup:
        assert whole.in_backup.messages.keys() <= messages.keys()
        assert whole.in_backup.conversations.keys() <= found.conversations.keys()
        assert whole.in_backup.drafts.keys() <= found.drafts.keys()
    for one in there["drafts"]:
        assert found.drafts[one] == whole.everything.drafts[one]
    for recovery in (report.damaged for report in reports):
        if recovery is not None:
            assert (recovery.set_aside / file.name).exists()
            assert (recovery.backup is not None) or not has_backup
