"""A desktop of its own for one run: an X server, a session bus, the accessibility bus, a window
manager. Nothing of the person's desktop is seen or touched.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from jeepney import DBusAddress, Message, MessageType, message_bus, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection

import dev

PATIENCE_S = 90.0
SCREEN = "1400x900x24"


def missing() -> list[str]:
    """What a black-box run needs and is not here."""
    return dev.missing_for_desk() if sys.platform.startswith("linux") else ["Linux"]


def until(what: str, condition: Callable[[], object], seconds: float = 0.0) -> None:
    """Look again and again until `condition` holds."""
    end = time.monotonic() + (seconds or PATIENCE_S)
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited for {what}")
        time.sleep(0.05)


class Desktop:
    """Started at once; `environment` is for the programs on it, `bus` speaks to their widgets."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._running: list[subprocess.Popen[bytes]] = []
        self._logs: list[IO[bytes]] = []
        for name in ("home", "runtime"):
            (folder / name).mkdir(mode=0o700)
        kept = ("PATH", "PYTHONFAULTHANDLER", "OMP_NUM_THREADS")
        self.environment: dict[str, str] = {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "LANG": "C.UTF-8",
            "HOME": str(folder / "home"),
            "XDG_RUNTIME_DIR": str(folder / "runtime"),
            "QT_QPA_PLATFORM": "xcb",
            "QT_LINUX_ACCESSIBILITY_ALWAYS_ON": "1",  # no screen reader has said it is there
            **environment,
        }
        try:
            self._start_screen()
            self.bus = self._start_buses()
        except BaseException:
            self.close()
            raise

    def start(
        self,
        name: str,
        command: list[str],
        more: Mapping[str, str] | None = None,
        **options: object,
    ) -> subprocess.Popen[bytes]:
        """Run a program on this desktop; what it says goes into `NAME.log`."""
        log = (self.folder / f"{name}.log").open("ab")
        self._logs.append(log)
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**self.environment, **(more or {})},
            start_new_session=True,
            **options,  # type: ignore[call-overload]
        )
        self._running.append(process)
        return process

    def log(self, name: str) -> str:
        """What a program has said so far; of much, the end."""
        return (self.folder / f"{name}.log").read_text("utf-8", "replace")[-3000:]

    def _start_screen(self) -> None:
        # It takes the first number that is free and writes it, once it can be connected to.
        reading, writing = os.pipe()
        command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", SCREEN, "-nolisten", "tcp"]
        self.start("screen", command, pass_fds=(writing,))
        os.close(writing)
        with os.fdopen(reading, "rb") as numbers:
            number = numbers.readline().strip().decode()
        assert number, f"no X server: {self.log('screen')}"
        self.environment["DISPLAY"] = f":{number}"
        self.start("windows", ["openbox", "--sm-disable"])

    def _start_buses(self) -> DBusConnection:
        address = f"unix:path={self.folder}/bus"
        command = ["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={address}"]
        self.start("bus", [*command, "--print-address"])
        until("the session bus", lambda: "unix:" in self.log("bus"))
        self.environment["DBUS_SESSION_BUS_ADDRESS"] = address
        launcher = str(dev.desk_program("at-spi-bus-launcher"))
        self.start("accessibility", [launcher, "--launch-immediately"])
        with open_dbus_connection(bus=address) as session:
            # Asked earlier, the bus would start a second one by itself.
            owned = message_bus.NameHasOwner("org.a11y.Bus")
            until("the accessibility bus", lambda: answer(session, owned) == (True,))
            bus = DBusAddress("/org/a11y/bus", bus_name="org.a11y.Bus", interface="org.a11y.Bus")
            (found,) = answer(session, new_method_call(bus, "GetAddress"))
        return open_dbus_connection(bus=found)

    def close(self) -> None:
        """End everything that was started here, the newest first."""
        bus = getattr(self, "bus", None)
        if bus is not None:
            bus.close()
        for process in reversed(self._running):
            end(process)
        for log in self._logs:
            log.close()


def end(process: subprocess.Popen[bytes]) -> None:
    """End a program and what it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(10)
            break
        except subprocess.TimeoutExpired:
            continue


def answer(connection: DBusConnection, question: Message) -> tuple[object, ...]:
    """Ask by D-Bus and wait for what is said."""
    reply = connection.send_and_get_reply(question, timeout=PATIENCE_S)
    assert reply.header.message_type is MessageType.method_return, reply.body
    return tuple(reply.body)
