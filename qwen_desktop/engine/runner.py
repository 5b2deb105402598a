"""The seam between the decode loop and whatever computes: protocols only.

A runner owns the weights of one loaded checkpoint and makes caches; a cache holds what the model
remembers of one token sequence. Above the seam (sessions, prefix reuse, sampling, stop handling,
memory planning) nobody knows how a runner computes; below it nobody knows of conversations.

What an implementation must keep:

* Several caches may be alive; each call names the one it works on, and calls for one runner come
  from one thread.
* `prefill`, `decode` and `verify` append to the cache. When they raise Cancelled, the cache holds
  what it held before the piece that was interrupted, and `length` says how much that is. After any
  other exception (no memory left) it may be unusable and its owner drops it.
* Some models turn keys and queries by angles that depend on the length of the prompt a cache began
  with (dynamic NTK). `rope_scale` says by how much; a cache is made for one scale and keeps it
  while the answer grows past the length that called for another. Keys of one scale are of no use
  under another one. Where a model knows nothing of it, the scale is always 1.
* Logits belong to the caller until the next call: a runner may hand out one static buffer, so
  the caller never changes them in place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import torch

from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.engine.activations import Forward
from qwen_desktop.engine.rooms import STEPS, Rooms

# Float32, shape [vocab_size], on the runner's device.
Logits: TypeAlias = torch.Tensor


@dataclass(frozen=True)
class Capabilities:
    """What a runner can do, fixed while it lives. Sizes in tokens or bytes."""

    context_length: int  # tokens a cache can hold
    vocab_size: int  # length of the logits
    croppable: bool  # caches can forget their end; else they need snapshots
    kv_bytes_per_token: int
    prefill_chunk: int  # tokens per forward that keep progress lively and Stop quick here
    weight_bytes: int
    device: torch.device  # the main one: where logits are
    layer_devices: tuple[torch.device, ...]  # where each decoder layer computes
    dtype: torch.dtype
    name: str  # for people: which path computes
    kv_format: KvFormat = KvFormat.MODEL  # what caches keep
    rooms: Rooms = STEPS  # how they grow
    forward: Forward = Forward.MODULE  # what computes: it decides what is held for a moment
    kept: int = 0  # bytes that it keeps on its device besides weights and caches


@dataclass(frozen=True)
class Snapshot:
    """A state of a cache at `length` tokens, to be given back to that same cache."""

    length: int
    state: Any
    nbytes: int


class CacheFileError(Exception):
    """A cache file is damaged or belongs to another model; the cache is unchanged."""


class Cache(Protocol):
    """What the model remembers of one token sequence."""

    @property
    def length(self) -> int:
        """Tokens held."""

    @property
    def nbytes(self) -> int:
        """Memory allocated on the device. Callable from any thread."""

    @property
    def rope_scale(self) -> float:
        """What the positions of all its keys are scaled by; fixed while the cache lives."""

    def crop(self, n_keep: int) -> None:
        """Forget all but the first `n_keep` tokens.

        Raises ValueError where `n_keep` is over `length`, or where the runner cannot crop (0 and
        `length` always work).
        """

    def copied(self, n_keep: int) -> Cache:
        """A cache of its own with the first `n_keep` tokens; only where the runner can crop."""

    def snapshot(self) -> Snapshot:
        """The state now. Cheap where cropping is possible, else a copy of what cannot be."""

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to `snapshot`, taken from this cache when it held the same first tokens."""

    def save(self, path: Path, cancel: threading.Event | None = None) -> None:
        """Write everything to `path` (safetensors). Raises OSError.

        Raises Cancelled soon after `cancel` is set; the file is then incomplete.
        """

    def load(self, path: Path, cancel: threading.Event | None = None) -> None:
        """Replace the content by what `save` wrote. Raises CacheFileError, OSError.

        Raises Cancelled soon after `cancel` is set; the cache is then as it was.
        A file of another `rope_scale` or KV format is refused like one of another model.
        """


CacheT = TypeVar("CacheT", bound=Cache)


class Runner(Protocol[CacheT]):
    """The forward pass of one loaded checkpoint; works on caches of its own kind."""

    @property
    def capabilities(self) -> Capabilities:
        """What this runner can do."""

    @property
    def module(self) -> torch.nn.Module:
        """The weights as torch holds them, to look at only."""

    def rope_scale(self, prompt_tokens: int) -> float:
        """The scale of a cache that begins with a prompt of so many tokens."""

    def new_cache(self, rope_scale: float = 1.0) -> CacheT:
        """An empty cache for keys of `rope_scale`."""

    def prefill(
        self,
        cache: CacheT,
        ids: Sequence[int],
        *,
        chunk: int,
        on_progress: Callable[[int], None],
        cancel: threading.Event,
    ) -> Logits:
        """Append `ids` (at least one) in pieces of `chunk`; the logits after the last.

        `on_progress` gets the tokens done after each piece. Raises Cancelled soon after `cancel`
        is set, within a piece too.
        """

    def decode(self, cache: CacheT, token: int, *, cancel: threading.Event) -> Logits:
        """Append one token; the logits after it. Raises Cancelled where the runner notices."""

    def verify(self, cache: CacheT, ids: Sequence[int], *, cancel: threading.Event) -> Logits:
        """Append `ids` (at least one) in one step; the logits after each, [len(ids), vocab_size].

        What `decode` of each in turn gives, but for what sums of floats may differ by. Raises
        Cancelled where the runner notices; the cache is then as it was.
        """

    def expect(self, token: torch.Tensor) -> None:
        """`token`, int64 on the runner's device, will most likely be the next to be decoded.

        Behind the cache whose logits were given out last. A runner may begin with it; what was
        computed in vain does not show. Waits for nothing.
        """

    def close(self) -> None:
        """End what runs beside it. Nothing is asked of it afterwards."""
