"""What a checkpoint computes with, as one number: cache files and provenance are named by it.

Two folders with the same fingerprint give the same logits; the fingerprint of a folder that is
moved, copied or touched stays. It covers config.json and the index as they are on the disk, and
of every shard that is read its name, its size, its header, and some blocks of its tensors, spread
evenly: a finetune has the layout of its base model and other numbers. Tokenizer files, templates
and times are no part of it. No torch; a checkpoint of 30 shards is read in 480 blocks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from qwen_desktop.engine.checkpoint import CONFIG, Checkpoint
from qwen_desktop.engine.files import read_head, unreadable
from qwen_desktop.engine.shards import INDEX, MAX_INDEX

BLOCKS = 16  # sampled of each shard; the first and the last one of its tensors among them
BLOCK = 4096  # bytes

_VERSION = b"qwen-desktop fingerprint 1"
_MAX_CONFIG = 16 * 2**20


def fingerprint(checkpoint: Checkpoint) -> str:
    """The SHA-256 of what decides the numbers, in hexadecimal. Raises Known for unreadable files.

    `checkpoint` is one that was inspected: its headers fit its files.
    """
    found = hashlib.sha256(_VERSION)
    shards = {entry.shard for entry in checkpoint.tensors.values()}
    for path, part in _parts(checkpoint.folder, sorted(shards)):
        # Names and lengths, so that no two sequences of parts look alike.
        found.update(f"\n{path.name} {len(part)}\n".encode())
        found.update(part)
    return found.hexdigest()


def _parts(folder: Path, shards: list[Path]) -> Iterator[tuple[Path, bytes]]:
    for path, limit in ((folder / CONFIG, _MAX_CONFIG), (folder / INDEX, MAX_INDEX)):
        if path.is_file():  # a checkpoint of one shard has no index
            yield path, read_head(path, limit)
    for shard in shards:
        try:
            yield from ((shard, part) for part in _of_shard(shard))
        except OSError as error:
            raise unreadable(shard, error) from error


def _of_shard(shard: Path) -> Iterator[bytes]:
    """Size, header and sampled blocks."""
    with shard.open("rb") as file:
        size = file.seek(0, 2)
        yield str(size).encode()
        file.seek(0)
        head = file.read(8)
        begin = 8 + int.from_bytes(head, "little")
        yield head + file.read(max(0, min(begin, size) - 8))
        for start in sampled(begin, size):
            file.seek(start)
            yield file.read(BLOCK)


def sampled(begin: int, end: int) -> list[int]:
    """Where the blocks begin that are read of bytes `begin` up to `end`: all of few bytes."""
    last = end - BLOCK
    if last <= begin:
        return [begin] if end > begin else []
    if end - begin <= BLOCKS * BLOCK:
        return [*range(begin, last, BLOCK), last]
    return [begin + (last - begin) * number // (BLOCKS - 1) for number in range(BLOCKS)]
