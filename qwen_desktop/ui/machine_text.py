"""What a report of trouble says of this installation."""

from __future__ import annotations

import platform
from importlib import metadata

from PySide6.QtCore import QCoreApplication, qVersion
from PySide6.QtGui import QGuiApplication

from qwen_desktop.paths import is_frozen

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
    if is_frozen():
        lines[0] += " (installed)"
    return "\n".join(lines)


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""
