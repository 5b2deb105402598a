"""What the maker calls the processor, and the version of the driver of the cards. No torch."""

from __future__ import annotations

import platform
import sys
from contextlib import suppress
from pathlib import Path

import pynvml


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


def driver_version() -> str:
    """The version of NVIDIA's driver; "" where there is none."""
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
