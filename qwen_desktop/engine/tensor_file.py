"""Writes safetensors files piece by piece, so that Stop need not wait for gigabytes.

safetensors' own writer makes all bytes of a file at once: it cannot be ended, and takes a copy of
everything.
"""

from __future__ import annotations

import json
import os
import struct
import threading
from collections.abc import Mapping
from pathlib import Path

import torch

from qwen_desktop.errors import Cancelled

_BLOCK = 4 * 2**20  # bytes between two looks at `cancel`
_FLUSH = 64 * 2**20  # bytes between two flushes: one at the end would take as long as all of them
_ALIGNMENT = 8

_NAMES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def write_tensors(
    path: Path,
    tensors: Mapping[str, torch.Tensor],
    metadata: Mapping[str, str],
    cancel: threading.Event | None = None,
) -> None:
    """Write `tensors` and `metadata` to `path`. At most one tensor is copied at a time.

    Raises OSError, and Cancelled soon after `cancel` is set; the file is then incomplete.
    """
    # The widest first: each then begins where its type wants to.
    names = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    end = 0
    for name in names:
        tensor, start = tensors[name], end
        end += tensor.numel() * tensor.itemsize
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % _ALIGNMENT)
    with path.open("wb", buffering=0) as file:
        _write(file.fileno(), struct.pack("<Q", len(head)) + head)
        waiting = 0
        for name in names:
            data = _bytes_of(tensors[name])
            for start in range(0, len(data), _BLOCK):
                if cancel is not None and cancel.is_set():
                    raise Cancelled
                waiting += _write(file.fileno(), data[start : start + _BLOCK])
                if waiting >= _FLUSH:
                    os.fsync(file.fileno())
                    waiting = 0


def _bytes_of(tensor: torch.Tensor) -> memoryview:
    with torch.inference_mode():
        whole = tensor.cpu().clone(memory_format=torch.contiguous_format)
        flat = whole.view(-1).view(torch.uint8)
    return memoryview(flat.numpy())


def _write(descriptor: int, data: bytes | memoryview) -> int:
    """Write all of `data`; how many bytes that are."""
    done = 0
    while done < len(data):
        done += os.write(descriptor, data[done:])
    return done
