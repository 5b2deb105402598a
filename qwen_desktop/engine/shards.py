"""The weights of a checkpoint as its safetensors headers describe them. Reads no weights.

Standard library only. A shard is eight bytes of header length (little endian), a JSON header that
gives dtype, shape and place of each tensor, and then the bytes of the tensors, to the last one.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qwen_desktop.engine.files import (
    LFS_MARK,
    broken,
    lfs_pointer,
    read_head,
    read_object,
    unreadable,
)
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
MAX_HEADER = 100_000_000  # bytes; the limit of safetensors itself
MAX_INDEX = 64 * 2**20

ITEM_SIZE: Mapping[str, int] = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8,
    "U32": 4, "U16": 2, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
}  # fmt: skip

_PLAIN = re.compile(r"[\w][\w.\-]*\.safetensors")
_NUMBERED = re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors")


@dataclass(frozen=True)
class TensorEntry:
    """Where one tensor lies: `nbytes` bytes from `start` (of the whole file) in `shard`."""

    name: str
    dtype: str  # as in the header: "BF16"
    shape: tuple[int, ...]
    shard: Path
    start: int
    nbytes: int  # bytes of the tensor itself, gaps not counted
    # Of a part of a tensor that is no single stretch: `pieces` stretches, `stride` bytes apart.
    pieces: int = 1
    stride: int = 0

    def renamed(self, name: str) -> TensorEntry:
        """The same tensor as `name`."""
        return replace(self, name=name)

    def part(self, name: str, dim: int, first: int, last: int) -> TensorEntry:
        """The tensor's elements `first` up to `last` along `dim` (0 or 1), as a tensor `name`.

        Raises ValueError where `dim` is 1 and the tensor is no whole matrix.
        """
        if dim not in (0, 1) or (dim == 1 and (len(self.shape) != 2 or self.pieces != 1)):
            raise ValueError(f"no part of {self.name} along {dim}")
        if not 0 <= first < last <= self.shape[dim]:
            raise ValueError(f"no elements {first}..{last} in {self.name} {self.shape}")
        size = self.nbytes // self.shape[dim]  # of one element along dim
        shape = (*self.shape[:dim], last - first, *self.shape[dim + 1 :])
        nbytes = size * (last - first)
        if dim == 0 and self.pieces == 1:
            start = self.start + size * first
            return replace(self, name=name, shape=shape, start=start, nbytes=nbytes)
        if dim == 0:
            start = self.start + self.stride * first
            return replace(
                self, name=name, shape=shape, start=start, nbytes=nbytes, pieces=last - first
            )
        rows = self.shape[0]
        row = self.nbytes // rows
        start = self.start + row // self.shape[1] * first
        return replace(
            self, name=name, shape=shape, start=start, nbytes=nbytes, pieces=rows, stride=row
        )

    @property
    def count(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


Tell = Callable[[Known], None]
"""Called with each trouble that is met; it may raise it, or note it and let the rest be read."""


def refuse(trouble: Known) -> None:
    """The `Tell` that ends a reading at the first trouble."""
    raise trouble


def damaged(shard: Path, details: str) -> Known:
    """The sentence for a shard whose header cannot be right."""
    return broken(shard, ValueError(details))


def truncated(shard: Path, have: int, want: int) -> Known:
    """The sentence for a shard that ends too early. Sizes in bytes."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} is truncated: it has {have} of {want} bytes."),
        QT_TRANSLATE_NOOP("errors", "Download this file again."),
        details=str(shard),
        code="shard-truncated",
        file=shard.name,
        have=f"{have:,}",
        want=f"{want:,}",
    )


def read_header(shard: Path) -> dict[str, TensorEntry]:
    """The tensors of one shard by name. Raises Known where file and header do not agree."""
    read_head(shard, 0)  # neither a pipe nor a device
    try:
        with shard.open("rb") as file:
            size = shard.stat().st_size
            head = file.read(8)
            if size == 0:
                raise Known(
                    QT_TRANSLATE_NOOP("errors", "{file} is empty."),
                    QT_TRANSLATE_NOOP("errors", "Download this file again."),
                    details=str(shard),
                    code="shard-truncated",
                    file=shard.name,
                )
            if (head + file.read(len(LFS_MARK))).startswith(LFS_MARK):
                raise lfs_pointer(shard)
            if len(head) < 8:
                raise truncated(shard, size, 8)
            (length,) = struct.unpack("<Q", head)
            if length > MAX_HEADER:
                raise damaged(shard, f"a header of {length} bytes")
            if 8 + length > size:
                raise truncated(shard, size, 8 + length)
            file.seek(8)
            data = file.read(length)
    except OSError as error:
        raise unreadable(shard, error) from error
    entries = _entries(shard, data, 8 + length)
    end = 8 + length
    for entry in sorted(entries.values(), key=lambda entry: (entry.start, entry.nbytes)):
        if entry.start != end:  # else a tensor could pass for another
            raise damaged(shard, f"{entry.name} begins at {entry.start}, expected at {end}")
        end += entry.nbytes
    if size < end:
        raise truncated(shard, size, end)
    if size > end:
        raise damaged(shard, f"{size - end} bytes after the last tensor")
    return entries


def _entries(shard: Path, data: bytes, offset: int) -> dict[str, TensorEntry]:
    try:
        header: Any = json.loads(data)
        if not isinstance(header.pop("__metadata__", None), (dict, type(None))):
            raise TypeError("__metadata__ is no object")
        return {name: _entry(name, header[name], shard, offset) for name in header}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise broken(shard, error) from error


def _entry(name: str, value: Any, shard: Path, offset: int) -> TensorEntry:
    shape = tuple(value["shape"])
    begin, end = value["data_offsets"]
    if not all(type(n) is int and n >= 0 for n in (*shape, begin, end)):
        raise ValueError(f"{name}: shape {shape} at {begin}..{end}")
    nbytes = math.prod(shape) * ITEM_SIZE[value["dtype"]]
    if end - begin != nbytes:
        raise ValueError(f"{name}: {end - begin} bytes for shape {shape} of {value['dtype']}")
    return TensorEntry(name, value["dtype"], shape, shard, offset + begin, nbytes)


def read_weights(folder: Path, tell: Tell = refuse) -> dict[str, TensorEntry]:
    """Every tensor of the checkpoint by name, from one file, an index or numbered shards.

    Tells where there are no safetensors weights, shards are missing, an index names files
    outside the folder, or a tensor of the index is in no header; gives what is left.
    """
    try:
        return _read_weights(folder, tell)
    except Known as trouble:
        tell(trouble)
    except OSError as error:
        tell(unreadable(folder, error))
    return {}


def _read_weights(folder: Path, tell: Tell) -> dict[str, TensorEntry]:
    if (folder / SINGLE).is_file() or (folder / SINGLE).is_symlink():
        if not (entries := read_header(folder / SINGLE)):
            raise _no_weights(folder)
        return entries
    if (folder / INDEX).is_file() or (folder / INDEX).is_symlink():
        return _by_index(folder, tell)
    return _by_number(folder, tell)


def _read_headers(
    folder: Path, names: list[str], tell: Tell
) -> dict[str, Mapping[str, TensorEntry]]:
    """The tensors of each shard that could be read."""
    headers: dict[str, Mapping[str, TensorEntry]] = {}
    for name in names:
        try:
            headers[name] = read_header(folder / name)
        except Known as trouble:
            tell(trouble)
    return headers


def _by_index(folder: Path, tell: Tell) -> dict[str, TensorEntry]:
    index = folder / INDEX
    weight_map = read_object(index, MAX_INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise broken(index, KeyError("weight_map"))
    plain: dict[str, str] = {}  # shard by tensor
    strange: set[str] = set()
    for tensor, name in weight_map.items():
        # Nothing but a file of this very folder: the name may come from a stranger.
        if isinstance(name, str) and _PLAIN.fullmatch(name):
            plain[tensor] = name
        else:
            strange.add(str(name))
    if strange:
        tell(
            Known(
                QT_TRANSLATE_NOOP("errors", "{file} names a shard that is no plain file: {shard}."),
                QT_TRANSLATE_NOOP("errors", "Download the checkpoint from a source you trust."),
                details="\n".join([str(index), *sorted(strange)[:50]]),
                code="shard-name",
                file=INDEX,
                shard=min(strange),
            )
        )
    names = sorted(set(plain.values()))
    headers = _read_headers(folder, _present(folder, names, tell), tell)
    found: dict[str, TensorEntry] = {}
    lacking: dict[str, list[str]] = {}  # tensors by shard
    for tensor, name in plain.items():
        if name not in headers:
            continue  # told of
        entry = headers[name].get(tensor)
        if entry is None:
            lacking.setdefault(name, []).append(tensor)
        else:
            found[tensor] = entry
    for name, tensors in lacking.items():
        tell(
            Known(
                QT_TRANSLATE_NOOP("errors", "{file} lacks the tensor {tensor} of the index."),
                QT_TRANSLATE_NOOP("errors", "Download this file and the index again."),
                details="\n".join([str(folder), *tensors[:100]]),
                code="tensor-missing",
                file=name,
                tensor=tensors[0],
            )
        )
    return found


def _by_number(folder: Path, tell: Tell) -> dict[str, TensorEntry]:
    """Shards without an index are fine as long as none of the announced number is missing."""
    present = [m for p in folder.iterdir() if (m := _NUMBERED.fullmatch(p.name))]
    if not present:
        raise _no_weights(folder)
    total = int(present[0].group(2))
    names = [f"model-{n:05}-of-{total:05}.safetensors" for n in range(1, total + 1)]
    found: dict[str, TensorEntry] = {}
    headers = _read_headers(folder, _present(folder, names, tell), tell)
    for entries in headers.values():
        found.update(entries)
    if headers and not found:
        raise _no_weights(folder)
    return found


def _present(folder: Path, names: list[str], tell: Tell) -> list[str]:
    """Those of `names` that are there."""
    # A link that leads nowhere is there: reading it says what is wrong with it.
    missing = [n for n in names if not ((folder / n).exists() or (folder / n).is_symlink())]
    if missing:
        tell(
            Known(
                QT_TRANSLATE_NOOP("errors", "{count} of {total} weight files are missing: {file}."),
                QT_TRANSLATE_NOOP("errors", "Download the missing files into the same folder."),
                details="\n".join(missing),
                code="shards-missing",
                count=len(missing),
                total=len(names),
                file=missing[0],
            )
        )
    return sorted(set(names).difference(missing))


def _no_weights(folder: Path) -> Known:
    names = sorted(path.name for path in folder.iterdir())
    pickled = [name for name in names if name.endswith((".bin", ".pt", ".pth"))]
    if pickled:
        return Known(
            QT_TRANSLATE_NOOP("errors", "{file} is a pickle, which can run code: refused."),
            QT_TRANSLATE_NOOP("errors", "Get the safetensors version of this checkpoint."),
            details="\n".join(pickled),
            code="pickle",
            file=pickled[0],
        )
    return Known(
        QT_TRANSLATE_NOOP("errors", "{folder} has no weights: {file} is missing."),
        QT_TRANSLATE_NOOP("errors", "Download the .safetensors files into the same folder."),
        details="\n".join(names[:50]),
        code="weights-missing",
        folder=folder.name,
        file=SINGLE,
    )
