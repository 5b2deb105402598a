"""Choosing the next token from logits. Same order and meaning as transformers' processors:
repetition penalty, (presence penalty, ours), temperature, top-k, top-p, min-p.

The vocabulary has 150,000 entries and more; everything after the penalties works on the short
list of the likeliest ones and falls back to the whole row only where the list is provably short.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from qwen_desktop.chat.settings import GenerationSettings

# For a checkpoint that recommends nothing: what Qwen recommends for its chat models.
DEFAULT_TEMPERATURE, DEFAULT_TOP_K, DEFAULT_TOP_P = 0.7, 20, 0.8
GREEDY = 1e-5  # temperatures up to this one; dividing by them would overflow
SHORT_LIST = 1024  # candidates looked at first where there is no top-k
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
    seed: int | None = None


def settle(settings: GenerationSettings, recommended: Mapping[str, Any]) -> Sampling:
    """What the user set, else what the checkpoint recommends, else Qwen's defaults.

    A checkpoint that says do_sample: false is decoded greedily unless the user sets a temperature.
    Values of `recommended` (generation_config.json) that cannot be right count as absent.
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
        presence_penalty=settings.presence_penalty or 0.0,
        seed=settings.seed,
    )


def _number(values: Mapping[str, Any], key: str, low: float, high: float, default: float) -> float:
    value = values.get(key)
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if good and low <= value <= high else default  # type: ignore[operator, return-value]


class Sampler:
    """Draws one answer's tokens. Call it with the logits, then it remembers what it drew."""

    def __init__(
        self, sampling: Sampling, prompt: Iterable[int], vocab_size: int, device: torch.device
    ) -> None:
        self._sampling = sampling
        self._seen: torch.Tensor | None = None  # bool [vocab]: in the prompt or the answer
        self._said: torch.Tensor | None = None  # bool [vocab]: in the answer
        if sampling.repetition_penalty != 1.0:
            self._seen = torch.zeros(vocab_size, dtype=torch.bool, device=device)
            self._seen[torch.tensor(sorted(set(prompt)), dtype=torch.long, device=device)] = True
        if sampling.presence_penalty != 0.0:
            self._said = torch.zeros(vocab_size, dtype=torch.bool, device=device)
        self._generator = torch.Generator(device)
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)

    def __call__(self, logits: torch.Tensor) -> int:
        """The next token for float32 `logits` [vocab], which are left as they are."""
        with torch.inference_mode():
            scores = self._penalised(logits)
            if self._sampling.temperature <= GREEDY:
                token = int(scores.argmax())
            else:
                ids, probabilities = distribution(scores, self._sampling)
                drawn = torch.multinomial(probabilities, 1, generator=self._generator)
                token = int(drawn if ids is None else ids[drawn])
            for mask in (self._seen, self._said):
                if mask is not None:
                    mask[token] = True
        return token

    def _penalised(self, logits: torch.Tensor) -> torch.Tensor:
        scores, penalty = logits, self._sampling.repetition_penalty
        if self._seen is not None:
            lowered = torch.where(scores < 0, scores * penalty, scores / penalty)
            scores = torch.where(self._seen, lowered, scores)
        if self._said is not None:
            scores = scores - self._said * self._sampling.presence_penalty
        return scores


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
