"""The machine a study is measured on, as a value. Raises nothing: what is not known is empty."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from contextlib import suppress

import psutil
import torch

from qwen_desktop import __version__
from qwen_desktop.chat.study import StudyMachine
from qwen_desktop.engine.device import device_name
from qwen_desktop.engine.families import transformers_version
from qwen_desktop.engine.hardware import cpu_name, driver_version


def study_machine(devices: Iterable[torch.device]) -> StudyMachine:
    """This machine and those of its cards that are among `devices`."""
    cards = tuple(
        (device_name(device), _total(device))
        for device in sorted(devices, key=str)
        if device.type != "cpu"
    )
    return StudyMachine(
        cpu=cpu_name(),
        cores=psutil.cpu_count(logical=False) or os.cpu_count() or 0,
        threads=torch.get_num_threads(),
        ram=int(psutil.virtual_memory().total),
        cards=cards,
        driver=driver_version() if cards else "",
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        torch=torch.__version__,
        transformers=transformers_version(),
        app=__version__,
    )


def _total(device: torch.device) -> int:
    with suppress(RuntimeError, NotImplementedError):
        return int(torch.accelerator.get_memory_info(device)[1])
    return 0
