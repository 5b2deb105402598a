"""What the engine counts of its memory, device by device, for the ledger. From any thread."""

from __future__ import annotations

from collections.abc import Callable

from qwen_desktop.engine.memory import Counted
from qwen_desktop.engine.planning import Planner
from qwen_desktop.engine.sessions import Sessions


class Counting:
    """Follows the conversation that is counted or answered, and how far it was planned to go.

    `besides` are bytes of caches that are of no conversation.
    """

    def __init__(self, planner: Planner, sessions: Sessions, besides: Callable[[], int]) -> None:
        self._planner, self._sessions, self._besides = planner, sessions, besides
        self._main = str(planner.main)
        self._current = ""
        self._peak = 0
        self._ahead = planner.ahead(planner.limit(0, 0), 0, 0)

    @property
    def window(self) -> int:
        """Tokens that are counted on: the most that a limit has been since the model was opened.

        Limits get smaller as other programs take memory; what was counted on does not.
        """
        return self._ahead.tokens

    def follow(self, conversation_id: str, limit: int, held: int, others: int) -> None:
        """A conversation is counted or answered whose context may hold `limit` tokens now."""
        self._current = conversation_id
        if limit > self._ahead.tokens:
            self._ahead = self._planner.ahead(limit, held, others)

    def measured(self, peak: int) -> None:
        """An answer took `peak` bytes on the main device beside weights and caches."""
        self._peak = max(0, peak)

    def by_device(self) -> dict[str, Counted]:
        """Caches, and what is to come of them, by device."""
        session = self._sessions.find(self._current)
        own = session.nbytes if session is not None else 0
        others = max(0, self._sessions.nbytes - own) + self._besides()
        ahead = self._ahead
        held, resting = self._planner.spread(own), self._planner.spread(others)
        return {
            str(device): Counted(
                kv=held[device],
                kv_others=resting[device],
                kv_to_come=max(0, ahead.cache[device] - held[device]),
                working=ahead.working[device],
                peak=self._peak if str(device) == self._main else 0,
                reserve=ahead.reserve[device],
            )
            for device in self._planner.devices
        }
