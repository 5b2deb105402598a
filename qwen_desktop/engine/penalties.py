"""What makes tokens that occurred less likely, kept up token by token and applied only to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

_SPARE = 512  # tokens that there is room for besides


class Penalties:
    """Repetition penalty for the tokens of prompt and answer, presence penalty for the answer's.

    `prompt` are the ids of the whole prompt; its last `given` ones begin the answer.
    """

    def __init__(
        self,
        repetition: float,
        presence: float,
        prompt: Sequence[int],
        device: torch.device,
        *,
        given: int = 0,
    ) -> None:
        self._repetition, self._presence, self._device = repetition, presence, device
        said = dict.fromkeys(prompt[len(prompt) - given :])
        # Where each token lies in the tables: those of the answer and, where they count, all.
        self._places: dict[int, int] = {}
        for token in (*said, *(prompt if repetition != 1.0 else ())):
            self._places.setdefault(token, len(self._places))
        self._said = set(said)
        count = len(self._places)
        self._ids = torch.zeros(count + _SPARE, dtype=torch.long, device=device)
        self._minus = torch.zeros(count + _SPARE, device=device)  # presence penalty, or nothing
        self._ids[:count] = torch.tensor(list(self._places), dtype=torch.long, device=device)
        self._minus[: len(said)] = presence
        self._row: torch.Tensor | None = None

    def tell(self, token: int) -> None:
        """`token` is the next of the answer. Where memory is refused, it is not."""
        if token in self._said:
            return
        place = self._places.get(token, len(self._places))
        if place == len(self._ids):
            more = torch.zeros(place, dtype=torch.long, device=self._device)
            longer = torch.cat((self._ids, more)), torch.cat((self._minus, more.float()))
            self._ids, self._minus = longer
        self._ids[place] = token
        self._minus[place] = self._presence
        self._places[token] = place
        self._said.add(token)

    def applied(self, logits: torch.Tensor) -> torch.Tensor:
        """`logits` [vocab] after the penalties, in a buffer that the next call uses again."""
        if self._row is None:
            self._row = torch.empty_like(logits)
        if logits.device.type == "cpu":  # in this thread: see likeliest.py
            np.copyto(self._row.numpy(), logits.numpy())
        else:
            self._row.copy_(logits)
        count = len(self._places)
        ids = self._ids[:count]
        scores = logits[ids]
        if self._repetition != 1.0:
            lowered = torch.where(scores < 0, scores * self._repetition, scores / self._repetition)
            scores = lowered - self._minus[:count]
        else:
            scores = scores - self._minus[:count]
        self._row[ids] = scores
        return self._row
