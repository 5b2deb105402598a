"""Finding a line by a few of its letters. No Qt."""

from __future__ import annotations

from collections.abc import Sequence

_START, _JOINED, _GAP = 8, 5, 1


def match(query: str, text: str) -> tuple[int, tuple[int, ...]] | None:
    """How well `query` fits `text`, and the places of its letters there; None where it does not.

    Every letter of the query has to be found, in their order; white space is passed over. Letters
    at the starts of words and beside each other count most.
    """
    letters = [letter for letter in query.casefold() if not letter.isspace()]
    folded = [letter.casefold() for letter in text]
    if not letters:
        return 0, ()
    starts = [
        index == 0 or (folded[index].isalnum() and not folded[index - 1].isalnum())
        for index in range(len(folded))
    ]
    best: dict[int, tuple[int, tuple[int, ...]]] = {}  # by the place of the last letter
    for number, letter in enumerate(letters):
        found: dict[int, tuple[int, tuple[int, ...]]] = {}
        ahead: tuple[int, tuple[int, ...]] | None = None  # the best that ends before `at - 1`
        for at, other in enumerate(folded):
            if at >= 2 and at - 2 in best and (ahead is None or best[at - 2][0] > ahead[0]):
                ahead = best[at - 2]
            if other != letter:
                continue
            worth = _START if starts[at] else 0
            if number == 0:
                found[at] = (worth - min(at, 6) * _GAP, (at,))
                continue
            ways = []
            if at - 1 in best:
                score, places = best[at - 1]
                ways.append((score + worth + _JOINED, (*places, at)))
            if ahead is not None:
                ways.append((ahead[0] + worth - _GAP, (*ahead[1], at)))
            if ways:
                found[at] = max(ways, key=lambda way: way[0])
        best = found
        if not best:
            return None
    score, places = max(best.values(), key=lambda way: way[0])
    return score, places


def ranked(query: str, texts: Sequence[str]) -> list[tuple[int, tuple[int, ...]]]:
    """The numbers of the texts that fit, the best first, each with the places of its letters.

    Those that fit alike keep their order; an empty query fits all.
    """
    fits = []
    for number, text in enumerate(texts):
        fit = match(query, text)
        if fit is not None:
            fits.append((-fit[0], number, fit[1]))
    fits.sort(key=lambda fit: fit[:2])
    return [(number, places) for _, number, places in fits]
