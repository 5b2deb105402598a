"""Cards as the driver's library tells of them; its functions are replaced, there may be no card."""

from __future__ import annotations

from types import SimpleNamespace

import pynvml
import pytest
import torch

from qwen_desktop.engine.gpus import cuda_gpus, driver_runs, this_machine, torch_cuda

GIB = 2**30
CARDS = (  # name, uuid, free GiB, compute capability
    ("NVIDIA GeForce RTX 4090", "GPU-aaaa1111", 20, (8, 9)),
    (b"Tesla T4", b"GPU-bbbb2222", 10, (7, 5)),
    ("NVIDIA A100", "GPU-aabb3333", 70, (8, 0)),
)


@pytest.fixture
def driver(monkeypatch):
    """Three cards."""
    answers = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlSystemGetCudaDriverVersion": lambda: 12080,
        "nvmlDeviceGetCount": lambda: len(CARDS),
        "nvmlDeviceGetHandleByIndex": lambda number: CARDS[number],
        "nvmlDeviceGetName": lambda card: card[0],
        "nvmlDeviceGetUUID": lambda card: card[1],
        "nvmlDeviceGetMemoryInfo": lambda card: SimpleNamespace(
            total=80 * GIB, free=card[2] * GIB, used=0
        ),
        "nvmlDeviceGetCudaComputeCapability": lambda card: card[3],
    }
    for name, answer in answers.items():
        monkeypatch.setattr(pynvml, name, answer)


def test_all_cards(driver):
    first, second, third = cuda_gpus({})
    assert (first.device.id, first.device.name) == ("cuda:0", "NVIDIA GeForce RTX 4090")
    assert (first.device.free, first.device.total) == (20 * GIB, 80 * GIB)
    assert (second.device.id, second.device.name) == ("cuda:1", "Tesla T4")
    assert [gpu.has_bfloat16 for gpu in (first, second, third)] == [True, False, True]
    machine = this_machine()
    assert [device.id for device in machine.devices][-1] == "cpu"


@pytest.mark.parametrize(
    ("built", "usable"),
    [("", False), ("12.6", True), ("12.9", True), ("13.0", False), ("?", True)],
)
def test_torch_has_to_be_for_the_driver(driver, built, usable):
    assert driver_runs(built) is usable


def test_the_installed_torch_is_asked(driver):
    assert this_machine().usable is driver_runs(torch_cuda())
    assert torch_cuda() == (torch.version.cuda or "")


@pytest.mark.parametrize(
    ("wanted", "free"),
    [
        ("", []),
        ("-1", []),
        ("2", [70]),
        ("2,0", [70, 20]),
        (" 1 , 2 ", [10, 70]),
        ("0,9,1", [20]),  # the first that is none ends the list, as with CUDA
        ("GPU-bbbb", [10]),
        ("GPU-aabb3333,0", [70, 20]),
        ("GPU-aa", []),  # more than one
        ("all", []),
    ],
)
def test_only_those_that_the_environment_shows(driver, wanted, free):
    found = cuda_gpus({"CUDA_VISIBLE_DEVICES": wanted})
    assert [gpu.device.free // GIB for gpu in found] == free
    assert [gpu.device.id for gpu in found] == [f"cuda:{n}" for n in range(len(free))]


@pytest.mark.parametrize(
    "broken", ["nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetMemoryInfo", "nvmlShutdown"]
)
@pytest.mark.parametrize("error", [pynvml.NVMLError(999), OSError("no such library")])
def test_a_driver_in_trouble_is_no_trouble(driver, monkeypatch, broken, error):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(pynvml, broken, fail)
    assert len(cuda_gpus({})) == (3 if broken == "nvmlShutdown" else 0)
