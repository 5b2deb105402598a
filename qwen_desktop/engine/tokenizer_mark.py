"""What a checkpoint's tokenizer is, as one number: answers are kept with it.

Ids mean something only to the tokenizer that made them, and the fingerprint of a checkpoint says
nothing of its tokenizer. It covers the bytes of the tokenizer's files, wherever they lie.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from qwen_desktop.engine.checkpoint import TOKENIZER_CONFIG, Checkpoint
from qwen_desktop.engine.files import read_object

_VERSION = b"qwen-desktop tokenizer 1"
_PIECE = 2**20
_MOST_CONFIG = 16 * 2**20  # bytes


def tokenizer_mark(checkpoint: Checkpoint) -> str:
    """The SHA-256 of what decides ids, in hexadecimal; "" where the files are gone."""
    files = [*checkpoint.tokenizer_files, checkpoint.folder / TOKENIZER_CONFIG]
    stamps = []
    for path in dict.fromkeys(files):
        try:
            status = path.stat()
        except OSError:
            continue
        stamps.append((path, status.st_size, status.st_mtime_ns))
    return _mark(tuple(stamps))


@lru_cache(maxsize=4)
def _mark(stamps: tuple[tuple[Path, int, int], ...]) -> str:
    found = hashlib.sha256(_VERSION)
    try:
        for path, size, _ in stamps:
            found.update(f"\n{path.name} {size}\n".encode())
            if path.name == TOKENIZER_CONFIG:
                # Of this only the added tokens have a part in ids; the template is here as well.
                added = read_object(path, _MOST_CONFIG).get("added_tokens_decoder")
                found.update(repr(added).encode())
                continue
            with path.open("rb") as file:
                while piece := file.read(_PIECE):
                    found.update(piece)
    except OSError:
        return ""
    return found.hexdigest()
