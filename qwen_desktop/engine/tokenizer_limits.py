"""What a tokenizer may be made of, so that reading and using it comes to an end.

Standard library only. The library that reads tokenizers holds the whole program up meanwhile and
cannot be stopped, so what would take it long has to be known before. Two things can: tables of
added tokens, and chains of parts of which each makes several characters out of one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from qwen_desktop.engine.files import broken, check_size, read_head, read_object
from qwen_desktop.errors import Known

MAX_TOKENIZER = 48 * 2**20  # bytes; twice the largest of Qwen
MAX_ADDED = 10_000  # tokens besides the vocabulary; Qwen has up to some hundred
MAX_PARTS = 64
MAX_GROWTH = 100  # characters that may come of one

_SMALL_FILES = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
# What one character can become, at most, in one pass of a part.
_GROWTH = {"ByteLevel": 4, "Precompiled": 16, "NFKC": 18, "NFKD": 18, "NFD": 4, "BertNormalizer": 3}


def check_files(folder: Path, tokenizer_files: Iterable[Path]) -> None:
    """Refuse files that would take too long to read. Raises Known."""
    for path in tokenizer_files:
        check_size(path, MAX_TOKENIZER)
        if read_head(path, MAX_TOKENIZER).count(b'"content"') > MAX_ADDED:
            raise _excessive(path, f"more than {MAX_ADDED} added tokens")
    for name in _SMALL_FILES:
        if (folder / name).exists():
            found = read_object(folder / name, 16 * 2**20)
            for table in (found, *found.values()):
                if isinstance(table, (list, dict)) and len(table) > MAX_ADDED // 10:
                    raise _excessive(folder / name, f"a table of {len(table)} tokens")


def check_parts(states: Iterable[bytes]) -> None:
    """Refuse a chain of parts that could make endless text of little. Raises ValueError.

    `states` are parts as JSON, in the order they are used.
    """
    parts = [part for state in states for part in _parts(json.loads(state))]
    if len(parts) > MAX_PARTS:
        raise ValueError(f"a tokenizer of {len(parts)} parts")
    growth = 1
    for part in parts:
        growth *= _GROWTH.get(str(part.get("type")), 1)
        growth *= max(1, len(str(part.get("content", ""))))
        if growth > MAX_GROWTH:
            raise ValueError(f"a tokenizer that makes {growth} characters of one")


def _parts(value: Any) -> list[Mapping[str, Any]]:
    """All objects with a type within `value`."""
    found: list[Mapping[str, Any]] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if "type" in one:
                found.append(one)
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return found


def _excessive(path: Path, what: str) -> Known:
    return broken(path, ValueError(what))
