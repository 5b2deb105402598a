"""Choosing the next token from logits. Same order and meaning as transformers' processors:
repetition penalty, (presence penalty, ours), temperature, top-k, top-p, min-p.

The vocabulary has 150,000 entries and more; everything after the penalties works on the short
list of the likeliest ones and falls back to the whole row only where the list is provably short.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from qwen_desktop.chat.settings import GenerationSettings

# For a checkpoint that recommends nothing: what Qwen recommends for its chat models.
DEFAULT_TEMPERATURE, DEFAULT_TOP_K, DEFAULT_TOP_P = 0.7, 20, 0.8
GREEDY = 1e-5  # temperatures up to this one; dividing by them would overflow
SHORT_LIST = 1024  # candidates looked at first where there is no top-k
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
    answer, which penalties count as such.
    """

    def __init__(
        self,
        sampling: Sampling,
        prompt: Sequence[int],
        vocab_size: int,
        device: torch.device,
        *,
        given: int = 0,
    ) -> None:
        self._sampling = sampling
        # Bool [2, vocab]: in the prompt or the answer; in the answer. One tensor, so that a token
        # is marked in both or, where memory is refused, in neither.
        self._marks: torch.Tensor | None = None
        if sampling.repetition_penalty != 1.0 or sampling.presence_penalty != 0.0:
            said = prompt[len(prompt) - given :]
            self._marks = torch.stack([_mask(ids, vocab_size, device) for ids in (prompt, said)])
        self._generator = torch.Generator(device)
        self._generator.manual_seed(sampling.seed)

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
        """A token for float32 `scores` [vocab] after penalties."""
        with torch.inference_mode():
            if self._sampling.temperature <= GREEDY:
                return int(scores.argmax())
            ids, probabilities = distribution(scores, self._sampling)
            drawn = torch.multinomial(probabilities, 1, generator=self._generator)
            return int(drawn if ids is None else ids[drawn])

    def tell(self, token: int) -> None:
        """`token` is the next one of the answer, whether it was drawn or not."""
        if self._marks is not None:
            self._marks[:, token] = True

    def penalised(self, logits: torch.Tensor) -> torch.Tensor:
        """`logits` [vocab] after the penalties; themselves where there are none."""
        if self._marks is None:
            return logits
        scores, (seen, said) = logits, self._marks
        penalty, presence = self._sampling.repetition_penalty, self._sampling.presence_penalty
        with torch.inference_mode():
            if penalty != 1.0:
                lowered = torch.where(scores < 0, scores * penalty, scores / penalty)
                scores = torch.where(seen, lowered, scores)
            if presence != 0.0:
                scores = scores - said * presence
        return scores


def _mask(ids: Sequence[int], size: int, device: torch.device) -> torch.Tensor:
    """Bool [size], true at `ids`."""
    mask = torch.zeros(size, dtype=torch.bool, device=device)
    mask[torch.tensor(sorted(set(ids)), dtype=torch.long, device=device)] = True
    return mask


def distribution(
    scores: torch.Tensor, sampling: Sampling
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """Candidate ids and their (unnormalised) probabilities, likeliest first, for temperature > 0.

    `scores` is float32 [vocab] after penalties. Ids None: the probabilities cover the whole row.
    Entries with probability 0 are excluded.
    """
    scores = scores / sampling.temperature
    size = scores.shape[-1]
    if 0 < sampling.top_k < size:
        values, ids = torch.topk(scores, min(sampling.top_k + TIES, size))
        values = values.masked_fill(values < values[sampling.top_k - 1], -math.inf)
        return ids, _cut(values, torch.logsumexp(values, 0), sampling)
    if sampling.top_p >= 1.0 and sampling.min_p <= 0.0:
        return None, torch.softmax(scores, 0)
    total = torch.logsumexp(scores, 0)
    values, ids = torch.topk(scores, min(SHORT_LIST, size))
    if not _covers(values, total, sampling, size):
        values, ids = torch.sort(scores, descending=True)
    return ids, _cut(values, total, sampling)


def _covers(values: torch.Tensor, total: torch.Tensor, sampling: Sampling, size: int) -> bool:
    """Whether nothing below the short list `values` can be a candidate."""
    if len(values) == size:
        return True
    by_top_p = bool(torch.exp(values - total).sum() > sampling.top_p)
    by_min_p = bool(values[-1] - values[0] < math.log(max(sampling.min_p, 1e-30)))
    return by_top_p or by_min_p


def _cut(values: torch.Tensor, total: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Probabilities of descending `values` with the tails of top-p and min-p set to 0."""
    probabilities = torch.exp(values - total)
    if sampling.top_p < 1.0:
        before = probabilities.cumsum(0) - probabilities
        probabilities = probabilities.masked_fill(before >= sampling.top_p, 0.0)
    if sampling.min_p > 0.0:
        low = probabilities < sampling.min_p * torch.exp(values[0] - total)
        probabilities = probabilities.masked_fill(low, 0.0)
    probabilities[0] = torch.exp(values[0] - total)  # one token always remains
    return probabilities
