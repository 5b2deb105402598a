"""Writes conversations into files: whole or not at all, and never over what nobody named.

Synchronous, for a thread of its own. Everything is written beside its place first and moved
there at the end, so that a full disk, a cancel or a crash leaves what was there before.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from qwen_desktop.chat.exporting import (
    ExportOptions,
    ExportProgress,
    ExportRequest,
    ExportResult,
    Format,
    NotExported,
)
from qwen_desktop.chat.record import Record
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known
from qwen_desktop.export import html, markdown, names, plain, turns
from qwen_desktop.export.words import Words
from qwen_desktop.storage import atomic, conversation_json, trouble
from qwen_desktop.storage.records import Records


class PdfWriter(Protocol):
    """Draws conversations into one PDF file: the part that needs Qt."""

    def __call__(
        self,
        file: Path,
        records: Iterable[Record],
        options: ExportOptions,
        words: Words,
        step: Callable[[Record, float], None],
    ) -> None:
        """Write `file`. `step` is told how much of a record is done, and may raise Cancelled."""


@dataclass(frozen=True)
class Tools:
    """What a job is given beside its request."""

    words: Words
    write_pdf: PdfWriter
    progress: Callable[[ExportProgress], None]
    is_cancelled: Callable[[], bool]


def run(records: Records, request: ExportRequest, tools: Tools) -> ExportResult:
    """Carry out a request. Raises Known where the disk refuses, Cancelled where that was asked.

    A conversation that cannot be read is told in the result, and the others are written.
    """
    return _Job(records, request, tools).run()


class _Job:
    def __init__(self, records: Records, request: ExportRequest, tools: Tools) -> None:
        self._records = records
        self._request = request
        self._options = request.options
        self._tools = tools
        self._ids = records.ids() if request.ids is None else request.ids
        self._done = 0
        self._written = 0
        self._failed: list[NotExported] = []

    def run(self) -> ExportResult:
        if not self._ids:
            raise Known(QT_TRANSLATE_NOOP("errors", "There is no chat to export."))
        target = self._request.target
        is_one = self._request.is_one_file
        folder = target.parent if is_one else target
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # In the same folder: only inside one file system a move is done at once.
            workshop = Path(tempfile.mkdtemp(prefix=".qwen-desktop-", dir=folder))
        except OSError as error:
            raise _refused(error, target) from error
        try:
            made = self._one_file(workshop) if is_one else self._many_files(workshop)
            self._check()
            files = self._placed(made, target)
        except OSError as error:
            raise _refused(error, target) from error
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
        return ExportResult(files, self._written, tuple(self._failed))

    def _placed(self, made: list[tuple[Path, str]], target: Path) -> tuple[Path, ...]:
        if self._request.is_one_file:
            atomic.replace(made[0][0], target)
            return (target,)
        target.mkdir(exist_ok=True)
        taken = {name.casefold() for name in os.listdir(target)}  # noqa: PTH208 - names only
        files: list[Path] = []
        try:
            for file, stem in made:
                extension = self._options.format.extension
                name = names.unique_name(stem, extension, lambda one: one.casefold() in taken)
                taken.add(name.casefold())
                file.rename(target / name)
                files.append(target / name)
        except OSError:
            for file in files:
                with suppress(OSError):
                    file.unlink()
            raise
        return tuple(files)

    def _one_file(self, workshop: Path) -> list[tuple[Path, str]]:
        file = workshop / "file"
        form = self._options.format
        if form is Format.PDF:
            self._tools.write_pdf(
                file, self._read(), self._options, self._tools.words, self._step_in
            )
        else:
            _write(file, self._pieces_of_all(form), self._check)
        if not self._written:
            raise self._nothing()
        return [(file, "")]

    def _pieces_of_all(self, form: Format) -> Iterator[str]:
        options, words = self._options, self._tools.words
        several = len(self._ids) > 1
        if form is Format.JSON:
            pieces = (self._watched(record) for record in self._read())
            if several:
                yield from conversation_json.several_pieces(pieces)
            else:
                for one in pieces:
                    yield from (*one, "\n")
        elif form is Format.HTML:
            if several:
                title = words.several.format(count=len(self._ids))
                yield from html.several(self._read(), options, words, title=title)
            else:
                for record in self._read():
                    yield from html.rendered(record, options, words)
        else:
            render = markdown.rendered if form is Format.MARKDOWN else plain.rendered
            for record in self._read():
                if self._written > 1:
                    yield "---\n\n" if form is Format.MARKDOWN else "\n"
                yield from render(record, options, words)

    def _many_files(self, workshop: Path) -> list[tuple[Path, str]]:
        made = []
        for record in self._read():
            file = workshop / str(self._written)
            self._write_one(file, record)
            title = turns.heading(record, self._tools.words).title
            made.append((file, names.safe_name(title, self._tools.words.untitled)))
        if not made:
            raise self._nothing()
        return made

    def _write_one(self, file: Path, record: Record) -> None:
        options, words = self._options, self._tools.words
        if options.format is Format.PDF:
            self._tools.write_pdf(file, [record], options, words, self._step_in)
            return
        pieces: Iterable[str]
        if options.format is Format.JSON:
            pieces = (*self._watched(record), "\n")
        elif options.format is Format.HTML:
            pieces = html.rendered(record, options, words)
        elif options.format is Format.MARKDOWN:
            pieces = markdown.rendered(record, options, words)
        else:
            pieces = plain.rendered(record, options, words)
        _write(file, pieces, self._check)

    def _watched(self, record: Record) -> Iterator[str]:
        for piece in conversation_json.pieces(record):
            self._check()
            yield piece

    def _read(self) -> Iterator[Record]:
        """All conversations in turn; those that cannot be read are remembered."""
        for conversation_id in self._ids:
            self._check()
            try:
                record = self._records.read(conversation_id)
            except Known as known:
                self._failed.append(NotExported(conversation_id, known.report()))
            else:
                self._tell(record, 0.0)
                self._written += 1
                yield record
            self._done += 1

    def _step_in(self, record: Record, part: float) -> None:
        self._check()
        self._tell(record, part)

    def _tell(self, record: Record, part: float) -> None:
        title = record.conversation.summary().title
        self._tools.progress(ExportProgress(self._done, len(self._ids), title, part))

    def _check(self) -> None:
        if self._tools.is_cancelled():
            raise Cancelled

    def _nothing(self) -> Known:
        report = self._failed[0].report
        return Known(report.template, report.remedy, details=report.details, **report.values)


def _write(file: Path, pieces: Iterable[str], check: Callable[[], None]) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as out:
        for piece in pieces:
            check()
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())


def _refused(error: OSError, target: Path) -> Known:
    known = trouble.from_os(error, target)
    if known.template == trouble.disk_full(target).template:
        return known
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} cannot be written."),
        QT_TRANSLATE_NOOP("errors", "Choose another place for it."),
        # Names of files are made of titles: they are no matter for a log.
        details=f"{type(error).__name__}: {error.strerror}",
        file=target,
    )
