"""Sets of ranges, and the journal of an unfinished file: what it says is never too much."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_desktop.chat.hub import RemoteFile
from qwen_desktop.hub import journal
from qwen_desktop.hub.journal import Journal, Ranges

SIZE = 60
FILE = RemoteFile("a", SIZE, sha256="5" * 64)
bounds = st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(lambda b: (min(b), max(b)))
steps = st.lists(st.tuples(st.booleans(), bounds), max_size=30)
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@given(steps)
def test_ranges_are_a_set_of_bytes(steps):
    ranges, model = Ranges(), set()
    for adds, (start, stop) in steps:
        (ranges.add if adds else ranges.remove)(start, stop)
        model = model | {*range(start, stop)} if adds else model - {*range(start, stop)}
    held = list(ranges)
    assert {byte for start, stop in held for byte in range(start, stop)} == model
    assert all(a[1] < b[0] for a, b in zip(held, held[1:], strict=False))  # apart, in order
    assert ranges.total == len(model)
    assert {byte for a, b in ranges.gaps(SIZE) for byte in range(a, b)} == {*range(SIZE)} - model
    assert ranges.prefix == next((n for n in range(SIZE + 1) if n not in model), SIZE)


def written(part, ranges, synced=0, file=FILE, origin="here", etag=""):
    """A part file with a journal that tells of `ranges`, the first `synced` on the disk itself."""
    part.write_bytes(bytes(file.size))
    kept = Journal(part, file, Ranges(), origin, etag)
    for number, (start, stop) in enumerate(ranges, 1):
        kept.wrote(start, stop)
        if number == synced:
            kept.synced(number)
    kept.close()


filled = st.lists(bounds.filter(lambda b: b[0] < b[1]), max_size=8)


@quick
@given(filled, st.data())
def test_a_journal_that_is_cut_anywhere_says_no_more_than_was_written(tmp_path, ranges, data):
    part = tmp_path / "a.part"
    written(part, ranges)
    path = journal.name_of(part)
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    whole_lines = content[:cut].count(b"\n") - 2  # the head, and the mark of a new journal
    found, _ = journal.read(part, FILE, "here")
    assert found == Ranges(ranges[: max(0, whole_lines)])


@quick
@given(filled.filter(bool), st.data())
def test_a_damaged_line_ends_what_is_believed(tmp_path, ranges, data):
    part = tmp_path / "a.part"
    written(part, ranges)
    path = journal.name_of(part)
    content = bytearray(path.read_bytes())
    begin = content.index(b"\n") + 1
    at = data.draw(st.integers(begin, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    found, _ = journal.read(part, FILE, "here")
    truth = {byte for start, stop in ranges for byte in range(start, stop)}
    assert {byte for start, stop in found for byte in range(start, stop)} <= truth


@quick
@given(filled, st.integers(0, 8))
def test_after_the_machine_went_down_only_what_reached_the_disk_counts(tmp_path, ranges, synced):
    part = tmp_path / "a.part"
    written(part, ranges, synced=synced)
    path = journal.name_of(part)
    head, _, rest = path.read_bytes().partition(b"\n")
    path.write_bytes(json.dumps({**json.loads(head), "boot": "another"}).encode() + b"\n" + rest)
    found, _ = journal.read(part, FILE, "here")
    assert found == Ranges(ranges[:synced] if synced <= len(ranges) else [])


def test_what_a_part_file_does_not_have_does_not_count(tmp_path):
    part = tmp_path / "a.part"
    written(part, [(0, 20), (30, 60)])
    part.write_bytes(bytes(40))
    assert list(journal.read(part, FILE, "here")[0]) == [(0, 20), (30, 40)]
    part.unlink()
    assert journal.read(part, FILE, "here") == (Ranges(), "")


NO_HASH = RemoteFile("a", SIZE)


@pytest.mark.parametrize(
    ("file", "origin", "counts"),
    [
        (FILE, "elsewhere", True),  # another mirror, the same bytes
        (RemoteFile("b", SIZE, sha256="5" * 64), "here", True),
        (RemoteFile("a", SIZE, sha256="6" * 64), "here", False),
        (RemoteFile("a", SIZE + 1, sha256="5" * 64), "here", False),
        (NO_HASH, "here", True),
        (NO_HASH, "elsewhere", False),
    ],
)
def test_a_journal_is_of_a_file_with_a_hash_whoever_sent_it(tmp_path, file, origin, counts):
    part = tmp_path / "a.part"
    written(part, [(0, 20)])
    assert bool(journal.read(part, file, origin)[0].total) is counts


def test_without_a_hash_the_etag_is_kept(tmp_path):
    part = tmp_path / "a.part"
    written(part, [(0, 20)], file=NO_HASH, etag='"x"')
    assert journal.read(part, NO_HASH, "here") == (Ranges([(0, 20)]), '"x"')
    assert journal.read(part, NO_HASH, "elsewhere") == (Ranges(), "")


@given(st.binary(max_size=300))
@quick
def test_any_bytes_in_place_of_a_journal_are_no_trouble(tmp_path, content):
    part = tmp_path / "a.part"
    part.write_bytes(bytes(SIZE))
    journal.name_of(part).write_bytes(content)
    assert journal.read(part, FILE, "here")[0].total == 0
