"""Files as text that can be attached to a message: decoded by a plain rule, or refused with a
sentence. No Qt. docs/prompts.md tells what is read.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qwen_desktop.chat.attached import attached
from qwen_desktop.chat.messages import Part
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known, Report
from qwen_desktop.storage import pdf_text, trouble
from qwen_desktop.storage.pdf_text import MAX_CHARACTERS, PdfText, flat

MAX_BYTES = 16 * 2**20

_PDF = b"%PDF-"
_PDF_WITHIN = 1024  # bytes; some programs write a few of their own before it
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins as that of UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")  # escapes stand in many logs
_MOST_CONTROLS = 100  # one in so many characters
_HIGH = re.compile(b"[\x80-\xff]+")


@dataclass(frozen=True)
class FileText:
    """A file that was read; `note` is a sentence about what is worth knowing of it."""

    file: Part
    note: Report | None = None


def read(path: Path, check: Callable[[], None] = lambda: None) -> FileText:
    """The text of a file.

    Raises Known with a sentence where there is none or too much; whatever `check` raises, which is
    called now and then.
    """
    try:
        if not path.is_file():
            raise _no_file(path)
        size = path.stat().st_size
        with path.open("rb") as opened:
            head = opened.read(_PDF_WITHIN)
            is_pdf = _PDF in head
            most = pdf_text.MAX_BYTES if is_pdf else MAX_BYTES
            if size > most:
                raise _too_large(path, size, most)
            check()
            content = head + opened.read(most + 1 - len(head))  # it may grow meanwhile
    except OSError as error:
        raise trouble.from_os(error, path) from error
    if len(content) > most:
        raise _too_large(path, len(content), most)
    return _read_pdf(path, check) if is_pdf else _read_text(path, content)


# -- text ------------------------------------------------------------------------------------


def _read_text(path: Path, content: bytes) -> FileText:
    text, encoding = decoded(content)
    if text is None:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{file} is no text."),
            QT_TRANSLATE_NOOP(
                "errors", "Text, code, Markdown, CSV, JSON, logs and PDF can be attached."
            ),
            code="no-text",
            file=path.name,
        )
    if not text.strip():
        raise Known(QT_TRANSLATE_NOOP("errors", "{file} is empty."), file=path.name)
    if len(text) > MAX_CHARACTERS:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{file} has {have} characters; {most} can be attached."),
            QT_TRANSLATE_NOOP("errors", "Attach a part of it."),
            file=path.name,
            have=f"{len(text):,}",
            most=f"{MAX_CHARACTERS:,}",
        )
    note = None
    if encoding:
        note = Report(
            QT_TRANSLATE_NOOP("errors", "{file} is not in UTF-8; it was read as {encoding}."),
            values={"file": path.name, "encoding": encoding},
        )
    return FileText(attached(path.name, text), note)


def decoded(content: bytes) -> tuple[str | None, str]:
    """The text of `content` with line feeds only, and how it was read where that was a guess.

    None where it is no text. A byte order mark decides; what is valid UTF-8 is that. Else it is
    GB18030 where that is valid and most bytes beyond ASCII have another one beside them, as in
    Chinese, and not as in words with an accent here and there; else Latin-1.
    """
    for mark, name in _BOMS:
        if content.startswith(mark):
            text = content[len(mark) :].decode(name, "replace")
            return (flat(text) if _is_text(text) else None), ""
    if b"\0" in content:
        return None, ""
    try:
        text, guess = content.decode("utf-8"), ""
    except UnicodeDecodeError:
        text, guess = _guessed(content)
    return (flat(text), guess) if _is_text(text) else (None, "")


def _guessed(content: bytes) -> tuple[str, str]:
    try:
        text = content.decode("gb18030")
    except UnicodeDecodeError:
        pass
    else:
        runs = [len(run) for run in _HIGH.findall(content)]
        if sum(length for length in runs if length > 1) * 4 >= sum(runs) * 3:
            return text, "GB18030"
    try:
        return content.decode("cp1252"), "Latin-1"  # with quotes and dashes, as Windows writes it
    except UnicodeDecodeError:
        return content.decode("latin-1"), "Latin-1"


def _is_text(text: str) -> bool:
    return len(_CONTROLS.findall(text)) * _MOST_CONTROLS <= len(text)


# -- PDF -------------------------------------------------------------------------------------


def _read_pdf(path: Path, check: Callable[[], None]) -> FileText:
    try:
        found = pdf_text.read(path, check)
    except pdf_text.GivenUp as error:
        raise _takes_too_long(path) from error
    except OSError as error:
        raise trouble.from_os(error, path) from error
    if found.trouble == pdf_text.LOCKED:
        raise _locked(path)
    if found.trouble:
        raise _bad_pdf(path, found.details)
    if not found.text:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{file} has no text: its pages are pictures."),
            QT_TRANSLATE_NOOP("errors", "Run a text recognition (OCR) over it first."),
            code="no-text",
            file=path.name,
        )
    return FileText(attached(path.name, found.text), _pdf_note(path, found))


def _pdf_note(path: Path, found: PdfText) -> Report | None:
    values = {"file": path.name, "count": f"{found.count:,}"}
    if found.is_cut:
        return Report(
            QT_TRANSLATE_NOOP("errors", "{file} is long: only its beginning is attached."),
            values=values,
        )
    if found.unread:
        return Report(
            QT_TRANSLATE_NOOP("errors", "{unread} of the {count} pages of {file} are damaged."),
            values={**values, "unread": f"{found.unread:,}"},
        )
    if found.read < found.count:
        return Report(
            QT_TRANSLATE_NOOP("errors", "{empty} of the {count} pages of {file} have no text."),
            values={**values, "empty": f"{found.count - found.read:,}"},
        )
    return None


# -- sentences -------------------------------------------------------------------------------


def _takes_too_long(path: Path) -> Known:
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} takes too long to read."),
        QT_TRANSLATE_NOOP("errors", "Save its text as a file of its own, and attach that."),
        file=path.name,
    )


def _no_file(path: Path) -> Known:
    return Known(QT_TRANSLATE_NOOP("errors", "{file} is no file."), file=path.name)


def _too_large(path: Path, size: int, most: int) -> Known:
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} has {have} MB; {most} MB can be attached."),
        QT_TRANSLATE_NOOP("errors", "Attach a part of it."),
        file=path.name,
        have=f"{size / 2**20:,.1f}",
        most=most // 2**20,
    )


def _locked(path: Path) -> Known:
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} is protected by a password."),
        QT_TRANSLATE_NOOP("errors", "Save a copy without the password, and attach that."),
        file=path.name,
    )


def _bad_pdf(path: Path, details: str) -> Known:
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} is a damaged PDF."),
        details=details,
        file=path.name,
    )
