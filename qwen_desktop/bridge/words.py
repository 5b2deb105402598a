"""Reports in the language of the interface. QtCore only."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from qwen_desktop.errors import CONTEXT, Report

_FULL_WIDTH = ("。", "！", "？", "；", "：", "…", "”", "）")


def translated(report: Report) -> str:
    """The sentence and the remedy of `report`, translated and filled in."""
    filled = [
        QCoreApplication.translate(CONTEXT, template).format_map(report.values)
        for template in (report.template, report.remedy)
        if template
    ]
    return joined(*filled)


def joined(*sentences: str) -> str:
    """Sentences one after the other; empty ones are left out."""
    text = ""
    for sentence in filter(None, sentences):
        # Chinese full stops bring their own white space.
        text += sentence if not text or text.endswith(_FULL_WIDTH) else f" {sentence}"
    return text
