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
from qwen_desktop.engine.precision import Form
from qwen_desktop.engine.quant.pack import Parts, laid_out, part_shapes, round_off
from qwen_desktop.engine.quant.unpack import dense, read_codes, strange
from qwen_desktop.engine.shards import TensorEntry, truncated
from qwen_desktop.engine.sources import ExpertsSource, FloatSource, PackedSource, Single, Source
from qwen_desktop.errors import Cancelled, Known

BLOCK = 2 * 2**20  # bytes per read; cancel is looked at between blocks

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool, "F8_E4M3": torch.float8_e4m3fn,
}  # fmt: skip


class LazyWeights:
    """All weights of a checkpoint, not yet read.

    A weight in `forms` is given as the parts of a packed linear, any other quantised one as
    floats of `dtype`, floats as they are stored. `tell` gets the bytes read so far and the shard,
    from any thread. `failure` keeps the first Known a read met: transformers swallows exceptions
    of single tensors and reports something else.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        forms: Mapping[str, Form],
        dtype: torch.dtype,
        cancel: threading.Event,
        tell: Callable[[int, str], None],
    ) -> None:
        self.tensors: dict[str, LazyTensor] = {}
        self.failure: Known | None = None
        self._cancel = cancel
        self._tell = tell
        self._lock = threading.Lock()
        self._done = 0
        for name, source in sources.items():
            weight = _Weight(source, forms.get(name), dtype, self)
            for part, (shape, of) in _parts(source, forms.get(name), dtype).items():
                self.tensors[part] = LazyTensor(weight, part, shape, of)

    def read(self, entry: TensorEntry) -> torch.Tensor:
        """The tensor of `entry` in main memory. Raises Known, Cancelled."""
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

    def check(self) -> None:
        """Raises Cancelled once the load is."""
        if self._cancel.is_set():
            raise Cancelled

    def refuse_unless_zero(self, entry: TensorEntry) -> None:
        """Read a tensor that the model has no place for. Raises Known where it says something."""
        if bool(self.read(entry).ne(0).any()):
            raise strange(entry, "values for which the model has no place")

    def _fill(self, view: memoryview, file: RawIOBase, entry: TensorEntry, start: int) -> None:
        """Read the bytes from `start` of `file` into all of `view`."""
        file.seek(start)
        have = 0
        while have < len(view):
            self.check()
            count = file.readinto(view[have : have + BLOCK])
            if not count:
                raise truncated(entry.shard, start + have, start + len(view))
            have += count
            self._count(count, entry.shard.name)

    def _count(self, count: int, shard: str) -> None:
        with self._lock:
            self._done += count
            self._tell(self._done, shard)


class _Weight:
    """One weight, whose parts come from one read; forgotten when the last part was taken."""

    def __init__(
        self, source: Source, form: Form | None, dtype: torch.dtype, weights: LazyWeights
    ) -> None:
        self._source = source
        self._form = form
        self._dtype = dtype
        self._weights = weights
        self._lock = threading.Lock()  # parts are asked for by several threads
        self._ready: dict[str, torch.Tensor] = {}

    def take(self, part: str) -> torch.Tensor:
        """The tensor named `part`, once. Raises Known, Cancelled."""
        with self._lock:
            if part not in self._ready:
                try:
                    self._ready = self._made()
                except Known as trouble:
                    self._weights.failure = self._weights.failure or trouble
                    raise
            return self._ready.pop(part)

    def _made(self) -> dict[str, torch.Tensor]:
        source, form = self._source, self._form
        if isinstance(source, ExpertsSource):
            return self._joined(source)
        if form is None:
            return {source.name: self._floats(source, self._dtype)}
        prefix = source.name.rpartition(".")[0]
        parts = self._packed(source, form)
        return {f"{prefix}.{part}": tensor for part, tensor in parts.items()}

    def _packed(self, source: Single, form: Form) -> Parts:
        """The weight in `form`, part by part."""
        reader = self._weights
        parts: Parts | None
        if form.own and isinstance(source, PackedSource):
            parts = laid_out(read_codes(source, reader), form, self._dtype)
            if parts is None:
                raise strange(source.groups or source.codes, "groups of different sizes")
        else:
            weight = self._floats(source, torch.float32)
            parts = round_off(weight, form, self._dtype, reader.check)
        return parts

    def _floats(self, source: Single, dtype: torch.dtype) -> torch.Tensor:
        """The weight as it is stored, or dequantised to `dtype`."""
        if isinstance(source, FloatSource):
            return self._weights.read(source.entry)
        return dense(source, dtype, self._weights)

    def _joined(self, source: ExpertsSource) -> dict[str, torch.Tensor]:
        """All experts in one tensor per part, without a second copy of them all."""
        form, parts = self._form, _parts(source, self._form, self._dtype)
        found = {name: torch.empty(shape, dtype=of) for name, (shape, of) in parts.items()}
        for number, expert in enumerate(source.experts):
            if form is None:
                whole = found[source.name].view(len(source.experts), *expert.shape)
                whole[number] = self._floats(expert, self._dtype)
                continue
            for part, tensor in self._packed(expert, form).items():
                found[f"{source.name.rpartition('.')[0]}.{part}"][number] = tensor
        return found


class LazyTensor:
    """One tensor of a weight; `lazy[...]` reads it."""

    def __init__(
        self, weight: _Weight, name: str, shape: tuple[int, ...], dtype: torch.dtype
    ) -> None:
        self._weight = weight
        self._name = name
        self.dtype = dtype
        self.shape = torch.Size(shape)

    def __getitem__(self, _everything: Any) -> torch.Tensor:
        return self._weight.take(self._name)

    def get_dtype(self) -> str:
        """The dtype as in a header."""
        return next((name for name, dtype in DTYPES.items() if dtype == self.dtype), "")

    def get_shape(self) -> list[int]:
        """The shape as a list."""
        return list(self.shape)


def _parts(
    source: Source, form: Form | None, dtype: torch.dtype
) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Shape and dtype of what the model gets for the weight of `source`, by name."""
    if form is not None:
        prefix = source.name.rpartition(".")[0]
        *before, outputs, inputs = source.shape  # of experts: how many
        shapes = part_shapes(form, (outputs, inputs), dtype)
        return {f"{prefix}.{part}": ((*before, *shape), of) for part, (shape, of) in shapes.items()}
    of = DTYPES[source.entry.dtype] if isinstance(source, FloatSource) else dtype
    return {source.name: (source.shape, of)}


def described(
    sources: Mapping[str, Source], forms: Mapping[str, Form], dtype: torch.dtype
) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Shapes and dtypes of what `LazyWeights` would give, to try a load with."""
    return {
        part: what
        for name, source in sources.items()
        for part, what in _parts(source, forms.get(name), dtype).items()
    }
