"""Reports in the language of the interface. QtCore only."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from qwen_desktop.errors import CONTEXT, Report


def translated(report: Report) -> str:
    """The sentence and the remedy of `report`, translated and filled in."""
    filled = [
        QCoreApplication.translate(CONTEXT, template).format_map(report.values)
        for template in (report.template, report.remedy)
        if template
    ]
    return " ".join(filled)
