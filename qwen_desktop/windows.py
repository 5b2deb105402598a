"""What Windows wants of a program and other systems don't. Standard library only.

The system is asked through an argument, so that all of it can be tried elsewhere.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any

# As in resources/packaging/windows/qwen-desktop.iss.
APP_USER_MODEL_ID = "QwenDesktop"
RUNNING_MUTEX = "QwenDesktopRuns"

# Of the system's headers.
SEM_FAILCRITICALERRORS = 0x0001
LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR = 0x0100
LOAD_LIBRARY_SEARCH_DEFAULT_DIRS = 0x1000

# Library, function, arguments of a call to the system; gives what that gives.
Call = Callable[..., Any]


def begin() -> None:
    """Before anything else is imported. Does nothing on other systems."""
    if sys.platform == "win32":
        settle_streams()
        present(_call)


def settle_streams() -> None:
    """Give a program without a console streams that lead nowhere; redirected ones speak UTF-8.

    Libraries write to standard error without a look whether there is one. A console has UTF-8
    already; a pipe or a file would have the code page of the machine, which knows no Chinese.
    """
    asked = os.environ.get("PYTHONIOENCODING")
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            # Open until the end of the process, as what it stands for.
            nowhere = open(os.devnull, mode, encoding="utf-8", errors="replace")  # noqa: SIM115,PTH123
            setattr(sys, name, nowhere)
        elif isinstance(stream, io.TextIOWrapper) and not stream.isatty() and not asked:
            stream.reconfigure(encoding="utf-8")


def present(call: Call) -> None:
    """Tell the taskbar what belongs together, and installers that the program runs."""
    call("shell32", "SetCurrentProcessExplicitAppUserModelID", APP_USER_MODEL_ID)
    if getattr(sys, "frozen", False):
        # Held until the process ends: the uninstaller waits, and no file of ours is in use then.
        call("kernel32", "CreateMutexW", None, False, RUNNING_MUTEX)


def open_library(path: str, call: Call | None = None) -> bool:
    """Load a shared library with what lies beside it; whether that worked.

    Without the box that Windows opens where it misses something: trouble is met again, and told,
    by the import that needs the library.
    """
    call = call or _call
    before = call("kernel32", "SetErrorMode", SEM_FAILCRITICALERRORS)
    try:
        flags = LOAD_LIBRARY_SEARCH_DEFAULT_DIRS | LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR
        return bool(call("kernel32", "LoadLibraryExW", path, None, flags))
    finally:
        call("kernel32", "SetErrorMode", before or 0)


def _call(library: str, function: str, *arguments: object) -> Any:
    """Call the system, without the GIL; text goes as UTF-16."""
    if sys.platform == "win32":
        import ctypes

        found = getattr(ctypes.WinDLL(library), function)
        found.restype = ctypes.c_void_p  # handles are as wide as pointers
        return found(*arguments)
    raise OSError(f"{function}: no such function on {sys.platform}")
