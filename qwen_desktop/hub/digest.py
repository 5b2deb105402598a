"""The hashes of hubs: sha256 of large files, git's of small ones."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

from qwen_desktop.chat.hub import RemoteFile
from qwen_desktop.errors import Cancelled

PIECE = 1 << 20


class Digest:
    """A file's hash, fed in order; `known` is False where the hub gave none to compare with."""

    def __init__(self, file: RemoteFile) -> None:
        self._expected = file.sha256 or file.git_oid
        self.known = self._expected is not None
        if file.sha256 or not file.git_oid:
            self._hash = hashlib.sha256()
        else:
            self._hash = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
        self.at = 0  # bytes so far

    def update(self, data: bytes | memoryview) -> None:
        """The next bytes."""
        self._hash.update(data)
        self.at += len(data)

    @property
    def value(self) -> str:
        """The hash of what was fed, in hexadecimal digits."""
        return self._hash.hexdigest()

    @property
    def matches(self) -> bool:
        """Whether all bytes so far are what the hub says, as far as it says anything."""
        return not self.known or self.value == self._expected


def is_same(
    path: Path, file: RemoteFile, on_bytes: Callable[[int], None], stopped: threading.Event
) -> bool:
    """Whether the bytes at `path` are those of `file`; without any hash only the size is compared.

    Raises OSError, and Cancelled after `stopped` is set.
    """
    if path.stat().st_size != file.size:
        return False
    digest = Digest(file)
    if not digest.known:
        on_bytes(file.size)
        return True
    buffer = memoryview(bytearray(PIECE))
    with path.open("rb", buffering=0) as source:
        while count := source.readinto(buffer):
            if stopped.is_set():
                raise Cancelled
            digest.update(buffer[:count])
            on_bytes(count)
    return digest.at == file.size and digest.matches
