"""Where something stands in a run of tokens: by its text, or by its ids. No widgets."""

from __future__ import annotations

import re
from bisect import bisect_right

from qwen_desktop.chat.tokens import Tokens
from qwen_desktop.ui.token_layout import Mode

MOST = 10_000  # matches
_IDS = re.compile(r"\s*\d+(?:[\s,]+\d+)*[\s,]*")


def places(tokens: Tokens, query: str, mode: Mode) -> list[tuple[int, int]]:
    """The ranges of tokens that match, by their text in any case, or by their ids.

    Numbers with spaces or commas between them are looked for as ids too where ids are shown, and
    where they are not as long as no text has them.
    """
    found: set[tuple[int, int]] = set()
    if mode is Mode.TEXT:
        found.update(_by_text(tokens, query))
    if _IDS.fullmatch(query) and (mode is not Mode.TEXT or not found):
        found.update(_by_ids(tokens, [int(n) for n in re.findall(r"\d+", query)]))
    if mode is Mode.BOTH or (mode is Mode.IDS and not found):
        found.update(_by_text(tokens, query))
    return sorted(found)[:MOST]


def _by_ids(tokens: Tokens, wanted: list[int]) -> list[tuple[int, int]]:
    ids, size = tokens.ids, len(wanted)
    found: list[tuple[int, int]] = []
    at = -1
    while len(found) < MOST:
        try:
            at = ids.index(wanted[0], at + 1)
        except ValueError:
            break
        if list(ids[at : at + size]) == wanted:
            found.append((at, at + size))
    return found


def _by_text(tokens: Tokens, query: str) -> list[tuple[int, int]]:
    if not query:
        return []
    starts, length = [], 0
    for cell in tokens.cells:
        starts.append(length)
        length += len(cell.text)
    text = "".join(cell.text for cell in tokens.cells)
    found = []
    for match in re.finditer(re.escape(query), text, re.IGNORECASE):
        first = bisect_right(starts, match.start()) - 1
        last = bisect_right(starts, match.end() - 1) - 1
        found.append((tokens.cells[first].start, tokens.cells[last].end))
        if len(found) == MOST:
            break
    return found
