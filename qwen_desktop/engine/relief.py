"""What happens when memory runs out in the middle of a request: room is made, and tried once more.

A plan (budget.py) can be wrong, as other programs take memory meanwhile. So each call that
allocates (a forward, the growth of a cache, a draw) runs inside `Relief.run`. What an exception
holds on to is let go first: the frames of its traceback keep every activation alive, and an
exception keeps its frames, its cause and its context.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TypeVar

import torch

from qwen_desktop.engine.device import give_back, is_out_of_memory

T = TypeVar("T")


class OutOfMemory(Exception):  # noqa: N818 - reads as what it is
    """There was no memory even after room had been made. Holds no frames of what failed.

    `repaired`: the cache holds exactly the ids its session knows. Otherwise its owner drops it.
    `details` is the allocator's own sentence.
    """

    def __init__(self, details: str, *, repaired: bool) -> None:
        super().__init__(details)
        self.details = details
        self.repaired = repaired


class Relief:
    """The ladder of one request. After the first refusal pieces are half as long for the rest."""

    def __init__(self, device: torch.device, drop_others: Callable[[], int]) -> None:
        """`drop_others` gives up the caches of all other conversations: bytes given back."""
        self.halvings = 0  # a caller feeds pieces of max(1, chunk >> halvings)
        self._device = device
        self._drop_others = drop_others
        self._used = False

    def run(self, call: Callable[[], T], repair: Callable[[], None]) -> T:
        """What `call` gives; where an allocator refuses, `repair` and, once per request, again.

        `call` is run anew from its beginning, so it asks for `halvings` itself; `repair` puts back
        whatever it may have half done and works at any point of it. Raises OutOfMemory; anything
        else that `call` raises passes, unrepaired.
        """
        while True:
            try:
                return call()
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                refusal = str(error)
                let_go(error)
            # Only now, with the exception gone, can what it held be given back.
            self._drop_others()
            give_back(self._device)
            repaired = _done(repair)
            if self._used or not repaired:
                raise OutOfMemory(refusal, repaired=repaired)
            self._used = True
            self.halvings += 1


def let_go(error: BaseException) -> BaseException:
    """`error`, it and what led to it no longer holding on to frames and what these hold."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()  # causes and contexts may lead back to where they came from
    while waiting:
        link = waiting.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        traceback.clear_frames(link.__traceback__)
        link.__traceback__ = None
        waiting += [link.__cause__, link.__context__]
    return error


def _done(repair: Callable[[], None]) -> bool:
    """Whether `repair` could be done; putting a snapshot back needs memory, too."""
    try:
        repair()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        let_go(error)
        return False
    return True
