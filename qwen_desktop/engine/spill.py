"""The folder of cache files: which are there, how much they take, which one goes first.

A conversation has one file for each checkpoint it was read with, in the precision, with the keys
and the positions of that time: its name is made of both, so that files of others are never looked
at. What is damaged is removed when it is met. A folder that cannot be used costs nothing but the
reading: it is only logged. Names that are not of this kind are left alone.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import stat
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwen_desktop.engine import cache_file
from qwen_desktop.engine.cache_file import ABOUT_SUFFIX, DATA_SUFFIX, About, Layout, Unusable
from qwen_desktop.engine.device import is_out_of_memory
from qwen_desktop.engine.families import transformers_version
from qwen_desktop.engine.runner import Cache, CacheFileError, Runner

_log = logging.getLogger(__name__)

MIN_DISK_FREE = 2 * 2**30  # bytes that are left to everything else
_ID_BYTES = 8  # of one token id in an about file

_OWNER = r"(?P<owner>[0-9a-f]{24}-[0-9a-f]{16})"
_ENDS = rf"(?:{re.escape(ABOUT_SUFFIX)}|\.[0-9a-f]{{8}}{re.escape(DATA_SUFFIX)})"
_OURS = re.compile(rf"(?:{_OWNER}{_ENDS}|layout\.[0-9a-f]{{8}})(?P<draft>\.tmp)?")


@dataclass(frozen=True)
class CacheKey:
    """What a cache depends on besides the ids in it and the scale of their positions."""

    fingerprint: str  # of the checkpoint's files
    precision: str  # of the weights, for people: packed ones compute other keys
    dtype: str
    kv_format: str
    rope_factor: float

    def digest(self) -> str:
        """16 hexadecimal digits; with other versions of what computes, others."""
        facts = (*vars(self).values(), cache_file.FORMAT, transformers_version())
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


class Spill:
    """Cache files of one loaded checkpoint in `folder`, at most `limit` bytes of all together."""

    def __init__(self, folder: Path, limit: int, key: CacheKey, runner: Runner[Any]) -> None:
        self._folder, self._limit, self._runner = folder, limit, runner
        self._key = key.digest()
        self._layout: Layout | None = None

    def write(
        self,
        conversation_id: str,
        cache: Cache,
        ids: Sequence[int],
        used: float,
        cancel: threading.Event | None = None,
    ) -> bool:
        """Write `cache`, last used at `used` (Unix seconds); whether it is on the disk now.

        It is not where it is larger than the limit, where files used later leave no room for
        it, or where the disk is nearly full. Raises Cancelled; the file before it then stands.
        """
        owner = self._owner(conversation_id)
        need = cache.nbytes + _ID_BYTES * len(ids)
        about = self._folder / f"{owner}{ABOUT_SUFFIX}"
        try:
            _make_private(self._folder)
            others = [group for group in _groups(self._folder) if group.owner != owner]
            newer = sum(group.nbytes for group in others if group.used > used)
            free = shutil.disk_usage(self._folder).free
            if newer + need > self._limit or free - need < MIN_DISK_FREE:
                return False
            _shrink(others, self._limit - need)
            made = cache_file.write(self._folder, owner, cache, ids, cancel)
            os.utime(about, (used, used))
            for path in self._folder.glob(f"{owner}.*{DATA_SUFFIX}"):
                if path.name != made.data:
                    _remove(path)
        except (OSError, RuntimeError, MemoryError) as error:
            if not isinstance(error, OSError) and not is_out_of_memory(error):
                raise
            _log.warning("no cache file written: %s", str(error))
            return False
        return True

    def find(self, conversation_id: str) -> About | None:
        """What the conversation's file holds, if there is one."""
        owner = self._owner(conversation_id)
        capabilities = self._runner.capabilities
        try:
            return cache_file.read_about(
                self._folder / f"{owner}{ABOUT_SUFFIX}",
                vocab_size=capabilities.vocab_size,
                context_length=capabilities.context_length,
            )
        except FileNotFoundError:
            return None
        except (OSError, Unusable) as error:
            self._give_up(owner, error)
            return None

    def load(self, about: About, cache: Cache, cancel: threading.Event) -> bool:
        """Fill the empty `cache`, of the scale of `about`, from its file; whether that worked.

        Raises Cancelled.
        """
        try:
            if self._layout is None:
                self._layout = cache_file.layout_of(self._runner, self._folder, cancel)
            cache_file.load(self._folder / about.data, about, cache, self._layout, cancel)
            os.utime(self._folder / f"{about.owner}{ABOUT_SUFFIX}")
        except (OSError, Unusable, CacheFileError) as error:
            self._give_up(about.owner, error)
            return False
        return True

    def remove(self, conversation_id: str) -> None:
        """Remove the conversation's file of this checkpoint."""
        self._remove_group(self._owner(conversation_id))

    def _owner(self, conversation_id: str) -> str:
        return f"{_of_conversation(conversation_id)}-{self._key}"

    def _give_up(self, owner: str, error: Exception) -> None:
        _log.warning("a cache file is not used: %s", str(error))
        if isinstance(error, (Unusable, CacheFileError, FileNotFoundError)) and not (
            error.__cause__ is not None and is_out_of_memory(error.__cause__)
        ):
            self._remove_group(owner)

    def _remove_group(self, owner: str) -> None:
        _shrink([group for group in _groups(self._folder) if group.owner == owner], 0)


def forget(folder: Path, conversation_id: str) -> None:
    """Remove the files of a conversation, whatever checkpoint they are of."""
    conversation = _of_conversation(conversation_id)
    _shrink([g for g in _groups(folder) if g.owner.startswith(conversation)], 0)


def shrink(folder: Path, limit: int) -> None:
    """Remove what was used longest ago until at most `limit` bytes are left; drafts always."""
    groups = _groups(folder)
    _shrink([group for group in groups if not group.used], 0)
    _shrink([group for group in groups if group.used], limit)


@dataclass
class _Group:
    """The files of one owner: `used` is when (Unix seconds), 0 where they are of no use."""

    owner: str
    files: list[Path] = field(default_factory=list)
    nbytes: int = 0
    used: float = 0.0


def _groups(folder: Path) -> list[_Group]:
    """What lies in `folder`, by owner; drafts have none."""
    groups: dict[str, _Group] = {}
    try:
        found = list(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        _log.warning("the folder of cache files cannot be read: %s", error)
        return []
    for path in found:
        name = _OURS.fullmatch(path.name)
        if name is None:
            continue
        owner = "" if name["draft"] or not name["owner"] else name["owner"]
        group = groups.setdefault(owner, _Group(owner))
        group.files.append(path)
        try:
            about = path.lstat()
        except OSError:  # gone meanwhile
            continue
        group.nbytes += about.st_size
        if owner and path.suffix == ABOUT_SUFFIX:
            group.used = about.st_mtime
    return list(groups.values())


def _shrink(groups: list[_Group], limit: int) -> None:
    """Remove the files of whole groups, those used longest ago first, down to `limit` bytes.

    A limit of 0 removes everything.
    """
    total = sum(group.nbytes for group in groups)
    for group in sorted(groups, key=lambda group: group.used):
        if limit and total <= limit:
            break
        for path in group.files:
            _remove(path)
        total -= group.nbytes


def _remove(path: Path) -> None:
    """Remove a file, a link or an empty folder."""
    try:
        if stat.S_ISDIR(path.lstat().st_mode):
            path.rmdir()
        else:
            path.unlink()
    except OSError as error:
        _log.warning("a cache file cannot be removed: %s", error)


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if stat.S_IMODE(folder.stat().st_mode) != 0o700:
        folder.chmod(0o700)


def _of_conversation(conversation_id: str) -> str:
    return hashlib.sha256(conversation_id.encode()).hexdigest()[:24]
