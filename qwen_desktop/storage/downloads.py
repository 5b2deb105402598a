"""The list of downloads, in one small JSON file. No sqlite3, no tokens.

Addresses are kept as they were asked for, with user and password taken out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from qwen_desktop.chat.downloads import MOST, DownloadEntry, Stage
from qwen_desktop.chat.hub import Hub, Listing, RemoteFile, RepositoryName
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known, Report
from qwen_desktop.storage import atomic

_log = logging.getLogger(__name__)

_MAX_COUNT = 2**62
_MAX_SECONDS = 1e11
_HEX = frozenset("0123456789abcdef")


class DownloadsFile:
    """Reads the file when `read` is called. `problem` tells of one that could not be read."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.problem: Report | None = None

    def read(self) -> tuple[DownloadEntry, ...]:
        """What is kept; damaged entries are left out. A file that is no list is set aside."""
        try:
            entries = atomic.read_json(self._file)
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as error:
            self._set_aside(f"{type(error).__name__}: {error}")
            return ()
        if not isinstance(entries, list):
            self._set_aside("not a JSON list")
            return ()
        found: dict[str, DownloadEntry] = {}
        for number, value in enumerate(entries[:MOST]):
            entry = _entry(value)
            if entry is None or entry.id in found:
                _log.warning("entry %d of %s is left out", number, self._file.name)
            else:
                found[entry.id] = entry
        return tuple(found.values())

    def save(self, entries: Iterable[DownloadEntry]) -> None:
        """Replace the file. Raises Known where the disk refuses."""
        atomic.write_json(self._file, [_value(entry) for entry in entries])

    def _set_aside(self, details: str) -> None:
        aside = self._file.with_name(f"{self._file.name}.damaged")
        try:
            self._file.replace(aside)
        except OSError as error:
            details = f"{details}\n{type(error).__name__}: {error}"
            aside = self._file
        self.problem = Known(
            QT_TRANSLATE_NOOP("errors", "The list of downloads could not be read."),
            QT_TRANSLATE_NOOP(
                "errors", "What was fetched is still in its folders. The list is in {file}."
            ),
            details=details,
            file=aside,
        ).report()


def _value(entry: DownloadEntry) -> dict[str, object]:
    listing = entry.listing
    return {
        "id": entry.id,
        "hub": listing.hub.value,
        "server": without_user(listing.endpoint),
        "endpoint": without_user(entry.endpoint),
        "repository": str(listing.repository),
        "revision": listing.revision,
        "commit": listing.commit,
        "licence": listing.licence,
        "shards": sorted(listing.shards) if listing.shards is not None else None,
        "only": sorted(entry.only) if entry.only is not None else None,
        "had": sorted(entry.had),
        "files": [[file.path, file.size, file.sha256, file.git_oid] for file in listing.files],
        "folder": str(entry.folder),
        "stage": entry.stage.value,
        "done": entry.done,
        "added_at": entry.added_at,
        "opens": entry.opens,
    }


def without_user(address: str) -> str:
    """An address without the user and password that may stand in it."""
    try:
        parts = urlsplit(address)
    except ValueError:  # brackets that are none of an address
        return ""
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _entry(value: object) -> DownloadEntry | None:
    """An entry of the file; None where it makes no sense."""
    if not isinstance(value, dict):
        return None
    texts = {name: _text(value, name) for name in ("id", "server", "folder", "repository")}
    listing = _listing(value, texts["server"], texts["repository"])
    folder = texts["folder"]
    if listing is None or not texts["id"] or not folder or "\0" in folder:
        return None
    try:
        stage = Stage(str(value.get("stage")))
    except ValueError:
        return None
    only, had = _paths(value, "only"), _paths(value, "had")
    every = frozenset(file.path for file in listing.files)
    total = sum(f.size for f in listing.files if only is None or f.path in only)
    done, added = value.get("done"), value.get("added_at")
    opens = value.get("opens")
    is_moment = type(added) in (int, float) and 0 <= added < _MAX_SECONDS  # type: ignore[operator]
    return DownloadEntry(
        texts["id"],
        listing,
        Path(folder),
        stage,
        total,
        done if type(done) is int and 0 <= done <= total else 0,
        added_at=float(str(added)) if is_moment else 0.0,
        only=only,
        # Without it nobody knows what was there before, so that nothing may be deleted.
        had=every if had is None else had,
        endpoint=_address(value),
        opens=opens if isinstance(opens, bool) else None,
    )


def _listing(value: Mapping[str, object], server: str, repository: str) -> Listing | None:
    owner, slash, name = repository.partition("/")
    files = value.get("files")
    if not slash or not owner or not name or not isinstance(files, list) or not files:
        return None
    try:
        if urlsplit(server).scheme not in ("http", "https"):
            return None
        hub = Hub(str(value.get("hub")))
    except ValueError:
        return None
    found = [_file(file) for file in files]
    good = tuple(file for file in found if file is not None)
    if len(good) != len(found):
        return None
    return Listing(
        hub,
        server,
        RepositoryName(owner, name),
        _text(value, "revision"),
        _text(value, "commit"),
        good,
        _paths(value, "shards"),
        licence=_text(value, "licence"),
    )


def _file(value: object) -> RemoteFile | None:
    if not isinstance(value, list) or len(value) != 4:
        return None
    path, size, sha256, oid = value
    if not isinstance(path, str) or not path or type(size) is not int or not 0 <= size < _MAX_COUNT:
        return None
    # A path that leads out of the folder can only be there by another's hand.
    if path.startswith("/") or "\\" in path or ":" in path or ".." in path.split("/"):
        return None
    if not _is_hash(sha256, 64) or not _is_hash(oid, 40):
        return None
    return RemoteFile(path, size, sha256, oid)


def _is_hash(value: object, digits: int) -> bool:
    if value is None:
        return True
    return isinstance(value, str) and len(value) == digits and set(value) <= _HEX


def _paths(value: Mapping[str, object], name: str) -> frozenset[str] | None:
    paths = value.get(name)
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        return None
    return frozenset(paths)


def _address(value: Mapping[str, object]) -> str:
    """The address that was named, where it is one."""
    address = _text(value, "endpoint")
    try:
        is_good = urlsplit(address).scheme in ("http", "https")
    except ValueError:
        return ""
    return address if is_good else ""


def _text(value: Mapping[str, object], name: str) -> str:
    text = value.get(name)
    return text if isinstance(text, str) else ""
