"""The conversations that a loaded checkpoint has read: which caches stay, and what becomes of them.

The conversation used last stays in any case. Those at rest stay within a number of bytes, or
as long as memory is free; the one used longest ago goes first, and is written to a cache file
where that is wanted. Lives on the engine's thread; only `nbytes` may be asked from others.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from qwen_desktop.chat.model import UNKEPT, EngineOptions
from qwen_desktop.engine import spill
from qwen_desktop.engine.cache_file import About
from qwen_desktop.engine.device import free_memory, give_back, is_out_of_memory, machine
from qwen_desktop.engine.runner import Runner
from qwen_desktop.engine.session import Session, common_prefix
from qwen_desktop.engine.spill import CacheKey, Spill
from qwen_desktop.errors import Cancelled

_log = logging.getLogger(__name__)

NEVER = threading.Event()

# Of a device's memory, left free where no limit was set: from here on systems begin to swap, and
# the plan of a load calls it tight as well.
RESERVE = 0.1
# Reading a cached token from a disk is at least so many times quicker than computing it: a file is
# worth reading where the prompt begins with at least this share of it.
QUICKER = 16
WORTH_COPYING = 64  # tokens that another conversation has read already


@dataclass
class _Kept:
    """A conversation in memory. `filed` are the ids that its cache file is known to hold."""

    session: Session
    used: float  # Unix seconds
    filed: list[int] = field(default_factory=list)


class Sessions:
    """Sessions of one runner by conversation. `key` says what its caches depend on."""

    def __init__(
        self, runner: Runner[Any], key: CacheKey, options: EngineOptions | None = None
    ) -> None:
        self._runner, self._key = runner, key
        self._device = runner.capabilities.device
        self._kept: tuple[_Kept, ...] = ()  # the one used last is the last; replaced as a whole
        self._budget: int | None = None
        self._spill: Spill | None = None
        self._reserve = int(RESERVE * _total(str(self._device)))
        self.configure(options or EngineOptions())

    @property
    def nbytes(self) -> int:
        """Memory of all conversations. From any thread."""
        return sum(kept.session.nbytes for kept in self._kept)

    def configure(self, options: EngineOptions) -> None:
        """Keep what `options` allow from now on; files beyond them are removed."""
        self._budget, self._spill = options.kv_memory, None
        if options.kv_folder is not None:
            spill.shrink(options.kv_folder, options.kv_disk)
            if options.kv_disk > 0 and self._key.fingerprint:
                self._spill = Spill(options.kv_folder, options.kv_disk, self._key, self._runner)
        for kept in self._kept:
            kept.filed = []  # its file may have gone, or have room now
        self._trim()

    def take(
        self,
        conversation_id: str,
        prompt: Sequence[int],
        cancel: threading.Event = NEVER,
    ) -> Session:
        """The session of the conversation, which is the one in use now.

        From memory; else from its cache file, where that holds the beginning of `prompt`; else
        a copy of what another conversation holds of it, as the one that this is a branch of; else
        new. Where `cancel` is set, no file is waited for, neither this one nor those of others.
        """
        kept = self._find(conversation_id)
        if kept is None or not kept.session.ids:  # as one that was stopped before the first piece
            kept = self._from_file(conversation_id, prompt, cancel) or kept
        if kept is None or not kept.session.ids:
            kept = self._from_other(conversation_id, prompt) or kept
        if kept is None:
            kept = _Kept(Session(conversation_id, self._runner), 0.0)
        kept.used = time.time()
        self._kept = (*self._others(conversation_id), kept)
        self._trim(cancel)
        return kept.session

    def would_keep(self, conversation_id: str, prompt: Sequence[int]) -> int:
        """How many tokens of `prompt` would not be read anew if it were answered now."""
        kept = self._find(conversation_id)
        if kept is not None and kept.session.ids:
            return kept.session.would_keep(prompt)
        about = self._useful_file(conversation_id, prompt)
        if about is not None:
            return min(common_prefix(about.ids, prompt), len(prompt) - 1)
        _, held = self._most_common(conversation_id, prompt)
        return min(held, len(prompt) - 1)

    def find(self, conversation_id: str) -> Session | None:
        """The session of the conversation if it is in memory; its place in the order stays."""
        kept = self._find(conversation_id)
        return kept.session if kept is not None else None

    def at_rest(self, keep_id: str) -> int:
        """Bytes of all conversations but `keep_id`."""
        return sum(one.session.nbytes for one in self._others(keep_id))

    def make_room(self, nbytes: int, keep_id: str, cancel: threading.Event = NEVER) -> int:
        """Give up conversations other than `keep_id` until `nbytes` are free: bytes given back.

        They are written to cache files first; what is left when `cancel` is set stays.
        """
        freed = self._give_up(self._others(keep_id), lambda freed: freed >= nbytes, cancel)
        if freed:
            give_back(self._device)
        return freed

    def drop_others(self, keep_id: str) -> int:
        """Give up all conversations but `keep_id` at once: bytes given back. Allocates nothing."""
        freed = self.at_rest(keep_id)
        self._kept = tuple(one for one in self._kept if one.session.conversation_id == keep_id)
        return freed

    def drop(self, conversation_id: str) -> None:
        """Give up the conversation's cache; its cache file stays."""
        self._kept = tuple(self._others(conversation_id))

    def forget(self, conversation_id: str) -> None:
        """Give up everything that is kept of the conversation, the file of this model included.

        Files of other checkpoints are the affair of `spill.forget`.
        """
        self.drop(conversation_id)
        if self._spill is not None:
            self._spill.remove(conversation_id)

    def rest(self, cancel: threading.Event = NEVER) -> Iterator[None]:
        """Write what has changed since it was last written, one conversation in each step.

        The one used last comes first. Ends where no files are wanted, and soon after `cancel` is
        set: the file before then stands.
        """
        for conversation_id in [one.session.conversation_id for one in reversed(self._kept)]:
            kept = self._find(conversation_id)
            try:
                written = kept is not None and self._write(kept, cancel)
            except Cancelled:
                return
            if written:
                yield

    def _find(self, conversation_id: str) -> _Kept | None:
        for kept in self._kept:
            if kept.session.conversation_id == conversation_id:
                return kept
        return None

    def _others(self, keep_id: str) -> list[_Kept]:
        return [one for one in self._kept if one.session.conversation_id != keep_id]

    def _trim(self, cancel: threading.Event = NEVER) -> None:
        """Give up conversations at rest beyond the budget, or where memory gets short."""
        resting = list(self._kept[:-1])
        budget = self._budget
        if budget is None:
            short = self._reserve - free_memory(self._device) if resting else 0
            self._give_up(resting, lambda freed: freed >= short, cancel)
            return
        surplus = sum(one.session.nbytes for one in resting) - budget
        self._give_up(resting, lambda freed: freed >= surplus, cancel)

    def _give_up(
        self, kept: Sequence[_Kept], enough: Callable[[int], bool], cancel: threading.Event
    ) -> int:
        """Write and give up `kept` in order until it is `enough`: bytes given back."""
        freed = 0
        for one in kept:
            if enough(freed):
                break
            try:
                self._write(one, cancel)
            except Cancelled:  # there is no request any more that would need the room
                break
            freed += one.session.nbytes
            self._kept = tuple(other for other in self._kept if other is not one)
        return freed

    # Other conversations

    def _most_common(self, conversation_id: str, prompt: Sequence[int]) -> tuple[_Kept | None, int]:
        """The other conversation that has read most of `prompt`, and how many tokens it has."""
        best, most = None, WORTH_COPYING - 1
        if self._runner.capabilities.croppable:
            scale = self._runner.rope_scale(len(prompt))
            for one in self._others(conversation_id):
                held = common_prefix(one.session.ids, prompt)
                if held > most and one.session.cache.rope_scale == scale:
                    best, most = one, held
        if best is not None:
            copy = best.session.nbytes * most // len(best.session.ids)
            if copy + self._reserve <= free_memory(self._device):
                return best, most
        return None, 0

    def _from_other(self, conversation_id: str, prompt: Sequence[int]) -> _Kept | None:
        other, held = self._most_common(conversation_id, prompt)
        if other is None:
            return None
        session = Session(conversation_id, self._runner)
        try:
            session.adopt(other.session.cache.copied(held), other.session.ids[:held])
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            _log.info("a cache is not copied: %s", str(error) or "no memory")
            return None
        return _Kept(session, 0.0)

    # Cache files

    def _write(self, kept: _Kept, cancel: threading.Event) -> bool:
        """Bring the conversation's cache file up to date; whether there was anything to write."""
        session = kept.session
        if self._spill is None or not session.ids or self._is_filed(kept):
            return False
        if session.conversation_id.startswith(UNKEPT):
            return False
        self._spill.write(session.conversation_id, session.cache, session.ids, kept.used, cancel)
        kept.filed = list(session.ids)  # what was refused is not tried again and again
        return True

    def _is_filed(self, kept: _Kept) -> bool:
        """Whether the file serves as well as the cache: where cropping works, it may hold more."""
        ids, filed = kept.session.ids, kept.filed
        if not self._runner.capabilities.croppable:
            return ids == filed
        return common_prefix(ids, filed) == len(ids)

    def _from_file(
        self, conversation_id: str, prompt: Sequence[int], cancel: threading.Event
    ) -> _Kept | None:
        try:
            return self._read(conversation_id, prompt, cancel)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            _log.info("a cache file is not read: %s", str(error) or "no memory")
        return None  # the prompt is read anew, in smaller pieces where need be

    def _useful_file(self, conversation_id: str, prompt: Sequence[int]) -> About | None:
        """What the conversation's cache file holds, where it is worth reading for `prompt`."""
        about = self._spill.find(conversation_id) if self._spill is not None else None
        if about is None or about.rope_scale != self._runner.rope_scale(len(prompt)):
            return None
        held = common_prefix(about.ids, prompt)
        if self._runner.capabilities.croppable:
            useful = held * QUICKER >= len(about.ids)
        else:
            useful = held == len(about.ids) < len(prompt)
        return about if useful else None

    def _read(
        self, conversation_id: str, prompt: Sequence[int], cancel: threading.Event
    ) -> _Kept | None:
        about = self._useful_file(conversation_id, prompt)
        if self._spill is None or about is None:
            return None
        short = about.nbytes + self._reserve - free_memory(self._device)
        if short > 0:
            self.make_room(short, conversation_id, cancel)
        cache = self._runner.new_cache(about.rope_scale)
        try:
            if not self._spill.load(about, cache, cancel):
                return None
        except Cancelled:
            return None
        session = Session(conversation_id, self._runner)
        session.adopt(cache, about.ids)
        return _Kept(session, 0.0, list(about.ids))


def _total(device: str) -> int:
    """Bytes of the memory of `device`."""
    here = machine()
    return next((one.total for one in here.devices if one.id == device), here.ram.total)
