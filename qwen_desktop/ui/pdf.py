"""Conversations as PDF, by Qt's own printer, on any thread. QtGui only, no widgets.

Each message is a document of its own that goes on where the one before it ended, so that a long
conversation takes no more memory than its longest message, and can be cancelled at any page.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from pathlib import Path

from PySide6.QtCore import QFile, QIODevice, QLocale, QMarginsF, QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QPageLayout,
    QPageSize,
    QPainter,
    QPdfWriter,
    QTextBlockFormat,
    QTextCursor,
    QTextDocument,
    QTextOption,
)

from qwen_desktop.chat.exporting import ExportOptions
from qwen_desktop.chat.record import Record
from qwen_desktop.export import printed, turns
from qwen_desktop.export.words import Words

_DPI = 96  # so that a pixel of the documents is a pixel of the window
_MARGIN_MM = 18.0
_MARGIN_FOOT_MM = 22.0
_BETWEEN = 16.0  # px between messages
_TOGETHER = 72.0  # px: a heading does not stand alone at the foot of a page
_EDGE = 0.1  # px
_TITLE = 200  # characters, more than fit into a line
_LINE = 18  # px between the text and what stands in the margin
# As in the window, but a Latin one always first: Qt writes no code points for the digits of the
# Chinese ones, and nobody finds or copies them then.
_FAMILIES = (
    "Inter",
    "Segoe UI",
    "Noto Sans",
    "Liberation Sans",
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Microsoft YaHei",
    "Noto Color Emoji",
    "Segoe UI Emoji",
)
_LETTER = ("US", "CA", "MX", "PH", "CL", "CO", "VE")  # where paper is not A4


def write(
    file: Path,
    records: Iterable[Record],
    options: ExportOptions,
    words: Words,
    step: Callable[[Record, float], None],
) -> None:
    """Write `file`; see export.job.PdfWriter. Raises OSError where the disk refuses."""
    out = QFile(str(file))
    if not out.open(QIODevice.OpenModeFlag.WriteOnly):
        raise OSError(errno.EACCES, out.errorString(), str(file))
    pages: _Pages | None = None
    try:
        for record in records:
            title = turns.heading(record, words).title
            if pages is None:
                pages = _Pages(out, title, words)
            else:
                pages.begin(title)
            _write_record(pages, record, options, words, step)
        if pages is not None:
            pages.end()
    finally:
        if pages is not None:
            pages.abandon()
        out.close()


def _write_record(
    pages: _Pages,
    record: Record,
    options: ExportOptions,
    words: Words,
    step: Callable[[Record, float], None],
) -> None:
    total = turns.count(record, options) or 1
    done = 0

    def told(part: float) -> None:
        step(record, (done + part) / total)

    pages.add(printed.heading(record, words), told)
    for turn in turns.turns(record, options, words):
        pages.space(_BETWEEN)
        keep = _TOGETHER
        for piece in printed.pieces(turn, words):
            pages.add(piece, told, keep=keep)
            keep = 0.0
        done += 1


class _Pages:
    """The pages of one file, filled from the top down."""

    def __init__(self, out: QFile, title: str, words: Words) -> None:
        self._out = out
        self._words = words
        self._title = title
        self._writer = QPdfWriter(out)
        self._writer.setResolution(_DPI)
        self._writer.setCreator("Qwen Desktop")
        self._writer.setTitle(title)
        size = QPageSize.PageSizeId.Letter if _paper() in _LETTER else QPageSize.PageSizeId.A4
        margins = QMarginsF(_MARGIN_MM, _MARGIN_MM, _MARGIN_MM, _MARGIN_FOOT_MM)
        self._writer.setPageSize(QPageSize(size))
        self._writer.setPageMargins(margins, QPageLayout.Unit.Millimeter)
        room = self._writer.pageLayout().paintRectPixels(_DPI)
        self._width, self._height = float(room.width()), float(room.height())
        self._y = 0.0
        self._number = 1
        self._body_font = _font(14)
        self._foot_font = _font(10)
        self._painter = QPainter()
        if not self._painter.begin(self._writer):
            raise OSError(None, out.errorString() or "no PDF can be written", out.fileName())
        self._foot()

    def begin(self, title: str) -> None:
        """Another conversation, on a page of its own."""
        self._title = title
        self._next()

    def space(self, height: float) -> None:
        """Leave some room, but none above the first line of a page."""
        if self._y:
            self._y += height

    def add(self, html: str, step: Callable[[float], None], *, keep: float = 0.0) -> None:
        """Draw HTML below what is there; `step` is told how much of it is drawn.

        It begins on a new page where less than `keep` px are left.
        """
        if self._y and self._y + max(keep, _LINE) > self._height:
            self._next()
        document = self._document(html)
        step(0.0)
        pages = document.pageCount()
        for page in range(pages):
            if page:
                self._next()
                step(page / pages)
            self._painter.save()
            self._painter.translate(0, -page * self._height)
            # A line that only touches the edge is of the other page.
            top = page * self._height + _EDGE
            area = QRectF(0, top, self._width, self._height - 2 * _EDGE)
            document.drawContents(self._painter, area)
            self._painter.restore()
        last = document.documentLayout().blockBoundingRect(document.lastBlock())
        self._y = max(0.0, last.bottom() - (pages - 1) * self._height)

    def _document(self, html: str) -> QTextDocument:
        document = QTextDocument()
        document.setUndoRedoEnabled(False)
        document.setDocumentMargin(0)
        document.setDefaultFont(self._body_font)
        document.setDefaultStyleSheet(printed.style())
        option = QTextOption()
        option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        document.setDefaultTextOption(option)
        document.documentLayout().setPaintDevice(self._writer)
        document.setHtml(html)
        if self._y:  # the room that is taken already, so that Qt breaks the pages where they end
            cursor = QTextCursor(document)
            taken = QTextBlockFormat()
            taken.setLineHeight(self._y, QTextBlockFormat.LineHeightTypes.FixedHeight.value)
            cursor.insertBlock(QTextBlockFormat(cursor.blockFormat()), cursor.charFormat())
            cursor.movePosition(QTextCursor.MoveOperation.Start)
            cursor.setBlockFormat(taken)
        document.setPageSize(QSizeF(self._width, self._height))
        return document

    def _next(self) -> None:
        self._check()
        self._writer.newPage()
        self._number += 1
        self._y = 0.0
        self._foot()

    def _foot(self) -> None:
        """The title and the number, below the text."""
        self._painter.save()
        self._painter.setFont(self._foot_font)
        self._painter.setPen(QColor("#5e6875"))
        metrics = QFontMetricsF(self._foot_font, self._writer)
        number = self._words.page.format(number=self._number)
        room = self._width - metrics.horizontalAdvance(number) - 2 * _LINE
        title = metrics.elidedText(self._title[:_TITLE], Qt.TextElideMode.ElideRight, room)
        base = self._height + 2 * _LINE
        self._painter.drawText(QPointF(0, base), title)
        self._painter.drawText(
            QPointF(self._width - metrics.horizontalAdvance(number), base), number
        )
        self._painter.restore()

    def end(self) -> None:
        """Finish the file. Raises OSError where the disk refuses."""
        self._painter.end()
        self._check()

    def abandon(self) -> None:
        """Draw no more."""
        if self._painter.isActive():
            self._painter.end()

    def _check(self) -> None:
        # Qt tells nobody that a page did not reach the disk.
        if not self._out.flush() or self._out.error() is not QFile.FileError.NoError:
            code = errno.ENOSPC if "space" in self._out.errorString() else errno.EIO
            raise OSError(code, self._out.errorString(), self._out.fileName())


def _paper() -> str:
    return QLocale.system().name().partition("_")[2]


def _font(pixels: int) -> QFont:
    font = QFont()
    font.setFamilies(list(_FAMILIES))
    font.setPixelSize(pixels)
    font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)  # paper has no pixels
    return font
