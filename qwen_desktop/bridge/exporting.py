"""Writes conversations into files on a thread of its own, by a connection of its own: a large
export delays neither the window nor the saving of what is written meanwhile. QtCore only.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QLocale, QObject, Signal

from qwen_desktop.chat.exporting import ExportProgress, ExportRequest
from qwen_desktop.chat.record import Record
from qwen_desktop.chat.tree import Conversation
from qwen_desktop.errors import Cancelled, Report, report_of
from qwen_desktop.export.words import CONTEXT, Words

if TYPE_CHECKING:
    from qwen_desktop.bridge.store_client import StoreClient
    from qwen_desktop.export.job import PdfWriter

_log = logging.getLogger(__name__)

_TOLD_EVERY = 0.05  # seconds
_PATIENCE = 5.0  # seconds that the end of the program waits for a job to tidy up


def words() -> Words:
    """The words of documents in the language of the interface."""
    translate = QCoreApplication.translate
    found = {
        one.name: translate(CONTEXT, str(one.default))
        for one in fields(Words)
        if one.name != "language"
    }
    return Words(language=QLocale().bcp47Name(), **found)


class Exporting(QObject):
    """One export at a time. Made by the application.

    Signals: `progressed(ExportProgress)`, and at the end one of `finished(ExportResult)`,
    `failed(Report)` and `cancelled()`, when nothing is left of it. `copied(str)`: a conversation
    as Markdown.
    """

    progressed = Signal(object)
    finished = Signal(object)
    failed = Signal(object)
    cancelled = Signal()
    copied = Signal(str)

    def __init__(
        self, store: StoreClient, write_pdf: PdfWriter, parent: QObject | None = None
    ) -> None:
        """`write_pdf` draws documents; it is called on the thread of the job."""
        super().__init__(parent)
        self._store = store
        self._write_pdf = write_pdf
        self._stop = threading.Event()
        self._busy = False
        self._threads: list[threading.Thread] = []
        self._emitting = threading.Lock()
        self._closed = False
        self._told_at = 0.0

    @property
    def busy(self) -> bool:
        """Whether an export is under way."""
        return self._busy

    def export(self, request: ExportRequest) -> bool:
        """Begin to carry out `request`. False while another one is under way."""
        if self._busy:
            return False
        self._busy = True
        self._stop.clear()
        document_words = words()
        self._on_disk(
            lambda file: self._start(lambda: self._run(file, request, document_words)),
            self._refused,
        )
        return True

    def cancel(self) -> None:
        """End the export soon; nothing of it stays."""
        self._stop.set()

    def copy(self, conversation: Conversation | str) -> None:
        """Make Markdown of a conversation, or of the one with this id: `copied` gives it."""
        document_words = words()

        def read(file: Path) -> None:
            self._start(lambda: self._copy(file, conversation, document_words))

        self._on_disk(read, self.failed.emit)

    def close(self) -> None:
        """Cancel, and wait a moment for what has to be tidied up."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_PATIENCE)
        with self._emitting:
            self._closed = True

    def _on_disk(self, then: Callable[[Path], None], failed: Callable[[Report], None]) -> None:
        """Go on when all that was changed before is on disk, with the file of the database."""
        self._store.submit(lambda store: store.database.file, then, failed)

    def _refused(self, report: Report) -> None:
        self._busy = False
        self.failed.emit(report)

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="export", daemon=True)
        self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()

    # -- on the thread of the job ----------------------------------------------------------

    def _run(self, file: Path, request: ExportRequest, document_words: Words) -> None:
        try:
            from qwen_desktop.export import job
            from qwen_desktop.storage.records import Records

            records = Records.open(file)
            try:
                tools = job.Tools(
                    document_words, self._write_pdf, self._progress, self._stop.is_set
                )
                result = job.run(records, request, tools)
            finally:
                records.close()
        except Cancelled:
            self._end(self.cancelled)
        except BaseException as error:  # noqa: BLE001 - the border of this thread
            self._end(self.failed, _logged(error))
        else:
            self._end(self.finished, result)

    def _copy(self, file: Path, conversation: Conversation | str, document_words: Words) -> None:
        try:
            from qwen_desktop.export import markdown
            from qwen_desktop.storage.records import Records

            if isinstance(conversation, str):
                records = Records.open(file)
                try:
                    record = records.read(conversation)
                finally:
                    records.close()
            else:
                record = Record(conversation)
            self._tell(self.copied, markdown.copied(record, document_words))
        except BaseException as error:  # noqa: BLE001 - the border of this thread
            self._tell(self.failed, _logged(error))

    def _progress(self, progress: ExportProgress) -> None:
        now = time.monotonic()
        if now - self._told_at >= _TOLD_EVERY:
            self._told_at = now
            self._tell(self.progressed, progress)

    def _end(self, signal: object, *values: object) -> None:
        self._busy = False  # before anybody hears of it
        self._tell(signal, *values)

    def _tell(self, signal: object, *values: object) -> None:
        """Emit, unless the program has ended meanwhile: then there is nobody to emit it."""
        with self._emitting:
            if not self._closed:
                signal.emit(*values)  # type: ignore[attr-defined]


def _logged(error: BaseException) -> Report:
    report = report_of(error)
    _log.error("export: %s", report.for_log())
    return report
