"""What a banner offers to do about trouble, beside saying it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QUrl
from PySide6.QtGui import QDesktopServices

from qwen_desktop.errors import QT_TRANSLATE_NOOP, Report

_CONTEXT = "remedies"
_OPEN = QT_TRANSLATE_NOOP("remedies", "Open folder")
_CONNECTIONS = QT_TRANSLATE_NOOP("remedies", "Connections…")
_OF_CONNECTIONS = frozenset(  # trouble that other entries of a connection mend
    f"remote-{name}"
    for name in (
        "address", "certificate", "dns", "forbidden", "key", "model", "not-found", "offline",
        "page", "redirect", "refused", "silent", "tls",
    )
)  # fmt: skip
_PLACES = ("file", "folder", "path")  # values of a report that name something on disk

Remedy = tuple[str, Callable[[], object]]


def remedy(report: Report, connections: Callable[[], object]) -> Remedy | None:
    """The words of a button and what it does; None where there is nothing to be done here.

    `connections` shows the dialog of servers.
    """
    if report.code in _OF_CONNECTIONS:
        return QCoreApplication.translate(_CONTEXT, _CONNECTIONS), connections
    for name in _PLACES:
        place = Path(report.values.get(name, ""))
        if place.is_absolute():
            folder = place if name == "folder" else place.parent
            words = QCoreApplication.translate(_CONTEXT, _OPEN)
            return words, partial(_show, folder)
    return None


def _show(folder: Path) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
