"""Seeded damage to checkpoint folders: fields of every JSON file, headers, bytes, whole files.

`damages(folder, seed)` names what can be done to a folder, the same for the same seed, each with a
function that does it. Whoever uses it works on a copy.
"""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JSON_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "model.safetensors.index.json",
    "quantize_config.json",
)
DROP = object()
WRONG: tuple[tuple[str, Any], ...] = (
    ("dropped", DROP),
    ("null", None),
    ("true", True),
    ("zero", 0),
    ("negative", -3),
    ("huge", 2**62),
    ("beyond 64 bits", 10**30),
    ("a fraction", 0.5),
    ("endless", float("inf")),
    ("not a number", float("nan")),
    ("words", "eleven"),
    ("a path", "../../etc/passwd"),
    ("long", "x" * 100_000),
    ("a list", [1, 2]),
    ("an empty list", []),
    ("a long list", [1] * 100_000),
    ("an object", {"type": "what", "value": {"a": 1}}),
    ("nested", json.loads("[" * 400 + "]" * 400)),
)


@dataclass(frozen=True)
class Damage:
    """`apply` does it to a folder. `field` is the JSON field concerned, dotted, or ""."""

    name: str
    file: str
    field: str
    apply: Callable[[Path], None]


def damages(folder: Path, seed: int) -> Iterator[Damage]:
    """Every JSON field once, and for every file each kind of damage to files."""
    rng = random.Random(f"{folder.name} {seed}")
    names = sorted(path.name for path in folder.iterdir())
    for name in JSON_FILES:
        if name in names:
            yield from _fields(folder / name, rng)
    shards = [name for name in names if name.endswith(".safetensors")]
    for name in rng.sample(shards, min(2, len(shards))):
        yield from _headers(folder / name, rng)
    for name in sorted({*names} - {*shards}) + rng.sample(shards, min(2, len(shards))):
        yield from _files(folder / name, rng)
    one, other = rng.sample(shards, 2) if len(shards) > 1 else ("config.json", shards[0])
    yield Damage(f"{one} and {other} swapped", one, "", lambda f: _swap(f / one, f / other))


# --- Fields of JSON files ------------------------------------------------------------------------


def _fields(path: Path, rng: random.Random) -> Iterator[Damage]:
    value = json.loads(path.read_text("utf-8"))
    places = list(_places(value))
    if path.name in ("tokenizer.json", "model.safetensors.index.json"):  # mostly all the same
        top = [place for place in places if len(place) == 1]
        places = top + rng.sample(places, min(10, len(places)))
    for place in places:
        what, wrong = rng.choice(WRONG)
        dotted = ".".join(str(step) for step in place)
        yield Damage(
            f"{path.name}: {dotted} {what}", path.name, dotted, _setter(path.name, place, wrong)
        )


def _places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every member of an object or a list."""
    members: Any = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value[:3])
    for key, member in members:
        yield (*before, key)
        yield from _places(member, (*before, key))


def _setter(name: str, place: tuple[Any, ...], wrong: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        value = json.loads((folder / name).read_text("utf-8"))
        owner = value
        for step in place[:-1]:
            owner = owner[step]
        if wrong is DROP:
            del owner[place[-1]]
        else:
            owner[place[-1]] = wrong
        (folder / name).write_text(json.dumps(value), "utf-8")

    return apply


# --- Headers of shards ---------------------------------------------------------------------------


def _headers(path: Path, rng: random.Random) -> Iterator[Damage]:
    for name, change in HEADER_CHANGES.items():
        number = rng.getrandbits(32)
        yield Damage(
            f"{path.name}: header {name} ({number})",
            path.name,
            "",
            lambda f, change=change, number=number: rewrite_header(
                f / path.name, change, random.Random(number)
            ),
        )
    for _ in range(6):
        number = rng.getrandbits(32)
        yield Damage(
            f"{path.name}: a bit of the header flipped ({number})",
            path.name,
            "",
            lambda f, number=number: _flip(f / path.name, random.Random(number), header=True),
        )


def rewrite_header(path: Path, change: Callable[[dict, random.Random], Any], rng: Any) -> None:
    """Change the parsed header; what the change gives back is written in its place."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    found = change(header, rng)
    text = found if isinstance(found, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def _one(header: dict, rng: random.Random) -> dict:
    return header[rng.choice(sorted(key for key in header if key != "__metadata__"))]


def _put(key: str, *values: Any) -> Callable[[dict, random.Random], None]:
    def change(header: dict, rng: random.Random) -> None:
        _one(header, rng)[key] = rng.choice(values)

    return change


def _shifted(header: dict, rng: random.Random) -> None:
    entry = _one(header, rng)
    by = rng.choice((-8, -1, 1, 4, 2**40))
    entry["data_offsets"] = [offset + by for offset in entry["data_offsets"]]


def _turned(header: dict, rng: random.Random) -> None:
    entry = _one(header, rng)
    entry["shape"] = entry["shape"][::-1]


def _removed(header: dict, rng: random.Random) -> None:
    del header[rng.choice(sorted(key for key in header if key != "__metadata__"))]


def _renamed(header: dict, rng: random.Random) -> None:
    key = rng.choice(sorted(key for key in header if key != "__metadata__"))
    header[key + "x"] = header.pop(key)


def _doubled(header: dict, rng: random.Random) -> None:
    _one(header, rng).update(dict(_one(header, rng)))


def _added(header: dict, rng: random.Random) -> None:
    header["model.layers.99.what.weight"] = dict(_one(header, rng))


HEADER_CHANGES: dict[str, Callable[[dict, random.Random], Any]] = {
    "dtype": _put("dtype", "F64", "I64", "BOOL", "Q4", "", None, 7, ["F32"]),
    "shape": _put("shape", [], [0], [-1, -4], [2**40, 2**40], [1.5], "x", None, [True], [[2]], {}),
    "offsets": _put("data_offsets", [0], [8, 4], [-8, 0], [0, 2**62], "x", None, [0.5, 1], [0, 0]),
    "shifted": _shifted,
    "turned": _turned,
    "entry": lambda header, rng: header.update(
        {"model.norm.weight": rng.choice([None, 1, [], {}])}
    ),
    "a tensor less": _removed,
    "a tensor renamed": _renamed,
    "a tensor more": _added,
    "two tensors of one place": _doubled,
    "metadata": lambda header, rng: header.update({"__metadata__": rng.choice([None, 3, ["a"]])}),
    "nothing": lambda _header, _rng: b"{}",
    "a list": lambda _header, _rng: b"[1]",
    "nested": lambda _header, _rng: b"[" * 100_000,
    "no text": lambda _header, _rng: b"\xff\xfe{}",
}


# --- Whole files ---------------------------------------------------------------------------------


def _files(path: Path, rng: random.Random) -> Iterator[Damage]:
    size = path.stat().st_size
    cut, number = rng.randrange(size), rng.getrandbits(32)
    changes: dict[str, Callable[[Path], Any]] = {
        f"cut to {cut} bytes": lambda p: os.truncate(p, cut),
        "deleted": lambda p: p.unlink(),
        "empty": lambda p: p.write_bytes(b""),
        "with bytes at its end": lambda p: _append(p, b"\0x"),
        f"with a bit flipped ({number})": lambda p: _flip(p, random.Random(number), header=True),
        "a folder": _replaced(lambda p: p.mkdir()),
        "a pointer": lambda p: p.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"),
    }
    if hasattr(os, "mkfifo"):
        changes |= {
            "a pipe": _replaced(lambda p: os.mkfifo(p)),
            "a link to itself": _replaced(lambda p: p.symlink_to(p.name)),
            "a link to nowhere": _replaced(lambda p: p.symlink_to("nowhere")),
            "a link to the folder": _replaced(lambda p: p.symlink_to(".")),
            "endless": _replaced(lambda p: p.symlink_to("/dev/zero")),
        }
    for name in rng.sample(sorted(changes), 5):
        change = changes[name]
        yield Damage(
            f"{path.name} {name}", path.name, "", lambda f, change=change: change(f / path.name)
        )


def _replaced(make: Callable[[Path], None]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.unlink()
        make(path)

    return change


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def _flip(path: Path, rng: random.Random, *, header: bool) -> None:
    """Flip one bit; of a shard, one of its header: another weight is no damage one could see."""
    with path.open("r+b") as file:
        size = path.stat().st_size
        if header and path.suffix == ".safetensors":
            size = 8 + struct.unpack("<Q", file.read(8))[0]
        at = rng.randrange(size)
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ (1 << rng.randrange(8))]))


def _swap(one: Path, other: Path) -> None:
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)
