"""The likeliest of a vocabulary's scores, and drawing from them: what a sampler is made of.

On a CPU by numpy, in one thread. The loops of torch over 150,000 numbers are handed to its threads,
which then wait, busily, beside those that compute the next token; and its draw from a whole
vocabulary takes three milliseconds. On other devices by torch, without a synchronisation.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

Array = np.ndarray[Any, Any]

DEPTH = 128  # scores of which the highest stands for all at first
_SPARSE = 8  # times as many columns as scores are wanted, for `likeliest` to go by columns
_FEW = 2**13  # numbers that are sorted
_DRAWS = 6  # from all, of which one is most likely from the nucleus
_TRIES = 24  # to close in on the border of a nucleus; equals on it cannot be told apart
_LEAST = 1e-30  # the lowest share at which the border is looked for
_CAREFUL = 1 - 1e-5  # what sums of floats may be off by


def highest(scores: torch.Tensor) -> tuple[int, float]:
    """The index of the highest score, the first of equals, and the score; NaN counts as highest.

    For `scores` on a CPU.
    """
    row = scores.numpy()
    index = int(row.argmax())
    return index, float(row[index])


def likeliest(scores: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The `count` highest of `scores` [n] in descending order, and their indices: as torch.topk.

    On a CPU the scores are looked at as a grid of `DEPTH` rows. The highest ones lie in the `count`
    columns with the highest tops, as each of the others would have as many above it.
    """
    size = len(scores)
    columns = size // DEPTH
    if scores.device.type != "cpu" or columns < _SPARSE * count:
        return torch.topk(scores, count)  # type: ignore[no-any-return] # torch has no types here
    row = scores.numpy()
    tops = row[: DEPTH * columns].reshape(DEPTH, columns).max(0)
    best = np.argpartition(tops, columns - count)[columns - count :]
    inner = (best + columns * np.arange(DEPTH)[:, None]).ravel()
    ids = np.concatenate((inner, np.arange(DEPTH * columns, size)))
    values, places = torch.topk(torch.from_numpy(row[ids]), count)
    return values, torch.from_numpy(ids)[places]


def log_total(scores: torch.Tensor) -> torch.Tensor:
    """The logarithm of the sum of the exponentials of `scores` [n], a tensor of no dimensions."""
    if scores.device.type != "cpu":
        return torch.logsumexp(scores, 0)
    top = float(scores.numpy().max())
    return torch.tensor(top + math.log(float(exponentials(scores).numpy().sum())))


def nucleus(
    scores: torch.Tensor, top_p: float, min_p: float = 0.0
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """The fewest likeliest of `scores` [n] that have the probability `top_p` together.

    Without those less likely than `min_p` times the likeliest. Their indices, and their
    probabilities over that of the likeliest, both in no order. Indices None: the probabilities are
    those of the whole row, 0 for what is left out.
    """
    if scores.device.type != "cpu":
        values, ids = torch.sort(scores, descending=True)
        probabilities = torch.softmax(values, 0)
        before = probabilities.cumsum(0) - probabilities
        kept = probabilities.masked_fill(before >= top_p, 0.0)
        kept = kept.masked_fill(probabilities < min_p * probabilities[0], 0.0)
        kept[0] = probabilities[0]  # also where `top_p` is 0
        return ids, kept / probabilities[0]
    ids, weights = _nucleus(exponentials(scores).numpy(), top_p, min_p)
    return None if ids is None else torch.from_numpy(ids), torch.from_numpy(weights)


def _nucleus(shares: Array, top_p: float, min_p: float) -> tuple[Array | None, Array]:
    """`nucleus` of `shares` [n], the highest of which is 1, without sorting many of them.

    What is so unlikely that all of the kind together are left out goes first. Where many remain,
    the border is closed in on: the shares from `high` on, `above` together, are too few, those
    from `low` on are enough or all that `min_p` lets through.
    """
    if top_p >= 1.0:
        return None, np.multiply(shares, shares >= np.float32(min_p))
    total = float(shares.sum())
    wanted = top_p * total
    least = (total - wanted) / len(shares) * _CAREFUL
    low, high, above, below = max(least, min_p), math.inf, 0.0, total
    between = shares >= np.float32(low)
    room = np.empty_like(shares)
    for _ in range(_TRIES):
        if np.count_nonzero(between) <= _FEW:
            break
        part = min(max((wanted - above) / (below - above), 0.2), 0.8)  # of the masses between
        pivot = min(high, 1.0) ** (1 - part) * max(low, _LEAST) ** part
        over = shares >= np.float32(pivot)
        mass = float(np.multiply(shares, over, out=room).sum())
        if mass >= wanted:
            low, below = pivot, mass
            between &= over
        else:
            high, above = pivot, mass
            between &= ~over
    ids = np.flatnonzero(between)
    values = shares[ids]
    falling = np.sort(values)[::-1]
    before = above + np.cumsum(falling, dtype=np.float64) - falling
    keep = max(0 if above else 1, int(np.searchsorted(before, wanted)))
    ids = _first(ids, values, falling, keep)
    if math.isinf(high):
        return ids, shares[ids]
    weights = np.multiply(shares, shares >= np.float32(high), out=room)  # numpy's where is slow
    weights[ids] = shares[ids]
    return None, weights


def _first(ids: Array, values: Array, falling: Array, keep: int) -> Array:
    """Those of `ids` with the `keep` highest `values`, which `falling` has in order."""
    if keep == 0:
        return ids[:0]
    least = falling[keep - 1]
    over, equal = np.flatnonzero(values > least), np.flatnonzero(values == least)
    return ids[np.concatenate((over, equal[: keep - len(over)]))]


def exponentials(scores: torch.Tensor) -> torch.Tensor:
    """Of `scores` [n], over that of the highest."""
    if scores.device.type != "cpu":
        return torch.exp(scores - scores.max())
    row = scores.numpy()
    shares = row - row.max()
    return torch.from_numpy(np.exp(shares, out=shares))


def drawn(weights: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """An index into `weights` [n] (none below 0, in any order), as likely as its weight says."""
    if weights.device.type != "cpu":
        return first_to_ring(weights, generator)
    return torch.tensor(_Urn(weights.numpy()).draw(generator))


def drawn_from_nucleus(
    shares: torch.Tensor, top_p: float, min_p: float, generator: torch.Generator
) -> int | None:
    """An index drawn from the `nucleus` whose `shares` [n] are those of `exponentials`, on a CPU.

    The border of a large nucleus takes long to find. So one of all is drawn, and again where it is
    not in the nucleus: that it is in there shows by the sum of those that are likelier. None after
    some draws in vain: then there is nothing for it but to find the border.
    """
    row = shares.numpy()
    urn = _Urn(row)
    wanted, room = top_p * urn.total, np.empty_like(row)
    for _ in range(_DRAWS):
        index = urn.draw(generator)
        share = row[index]
        if share < np.float32(min_p):
            continue
        above = float(np.multiply(row, row > share, out=room).sum())
        if above < wanted:  # of equals on the border the first ones are in
            before = above + float(share) * np.count_nonzero(row[:index] == share)
            if before < wanted:
                return index
    return None


class _Urn:
    """Draws indices into `row` (none below 0) as likely as its numbers say."""

    def __init__(self, row: Array) -> None:
        # Sums of parts first: in a long row, a sum of all on the way takes long.
        width = len(row) // DEPTH if len(row) > DEPTH * DEPTH else len(row)
        self._row, self._width = row, width
        self._firsts = np.arange(0, len(row), width)
        self._through = np.cumsum(np.add.reduceat(row, self._firsts, dtype=np.float64))
        self.total = float(self._through[-1])

    def draw(self, generator: torch.Generator) -> int:
        """One index, by one number of `generator`."""
        chance = float(torch.rand((), dtype=torch.float64, generator=generator))
        sought = chance * self.total
        part = int(np.searchsorted(self._through, sought, "right"))
        part = min(part, len(self._firsts) - 1)
        before = self._through[part - 1] if part else 0.0
        first = int(self._firsts[part])
        return first + _where(self._row[first : first + self._width], sought - before)


def first_to_ring(weights: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The same without looking at a number: of as many clocks, the first one to ring.

    torch.multinomial would look at its weights first, that is, wait for the card.
    """
    return (weights / torch.empty_like(weights).exponential_(generator=generator)).argmax()


def _where(row: Array, sought: float) -> int:
    """The first index up to which `row` adds up to more than `sought`; never one of weight 0."""
    through = np.cumsum(row, dtype=np.float64)
    index = int(np.searchsorted(through, min(sought, np.nextafter(through[-1], 0.0)), "right"))
    return min(index, len(row) - 1)
