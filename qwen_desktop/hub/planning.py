"""What a download into a folder would take: looks at what is there, changes nothing."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from qwen_desktop.chat.hub import DownloadPlan, Listing, PlannedFile, RemoteFile, Standing
from qwen_desktop.hub import journal, safe_paths, source_file, trouble
from qwen_desktop.hub.small_files import free_bytes
from qwen_desktop.hub.wanted import wanted

SPARE = 64 * 2**20  # bytes that stay free on the disk
POINTER_SIZE = 1024  # a Git LFS pointer is smaller
POINTER = b"version https://git-lfs"


def plan(folder: Path, listing: Listing, only: Collection[str] | None = None) -> DownloadPlan:
    """How the files that a load needs stand in `folder`, and whether the rest fits on its disk.

    `only`: paths, where not all of them are wanted, or others too. Raises Known where `listing` has
    nothing that could be loaded, a path is hostile, or the disk cannot be asked.
    """
    chosen = wanted(listing)
    files, left_out = list(chosen.files), chosen.left_out
    if only is not None:
        needed_paths = {file.path for file in files}
        files = [file for file in files if file.path in only]
        files += [f for f in listing.files if f.path in only and f.path not in needed_paths]
        left_out = tuple((path, reason) for path, reason in left_out if path not in only)
    try:
        same = _compared(folder, files)
        planned = tuple(_look(folder, listing, file, file.path in same) for file in files)
        free = max(0, free_bytes(folder) - SPARE)
        needed = sum(one.file.size - one.here for one in planned)
    except OSError as error:
        raise trouble.of_disk(error, folder) from error
    return DownloadPlan(folder, listing, planned, left_out, free, needed)


def part_of(target: Path) -> Path:
    """Where `target` lies while it is not whole."""
    return target.with_name(f"{target.name}.part")


def origin_of(listing: Listing) -> str:
    """What names the bytes of a path where there is no hash: server, repository, commit."""
    return f"{listing.endpoint} {listing.repository} {listing.commit or listing.revision}"


def _compared(folder: Path, files: list[RemoteFile]) -> frozenset[str]:
    """The files that were compared when they came, with the hash that is listed now."""
    source = source_file.read_source(folder)
    if source is None:
        return frozenset()
    known = {file.path: file for file in source.files}
    return frozenset(
        file.path for file in files if file.path in known and _is_same(known[file.path], file)
    ) & source_file.compared(folder)


def _is_same(old: RemoteFile, new: RemoteFile) -> bool:
    if old.sha256 and new.sha256:
        return old.sha256 == new.sha256
    return bool(old.git_oid) and old.git_oid == new.git_oid


def _look(folder: Path, listing: Listing, file: RemoteFile, compared: bool) -> PlannedFile:
    target = safe_paths.inside(folder, file.path)
    size = target.stat().st_size if target.is_file() else None
    if size == file.size:
        standing = Standing.CHECKED if compared else Standing.PRESENT
        return PlannedFile(file, standing, file.size)
    ranges, _etag = journal.read(part_of(target), file, origin_of(listing))
    if ranges.total:
        return PlannedFile(file, Standing.PARTIAL, ranges.total)
    if size is None:
        return PlannedFile(file, Standing.MISSING)
    if is_beginning(target, file):
        return PlannedFile(file, Standing.PARTIAL, size)
    return PlannedFile(file, Standing.DIFFERENT)


def is_beginning(target: Path, file: RemoteFile) -> bool:
    """Whether a file that is too short may be the beginning of `file`, left by another program.

    Only with a hash, which shows in the end whether it was.
    """
    if target.is_symlink():  # going on would write to what it leads to
        return False
    try:
        size = target.stat().st_size
        with target.open("rb") as head:
            is_pointer = size <= POINTER_SIZE and head.read(len(POINTER)) == POINTER
    except OSError:
        return False
    return file.sha256 is not None and POINTER_SIZE < size < file.size and not is_pointer
