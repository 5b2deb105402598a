"""What holds for every test: its own home, no network, no Qt warning, no thread left behind.

Imports neither Qt nor torch, so that a test of pure values starts at once.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

# Before Qt starts: no screen is needed, whoever runs pytest.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
# Qt warns of a locale that is not UTF-8; Python itself sees to the others, not to this variable.
if os.environ.get("LC_ALL") in ("C", "POSIX"):
    os.environ["LC_ALL"] = "C.UTF-8"

import pytest
from hypothesis import HealthCheck, settings

from tests.workers import (
    in_order_for_workers,
    pytest_xdist_auto_num_workers,
    pytest_xdist_make_scheduler,
)

__all__ = ["pytest_xdist_auto_num_workers", "pytest_xdist_make_scheduler"]  # hooks

# Nothing is timed: a busy machine must not fail a test. CI looks at the same examples every time.
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# Qt messages that are no fault of this program, each with its reason.
QT_MESSAGES_ALLOWED = [
    r"This plugin does not support propagateSizeHints\(\)",  # the offscreen platform
    r"This plugin does not support raise\(\)",  # the offscreen platform
    r"XDG_RUNTIME_DIR not set",  # a bare machine without a login session
    r"QStandardPaths: wrong permissions on runtime directory",  # the same, in containers
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Make every Qt warning a failure; a test may set these marks itself."""
    for item in items:
        if item.get_closest_marker("qt_log_level_fail") is None:
            item.add_marker(pytest.mark.qt_log_level_fail("WARNING"))
        if item.get_closest_marker("qt_log_ignore") is None:
            item.add_marker(pytest.mark.qt_log_ignore(*QT_MESSAGES_ALLOWED))
    in_order_for_workers(items)


# --- A home of its own ---------------------------------------------------------------------------


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache folder for all tests: fontconfig builds its cache there, which takes a while."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def home(
    tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A new home folder; nothing of the person who runs the tests is read or written."""
    home = tmp_path_factory.mktemp("home")
    folders = {
        "HOME": home,
        "USERPROFILE": home,
        "APPDATA": home / "AppData" / "Roaming",
        "LOCALAPPDATA": home / "AppData" / "Local",
        "XDG_CONFIG_HOME": home / ".config",
        "XDG_DATA_HOME": home / ".local" / "share",
        "XDG_STATE_HOME": home / ".local" / "state",
        "XDG_CACHE_HOME": shared_cache,
    }
    for name, folder in folders.items():
        monkeypatch.setenv(name, str(folder))
    return home


# --- No network ----------------------------------------------------------------------------------


def is_local(address: object) -> bool:
    """Whether a socket address, or a host name, stays on this machine."""
    host = address[0] if isinstance(address, tuple) else address
    if not isinstance(address, (tuple, str)):
        return True  # None: any own address; bytes and numbers: Unix sockets, netlink
    name = str(host)
    return name in ("", "localhost", "::1", "0.0.0.0", "::") or name.startswith(("127.", "/"))


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Refuse every Python connection that leaves this machine, also one made in a thread."""
    patch = pytest.MonkeyPatch()

    def guard(owner: object, name: str, position: int) -> None:
        original = getattr(owner, name)

        def guarded(*args: object, **kwargs: object) -> object:
            if len(args) > position and not is_local(args[position]):
                # Not an Exception: code that expects a dead network must not swallow it.
                pytest.fail(f"The network was used: {name} to {args[position]!r}")
            return original(*args, **kwargs)

        patch.setattr(owner, name, guarded)

    guard(socket.socket, "connect", 1)
    guard(socket.socket, "connect_ex", 1)
    guard(socket, "getaddrinfo", 0)
    yield
    patch.undo()


# --- No thread left behind -----------------------------------------------------------------------

PATIENCE_S = 10.0  # only ever waited for in full by a test that fails
# Threads of libraries that live as long as the process: tqdm's monitor, Qt's own helpers (its
# pool, the connection to X11 and to D-Bus).
LIBRARY_THREADS = ("tqdm", "Thread (pooled)", "QXcbEventQueue", "QDBusConnection")


def named_threads() -> dict[int, str]:
    """The threads of this process that got a name of their own, QThreads among them (Linux).

    A QThread is named after its object name or its class; threads of torch, numpy and the
    allocators keep the name of the process.
    """
    if not sys.platform.startswith("linux"):
        return {}
    names = {}
    for task in Path("/proc/self/task").iterdir():
        try:
            names[int(task.name)] = (task / "comm").read_text().strip()
        except OSError:  # it has just ended
            continue
    own = names.get(os.getpid(), "")
    return {
        thread: name
        for thread, name in names.items()
        if name != own and not name.startswith(LIBRARY_THREADS)
    }


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Fail a test whose Python threads or QThreads go on after it."""
    python_before, native_before = set(threading.enumerate()), set(named_threads())
    yield
    end = time.monotonic() + PATIENCE_S
    while True:
        left = [
            thread.name
            for thread in set(threading.enumerate()) - python_before
            if thread.is_alive() and type(thread).__name__ not in ("TMonitor", "_DummyThread")
        ]
        left += [name for thread, name in named_threads().items() if thread not in native_before]
        if not left or time.monotonic() > end:
            break
        time.sleep(0.01)
    if left:
        pytest.fail("Still running after the test: " + ", ".join(sorted(left)))


# --- No object of Qt left to another thread ------------------------------------------------------


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """Delete now, on this thread, what was to be deleted later.

    The garbage collector may find it on another thread, where neither a widget nor a timer or a
    socket can be deleted.
    """
    yield
    core = sys.modules.get("PySide6.QtCore")
    if core is not None and core.QCoreApplication.instance() is not None:
        core.QCoreApplication.sendPostedEvents(None, core.QEvent.Type.DeferredDelete.value)
