"""One conversation inside the model: the token ids behind its cache, and going back in them.

The ids are the truth. A new prompt keeps the longest common prefix; at least one token is fed
again, for the logits. Where the prompt's length calls for another scale of positions than the
cache was filled with, nothing is kept. Knows nothing of text.

A cache that cannot be cropped goes back to a snapshot: they are taken where a later prompt is
likely to come back to, and are few.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from qwen_desktop.engine.device import is_out_of_memory
from qwen_desktop.engine.relief import OutOfMemory
from qwen_desktop.engine.runner import Cache, Logits, Runner, Snapshot
from qwen_desktop.errors import Cancelled

MAX_SNAPSHOTS = 4
# Bytes of all snapshots of a conversation; the two newest stay even so: to write an answer anew
# goes back to the one, the next question to the other.
MAX_SNAPSHOT_BYTES = 256 * 2**20

_T = TypeVar("_T")


class Relief(Protocol):
    """What a session runs its forwards in: it may try one again after memory ran out."""

    @property
    def halvings(self) -> int:
        """How often pieces have been halved in this request."""

    def run(self, call: Callable[[], _T], repair: Callable[[], None]) -> _T:
        """The result of `call`; before it is called once more, `repair`."""


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many first elements of `a` and `b` are equal."""
    short = min(len(a), len(b))
    if list(a[:short]) == list(b[:short]):  # as a rule; a comparison in C
        return short
    for index, (left, right) in enumerate(zip(a, b)):  # noqa: B905 - lengths differ
        if left != right:
            return index
    return short


class Session:
    """`ids` are exactly the tokens in `cache`, whatever was interrupted or failed."""

    def __init__(self, conversation_id: str, runner: Runner[Any]) -> None:
        self.conversation_id = conversation_id
        self.ids: list[int] = []
        self.cache: Cache = runner.new_cache()
        self._runner = runner
        self._snapshots: list[Snapshot] = []
        self._owed: list[int] = []  # ids that a repair could not keep, to be fed again

    @property
    def nbytes(self) -> int:
        """Memory of cache and snapshots on the device. From any thread."""
        return self.cache.nbytes + sum(snapshot.nbytes for snapshot in tuple(self._snapshots))

    @property
    def can_crop(self) -> bool:
        """Whether every beginning of `ids` can be gone back to."""
        return self._runner.capabilities.croppable

    def rewind(self, prompt: Sequence[int]) -> int:
        """Keep what `prompt` begins with, at most all but its last token; how many are kept."""
        scale = self._runner.rope_scale(len(prompt))
        if scale != self.cache.rope_scale:
            self.ids, self._snapshots = [], []
            self.cache.crop(0)  # its memory goes before the new one's comes
            self.cache = self._runner.new_cache(scale)
        keep = min(common_prefix(self.ids, prompt), len(prompt) - 1)
        if keep < len(self.ids):
            self._go_back(keep)
        return len(self.ids)

    def would_keep(self, prompt: Sequence[int]) -> int:
        """How many tokens `rewind` would keep; nothing changes."""
        if self._runner.rope_scale(len(prompt)) != self.cache.rope_scale:
            return 0
        keep = min(common_prefix(self.ids, prompt), len(prompt) - 1)
        if keep == len(self.ids) or self.can_crop:
            return keep
        return max((one.length for one in self._snapshots if one.length <= keep), default=0)

    def holds(self, prefix: Sequence[int]) -> bool:
        """Whether a prompt that goes on after `prefix` needs nothing of it to be fed again."""
        if self._runner.rope_scale(len(prefix)) != self.cache.rope_scale:
            return False
        if common_prefix(self.ids, prefix) < len(prefix):
            return False
        lengths = (len(self.ids), *(snapshot.length for snapshot in self._snapshots))
        return self.can_crop or len(prefix) in lengths

    def adopt(self, cache: Cache, ids: Sequence[int]) -> None:
        """Hold `cache`, which holds `ids`, in place of what there was."""
        self.cache, self.ids, self._snapshots = cache, list(ids), []
        self.remember()

    def prefill(
        self,
        prompt: Sequence[int],
        boundary: int,
        cancel: threading.Event,
        *,
        chunk: int,
        relief: Relief,
    ) -> Iterator[tuple[int, Logits]]:
        """Append what `prompt` has beyond `ids`, piece by piece: (tokens done, logits so far).

        A piece has `chunk` tokens, halved as often as `relief` says at the time. At `boundary`, a
        cache that cannot be cropped leaves a snapshot. Raises Cancelled, and what `relief` raises;
        `ids` and cache then hold the pieces done, and the next prompt goes on from there.
        """
        start = len(self.ids)
        stops = [len(prompt)]
        boundary = min(boundary, len(prompt) - 1)  # the same prompt again goes back that far
        if not self.can_crop and start <= boundary:
            stops.insert(0, boundary)
            if start == boundary:
                self.remember()
        for stop in stops:
            feed = partial(self._feed_piece, prompt, stop, chunk, cancel, relief)
            while len(self.ids) < stop:
                logits = self._run(feed, relief)
                if len(self.ids) == boundary:
                    self.remember()
                yield len(self.ids) - start, logits

    def append(self, token: int, cancel: threading.Event, relief: Relief) -> Logits:
        """Feed one generated token; the logits after it.

        Raises Cancelled, and what `relief` raises, leaving the token out.
        """

        def feed() -> Logits:
            self._pay(cancel, relief)
            return self._runner.decode(self.cache, token, cancel=cancel)

        logits = self._run(feed, relief)
        self.ids.append(token)
        return logits

    def append_all(self, tokens: Sequence[int], cancel: threading.Event, relief: Relief) -> Logits:
        """Feed `tokens` in one step; the logits after each, as rows.

        Fewer where memory got short, as the number of rows says, but one at least. Raises as
        `append`, leaving all of them out.
        """

        def feed() -> Logits:
            self._pay(cancel, relief)
            fed = tokens[: _size(len(tokens), relief)]
            return self._runner.verify(self.cache, fed, cancel=cancel)

        rows = self._run(feed, relief)
        self.ids.extend(tokens[: len(rows)])
        return rows

    def crop(self, keep: int) -> None:
        """Hold the first `keep` ids alone; only where `can_crop`."""
        self.cache.crop(keep)
        del self.ids[keep:]

    def remember(self) -> None:
        """Leave a snapshot here, where the cache needs one to come back. Once at each length."""
        length = len(self.ids)
        if self.can_crop or not length:
            return
        if any(snapshot.length == length for snapshot in self._snapshots):
            return
        try:
            self._snapshots = [*self._snapshots, self.cache.snapshot()]
        except (RuntimeError, MemoryError) as error:  # it takes a copy
            if not is_out_of_memory(error):
                raise
        self._thin_out()

    def repair(self) -> None:
        """Bring the cache back to `ids` after a forward that ended anywhere within.

        Where it cannot be cropped, it goes back to the newest snapshot or to the start, and what
        was lost is fed again before the next piece.
        """
        ids = [*self.ids, *self._owed]
        self._go_back(len(self.ids))
        self._owed = ids[len(self.ids) :]

    def _run(self, call: Callable[[], _T], relief: Relief) -> _T:
        try:
            return relief.run(call, self.repair)
        except (Cancelled, OutOfMemory):  # the runner or `relief` has put the cache right
            raise
        except BaseException:
            self.repair()
            raise
        finally:
            self._owed = []

    def _feed_piece(
        self, prompt: Sequence[int], stop: int, chunk: int, cancel: threading.Event, relief: Relief
    ) -> Logits:
        self._pay(cancel, relief)
        start = len(self.ids)
        return self._feed(prompt[start : min(start + _size(chunk, relief), stop)], cancel)

    def _pay(self, cancel: threading.Event, relief: Relief) -> None:
        """Feed again what a repair lost."""
        chunk = self._runner.capabilities.prefill_chunk
        while self._owed:
            piece = self._owed[: _size(chunk, relief)]
            self._feed(piece, cancel)
            del self._owed[: len(piece)]

    def _feed(self, piece: Sequence[int], cancel: threading.Event) -> Logits:
        logits = self._runner.prefill(
            self.cache, piece, chunk=len(piece), on_progress=_ignore, cancel=cancel
        )
        self.ids.extend(piece)
        return logits

    def _go_back(self, keep: int) -> None:
        """Hold at most the first `keep` ids, also where layers disagree on how many there are."""
        if self.can_crop:
            self.cache.crop(keep)
        else:
            keep = self._restore(keep)
        del self.ids[keep:]

    def _restore(self, keep: int) -> int:
        """Go back to the newest snapshot of at most `keep` tokens, else to the start."""
        self._snapshots = [one for one in self._snapshots if one.length <= keep]
        if self._snapshots:
            try:
                self.cache.restore(self._snapshots[-1])
                return self._snapshots[-1].length
            except (RuntimeError, MemoryError) as error:  # it takes a copy
                if not is_out_of_memory(error):
                    raise
        self._snapshots = []
        # Anew: an interrupted first piece has filled some layers of a cache of no tokens.
        self.cache = self._runner.new_cache(self.cache.rope_scale)
        return 0

    def _thin_out(self) -> None:
        """Drop snapshots beyond the limits: those that have others close before and behind."""
        kept = list(self._snapshots)
        while len(kept) > MAX_SNAPSHOTS or (
            len(kept) > 2 and sum(one.nbytes for one in kept) > MAX_SNAPSHOT_BYTES
        ):
            lengths = [0, *(one.length for one in kept)]
            del kept[min(range(len(kept) - 2), key=lambda i: lengths[i + 2] - lengths[i])]
        self._snapshots = kept


def _size(chunk: int, relief: Relief) -> int:
    """Tokens of a piece now."""
    return max(1, chunk >> relief.halvings)


def _ignore(_done: int) -> None:
    """Pieces are single chunks here; progress is told between them."""
