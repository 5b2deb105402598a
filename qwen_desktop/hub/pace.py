"""How fast: a limit that several downloads share, the speed of the last seconds, pauses."""

from __future__ import annotations

import random
import threading
import time
from collections import deque

CHUNK = 1 << 19  # bytes read at once where nothing is limited
_SMALLEST = 1 << 12
_WINDOW_S = 8.0


class Limit:
    """At most `rate` bytes a second over everything that takes from it; 0 for no limit.

    Any thread may set `rate` at any time.
    """

    def __init__(self, rate: float = 0.0) -> None:
        self.rate = float(rate)
        self._lock = threading.Lock()
        self._next = 0.0

    def chunk(self) -> int:
        """How many bytes to read at once: a twentieth of a second's at most."""
        rate = self.rate
        return CHUNK if rate <= 0 else max(_SMALLEST, min(CHUNK, int(rate / 20)))

    def take(self, count: int, stopped: threading.Event) -> None:
        """Wait until `count` bytes more are within the limit, or `stopped` is set."""
        with self._lock:
            rate, now = self.rate, time.monotonic()
            if rate <= 0:
                self._next = now
                return
            self._next = max(self._next, now - 0.1) + count / rate
            due = self._next
        while (wait_s := due - time.monotonic()) > 0:
            # In slices: another rate may be set meanwhile.
            if stopped.wait(min(wait_s, 0.2)) or self.rate != rate:
                break


class Speed:
    """Bytes a second over the last seconds, and how long the rest will take. One thread."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._smooth = 0.0

    def add(self, done: int, now: float | None = None) -> None:
        """`done` bytes are here at the time `now` (of a monotonic clock, in seconds)."""
        now = time.monotonic() if now is None else now
        if self._seen and done < self._seen[-1][1]:  # something is fetched anew
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] > _WINDOW_S:
            self._seen.popleft()
        first, before = self._seen[0]
        span = now - first
        if span >= 0.3:
            latest = (done - before) / span
            self._smooth = latest if not self._smooth else 0.8 * self._smooth + 0.2 * latest

    @property
    def rate(self) -> float:
        """Bytes a second; 0.0 while nobody can say."""
        return self._smooth if self._smooth >= 1.0 else 0.0

    def remaining_s(self, missing: int) -> float | None:
        """Seconds for `missing` bytes; None while nobody can say."""
        if missing <= 0:
            return 0.0
        return missing / self.rate if self.rate else None


class Patience:
    """Longer and longer pauses while everything fails; any progress starts anew. Any thread."""

    def __init__(self, tries: int = 9, first_s: float = 0.3, longest_s: float = 60.0) -> None:
        self._tries, self._first_s, self._longest_s = tries, first_s, longest_s
        self._lock = threading.Lock()
        self._failed = 0  # rounds in a row
        self._until = 0.0

    def progress(self) -> None:
        """Something came."""
        if self._failed:
            with self._lock:
                self._failed = 0

    def fail(self, retry_after_s: float | None) -> bool:
        """Something failed. Whether to try again; `wait` then says when.

        What fails side by side counts once.
        """
        with self._lock:
            now = time.monotonic()
            if now >= self._until:
                self._failed += 1
            if self._failed >= self._tries or (retry_after_s or 0.0) > 3600:
                return False
            pause = min(self._longest_s, self._first_s * 2 ** max(0, self._failed - 1))
            pause *= random.uniform(0.7, 1.3)  # so that many clients do not come back as one
            if retry_after_s is not None:
                pause = max(retry_after_s, min(pause, 1.0))
            self._until = max(self._until, now + pause)
            return True

    @property
    def pause_s(self) -> float:
        """Seconds until the next try."""
        return max(0.0, self._until - time.monotonic())

    def wait(self, stopped: threading.Event) -> bool:
        """Wait for the next try; True where `stopped` was set meanwhile."""
        while (pause := self.pause_s) > 0:
            if stopped.wait(pause):
                return True
        return stopped.is_set()
