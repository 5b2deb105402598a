"""What decides on each token of an answer: tokens that have to come, else the sampler."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import torch

from qwen_desktop.chat.messages import TokenScore
from qwen_desktop.engine.likeliest import likeliest
from qwen_desktop.engine.runner import Logits
from qwen_desktop.engine.sampling import Sampler
from qwen_desktop.engine.scores import score
from qwen_desktop.engine.tokenizer import Tokenizer


class Chooser:
    """Call it with the logits for each token in turn.

    `logprobs` over 0 keeps the newest token's log probability and those of so many others in
    `score`. `forced` says whether the newest token had to come.
    """

    def __init__(self, sampler: Sampler, tokenizer: Tokenizer, logprobs: int = 0) -> None:
        self.forced = False
        self.score: TokenScore | None = None
        self._sampler = sampler
        self._tokenizer = tokenizer
        self._logprobs = logprobs
        self._coming: deque[int] = deque()

    @property
    def is_greedy(self) -> bool:
        """Whether the likeliest token is taken each time."""
        return self._sampler.is_greedy

    @property
    def is_forcing(self) -> bool:
        """Whether the next token has been decided on."""
        return bool(self._coming)

    def force(self, ids: Iterable[int]) -> None:
        """Let `ids` be the next tokens."""
        self._coming.extend(ids)

    def is_clear(self, logits: Logits, doubt: float) -> bool:
        """Whether no other choice was near, should `logits` be off by `doubt` of their highest.

        True of tokens that have to come, and of drawn ones, which follow the distribution anyway.
        """
        if self.is_forcing or not self._sampler.is_greedy:
            return True
        with torch.inference_mode():
            values, _ = likeliest(self._sampler.penalised(logits), 2)
            first, second = values.tolist()
        return bool(first - second > doubt * max(abs(first), abs(second)))

    def __call__(self, logits: Logits) -> int:
        """The next token. May be called again where it failed: it then has changed nothing."""
        scores = self._sampler.penalised(logits)
        forced, before = self.is_forcing, self._sampler.chance
        try:
            token = self._coming[0] if forced else self._sampler.draw(scores)
            top = self._logprobs
            found = score(scores, token, top, self._tokenizer) if top else None
            self._sampler.tell(token)
        except BaseException:
            self._sampler.chance = before  # drawn again, the seed gives the same token
            raise
        if forced:
            self._coming.popleft()
        self.forced, self.score = forced, found
        return token
