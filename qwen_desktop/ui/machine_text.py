"""What a report of trouble says of this installation, and what it leaves out of the rest."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from pathlib import Path

from PySide6.QtCore import QCoreApplication, qVersion
from PySide6.QtGui import QGuiApplication

_LONGEST = 300  # characters of a line: longer ones hold data rather than a cause
_LIBRARIES = ("PySide6_Essentials", "torch", "transformers")


def machine_text() -> str:
    """Versions of the program, its libraries and the system, a line for each."""
    name = QCoreApplication.applicationName()
    lines = [
        f"{name} {QCoreApplication.applicationVersion()}".strip(),
        f"Python {platform.python_version()}",
        f"Qt {qVersion()} ({QGuiApplication.platformName()})",
        *(f"{library} {version}" for library in _LIBRARIES if (version := _version(library))),
        f"{platform.system()} {platform.release()} {platform.machine()}",
    ]
    if getattr(sys, "frozen", False):
        lines[0] += " (installed)"
    return "\n".join(lines)


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""


def without_private(text: str) -> str:
    """`text` without the name of the user's home, and without the rest of very long lines."""
    home = str(Path.home())
    if len(home) > 1:
        for written in {home, home.replace("\\", "/"), home.replace("\\", "\\\\")}:
            text = text.replace(written, "~")
    return "\n".join(
        line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…" for line in text.splitlines()
    )
