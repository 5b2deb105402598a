"""Writing the chat of a terminal into a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from qwen_desktop.chat.exporting import ExportOptions, ExportRequest
from qwen_desktop.chat.record import Record
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.export import job
from qwen_desktop.export.words import Words
from qwen_desktop.storage.records import Records


def save(database: Path, request: ExportRequest) -> None:
    """Carry out `request`, which is not for PDF. Raises Known where the disk refuses."""
    records = Records.open(database)
    try:
        result = job.run(records, request, job.Tools(Words(), _no_pdf, _ignore, lambda: False))
    finally:
        records.close()
    for one in result.failed:
        raise Known(one.report.template, one.report.remedy, **one.report.values)


def _no_pdf(
    file: Path,
    records: Iterable[Record],
    options: ExportOptions,
    words: Words,
    step: Callable[[Record, float], None],
) -> None:
    raise Known(QT_TRANSLATE_NOOP("errors", "PDF needs the window's libraries: export it there."))


def _ignore(_: object) -> None:
    """There is nothing to wait for."""
