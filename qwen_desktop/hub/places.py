"""Where checkpoints lie on this machine: the hubs' own caches, and folders below a chosen one.

Only looks: no network, nothing is copied or changed. Every search is bounded, and ends soon after
its `cancel` is set.
"""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

CONFIG = "config.json"
DEPTH = 5  # below a chosen folder
MAX_SEEN = 50_000  # entries that one search looks at
_MAX_CONFIG = 4 * 2**20
_NEVER = frozenset({"blobs", "refs", "node_modules", "__pycache__", "site-packages"})


def hugging_face_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of Hugging Face's program, wherever its variables say; it may not be there."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if place := environment.get(name):
            return Path(place).expanduser()
    home = environment.get("HF_HOME")
    if not home:
        cache = environment.get("XDG_CACHE_HOME") or "~/.cache"
        home = f"{cache}/huggingface"
    return Path(home).expanduser() / "hub"


def modelscope_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """The same of ModelScope's."""
    return Path(environment.get("MODELSCOPE_CACHE") or "~/.cache/modelscope/hub").expanduser()


def in_hugging_face_cache(cache: Path, cancel: threading.Event) -> Iterator[Path]:
    """The snapshots of Qwen checkpoints in it."""
    for model in _folders(cache):
        if cancel.is_set():
            return
        if model.name.startswith("models--"):
            yield from (one for one in _folders(model / "snapshots") if is_qwen(one))


def in_modelscope_cache(cache: Path, cancel: threading.Event) -> Iterator[Path]:
    """The folders of Qwen checkpoints in it, in the places of its newer and older versions."""
    for root in (cache / "models", cache):
        for owner in _folders(root):
            if cancel.is_set():
                return
            if owner.name not in ("models", "datasets"):
                # Names with dots have a link beside the real folder.
                yield from (one for one in _folders(owner) if is_qwen(one))


def below(parent: Path, cancel: threading.Event) -> Iterator[Path]:
    """Qwen checkpoints in `parent` and up to `DEPTH` folders below it. Follows no links."""
    seen = 0
    waiting = [(parent, 0)]
    while waiting:
        folder, depth = waiting.pop()
        if is_qwen(folder):
            yield folder
            continue
        if depth >= DEPTH:
            continue
        for one in _folders(folder):
            seen += 1
            if cancel.is_set() or seen > MAX_SEEN:
                return
            if one.name not in _NEVER and not one.name.startswith("."):
                waiting.append((one, depth + 1))


def is_qwen(folder: Path) -> bool:
    """Whether its config.json is that of a Qwen."""
    try:
        config = folder / CONFIG
        found = config.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_CONFIG:
            return False
        value = json.loads(config.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    family = value.get("model_type") if isinstance(value, dict) else None
    return isinstance(family, str) and family.startswith("qwen")


def _folders(folder: Path) -> list[Path]:
    """The real folders in `folder`, by name; none where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [folder / name for name in sorted(names)]


def disk_use(folder: Path, cancel: threading.Event | None = None) -> int:
    """Bytes that the files of `folder` take on the disk; what is there twice by links, once.

    Links to files count as the files, links to folders not at all.
    """
    seen: set[tuple[int, int]] = set()
    total = 0
    for path in files_below(folder, cancel):
        try:
            found = path.stat()
        except OSError:  # a link that leads nowhere, or gone just now
            continue
        key = (found.st_dev, found.st_ino)
        if stat.S_ISREG(found.st_mode) and (key not in seen or not found.st_ino):
            seen.add(key)
            total += found.st_size
    return total


def files_below(folder: Path, cancel: threading.Event | None = None) -> Iterator[Path]:
    """All that is no folder in `folder` and below; links as they are, never what they lead to."""
    waiting = [folder]
    while waiting:
        if cancel is not None and cancel.is_set():
            return
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    else:
                        yield Path(entry.path)
        except OSError:
            continue


def stamp(folder: Path) -> str:
    """Changes when a file of the folder itself came, went, grew or was written."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    about = entry.stat()
                    found.append(f"{entry.name}:{about.st_size}:{about.st_mtime_ns}")
                except OSError:
                    found.append(f"{entry.name}:?")
    except OSError:
        return ""
    import hashlib

    return hashlib.sha256("\n".join(sorted(found)).encode("utf-8", "replace")).hexdigest()[:16]
