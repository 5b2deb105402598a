"""Where something is found in a text that is shown, in the units in which Qt counts. No Qt."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from qwen_desktop.chat.matching import Matcher

Spans = list[tuple[int, int]]


def found_spans(matcher: Matcher, text: str, sources: Sequence[str] = (), sign: str = "") -> Spans:
    """What `matcher` finds in a text, as it is and in the sources of its formulas.

    Each formula stands there as one `sign`, and is found as a whole, once for each time that its
    source has it. The spans are in UTF-16 units, from the left.
    """
    if not sources:
        return _in_units(text, matcher.spans(text))
    first, *others = text.split(sign)
    whole = [first]
    starts: list[int] = []  # of the sources, in the text with them
    signs: list[int] = []  # and of their signs, in the text without
    at, plain = len(first), len(first)
    for source, piece in zip(sources, others, strict=False):
        starts.append(at)
        signs.append(plain)
        whole += (source, piece)
        at += len(source) + len(piece)
        plain += 1 + len(piece)

    def before(place: int, end: bool) -> int:
        """The place in the text without sources; within one, its sign's edge."""
        number = bisect_right(starts, place - 1 if end else place) - 1
        if number < 0:
            return place
        over = place - starts[number] - len(sources[number])
        if over < 0 or (end and over == 0):
            return signs[number] + (1 if end else 0)
        return signs[number] + 1 + over

    spans = [
        (before(begin, False), before(end, True)) for begin, end in matcher.spans("".join(whole))
    ]
    return _in_units(text, spans)


def _in_units(text: str, spans: Spans) -> Spans:
    """Spans of a Python string in UTF-16 units."""
    if not spans or text.isascii() or max(text) <= "\uffff":
        return spans
    units: dict[int, int] = {}
    at = count = 0
    for place in sorted({edge for span in spans for edge in span}):
        count += len(text[at:place].encode("utf-16-le", "surrogatepass")) // 2
        units[place], at = count, place
    return [(units[begin], units[end]) for begin, end in spans]
