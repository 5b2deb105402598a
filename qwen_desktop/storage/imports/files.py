"""Finds the conversations in files and folders, whoever wrote them: known by what they hold.

One conversation is in memory at a time; see `reading` for what bounds it. What cannot be read is
told with its place, and the rest comes in.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, TypeAlias

from qwen_desktop.chat.importing import Found, Refused
from qwen_desktop.chat.record import Record
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known, report_of
from qwen_desktop.storage import conversation_json, profile_archive
from qwen_desktop.storage.conversation_reading import SEVERAL
from qwen_desktop.storage.imports import chatgpt, jan, lmstudio, messages, openwebui, values
from qwen_desktop.storage.imports.building import Notes
from qwen_desktop.storage.imports.reading import BOMS_16, Broken, Decoded, Value, Values

_log = logging.getLogger(__name__)

ENDINGS = (".json", ".jsonl", ".ndjson", ".zip", ".qwenprofile")  # looked at in a folder
MOST_FILES = 100_000  # of one folder
DEEPEST = 8  # folders below the one that was chosen
MOST_TURNS = 200_000  # messages of a list that is one conversation
MOST_FOREIGN = 1000  # values that are no conversation, before a file is given up
SMALL = 2**20  # bytes of thread.json

_OURS = re.compile(rf'\{{\s*"format":\s*"{SEVERAL}",\s*"version":\s*1,\s*"conversations":\s*\[')
_MEMBERS = re.compile(r"(?:.*/)?conversations(?:[-_]\d+)?\.json")
_OF_PROFILE = {profile_archive.MANIFEST, profile_archive.DATABASE}
_ZIP = b"PK\x03\x04"
_BEGIN = 1024  # bytes; a zero among them is of no text

Piece: TypeAlias = "Found | Refused"
Maker: TypeAlias = Callable[[], "tuple[Record, Notes]"]
# Told how far it is: the name of the file, bytes read, bytes of all files.
Told: TypeAlias = Callable[[str, int, int], None]


def nobodys(file: str) -> Known:
    """The sentence about a file that holds no conversation of any kind."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} holds no chat that this program can read."),
        QT_TRANSLATE_NOOP(
            "errors",
            "It reads chats of Qwen Desktop, ChatGPT, Open WebUI, LM Studio and Jan, "
            "and messages as OpenAI's API and ShareGPT write them.",
        ),
        code="no-conversation",
        file=file,
    )


def _no_entry() -> Known:
    return Known(
        QT_TRANSLATE_NOOP("errors", "This is no chat that this program can read."),
        code="no-conversation",
    )


def _unreadable(file: str, error: OSError) -> Known:
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} cannot be read: {reason}."),
        details=f"{type(error).__name__}: {error}",
        file=file,
        reason=error.strerror or type(error).__name__,
    )


def _bad_archive(file: str, details: str) -> Known:
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} is a damaged archive, or one with a password."),
        details=details,
        file=file,
    )


def holds_any(folder: Path) -> bool:
    """Whether there is a file in `folder`, or not too far below, that may hold conversations."""
    try:
        return bool(Reader((folder,)).files_of(folder))
    except (Known, OSError):
        return False


class Reader:
    """Reads everything in `paths`: iterate over it. `stopped` says when to end."""

    def __init__(
        self,
        paths: Iterable[Path],
        stopped: Callable[[], bool] = lambda: False,
        told: Told = lambda _name, _done, _total: None,
    ) -> None:
        self._paths = tuple(paths)
        self._stopped = stopped
        self._told = told
        self._file = ""
        self._done = 0
        self._total = 0

    def __iter__(self) -> Iterator[Piece]:
        work: list[tuple[Path, str]] = []
        for path in self._paths:
            try:
                work += self.files_of(path)
            except Known as known:
                yield Refused(path.name, 0, known.report())
            except OSError as error:
                yield Refused(path.name, 0, _unreadable(path.name, error).report())
        self._total = sum(_size(file) for file, _ in work)
        for file, folder in work:
            if self._stopped():
                return
            self._file = file.name
            before = self._done
            yield from self._guarded(file, folder)
            self._done = max(before + _size(file), self._done)
            self._told(self._file, self._done, self._total)

    # -- files -------------------------------------------------------------------------------

    def files_of(self, path: Path) -> list[tuple[Path, str]]:
        """The files to read for a chosen path, each with the folder it lies in below that."""
        if not path.is_dir():
            beside = path.with_name(jan.THREAD)
            is_half = path.name == jan.MESSAGES and beside.is_file()
            return [(beside if is_half else path, "")]
        found: list[tuple[Path, str]] = []
        for top, folders, names in os.walk(path):
            inner = Path(top).relative_to(path).parts
            folders[:] = [] if len(inner) >= DEEPEST or self._stopped() else sorted(folders)
            if jan.THREAD in names:
                found.append((Path(top, jan.THREAD), ""))
                continue
            wanted = sorted(name for name in names if name.lower().endswith(ENDINGS))
            found += [(Path(top, name), " / ".join(inner)) for name in wanted]
            if len(found) > MOST_FILES:
                raise Known(
                    QT_TRANSLATE_NOOP("errors", "There are too many files in {folder}."),
                    QT_TRANSLATE_NOOP("errors", "Choose a folder further in."),
                    folder=path.name,
                )
        if not found:
            raise nobodys(path.name)
        return found

    def _guarded(self, file: Path, folder: str) -> Iterator[Piece]:
        """Everything in one file; trouble with it is a line of the result."""
        try:
            yield from self._in_file(file, folder)
        except Known as known:
            yield Refused(file.name, 0, known.report())
        except OSError as error:
            yield Refused(file.name, 0, _unreadable(file.name, error).report())
        except Cancelled:
            return  # `stopped` said so while a profile was unpacked

    def _in_file(self, file: Path, folder: str) -> Iterator[Piece]:
        now = _modified(file)
        if file.name == jan.THREAD and file.with_name(jan.MESSAGES).is_file():
            yield self._thread(file, now)
            return
        with file.open("rb") as raw:
            begin = raw.read(_BEGIN)
            raw.seek(0)
            if begin.startswith(_ZIP):
                yield from self._archive(file, raw, now)
            elif b"\0" in begin and not begin.startswith(BOMS_16):
                raise nobodys(file.name)
            else:
                yield from self._text(file.name, raw, now, folder)

    def _profile(self, file: Path) -> Iterator[Piece]:
        """A whole profile: its conversations come in, its settings do not."""
        beside = Path(tempfile.gettempdir())
        with profile_archive.records_in(file, beside, self._stopped) as records:
            for position, record in enumerate(records, 1):
                if self._stopped():
                    return
                yield Found(record, file.name, position)

    def _archive(self, file: Path, raw: IO[bytes], now: float) -> Iterator[Piece]:
        """ChatGPT's download, of which only the conversations are read; or a saved profile."""
        name = file.name
        try:
            with zipfile.ZipFile(raw) as archive:
                if set(archive.namelist()) >= _OF_PROFILE:
                    yield from self._profile(file)
                    return
                members = [one for one in archive.infolist() if _MEMBERS.fullmatch(one.filename)]
                if not members:
                    raise nobodys(name)
                for member in members:
                    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                        raise _bad_archive(name, f"compression {member.compress_type}")
                    self._total += member.file_size
                    with archive.open(member) as inner:
                        yield from self._text(f"{name}/{member.filename}", inner, now, "")
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
            # RuntimeError: it has a password; ValueError: a name in it is damaged.
            raise _bad_archive(name, f"{type(error).__name__}: {error}") from error

    def _thread(self, file: Path, now: float) -> Piece:
        """A thread of Jan: two files side by side."""
        thread: object = None  # where it cannot be read, its messages say enough
        with file.open("rb") as raw:
            for value in Values(Decoded(raw), stopped=self._stopped):
                thread = value.value if isinstance(value, Value) else None
                break
        lines: list[object] = []
        unread = 0
        with file.with_name(jan.MESSAGES).open("rb") as raw:
            for value in self._values(raw):
                if isinstance(value, Value) and len(lines) < MOST_TURNS:
                    lines.append(value.value)
                else:
                    unread += 1
        label = f"{file.parent.name}/{file.name}"
        return _made(label, 0, thread, lambda: jan.read(thread, lines, unread, now))

    def _values(self, raw: IO[bytes]) -> Values:
        return Values(Decoded(raw, self._count), nested=_OURS, stopped=self._stopped)

    def _count(self, size: int) -> None:
        self._done += size
        self._told(self._file, min(self._done, self._total), self._total)

    # -- what a text holds -------------------------------------------------------------------

    def _text(self, name: str, raw: IO[bytes], now: float, folder: str) -> Iterator[Piece]:
        turns: list[object] = []  # messages without anything around them: one conversation
        waiting: list[Refused] = []  # told only where the file holds a conversation, too
        anything = cut_off = False
        for value in self._values(raw):
            if isinstance(value, Broken):
                cut_off = value.begun and not waiting
                waiting.append(Refused(name, value.position, value.report))
            elif _is_turn(value.value):
                anything = True
                if len(turns) < MOST_TURNS:
                    turns.append(value.value)
            else:
                made = list(_pieces(name, value.position, value.value, now, folder))
                if not made:
                    waiting.append(Refused(name, value.position, _no_entry().report()))
                for piece in made:
                    anything = True
                    yield piece
            if anything:
                yield from waiting
                waiting.clear()
            elif len(waiting) >= MOST_FOREIGN:
                break
        if turns:
            yield _made(name, 0, None, lambda: _conversation_of(turns, now))
        if not anything and not self._stopped():
            is_json = cut_off and len(waiting) == 1
            report = waiting[0].report if is_json else nobodys(name).report()
            yield Refused(name, 0, report)


def _is_turn(value: object) -> bool:
    return messages.is_message(value) or jan.is_message(value)


def _conversation_of(turns: list[object], now: float) -> tuple[Record, Notes]:
    if any(jan.is_message(turn) for turn in turns):
        return jan.read(None, turns, 0, now)
    return messages.openai(turns, now)


def _pieces(file: str, position: int, value: object, now: float, folder: str) -> Iterator[Piece]:
    """The conversations in one value; nothing where it is nobody's."""
    if conversation_json.is_ours(value):
        try:
            entries = conversation_json.entries(value)
        except Known as known:
            yield Refused(file, position, known.report())
            return
        for at, entry in enumerate(entries, 1):
            place = at if len(entries) > 1 else position
            yield _made(file, place, entry, partial(_ours, entry))
        return
    maker = _maker(value, now, folder)
    if maker is not None:
        yield _made(file, position, value, maker)
        return
    # An object around a list of conversations, as some tools write it.
    for field in ("conversations", "chats", "data"):
        inner = values.items(values.fields(value).get(field))
        makers = [_maker(one, now, folder) for one in inner]
        if any(makers):
            for at, (one, made) in enumerate(zip(inner, makers, strict=True), 1):
                yield _made(file, at, one, made or _nothing)
            return


def _maker(value: object, now: float, folder: str) -> Maker | None:
    """What makes a conversation of a value of another program."""
    if chatgpt.is_chat(value):
        return lambda: chatgpt.read(value, now)
    if openwebui.is_chat(value):
        return lambda: openwebui.read(value, now)
    if lmstudio.is_chat(value):
        return lambda: lmstudio.read(value, now, folder)
    if messages.is_sharegpt(value):
        return lambda: messages.sharegpt(value, now)
    if messages.is_openai(value) or any(messages.is_message(one) for one in values.items(value)):
        return lambda: messages.openai(value, now)
    return None


def _nothing() -> tuple[Record, Notes]:
    raise _no_entry()


def _ours(entry: object) -> tuple[Record, Notes]:
    return conversation_json.from_value(entry), Notes()


def _made(file: str, position: int, value: object, make: Maker) -> Piece:
    """What `make` makes, or why it cannot."""
    try:
        record, notes = make()
    except Exception as error:  # noqa: BLE001 - one entry must not keep the others out
        report = report_of(error)
        if report.is_bug:
            _log.error("importing %s #%d: %s", file, position, report.details)
        one = values.fields(value)
        title = values.name(one.get("title")) or values.name(one.get("name"))
        return Refused(file, position, report, title)
    return Found(record, file, position, notes.reports())


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _modified(file: Path) -> float:
    """When a file was written last: the time of conversations that tell none."""
    try:
        return file.stat().st_mtime
    except OSError:
        return time.time()
