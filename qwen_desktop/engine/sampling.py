"""Choosing the next token from logits. Same order and meaning as transformers' processors:
repetition penalty, (presence penalty, ours), temperature, top-k, top-p, min-p.

The vocabulary has 150,000 entries and more; everything after the penalties works on the short
list of the likeliest ones where top-k allows it. How those are found: see `likeliest.py`.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.engine.likeliest import (
    drawn,
    drawn_from_nucleus,
    exponentials,
    highest,
    likeliest,
    nucleus,
)
from qwen_desktop.engine.penalties import Penalties
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

# For a checkpoint that recommends nothing: what Qwen recommends for its chat models.
DEFAULT_TEMPERATURE, DEFAULT_TOP_K, DEFAULT_TOP_P = 0.7, 20, 0.8
MOSTLY = 0.5  # top-p from which a draw from all tokens is worth a try
GREEDY = 1e-5  # temperatures up to this one; dividing by them would overflow
SEEDS = 2**31  # one of so many is drawn where none is set
TIES = 32  # tokens as likely as the k-th that top-k may keep besides, as transformers keeps all


@dataclass(frozen=True)
class Sampling:
    """Settled values of one request. `temperature` 0 is greedy; 0 and 1 switch the others off."""

    temperature: float
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    seed: int = 0

    @property
    def draws_from_all(self) -> bool:
        """Whether most of what is drawn from all tokens is within top-p."""
        return MOSTLY <= self.top_p < 1.0

    @property
    def numbers(self) -> tuple[tuple[str, float], ...]:
        """The values by their names in the settings, without the seed."""
        return (
            ("temperature", self.temperature),
            ("top_k", self.top_k),
            ("top_p", self.top_p),
            ("min_p", self.min_p),
            ("repetition_penalty", self.repetition_penalty),
            ("presence_penalty", self.presence_penalty),
        )


def settle(settings: GenerationSettings, recommended: Mapping[str, Any]) -> Sampling:
    """What the user set, else what is recommended for the mode, else Qwen's defaults.

    `recommended` is like a generation_config.json: see recommended.py. Where it says do_sample:
    false, decoding is greedy unless the user sets a temperature; values that cannot be right count
    as absent. A seed is drawn where none is set.
    """
    keys = ("temperature", "top_k", "top_p")
    # A file that names one of the three means transformers' defaults for the others.
    says = any(key in recommended for key in keys)
    if settings.temperature is not None:
        temperature = settings.temperature
    elif recommended.get("do_sample") is False:
        temperature = 0.0
    else:
        default = 1.0 if says else DEFAULT_TEMPERATURE
        temperature = _number(recommended, "temperature", 0.0, 100.0, default)
    top_k = _number(recommended, "top_k", 0, 2**31, 50 if says else DEFAULT_TOP_K)
    top_p = _number(recommended, "top_p", 0.0, 1.0, 1.0 if says else DEFAULT_TOP_P)
    penalty = _number(recommended, "repetition_penalty", 0.01, 100.0, 1.0)
    return Sampling(
        temperature=temperature,
        top_k=int(top_k) if settings.top_k is None else settings.top_k,
        top_p=top_p if settings.top_p is None else settings.top_p,
        min_p=_number(recommended, "min_p", 0.0, 1.0, 0.0)
        if settings.min_p is None
        else settings.min_p,
        repetition_penalty=penalty
        if settings.repetition_penalty is None
        else settings.repetition_penalty,
        presence_penalty=_number(recommended, "presence_penalty", -2.0, 2.0, 0.0)
        if settings.presence_penalty is None
        else settings.presence_penalty,
        seed=secrets.randbelow(SEEDS) if settings.seed is None else settings.seed,
    )


def _number(values: Mapping[str, Any], key: str, low: float, high: float, default: float) -> float:
    value = values.get(key)
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if good and low <= value <= high else default  # type: ignore[operator, return-value]


class Sampler:
    """Draws one answer's tokens from logits and remembers them: `draw`, then `tell`.

    `prompt` are the ids of the whole prompt. Its last `given` ones are the beginning of the
    answer, which penalties count as such. On a card `expect` is told of each token that is drawn
    from `scores`, int64 there, before the CPU has read it: see `Runner.expect`.
    """

    def __init__(
        self,
        sampling: Sampling,
        prompt: Sequence[int],
        device: torch.device,
        *,
        given: int = 0,
        expect: Callable[[torch.Tensor], None] | None = None,
    ) -> None:
        self._sampling, self._expect = sampling, expect
        self._penalties: Penalties | None = None
        penalties = sampling.repetition_penalty, sampling.presence_penalty
        if penalties != (1.0, 0.0):
            self._penalties = Penalties(*penalties, prompt, device, given=given)
        self._generator = torch.Generator(device)
        self._generator.manual_seed(sampling.seed)

    @property
    def is_greedy(self) -> bool:
        """Whether the likeliest token is taken each time."""
        return self._sampling.temperature <= GREEDY

    @property
    def chance(self) -> torch.Tensor | None:
        """Where the seed's numbers have got to; None where none are drawn. Can be put back."""
        if self._sampling.temperature <= GREEDY:
            return None
        state: torch.Tensor = self._generator.get_state()
        return state

    @chance.setter
    def chance(self, state: torch.Tensor | None) -> None:
        if state is not None:
            self._generator.set_state(state)

    def __call__(self, logits: torch.Tensor) -> int:
        """The next token for float32 `logits` [vocab], which are left as they are."""
        token = self.draw(self.penalised(logits))
        self.tell(token)
        return token

    def draw(self, scores: torch.Tensor) -> int:
        """A token for float32 `scores` [vocab] after penalties.

        Raises Known where they are not numbers.
        """
        with torch.inference_mode():
            if scores.device.type != "cpu":
                return self._on_card(scores)
            token, top = highest(scores)
            if not math.isfinite(top):
                raise not_numbers(scores, "in the answer")
            if self._sampling.temperature <= GREEDY:
                return token
            return self._drawn(scores)

    def _drawn(self, scores: torch.Tensor) -> int:
        """A token on a CPU, for temperature > 0."""
        sampling = self._sampling
        if sampling.draws_from_all and not 0 < sampling.top_k < len(scores):
            shares = exponentials(_divided(scores, sampling.temperature))
            found = drawn_from_nucleus(shares, sampling.top_p, sampling.min_p, self._generator)
            if found is not None:
                return found
        ids, weights = distribution(scores, sampling)
        place = drawn(weights, self._generator)
        return int(place if ids is None else ids[place])

    def _on_card(self, scores: torch.Tensor) -> int:
        """The same with one wait, for the token and for whether there are numbers."""
        if self._sampling.temperature <= GREEDY:
            known, token = scores.max(0)
        else:
            ids, weights = distribution(scores, self._sampling)
            place = drawn(weights, self._generator)
            token, known = place if ids is None else ids[place], weights.sum()
        both = torch.stack((token.double(), known.double()))
        if both.device.type == "cuda" and self._expect is not None:
            # On its way to main memory first: the step that is expected comes behind it.
            there = torch.empty(2, dtype=both.dtype, pin_memory=True)
            there.copy_(both, non_blocking=True)
            told = torch.cuda.Event()
            told.record(torch.cuda.current_stream(both.device))
            self._expect(token)
            told.synchronize()
            both = there
        index, number = both.tolist()
        if not math.isfinite(number):
            raise not_numbers(scores, "in the answer")
        return int(index)

    def tell(self, token: int) -> None:
        """`token` is the next one of the answer, whether it was drawn or not."""
        if self._penalties is not None:
            self._penalties.tell(token)

    def penalised(self, logits: torch.Tensor) -> torch.Tensor:
        """`logits` [vocab] after the penalties; themselves where there are none.

        What is given out holds until the next call.
        """
        if self._penalties is None:
            return logits
        with torch.inference_mode():
            return self._penalties.applied(logits)


def not_numbers(logits: torch.Tensor, where: str) -> Known:
    """What there is to say of `logits` that are not numbers."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "The model computes values that are not numbers."),
        QT_TRANSLATE_NOOP("errors", "Its weights may be damaged: download them again."),
        details=f"logits of {str(logits.dtype).removeprefix('torch.')} {where}",
    )


def distribution(
    scores: torch.Tensor, sampling: Sampling
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """Candidate ids and their (unnormalised) probabilities, in any order, for temperature > 0.

    `scores` is float32 [vocab] after penalties. Ids None: the probabilities cover the whole row.
    Entries with probability 0 are excluded.
    """
    size = scores.shape[-1]
    if 0 < sampling.top_k < size:
        values, ids = likeliest(scores, min(sampling.top_k + TIES, size))
        values = values / sampling.temperature
        values = values.masked_fill(values < values[sampling.top_k - 1], -math.inf)
        return ids, _cut(values, sampling)
    scores = _divided(scores, sampling.temperature)
    if sampling.top_p >= 1.0 and sampling.min_p <= 0.0:
        return None, exponentials(scores)
    return nucleus(scores, sampling.top_p, sampling.min_p)


def _divided(scores: torch.Tensor, temperature: float) -> torch.Tensor:
    if scores.device.type == "cpu":  # in this thread: see likeliest.py
        return torch.from_numpy(scores.numpy() / np.float32(temperature))
    return scores / temperature


def _cut(values: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Probabilities of descending `values` with the tails of top-p and min-p set to 0."""
    probabilities = torch.softmax(values, 0)
    first = probabilities[0].clone()
    if sampling.top_p < 1.0:
        before = probabilities.cumsum(0) - probabilities
        probabilities = probabilities.masked_fill(before >= sampling.top_p, 0.0)
    if sampling.min_p > 0.0:
        low = probabilities < sampling.min_p * first
        probabilities = probabilities.masked_fill(low, 0.0)
    probabilities[0] = first  # one token always remains
    return probabilities
