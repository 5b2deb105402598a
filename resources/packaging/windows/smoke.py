"""Installs the setup program, uses what it installed, and uninstalls it: `package --smoke`.

Everything is asked for on command lines, so that it runs where nobody looks at a screen. The data
folder is the one of the user who runs this: there must be none yet.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from contents import version
from windows.details import NAME

QUESTION = "What is a token?"
SILENT = ("/VERYSILENT", "/SUPPRESSMSGBOXES", "/NORESTART")
# The whole of one step; installing writes a gigabyte and more.
SECONDS = 900
# Runs a command with these variables; gives exit status and output.
Run = Callable[[Sequence[str], Mapping[str, str]], "tuple[int, str]"]


def execute(command: Sequence[str], variables: Mapping[str, str]) -> tuple[int, str]:
    """Run a command to its end."""
    done = subprocess.run(
        [str(word) for word in command],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=SECONDS,
        check=False,
    )
    return done.returncode, done.stdout


def run(made: Mapping[str, Path], execute: Run = execute, data: Path | None = None) -> int:
    """Try the setup program among `made`; gives the exit status."""
    setup = made.get("setup")
    if setup is None:
        sys.exit("--smoke needs the setup program: package app setup --smoke")
    data = data or Path(os.environ["LOCALAPPDATA"], NAME)
    if data.exists():
        sys.exit(f"{data} is somebody's data: this is tried where there is none.")
    with tempfile.TemporaryDirectory(prefix="qwen-desktop-") as place:
        return Trial(setup, Path(place) / "app folder", data, execute).all()


class Trial:
    """The steps, in their order. Each ends the program where it goes wrong."""

    def __init__(self, setup: Path, folder: Path, data: Path, execute: Run) -> None:
        self._setup = setup
        self._folder = folder
        self._data = data
        self._execute = execute

    def all(self) -> int:
        """Install, use, uninstall."""
        install = [str(self._setup), *SILENT, "/TASKS=", f"/DIR={self._folder}"]
        self._do("install", install)
        terminal, window = self._folder / "qwen-desktop.exe", self._folder / f"{NAME}.exe"
        for program in (terminal, window):
            self._need(program.is_file(), f"{program} is not there")
        said = self._do("version", [str(terminal), "--version"])
        self._need(version() in said, f"it says {said!r}")
        said = self._do("diagnose", [str(terminal), "--diagnose"])
        self._need(version() in said, f"it says {said!r}")
        said = self._do("ask in the terminal", [str(terminal), "--ask", QUESTION])
        self._need(len(said.strip()) > 0, "no answer came")
        # The real window, drawn into memory; it has no console, and ends by itself.
        self._do("ask in the window", [str(window), "--headless"])
        database = self._data / "conversations.db"
        self._need(database.is_file(), f"{database} is not there")
        chats = self._folder.parent / "chats"
        self._do("export", [str(terminal), "export", "--all", "--format", "json", str(chats)])
        found = len(list(chats.glob("*.qwenchat.json")))
        self._need(found == 2, f"{found} chats are there, of 2")
        self._do("uninstall", [str(self._folder / "unins000.exe"), *SILENT])
        self._wait_until_gone()
        self._need(database.is_file(), "the chats are gone")
        print("setup program: installed, used and uninstalled; the chats are kept", flush=True)
        return 0

    def _do(self, what: str, command: Sequence[str]) -> str:
        began = time.monotonic()
        status, said = self._execute(command, {"QT_QPA_PLATFORM": "offscreen"})
        print(f"  {what}: {time.monotonic() - began:.1f} s", flush=True)
        self._need(status == 0, f"exit status {status}:\n{said[-3000:]}", what)
        return said

    def _need(self, holds: bool, otherwise: str, what: str = "smoke") -> None:
        if not holds:
            sys.exit(f"{what}: {otherwise}")

    def _wait_until_gone(self) -> None:
        """The uninstaller goes on from a copy of itself, to remove itself as well."""
        end = time.monotonic() + 60
        while self._folder.exists() and time.monotonic() < end:
            time.sleep(0.5)
        left = [str(path) for path in self._folder.rglob("*")] if self._folder.exists() else []
        self._need(not self._folder.exists(), f"left behind: {left[:20]}")
