"""What is to leave the application, and what came of it. Frozen values, standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from qwen_desktop.errors import Report


class Format(str, Enum):
    """What conversations are written as."""

    MARKDOWN = "markdown"
    JSON = "json"  # loses nothing; docs/formats.md
    HTML = "html"  # one file that needs nothing else
    PDF = "pdf"
    TEXT = "text"

    @property
    def extension(self) -> str:
        """What file names end with, the dot included."""
        return _EXTENSIONS[self]


_EXTENSIONS = {
    Format.MARKDOWN: ".md",
    Format.JSON: ".qwenchat.json",
    Format.HTML: ".html",
    Format.PDF: ".pdf",
    Format.TEXT: ".txt",
}


@dataclass(frozen=True)
class ExportOptions:
    """How conversations are written. JSON always has everything."""

    format: Format = Format.MARKDOWN
    versions: bool = False  # all branches; else the one that is shown
    reasoning: bool = False
    details: bool = False  # when each message was written, and how each answer was computed
    one_file: bool = False  # several conversations into one file; else one file for each


@dataclass(frozen=True)
class ExportRequest:
    """Which conversations go where.

    `ids` None is all of them, archived ones included and deleted ones not. `target` is a file,
    which is replaced, where one file is written; else a folder, in which nothing is replaced.
    """

    ids: tuple[str, ...] | None
    target: Path
    options: ExportOptions = ExportOptions()

    @property
    def is_one_file(self) -> bool:
        """Whether `target` is the file itself."""
        return self.options.one_file or (self.ids is not None and len(self.ids) == 1)


@dataclass(frozen=True)
class ExportProgress:
    """How far an export is. `done` and `total` count conversations, `part` of one from 0 to 1."""

    done: int
    total: int
    title: str = ""  # of the one being written
    part: float = 0.0


@dataclass(frozen=True)
class NotExported:
    """A conversation that could not be read, and why."""

    conversation_id: str
    report: Report


@dataclass(frozen=True)
class ExportResult:
    """The files that were written, and the conversations that were not."""

    files: tuple[Path, ...]
    count: int  # conversations in them
    failed: tuple[NotExported, ...] = ()


@dataclass(frozen=True)
class ProfileContents:
    """What a file with a whole profile holds, as its manifest says and its members confirm."""

    file: Path
    made_at: float  # Unix seconds
    made_by: str  # version of the application
    conversations: int
    messages: int
