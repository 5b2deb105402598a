"""One KV cache on disk: a safetensors file, and a small JSON file that says what it holds.

The JSON file ("about") has the token ids, and name, size and checksum of the safetensors file. It
is replaced last, in one step: whatever ends the program in between, it names a whole file or
none. Nothing in either is trusted: sizes are bounded before anything is read, and a safetensors
file that differs in one byte or one shape from what belongs here is not opened as a cache.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import stat
import struct
import threading
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qwen_desktop.engine.runner import Cache, Runner
from qwen_desktop.errors import Cancelled

FORMAT = 1
DATA_SUFFIX = ".safetensors"
ABOUT_SUFFIX = ".json"
MAX_ABOUT = 16 * 2**20  # bytes; a million token ids take half of it
MAX_HEADER = 4 * 2**20  # a hundred layers take a hundredth of it
_BLOCK = 4 * 2**20
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)  # Windows has no such links for ordinary users
_BINARY = getattr(os, "O_BINARY", 0)
# What JSON that was not written here can come to.
_NONSENSE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)

Header = Mapping[str, tuple[str, tuple[int, ...]]]  # dtype and shape by name of the tensor


class Unusable(Exception):  # noqa: N818 - reads as what it is
    """A cache file is damaged, foreign or no file at all."""


@dataclass(frozen=True)
class About:
    """What a cache file holds. `owner` stands for conversation and checkpoint together."""

    format: int
    owner: str
    rope_scale: float
    ids: tuple[int, ...]
    data: str  # name of the safetensors file beside it
    nbytes: int  # of that
    checksum: int  # CRC-32 of all of it


def write(
    folder: Path,
    owner: str,
    cache: Cache,
    ids: Sequence[int],
    cancel: threading.Event | None = None,
) -> About:
    """Write `cache`, which holds `ids`, as `owner`'s file in `folder`. Raises OSError, Cancelled.

    Readable by this user alone. What was there before is replaced, and stands if this fails.
    """
    data = folder / f"{owner}.{secrets.token_hex(4)}{DATA_SUFFIX}"
    path = folder / f"{owner}{ABOUT_SUFFIX}"
    drafts = data.with_name(data.name + ".tmp"), path.with_name(path.name + ".tmp")
    try:
        os.close(_create(drafts[0]))
        cache.save(drafts[0], cancel)
        checksum, nbytes = _flushed(drafts[0], cancel)
        about = About(FORMAT, owner, cache.rope_scale, tuple(ids), data.name, nbytes, checksum)
        drafts[1].unlink(missing_ok=True)
        with os.fdopen(_create(drafts[1]), "wb") as file:
            file.write(json.dumps(asdict(about)).encode())
            file.flush()
            os.fsync(file.fileno())
        drafts[0].replace(data)
        drafts[1].replace(path)
    except BaseException:
        for left in (*drafts, data):
            with suppress(OSError):
                left.unlink()
        raise
    return about


def _create(path: Path) -> int:
    """A descriptor of a new file that only this user may read."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINKS | _BINARY, 0o600)


def _flushed(path: Path, cancel: threading.Event | None) -> tuple[int, int]:
    """Checksum and size of `path`, which is on the disk then. Raises Cancelled."""
    with path.open("r+b", buffering=0) as file:
        checksum = _checksum(file, cancel)
        os.fsync(file.fileno())
        return checksum, file.tell()


def read_about(path: Path, *, vocab_size: int, context_length: int) -> About:
    """What the about file `path` says. Raises Unusable, OSError: it is not there."""
    with _opened(path, MAX_ABOUT) as file:
        text = file.read(MAX_ABOUT + 1)
    try:
        found = json.loads(text)
        about = About(**(found | {"ids": tuple(found["ids"])}))
        ids = about.ids
        whole = {type(number) for number in (*ids, about.format, about.nbytes, about.checksum)}
        if whole != {int} or type(about.rope_scale) is not float:
            raise Unusable(f"{path.name} has numbers of a wrong kind")
        if about.format != FORMAT or about.owner != path.stem:
            raise Unusable(f"{path.name} is of another format or owner")
        if not 0 < len(ids) <= context_length or not 0 <= min(ids) <= max(ids) < vocab_size:
            raise Unusable(f"{path.name} has ids that this model does not know")
        name = re.escape(about.owner) + r"\.[0-9a-f]{8}" + re.escape(DATA_SUFFIX)
        if not re.fullmatch(name, about.data):
            raise Unusable(f"{path.name} names a file that is not its own")
        if not _has_size(path.with_name(about.data), about.nbytes):  # room is made for that much
            raise Unusable(f"{path.name} names a file of another size")
    except _NONSENSE as error:
        raise Unusable(f"{path.name}: {type(error).__name__}") from error
    return about


def _has_size(path: Path, nbytes: int) -> bool:
    try:
        return path.lstat().st_size == nbytes
    except FileNotFoundError:
        return False


def load(path: Path, about: About, cache: Cache, layout: Layout, cancel: threading.Event) -> None:
    """Fill the empty `cache` from the safetensors file `path` of `about`.

    Raises Cancelled, Unusable, OSError, CacheFileError; `cache` is then as it was.
    """
    with _opened(path, about.nbytes) as file:
        layout.check(_header(file, about.nbytes), len(about.ids))
        file.seek(0)
        if _checksum(file, cancel) != about.checksum or file.tell() != about.nbytes:
            raise Unusable(f"{path.name} is damaged")
    cache.load(path, cancel)
    if cache.length != len(about.ids):
        cache.crop(0)
        raise Unusable(f"{path.name} holds another number of tokens")


def _opened(path: Path, limit: int) -> Any:
    """`path` opened for reading: an ordinary file of at most `limit` bytes. Raises Unusable."""
    if not stat.S_ISREG(path.lstat().st_mode):  # to open a pipe might never end
        raise Unusable(f"{path.name} is not an ordinary file")
    file = os.fdopen(os.open(path, os.O_RDONLY | _NO_LINKS | _BINARY), "rb", buffering=0)
    if os.fstat(file.fileno()).st_size > limit:
        file.close()
        raise Unusable(f"{path.name} is larger than it should be")
    return file


def _checksum(file: Any, cancel: threading.Event | None = None) -> int:
    """CRC-32 of `file` from where it stands to its end. Raises Cancelled."""
    block = memoryview(bytearray(_BLOCK))
    checksum = 0
    while count := file.readinto(block):
        checksum = zlib.crc32(block[:count], checksum)
        if cancel is not None and cancel.is_set():
            raise Cancelled
    return checksum


def _header(file: Any, nbytes: int) -> Header:
    """Dtype and shape of each tensor, as the head of a safetensors file says."""
    head = file.read(8)
    length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
    if not 0 < length <= min(MAX_HEADER, nbytes - 8):
        raise Unusable("no header of a possible length")
    try:
        found = json.loads(file.read(length))
        found.pop("__metadata__", None)
        return {
            name: (str(entry["dtype"]), tuple(int(size) for size in entry["shape"]))
            for name, entry in found.items()
        }
    except _NONSENSE as error:
        raise Unusable(f"header: {type(error).__name__}") from error


@dataclass(frozen=True)
class Layout:
    """Names, dtypes and shapes of what a runner's caches save, of one token and of two."""

    one: Header
    two: Header
    windowed: bool  # whether some layers may keep fewer tokens than there are

    def check(self, header: Header, tokens: int) -> None:
        """Refuse a file of `tokens` tokens that is built in another way. Raises Unusable."""
        if header.keys() != self.one.keys():
            raise Unusable("tensors of another model")
        windows: set[int] = set()  # the layers that have one have the same
        for name, (dtype, shape) in header.items():
            one, two = self.one[name], self.two[name]
            if dtype != one[0] or len(shape) != len(one[1]):
                raise Unusable(f"{name} is {dtype} {shape}")
            for size, of_one, of_two in zip(shape, one[1], two[1], strict=True):
                if self.windowed and of_one != of_two and 0 < size < tokens:
                    windows.add(size)
                elif size != (of_one if of_one == of_two else tokens):
                    raise Unusable(f"{name} is {dtype} {shape}")
        if len(windows) > 1 or any(not math.prod(shape) for _, shape in header.values()):
            raise Unusable("layers of different lengths")


def layout_of(runner: Runner[Any], folder: Path, cancel: threading.Event) -> Layout:
    """The layout of `runner`'s caches, tried out in `folder`. Raises Cancelled, OSError."""
    draft = folder / f"layout.{secrets.token_hex(4)}.tmp"
    cache = runner.new_cache()
    headers = []
    try:
        for _ in range(2):
            runner.prefill(cache, [0], chunk=1, on_progress=_ignore, cancel=cancel)
            cache.save(draft, cancel)
            with draft.open("rb") as file:
                headers.append(_header(file, draft.stat().st_size))
    finally:
        draft.unlink(missing_ok=True)
    return Layout(headers[0], headers[1], windowed=not runner.capabilities.croppable)


def _ignore(_done: int) -> None:
    """Nobody waits for the layout."""
