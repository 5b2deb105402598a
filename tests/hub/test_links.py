"""Links in a folder lead no download, and nothing that deletes, to what lies outside of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwen_desktop.hub import journal
from qwen_desktop.hub.download import discard
from qwen_desktop.hub.journal import Journal, Ranges
from qwen_desktop.hub.planning import origin_of
from tests.hub.fakehub import FakeHub
from tests.hub.fetching import NAME, WEIGHTS, assert_whole, fetch, files, listed

MINE = b"mine" * 50_000


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file of the user's that no checkpoint has to do with."""
    path = tmp_path / "thesis.odt"
    path.write_bytes(MINE)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "checkpoint"
    made.mkdir()
    return made


@pytest.mark.parametrize("has_journal", [False, True])
def test_a_part_file_that_is_a_link_is_not_written_through(
    hub: FakeHub, folder: Path, outside: Path, has_journal: bool
) -> None:
    repo = hub.add(NAME, files())
    part = folder / f"{WEIGHTS}.part"
    part.symlink_to(outside)
    if has_journal:
        listing = listed(hub)
        file = next(file for file in listing.files if file.path == WEIGHTS)
        Journal(part, file, Ranges([(0, len(MINE))]), origin_of(listing), "").close()
    fetch(hub, folder)
    assert outside.read_bytes() == MINE
    assert not (folder / WEIGHTS).is_symlink()
    assert not journal.name_of(part).exists()
    assert_whole(folder, repo)


def test_a_short_file_that_is_a_link_is_no_beginning(
    hub: FakeHub, folder: Path, outside: Path
) -> None:
    repo = hub.add(NAME, files())
    (folder / WEIGHTS).symlink_to(outside)
    fetch(hub, folder)
    assert outside.read_bytes() == MINE
    assert_whole(folder, repo)


def test_a_file_of_no_bytes_empties_nothing_else(hub: FakeHub, folder: Path, outside: Path) -> None:
    hub.add(NAME, {**files(), "merges.txt": b""})
    (folder / "merges.txt").symlink_to(outside)
    fetch(hub, folder)
    assert outside.read_bytes() == MINE
    assert (folder / "merges.txt").read_bytes() == b""


def test_what_was_fetched_is_not_deleted_by_way_of_a_link(tmp_path: Path, folder: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_bytes(MINE)
    (folder / "sub").symlink_to(other, target_is_directory=True)
    (folder / "config.json").write_bytes(b"{}")
    discard(folder, ["sub/config.json", "config.json"])
    assert (other / "config.json").read_bytes() == MINE
    assert not (folder / "config.json").exists()
