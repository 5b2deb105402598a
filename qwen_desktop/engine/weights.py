"""Tensors read from shards on demand: real progress in bytes, quick to cancel, no memory maps.

A mapped file would make "loaded" mean nothing, the first answer slow, and a file replaced
meanwhile a crash. Values of `LazyWeights.tensors` look enough like tensors for transformers to
load from: it asks for dtype and shape, then indexes with `...` in a worker thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from io import RawIOBase
from typing import Any

import numpy as np
import torch

from qwen_desktop.engine.files import unreadable
from qwen_desktop.engine.shards import TensorEntry, truncated
from qwen_desktop.errors import Cancelled, Known

BLOCK = 8 * 2**20  # bytes per read; cancel is looked at between blocks

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


class LazyWeights:
    """All tensors of a checkpoint, not yet read.

    `tell` gets the bytes read so far, from any thread. `failure` keeps the first Known a read
    met: transformers swallows exceptions of single tensors and reports something else.
    """

    def __init__(
        self,
        entries: Mapping[str, TensorEntry],
        cancel: threading.Event,
        tell: Callable[[int, str], None],
    ) -> None:
        self.tensors = {name: LazyTensor(entry, self) for name, entry in entries.items()}
        self.failure: Known | None = None
        self._cancel = cancel
        self._tell = tell
        self._lock = threading.Lock()
        self._done = 0

    def read(self, entry: TensorEntry) -> torch.Tensor:
        """The tensor of `entry` in main memory. Raises Known, Cancelled."""
        try:
            return self._read(entry)
        except Known as trouble:
            self.failure = self.failure or trouble
            raise

    def _read(self, entry: TensorEntry) -> torch.Tensor:
        buffer = np.empty(entry.nbytes, dtype=np.uint8)
        piece = entry.nbytes // entry.pieces
        try:
            with entry.shard.open("rb", buffering=0) as file:
                for number in range(entry.pieces):
                    view = buffer.data[number * piece : (number + 1) * piece]
                    self._fill(view, file, entry, entry.start + number * entry.stride)
        except OSError as error:
            raise unreadable(entry.shard, error) from error
        return torch.from_numpy(buffer).view(DTYPES[entry.dtype]).reshape(entry.shape)

    def _fill(self, view: memoryview, file: RawIOBase, entry: TensorEntry, start: int) -> None:
        """Read the bytes from `start` of `file` into all of `view`."""
        file.seek(start)
        have = 0
        while have < len(view):
            if self._cancel.is_set():
                raise Cancelled
            count = file.readinto(view[have : have + BLOCK])
            if not count:
                raise truncated(entry.shard, start + have, start + len(view))
            have += count
            self._count(count, entry.shard.name)

    def _count(self, count: int, shard: str) -> None:
        with self._lock:
            self._done += count
            self._tell(self._done, shard)


class LazyTensor:
    """One tensor of `weights`; `lazy[...]` reads it."""

    def __init__(self, entry: TensorEntry, weights: LazyWeights) -> None:
        self._entry = entry
        self._weights = weights
        self.dtype = DTYPES[entry.dtype]
        self.shape = torch.Size(entry.shape)

    def __getitem__(self, _everything: Any) -> torch.Tensor:
        return self._weights.read(self._entry)

    def get_dtype(self) -> str:
        """The dtype as in the header."""
        return self._entry.dtype

    def get_shape(self) -> list[int]:
        """The shape as a list."""
        return list(self._entry.shape)


def described(entries: Mapping[str, TensorEntry]) -> dict[str, torch.Tensor]:
    """Tensors of the right shape and dtype without memory, to try a load with."""
    return {
        name: torch.empty(entry.shape, dtype=DTYPES[entry.dtype], device="meta")
        for name, entry in entries.items()
    }
