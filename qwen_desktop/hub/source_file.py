"""Where the files of a folder came from: `.qwen-desktop-source.json`, and what others leave.

For each file that was compared with its hash it keeps the file's size and time of change, so that
the next look need not read gigabytes again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from qwen_desktop.chat.hub import Hub, RemoteFile, RepositoryName, Source
from qwen_desktop.hub import safe_paths
from qwen_desktop.hub.small_files import write_whole

NAME = ".qwen-desktop-source.json"
FORMAT = "qwen-desktop source"
MAX_BYTES = 32 * 2**20

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")


def read_source(folder: Path) -> Source | None:
    """What the small file says; None where there is none or it makes no sense."""
    return _read(folder)[0]


def compared(folder: Path) -> frozenset[str]:
    """Paths whose bytes were compared with the hash of `read_source` and not changed since."""
    return frozenset(
        path for path, stamp in _read(folder)[1].items() if stamp_of(folder / path) == stamp
    )


def stamp_of(file: Path) -> str:
    """Size and time of change of `file`; "" where it is not there."""
    try:
        found = file.stat()
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns}"


def write_source(folder: Path, source: Source, stamps: Mapping[str, str]) -> None:
    """Write it: `stamps` of the files that were compared. Raises OSError."""
    value = {
        "format": FORMAT,
        "version": 1,
        "hub": source.hub.value,
        "endpoint": source.endpoint,
        "repository": str(source.repository),
        "revision": source.revision,
        "commit": source.commit,
        "complete": source.complete,
        "files": [
            {
                "path": file.path,
                "size": file.size,
                "sha256": file.sha256,
                "git_oid": file.git_oid,
                "compared": stamps.get(file.path, ""),
            }
            for file in source.files
        ],
    }
    write_whole(folder / NAME, json.dumps(value, indent=1).encode())


def _read(folder: Path) -> tuple[Source | None, dict[str, str]]:
    try:
        with (folder / NAME).open("rb") as file:
            value = json.loads(file.read(MAX_BYTES))
        if value["format"] != FORMAT or value["version"] != 1:
            return None, {}
        owner, _, name = value["repository"].partition("/")
        files = tuple(
            RemoteFile(
                str(entry["path"]),
                int(entry["size"]),
                _hash(entry["sha256"], _SHA256),
                _hash(entry["git_oid"], _SHA1),
            )
            for entry in value["files"]
            if safe_paths.is_safe(entry["path"])
        )
        stamps = {e["path"]: e["compared"] for e in value["files"] if e.get("compared")}
        source = Source(
            Hub(value["hub"]),
            str(value["endpoint"]),
            RepositoryName(owner, name),
            str(value["revision"]),
            str(value["commit"]),
            files,
            value["complete"] is True,
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None, {}  # written by another program or half: as if there were none
    return source, stamps


def _hash(value: object, form: re.Pattern[str]) -> str | None:
    return value if isinstance(value, str) and form.fullmatch(value) else None


def expected(folder: Path) -> dict[str, RemoteFile]:
    """The hashes that are known for files of `folder`, whoever fetched it.

    Of our own file, else of Hugging Face's cache, whose files are links to blobs that are named by
    their hash, or of the notes that its own program leaves beside what it downloaded.
    """
    source = read_source(folder)
    if source is not None:
        return {file.path: file for file in source.files}
    found: dict[str, RemoteFile] = {}
    try:
        paths = [path for path in folder.iterdir() if not path.is_dir()]
    except OSError:
        return {}
    for path in paths:
        name = ""
        try:
            if path.is_symlink():
                target = path.readlink()
                name = target.name if target.parent.name == "blobs" else ""
            size = path.stat().st_size
        except OSError:
            continue
        name = name or _noted(folder, path.name)
        if _SHA256.fullmatch(name):
            found[path.name] = RemoteFile(path.name, size, sha256=name)
        elif _SHA1.fullmatch(name):
            found[path.name] = RemoteFile(path.name, size, git_oid=name)
    return found


def _noted(folder: Path, name: str) -> str:
    """The hash in `.cache/huggingface/download/NAME.metadata`: commit, hash, time; a line each."""
    note = folder / ".cache" / "huggingface" / "download" / f"{name}.metadata"
    try:
        with note.open("rb") as file:
            lines = file.read(1000).decode("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    return lines[1].strip() if len(lines) > 1 else ""
