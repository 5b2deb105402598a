"""How the window was left, a copy of the top of the conversation list, and the mark of a load:
small JSON files read before the first paint. Losing one loses nothing, so damage means defaults.
Must not import sqlite3.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice
from pathlib import Path

from qwen_desktop.chat.places import MOST_PLACES, ReadingPlace
from qwen_desktop.chat.recent import Recent
from qwen_desktop.chat.summary import Summary
from qwen_desktop.storage import atomic, trouble

_log = logging.getLogger(__name__)

MAX_ROPE_FACTOR = 1000.0
MAX_SECONDS = 1e11  # Unix seconds; later dates than the calendar of Python has
CACHED_ROWS = 60  # more than the tallest screen shows
RECENTS = 12
MAX_PORT = 65535
MAX_PX = 2**30
MAX_COUNT = 2**62  # of parameters, bytes, tokens


@dataclass(frozen=True)
class WindowState:
    """What the next start takes up again."""

    geometry: str = ""  # Qt's saveGeometry() in hexadecimal
    panel_visible: bool = True  # the memory panel
    conversation_id: str = ""  # shown last; "" is a new chat
    checkpoint: str = ""  # folder opened last
    recents: tuple[Recent, ...] = ()  # the checkpoints opened last, newest first
    export_folder: str = ""  # where conversations were written last
    export_format: str = ""  # value of Format
    places: tuple[ReadingPlace, ...] = ()  # where one reads in conversations, the newest last
    sidebar_visible: bool = True
    sidebar_width: int = 0  # px at 100 %; 0 is the usual width
    panel_width: int = 0
    chart_place: str = ""  # of the dialog with the charts, as `geometry`
    serving_port: int = 0  # of the local server, as it was started last; 0 is the usual one
    serving_keyed: bool = False  # whether it asked for a key


class StateFile:
    """The file of a `WindowState`."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def load(self) -> WindowState:
        """The saved state; each field that is missing or damaged has its default."""
        entries = _read(self._file)
        if not isinstance(entries, dict):
            return WindowState()
        default = WindowState()
        good = {
            f.name: entries[f.name]
            for f in fields(WindowState)
            if type(entries.get(f.name)) is type(getattr(default, f.name))
        }
        for name in ("geometry", "chart_place"):
            if not _is_hex(good.get(name, "")):
                del good[name]
        if not 0 <= good.get("serving_port", 0) <= MAX_PORT:
            del good["serving_port"]
        good["recents"] = _recents(entries.get("recents"))
        good["places"] = _places(entries.get("places"))
        return WindowState(**good)

    def save(self, state: WindowState) -> None:
        """Replace the file. Raises Known where the disk refuses."""
        kept = replace(state, recents=state.recents[:RECENTS], places=state.places[-MOST_PLACES:])
        atomic.write_json(self._file, asdict(kept))


class LoadMark:
    """The file that stands while a checkpoint is being loaded.

    Found at a start, it says that the start before ended in the middle of that load: by a crash
    of a driver, a kill, or the machine.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def folder(self) -> str:
        """The folder whose load never ended; "" where every load has ended."""
        entry = _read(self._file)
        folder = entry.get("folder") if isinstance(entry, dict) else None
        return folder if isinstance(folder, str) else ""

    def set(self, folder: str) -> None:
        """Say, durably, that `folder` is about to be loaded. Raises Known."""
        atomic.write_json(self._file, {"folder": folder})

    def clear(self) -> None:
        """The load has ended, one way or another. Raises Known."""
        try:
            self._file.unlink(missing_ok=True)
        except OSError as error:
            raise trouble.from_os(error, self._file) from error


class SidebarCache:
    """The first rows of the conversation list, shown until the database has been read."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def load(self) -> tuple[Summary, ...]:
        """The saved rows; none where anything is wrong with them."""
        entries = _read(self._file)
        if not isinstance(entries, list):
            return ()
        found = tuple(_summary(entry) for entry in entries[:CACHED_ROWS])
        good = tuple(summary for summary in found if summary is not None)
        return good if len(good) == len(found) else ()

    def save(self, summaries: Iterable[Summary]) -> None:
        """Keep the first rows of `summaries`, which are of the list and not of archive or bin.

        Raises Known where the disk refuses.
        """
        kept = [
            {name: getattr(summary, name) for name in _CACHED}
            for summary in islice(summaries, CACHED_ROWS)
        ]
        atomic.write_json(self._file, kept)


_CACHED = ("id", "title", "preview", "updated_at", "pinned", "folder", "tags", "remote")


def _read(file: Path) -> object:
    try:
        return atomic.read_json(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _log.warning("%s cannot be read: %s", file.name, type(error).__name__)
        return None


def _is_hex(text: object) -> bool:
    try:
        bytes.fromhex(str(text))
    except ValueError:
        return False
    return True


def _recents(entries: object) -> tuple[Recent, ...]:
    """The entries that make sense; a folder stands in the list once."""
    found: dict[str, Recent] = {}
    for entry in entries if isinstance(entries, list) else ():
        recent = _recent(entry)
        if recent is not None and recent.folder not in found:
            found[recent.folder] = recent
    return tuple(islice(found.values(), RECENTS))


def _places(entries: object) -> tuple[ReadingPlace, ...]:
    """The entries that make sense."""
    found = []
    for entry in entries[-MOST_PLACES:] if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            continue
        conversation, message = entry.get("conversation_id"), entry.get("message_id")
        above = entry.get("above")
        if not isinstance(conversation, str) or not isinstance(message, str):
            continue
        if type(above) is int and 0 <= above < MAX_PX:
            found.append(ReadingPlace(conversation, message, above))
    return tuple(found)


def _recent(entry: object) -> Recent | None:
    if not isinstance(entry, dict):
        return None
    folder, name = entry.get("folder"), entry.get("name")
    if not isinstance(folder, str) or not folder or "\0" in folder or not isinstance(name, str):
        return None
    default = Recent(folder, name)
    good = {
        f.name: entry[f.name]
        for f in fields(Recent)
        if type(entry.get(f.name)) is type(getattr(default, f.name))
    }
    for number in ("parameters", "weight_bytes", "context"):
        if not 0 <= good.get(number, 0) < MAX_COUNT:
            del good[number]
    if not 0 <= good.get("used_at", 0.0) < MAX_SECONDS:  # NaN and infinity compare false
        del good["used_at"]
    if not 1 <= good.get("rope_factor", 1.0) < MAX_ROPE_FACTOR:
        del good["rope_factor"]
    return Recent(**good)


def _summary(entry: object) -> Summary | None:
    if not isinstance(entry, dict):
        return None
    texts = [entry.get(name) for name in ("id", "title", "preview")]
    updated_at = entry.get("updated_at")
    if not all(isinstance(text, str) for text in texts):
        return None
    if isinstance(updated_at, bool) or not isinstance(updated_at, (int, float)):
        return None
    if not abs(updated_at) < MAX_SECONDS:  # NaN and infinity compare false
        return None
    pinned, folder, tags = entry.get("pinned"), entry.get("folder"), entry.get("tags")
    return Summary(
        entry["id"],
        entry["title"],
        entry["preview"],
        float(updated_at),
        pinned=pinned is True,
        folder=folder if isinstance(folder, str) else "",
        tags=tuple(t for t in tags if isinstance(t, str)) if isinstance(tags, list) else (),
        remote=entry.get("remote") is True,
    )
