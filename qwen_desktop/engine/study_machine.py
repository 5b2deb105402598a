"""The machine a study is measured on, as a value. Raises nothing: what is not known is empty."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil
import pynvml
import torch

from qwen_desktop import __version__
from qwen_desktop.chat.study import StudyMachine
from qwen_desktop.engine.device import device_name
from qwen_desktop.engine.families import transformers_version


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
        driver=_driver() if cards else "",
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        torch=torch.__version__,
        transformers=transformers_version(),
        app=__version__,
    )


def cpu_name() -> str:
    """What the maker calls the processor."""
    with suppress(OSError, UnicodeError):
        if sys.platform == "linux":
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
                name, _, value = line.partition(":")
                if name.strip() == "model name":
                    return value.strip()
        elif sys.platform == "win32":
            import winreg

            path = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:
                return str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()
    return platform.processor() or platform.machine()


def _total(device: torch.device) -> int:
    with suppress(RuntimeError, NotImplementedError):
        return int(torch.accelerator.get_memory_info(device)[1])
    return 0


def _driver() -> str:
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError, OSError):
        return ""
    try:
        version = pynvml.nvmlSystemGetDriverVersion()
    except (pynvml.NVMLError, OSError, UnicodeError):
        return ""
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()
    return version.decode("ascii", "replace") if isinstance(version, bytes) else str(version)
