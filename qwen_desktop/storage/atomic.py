"""Small files, written whole or not at all. Must stay cheap to import: json and os only."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from qwen_desktop.storage import trouble


def read_json(file: Path) -> object:
    """The value in `file`. Raises OSError, or ValueError where it does not hold JSON."""
    try:
        return json.loads(file.read_bytes())
    except RecursionError as error:  # a few kilobytes of "[" are enough
        raise ValueError("nested too deeply") from error


def write_json(file: Path, value: object) -> None:
    """Put `value` into `file`: a reader meets the old content or the new, even after a crash.

    Makes missing folders. Raises Known where the disk refuses; the old file then stays.
    """
    write_bytes(file, _encoded(value))


def write_bytes(file: Path, content: bytes) -> None:
    """The same with bytes. Raises Known where the disk refuses; the old file then stays."""
    # Beside the target, because a rename is atomic only inside one file system.
    fresh = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with fresh.open("wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            replace(fresh, file)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise trouble.from_os(error, file) from error


def replace(fresh: Path, file: Path) -> None:
    """Rename, with patience on Windows: a virus scanner may hold a file for a moment.

    Raises OSError.
    """
    for wait_s in (0.02, 0.1, 0.5):
        try:
            fresh.replace(file)
        except PermissionError:
            if os.name != "nt":
                raise
            time.sleep(wait_s)
        else:
            return
    fresh.replace(file)


def _encoded(value: object) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, indent=1).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which UTF-8 cannot hold
        return json.dumps(value, indent=1).encode()
