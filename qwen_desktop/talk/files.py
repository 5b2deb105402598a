"""What the terminal does with files: chats written into them, and files that are sent along."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from qwen_desktop.chat.exporting import ExportOptions, ExportRequest, Format
from qwen_desktop.chat.record import Record
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known, Report
from qwen_desktop.export import job
from qwen_desktop.export.words import Words
from qwen_desktop.storage import attaching
from qwen_desktop.storage.records import Records
from qwen_desktop.talk.desk import Desk

FORMATS = {
    ".md": Format.MARKDOWN,
    ".html": Format.HTML,
    ".txt": Format.TEXT,
    ".json": Format.JSON,
}


def path_of(typed: str) -> Path:
    """The file that was typed: quotes around it are not part of it, ~ is the home folder."""
    typed = typed.strip()
    if len(typed) >= 2 and typed[0] == typed[-1] and typed[0] in "\"'":
        typed = typed[1:-1]
    return Path(typed).expanduser().absolute()


def attach(desk: Desk, file: Path) -> Report | None:
    """Let `file` go with the next message; what is worth knowing of it. Raises Known."""
    found = attaching.read(file)
    desk.files = (*desk.files, found.file)
    return found.note


def save(desk: Desk, file: Path) -> None:
    """Write the chat. Raises Known where the ending is none we write, or the disk refuses."""
    form = FORMATS.get(file.suffix.lower())
    if form is None:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "Say a file that ends with {endings}."),
            endings=", ".join(FORMATS),
        )
    if not desk.is_kept:
        raise Known(QT_TRANSLATE_NOOP("errors", "Nothing was asked in this chat yet."))
    request = ExportRequest((desk.current.id,), file, ExportOptions(form, one_file=True))
    records = Records.open(desk.store.database.file)
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
