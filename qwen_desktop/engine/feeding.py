"""How the decode loop feeds the tokens of an answer: one by one, or several that are guessed ahead.

The loop asks for the logits after each token in turn and never hears of how they came about.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch

from qwen_desktop.engine.runner import Logits
from qwen_desktop.engine.session import Relief, Session


class Feeding:
    """Feeds a session one token after the other.

    `expect` is told of each token that is drawn before the CPU knows of it: see `Runner.expect`.
    """

    def __init__(
        self,
        session: Session,
        cancel: threading.Event,
        relief: Relief,
        expect: Callable[[torch.Tensor], None] | None = None,
    ) -> None:
        self._session, self._cancel, self._relief = session, cancel, relief
        self._expect = expect
        # Tokens that were guessed and fed, and those of them that came.
        self.drafted = self.accepted = 0

    @property
    def held(self) -> int:
        """Tokens of the text that the session holds."""
        return len(self._session.ids)

    def expect(self, token: torch.Tensor) -> None:
        """`token`, int64 on the device, was drawn and will be given out."""
        if self._expect is not None:
            self._expect(token)

    def settled(self, logits: Logits) -> Logits:
        """`logits` to choose by, computed again where their way of coming about could matter."""
        return logits

    def chosen(self) -> None:
        """A token was chosen by the logits that were given out last."""

    def after(self, token: int, _room: int) -> Logits:
        """Feed `token`, after which `_room` more may be fed at most; the logits after it.

        Raises Cancelled and what relief raises; the session is then without the token.
        """
        return self._session.append(token, self._cancel, self._relief)

    def end(self) -> None:
        """The answer has ended: the session holds nothing that was not given out."""
