"""The library's list on disk, in one small JSON file, so that the page is there at once."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from qwen_desktop.chat.checkpoint import Fit
from qwen_desktop.chat.library import MOST, Health, LibraryEntry, Place, Shelf
from qwen_desktop.errors import Report
from qwen_desktop.storage import atomic

_log = logging.getLogger(__name__)

VERSION = 1
_MAX_COUNT = 2**62
_MAX_SECONDS = 1e11


class LibraryFile:
    """Reads the file when `read` is called. What it holds can be found out again: all of it but
    the folders that the user added, watches, or took off."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> Shelf:
        """What is kept; damaged entries are left out. A file that is none is set aside."""
        try:
            value = atomic.read_json(self._file)
        except FileNotFoundError:
            return Shelf()
        except (OSError, ValueError) as error:
            self._set_aside(error)
            return Shelf()
        if not isinstance(value, dict):
            self._set_aside(ValueError("not a JSON object"))
            return Shelf()
        entries: dict[str, LibraryEntry] = {}
        for one in _list(value, "entries")[:MOST]:
            entry = _entry(one)
            if entry is not None:
                entries.setdefault(str(entry.folder), entry)
        return Shelf(
            tuple(entries.values()),
            tuple(Path(text) for text in _paths(value, "watched")),
            frozenset(_paths(value, "hidden")),
        )

    def save(self, shelf: Shelf) -> None:
        """Replace the file. Raises Known where the disk refuses."""
        atomic.write_json(
            self._file,
            {
                "version": VERSION,
                "watched": [str(folder) for folder in shelf.watched],
                "hidden": sorted(shelf.hidden),
                "entries": [_value(entry) for entry in shelf.entries],
            },
        )

    def _set_aside(self, error: Exception) -> None:
        _log.warning("the library's list could not be read: %s", error)
        try:
            self._file.replace(self._file.with_name(f"{self._file.name}.damaged"))
        except OSError as refused:
            _log.warning("nor set aside: %s", refused)


def _value(entry: LibraryEntry) -> dict[str, object]:
    value = {
        name: getattr(entry, name)
        for name in (
            "name", "family", "parameters", "stored", "context", "size", "used_at", "is_chat",
            "stamp", "machine",
        )
    }  # fmt: skip
    return {
        "folder": str(entry.folder),
        "place": entry.place.value,
        "health": entry.health.value,
        "codes": list(entry.codes),
        "fit": entry.fit.value if entry.fit is not None else None,
        "verdict": _verdict(entry.verdict),
        **value,
    }


def _verdict(report: Report | None) -> dict[str, object] | None:
    if report is None:
        return None
    return {
        "template": report.template,
        "remedy": report.remedy,
        "code": report.code,
        "values": {name: str(value) for name, value in report.values.items()},
    }


def _entry(value: object) -> LibraryEntry | None:
    """An entry of the file; None where it makes no sense."""
    if not isinstance(value, dict):
        return None
    folder = _text(value, "folder")
    if not folder or "\0" in folder:
        return None
    try:
        place, health = Place(_text(value, "place")), Health(_text(value, "health"))
        fit = Fit(_text(value, "fit")) if value.get("fit") else None
    except ValueError:  # of a newer version
        return None
    codes = tuple(code for code in _list(value, "codes") if isinstance(code, str))
    return LibraryEntry(
        folder=Path(folder),
        name=_text(value, "name") or Path(folder).name,
        place=place,
        family=_text(value, "family"),
        parameters=_count(value, "parameters"),
        stored=_text(value, "stored"),
        health=health,
        codes=codes,
        verdict=_report(value.get("verdict")),
        fit=fit,
        context=_count(value, "context"),
        size=_count(value, "size"),
        used_at=_seconds(value, "used_at"),
        is_chat=value.get("is_chat") is not False,
        stamp=_text(value, "stamp"),
        machine=_text(value, "machine"),
    )


def _report(value: object) -> Report | None:
    if not isinstance(value, dict):
        return None
    values = value.get("values")
    template = _text(value, "template")
    if not template or not isinstance(values, dict):
        return None
    report = Report(
        template=template,
        remedy=_text(value, "remedy"),
        values={str(name): str(text) for name, text in values.items()},
        code=_text(value, "code"),
    )
    try:
        report.text()
    except (KeyError, ValueError, IndexError, AttributeError):  # written by another hand
        return None
    return report


def _list(value: Mapping[str, object], name: str) -> list[object]:
    found = value.get(name)
    return found if isinstance(found, list) else []


def _paths(value: Mapping[str, object], name: str) -> Iterable[str]:
    return [one for one in _list(value, name)[:MOST] if isinstance(one, str) and "\0" not in one]


def _text(value: Mapping[str, object], name: str) -> str:
    text = value.get(name)
    return text if isinstance(text, str) else ""


def _count(value: Mapping[str, object], name: str) -> int:
    count = value.get(name)
    return count if type(count) is int and 0 <= count < _MAX_COUNT else 0


def _seconds(value: Mapping[str, object], name: str) -> float:
    seconds = value.get(name)
    good = isinstance(seconds, (int, float)) and 0 <= seconds < _MAX_SECONDS
    return float(str(seconds)) if good else 0.0
