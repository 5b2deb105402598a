"""The queue: one request is answered at a time, a few wait, others are turned away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from qwen_desktop.serve.trouble import SERVER, Refused

RETRY_S = 5


class Ticket:
    """A place in the queue. `ahead`: how many are answered before; 0 means it is its turn."""

    def __init__(self) -> None:
        self.ahead = 0
        self._moved = asyncio.Event()

    async def moved(self) -> None:
        """Wait until `ahead` is another."""
        await self._moved.wait()
        self._moved.clear()

    def move(self, ahead: int) -> None:
        """Say how many are ahead now."""
        if ahead != self.ahead:
            self.ahead = ahead
            self._moved.set()


class Line:
    """Used on the server's thread alone."""

    def __init__(self, waiting: int, changed: Callable[[], None]) -> None:
        """At most `waiting` wait beside the one that is answered; `changed` hears of each move."""
        self._most = waiting
        self._changed = changed
        self._tickets: list[Ticket] = []

    @property
    def length(self) -> int:
        """How many are there, with the one that is answered."""
        return len(self._tickets)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Ticket]:
        """A place in the queue, given up at the end. Raises Refused where it is full."""
        if len(self._tickets) > self._most:
            raise Refused(
                429,
                f"{self.length} requests are waiting already. Try again in {RETRY_S} seconds.",
                code="queue_full",
                kind=SERVER,
                retry_s=RETRY_S,
            )
        ticket = Ticket()
        ticket.ahead = len(self._tickets)
        self._tickets.append(ticket)
        self._changed()
        try:
            yield ticket
        finally:
            self._tickets.remove(ticket)
            for ahead, other in enumerate(self._tickets):
                other.move(ahead)
            self._changed()
