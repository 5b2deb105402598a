"""Feeding with drafts: guessed tokens go behind the one that was chosen, in one step.

The loop chooses by the logits after each token in turn, with all penalties and whatever else has a
say, exactly as without drafts. Where it chooses the token that was guessed, the logits after that
one are there already; where not, what was fed is taken back. So a draft is accepted with the chance
that the model gives it, what is chosen otherwise has the rest of the distribution, and each token
takes the numbers of the seed that it takes without.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import torch

from qwen_desktop.engine.feeding import Feeding
from qwen_desktop.engine.runner import Logits
from qwen_desktop.engine.session import Relief, Session
from qwen_desktop.engine.speculation.costs import SIZES, Chances, Costs, best_length
from qwen_desktop.engine.speculation.draft_model import Drafting
from qwen_desktop.engine.speculation.lookup import Lookup

MOST = SIZES[-1] - 1  # drafts of a step


class Speculating(Feeding):
    """Feeds a session that can be cropped, guessing as far as it pays.

    `ids` are those of the prompt. `is_clear` says of logits whether the choice by them cannot hang
    on how sums of floats were rounded. Drafts end before any of `end_ids`.
    """

    def __init__(
        self,
        session: Session,
        cancel: threading.Event,
        relief: Relief,
        expect: Callable[[torch.Tensor], None],
        *,
        ids: Sequence[int],
        costs: Costs,
        is_clear: Callable[[Logits], bool],
        end_ids: frozenset[int],
        drafting: Drafting | None = None,
    ) -> None:
        super().__init__(session, cancel, relief, expect)
        self._lookup, self._costs, self._chances = Lookup(ids), costs, Chances()
        self._is_clear, self._end_ids, self._drafting = is_clear, end_ids, drafting
        costs.forget_steps()
        self._rows: Logits | None = None  # after several tokens; None where one was fed
        self._first = 0  # place of the first of them in the session
        self._place = len(ids)  # tokens of the session that are settled
        self._by_model = False  # whether the other model guessed
        self._began, self._size = 0.0, 0  # of the step under way

    @property
    def held(self) -> int:
        """Tokens of the text that the session holds, what is only guessed aside."""
        return self._place if self._rows is not None else len(self._session.ids)

    def expect(self, token: torch.Tensor) -> None:
        """Begin with the step of `token`, unless its logits are there or others will go with it."""
        guessed = self._rows is not None and self._place < len(self._session.ids)
        if not guessed and not self._drafts_are_likely():
            super().expect(token)

    def settled(self, logits: Logits) -> Logits:
        """`logits` of several rows, computed alone where two tokens are next to equally likely."""
        if self._rows is None or self._is_clear(logits):
            return logits
        token = self._session.ids[self._place - 1]
        self._take_back(self._place - 1)
        return self._one(token)

    def chosen(self) -> None:
        """Take the time of the step whose first logits these were."""
        if self._size:
            self._costs.measured(self._size, time.perf_counter() - self._began)
            self._size = 0

    def after(self, token: int, room: int) -> Logits:
        """The logits after `token`: those that are there, or of a step with drafts behind it."""
        self._learn(token)
        rows, ids = self._rows, self._session.ids
        if rows is not None and self._place < len(ids):
            came = ids[self._place] == token
            if self._by_model and self._drafting is not None:
                self._drafting.tell(came)
            if came:
                self._place += 1
                self.accepted += 1
                return rows[self._place - 1 - self._first]
            self._take_back(self._place)
        self._rows = None
        drafts = self._drafts(token, room)
        return self._several(token, drafts) if drafts else self._one(token)

    def end(self) -> None:
        """Take back what is only guessed."""
        if self._rows is not None:
            self._take_back(self._place)

    def _learn(self, token: int) -> None:
        lookup = self._lookup
        self._costs.passed()
        if lookup.match:
            self._chances.tell(lookup.match, lookup.next == token)
        lookup.tell(token)

    def _drafts_are_likely(self) -> bool:
        """Whether the token that is expected, should it come, would be fed with drafts."""
        match = self._lookup.match
        if not match or not self._costs.step:
            return False
        return best_length(self._costs, lambda i: self._chances.of(match + 1 + i), MOST)[0] > 0

    def _drafts(self, token: int, room: int) -> list[int]:
        """What to feed behind `token`, at most `room` tokens."""
        costs, lookup = self._costs, self._lookup
        if not costs.step or costs.is_stale:
            return []
        room = min(room, MOST)
        count, brings = 0, 1.0
        if match := lookup.match:
            count, brings = best_length(costs, lambda i: self._chances.of(match + i), room)
        self._by_model = False
        if self._drafting is not None:
            guessed = self._drafting.best_length(costs, room, brings)
            if guessed:
                self._by_model = True
                text = [*self._session.ids, token]
                return self._cut(self._drafting.draft(text, guessed, self._cancel))
        return self._cut(lookup.draft(count))

    def _cut(self, drafts: list[int]) -> list[int]:
        for place, token in enumerate(drafts):
            if token in self._end_ids:
                return drafts[:place]
        return drafts

    def _one(self, token: int) -> Logits:
        self._began = time.perf_counter()
        logits = self._session.append(token, self._cancel, self._relief)
        self._size = 1
        return logits

    def _several(self, token: int, drafts: list[int]) -> Logits:
        first = len(self._session.ids)
        self._began = time.perf_counter()
        rows = self._session.append_all([token, *drafts], self._cancel, self._relief)
        self._rows, self._first, self._place = rows, first, first + 1
        self._size = len(rows)
        self.drafted += len(rows) - 1
        return rows[0]

    def _take_back(self, keep: int) -> None:
        self._rows = None
        self._session.crop(keep)
