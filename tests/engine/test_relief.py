"""The ladder after an allocator's refusal: what is let go, what is tried again, what is raised."""

from __future__ import annotations

import errno
import gc
import mmap
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from qwen_desktop.engine.device import is_out_of_memory
from qwen_desktop.engine.relief import OutOfMemory, Relief
from qwen_desktop.errors import Cancelled, Known

CPU = torch.device("cpu")


def refused_by_torch() -> None:
    torch.empty(2**60, dtype=torch.uint8)


def refused_by_numpy() -> None:
    np.empty(2**60, dtype=np.uint8)


def refused_by_python() -> None:
    bytearray(2**60)


class Place:
    """Something that allocates: refused the first `refusals` times. Counts what is done to it.

    It keeps the exceptions, as whoever logs or examines them does.
    """

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.errors: list[Exception] = []
        self.log: list[str] = []
        self.activation: weakref.ref[torch.Tensor] | None = None

    def call(self) -> str:
        activation = torch.ones(8)
        self.activation = weakref.ref(activation)
        self.log.append("call")
        if self.refusals:
            self.refusals -= 1
            try:
                refused_by_torch()
            except RuntimeError as error:
                self.errors.append(error)
                raise
        return "done"

    def repair(self) -> None:
        assert self.activation is not None
        assert self.activation() is None, "the frames still hold the activations"
        self.log.append("repair")

    def drop_others(self) -> int:
        self.log.append("drop")
        return 0


@pytest.mark.parametrize("refused", [refused_by_torch, refused_by_numpy, refused_by_python])
def test_real_refusals_are_recognised(refused):
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        refused()
    assert is_out_of_memory(caught.value)


def test_a_refused_mapping_is_recognised(tmp_path: Path):
    """A safetensors file is mapped; the system refuses by an errno."""
    file = tmp_path / "file"
    file.write_bytes(b"1")
    with file.open("r+b") as opened, pytest.raises((OSError, ValueError)) as caught:
        mmap.mmap(opened.fileno(), 2**62)
    if isinstance(caught.value, OSError) and caught.value.errno == errno.ENOMEM:
        assert is_out_of_memory(caught.value)
    assert is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert not is_out_of_memory(OSError(errno.ENOSPC, "No space left on device"))


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB.",
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "HIP out of memory. Tried to allocate 20.00 MiB",
        "MPS backend out of memory (MPS allocated: 18.00 GB)",
        "[enforce fail at alloc_cpu.cpp:75] data. DefaultCPUAllocator: not enough memory",
        "std::bad_alloc",
    ],
)
def test_texts_of_libraries_are_recognised(text: str):
    assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(ValueError(text))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"),
        Known("The disk is full."),
    ],
)
def test_other_trouble_passes_as_it_is(error: Exception):
    relief = Relief(CPU, lambda: pytest.fail("nothing is to be dropped"))

    def call() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        relief.run(call, lambda: pytest.fail("nothing is to be repaired"))
    assert caught.value is error
    assert relief.halvings == 0


def test_stop_passes():
    def stopped() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        Relief(CPU, lambda: 0).run(stopped, lambda: None)


def test_without_refusal_nothing_is_touched():
    place = Place(0)
    relief = Relief(CPU, place.drop_others)
    assert relief.run(place.call, place.repair) == "done"
    assert (place.log, relief.halvings) == (["call"], 0)


def test_the_second_try_has_what_the_first_held():
    place = Place(1)
    relief = Relief(CPU, place.drop_others)
    assert relief.run(place.call, place.repair) == "done"
    assert place.log == ["call", "drop", "repair", "call"]
    assert relief.halvings == 1


def test_it_is_tried_again_once_in_a_request():
    first, second = Place(1), Place(1)
    relief = Relief(CPU, first.drop_others)
    relief.run(first.call, first.repair)
    with pytest.raises(OutOfMemory) as caught:
        relief.run(second.call, second.repair)
    assert caught.value.repaired
    assert second.log == ["call", "repair"]
    assert "allocate" in caught.value.details


def test_what_is_raised_holds_nothing():
    place = Place(2)
    with pytest.raises(OutOfMemory) as caught:
        Relief(CPU, place.drop_others).run(place.call, place.repair)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert place.activation is not None
    assert place.activation() is None
    assert place.log == ["call", "drop", "repair"] * 2


def test_causes_and_contexts_are_let_go():
    held: list[weakref.ref[torch.Tensor]] = []
    errors: list[Exception] = []

    def inner() -> None:
        activation = torch.ones(8)
        held.append(weakref.ref(activation))
        refused_by_numpy()

    def wrapped() -> None:
        try:
            inner()
        except MemoryError as error:
            errors.append(error)
            raise RuntimeError("CUDA out of memory") from error

    with pytest.raises(OutOfMemory):
        Relief(CPU, lambda: 0).run(wrapped, lambda: None)
    gc.collect()
    assert [ref() for ref in held] == [None, None]


def test_a_repair_that_is_refused_too_is_told():
    place = Place(1)
    relief = Relief(CPU, place.drop_others)
    with pytest.raises(OutOfMemory) as caught:
        relief.run(place.call, refused_by_torch)
    assert not caught.value.repaired
    assert place.log == ["call", "drop"]


def test_a_repair_that_fails_otherwise_is_a_bug():
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Relief(CPU, lambda: 0).run(refused_by_torch, broken)
