"""Compares a folder's files with the hashes that their hub gave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from qwen_desktop.chat.hub import Comparison, RemoteFile, Verification
from qwen_desktop.errors import Known
from qwen_desktop.hub import safe_paths, source_file, trouble
from qwen_desktop.hub.digest import is_same

_TELL_S = 0.1


def verify(
    folder: Path, on_progress: Callable[[int, int], None], cancel: threading.Event
) -> Verification:
    """Read every file of `folder` for which a hash is known.

    `on_progress(bytes read, bytes in all)`, ten times a second at most. Other files of the folder
    are UNKNOWN. Raises Known where a file cannot be read, Cancelled after `cancel` is set.
    """
    expected = source_file.expected(folder)
    found: list[tuple[str, Comparison]] = []
    sizes = {path: _size(folder, path) for path in expected}
    total = sum(sizes[path] or 0 for path, file in expected.items() if file.sha256 or file.git_oid)
    telling = _Telling(on_progress, total)
    for path, file in sorted(expected.items()):
        if sizes[path] is None:
            found.append((path, Comparison.MISSING))
        elif file.sha256 is None and file.git_oid is None:
            same_size = sizes[path] == file.size
            found.append((path, Comparison.UNKNOWN if same_size else Comparison.DIFFERENT))
        else:
            same = _same(folder, path, file, telling.add, cancel)
            found.append((path, Comparison.SAME if same else Comparison.DIFFERENT))
    telling.end()
    others = sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in expected and not path.name.startswith(".") and path.is_file()
    )
    found += [(name, Comparison.UNKNOWN) for name in others]
    return Verification(folder, tuple(found), source_file.read_source(folder))


class _Telling:
    """Progress now and then."""

    def __init__(self, tell: Callable[[int, int], None], total: int) -> None:
        self._tell, self._total = tell, total
        self._done, self._told = 0, 0.0

    def add(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._told >= _TELL_S:
            self._told = time.monotonic()
            self._tell(self._done, self._total)

    def end(self) -> None:
        self._tell(self._total, self._total)


def _size(folder: Path, path: str) -> int | None:
    with suppress(OSError, Known):
        # The folder may be a cache whose files are links: only their own place is looked at.
        if safe_paths.is_safe(path) and (folder / path).is_file():
            return (folder / path).stat().st_size
    return None


def _same(
    folder: Path,
    path: str,
    file: RemoteFile,
    on_bytes: Callable[[int], None],
    cancel: threading.Event,
) -> bool:
    try:
        return is_same(folder / path, file, on_bytes, cancel)
    except OSError as error:
        raise trouble.unreadable(error, folder / path) from error
