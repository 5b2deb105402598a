"""One conversation inside the model: the token ids behind its cache, and going back in them.

The ids are the truth. A new prompt keeps the longest common prefix; at least one token is fed
again, for the logits. Where the prompt's length calls for another scale of positions than the
cache was filled with, nothing is kept. Knows nothing of text.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from qwen_desktop.engine.runner import Cache, Logits, Runner, Snapshot

MAX_SNAPSHOTS = 4  # of caches that cannot be cropped; the oldest beyond the first goes


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many first elements of `a` and `b` are equal."""
    for index, (left, right) in enumerate(zip(a, b)):  # noqa: B905 - lengths differ
        if left != right:
            return index
    return min(len(a), len(b))


class Session:
    """`ids` are exactly the tokens in `cache`, whatever was interrupted."""

    def __init__(self, conversation_id: str, runner: Runner[Any]) -> None:
        self.conversation_id = conversation_id
        self.ids: list[int] = []
        self.cache: Cache = runner.new_cache()
        self._runner = runner
        self._snapshots: list[Snapshot] = []

    def rewind(self, prompt: Sequence[int]) -> int:
        """Keep what `prompt` begins with, at most all but its last token; how many are kept."""
        scale = self._runner.rope_scale(len(prompt))
        if scale != self.cache.rope_scale:
            self.ids, self._snapshots = [], []
            self.cache.crop(0)  # its memory goes before the new one's comes
            self.cache = self._runner.new_cache(scale)
        keep = min(common_prefix(self.ids, prompt), len(prompt) - 1)
        if keep < len(self.ids) and not self._runner.capabilities.croppable:
            keep = self._restore(keep)
        else:
            self.cache.crop(keep)
        del self.ids[keep:]
        return keep

    def _restore(self, keep: int) -> int:
        """Go back to the newest snapshot of at most `keep` tokens, else to the start."""
        self._snapshots = [s for s in self._snapshots if s.length <= keep]
        if not self._snapshots:
            self.cache.crop(0)
            return 0
        self.cache.restore(self._snapshots[-1])
        return self._snapshots[-1].length

    def prefill(
        self, prompt: Sequence[int], boundary: int, cancel: threading.Event
    ) -> Iterator[tuple[int, Logits]]:
        """Append what `prompt` has beyond `ids`, piece by piece: (tokens done, logits so far).

        At `boundary`, a cache that cannot be cropped leaves a snapshot. Raises Cancelled; `ids`
        and cache then hold the pieces done, and the next prompt goes on from there.
        """
        start = len(self.ids)
        stops = [len(prompt)]
        if not self._runner.capabilities.croppable and start < boundary < len(prompt):
            stops.insert(0, boundary)
        chunk = self._runner.capabilities.prefill_chunk
        for stop in stops:
            while len(self.ids) < stop:
                piece = prompt[len(self.ids) : min(len(self.ids) + chunk, stop)]
                logits = self._runner.prefill(
                    self.cache, piece, chunk=chunk, on_progress=_ignore, cancel=cancel
                )
                self.ids.extend(piece)
                if stop == boundary and len(self.ids) == boundary:
                    self._remember()
                yield len(self.ids) - start, logits

    def _remember(self) -> None:
        self._snapshots.append(self.cache.snapshot())
        if len(self._snapshots) > MAX_SNAPSHOTS:
            del self._snapshots[1]

    def append(self, token: int, cancel: threading.Event) -> Logits:
        """Feed one generated token; the logits after it. Raises Cancelled, leaving it out."""
        logits = self._runner.decode(self.cache, token, cancel=cancel)
        self.ids.append(token)
        return logits


def _ignore(_done: int) -> None:
    """Pieces are single chunks here; progress is told between them."""
