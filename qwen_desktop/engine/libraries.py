"""Opens torch's shared libraries ahead of the import. Imports next to nothing itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# In the order in which they depend on each other. Not torch_python: its initialisers want the GIL.
_LIBRARIES = {
    "linux": ("libc10.so", "libtorch_cpu.so"),
    "darwin": ("libc10.dylib", "libtorch_cpu.dylib"),
    "win32": ("c10.dll", "torch_cpu.dll"),
}


def preload_before_qt() -> None:
    """On Windows, open torch's c10.dll; to be called before PySide6 is imported.

    Opened after Qt it can fail to initialise (WinError 1114). Does nothing elsewhere.
    """
    if sys.platform == "win32":
        open_libraries(1)


def open_libraries(count: int | None = None) -> None:
    """Open torch's libraries (the first `count`); whatever fails is left to the real import."""
    import importlib.util

    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return
    folder = Path(spec.origin).parent / "lib"
    if sys.platform == "win32" and folder.is_dir():
        os.add_dll_directory(str(folder))
    for name in _LIBRARIES.get(sys.platform, ())[:count]:
        if not _open_library(folder / name):
            return


def _open_library(path: Path) -> bool:
    """Load one shared library without the GIL; whether that worked."""
    if sys.platform == "win32":
        from qwen_desktop import windows

        opened = windows.open_library(str(path))
    else:
        import ctypes

        dlopen = ctypes.CDLL(None).dlopen
        dlopen.argtypes, dlopen.restype = [ctypes.c_char_p, ctypes.c_int], ctypes.c_void_p
        opened = bool(dlopen(os.fsencode(path), os.RTLD_NOW))
    return opened
