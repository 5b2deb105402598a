"""Takes the network from a process: `forbid`, before the program is imported.

Whoever opens a socket of the internet ends the process: in Python with a traceback, and on Linux
in any library by a signal of the system, which is asked before everything else to allow none. So
this holds for Qt, torch and processes that are started, not for Python alone.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import platform
import signal
import socket
import struct
import sys
import traceback
from typing import Any

INTERNET = (socket.AF_INET, socket.AF_INET6)
FOUND = 97  # exit status: a socket was opened, or a name looked up
_LOOKED_UP = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyname_ex")

# Numbers of Linux: prctl's, seccomp's, and of `socket` with the name of the architecture.
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_TRAP, _ALLOW = 0x00030000, 0x7FFF0000
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}


def forbid() -> None:
    """From now on, in this process and in all it starts."""
    sys.addaudithook(_on_event)
    if sys.platform.startswith("linux") and platform.machine() in _MACHINES:
        faulthandler.register(signal.SIGSYS, all_threads=True, chain=True)
        _forbid_by_system(*_MACHINES[platform.machine()])


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    is_internet = event == "socket.__new__" and arguments[1] in INTERNET
    if is_internet or event in _LOOKED_UP:
        print(f"the network was used: {event} {arguments[1:]}", file=sys.stderr)
        traceback.print_stack()
        sys.stderr.flush()
        os._exit(FOUND)


def _forbid_by_system(architecture: int, socket_call: int) -> None:
    """Let Linux end this process where it asks for such a socket."""

    def step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("HBBI", code, yes, no, value)

    steps = (
        step(_LOAD, 4),  # the architecture of the call
        step(_EQUAL, architecture, 0, 5),
        step(_LOAD, 0),  # which call
        step(_EQUAL, socket_call, 0, 3),
        step(_LOAD, 16),  # its first argument: the family of addresses
        step(_EQUAL, int(socket.AF_INET), 2, 0),
        step(_EQUAL, int(socket.AF_INET6), 1, 0),
        step(_RETURN, _ALLOW),
        step(_RETURN, _TRAP),
    )
    code = ctypes.create_string_buffer(b"".join(steps))
    program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(_SET_SECCOMP, _FILTER, program):
        raise OSError(ctypes.get_errno(), "this system cannot forbid the network")
