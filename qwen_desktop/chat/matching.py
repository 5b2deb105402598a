"""Finding words in texts, for the search and for the marks in what is shown. Standard library only.

A word is found where it stands alone or is a part of a joined one ("list" in "ConversationList"),
writing without spaces wherever it stands. Case, width and accents make no difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from qwen_desktop.chat import folding
from qwen_desktop.chat.folding import TOKEN, WORD, Places, is_unspaced


@dataclass(frozen=True)
class Needle:
    """Something to find: folded text, in which one space stands for any spaces.

    `prefix`: it may be the beginning of a longer word. `anywhere`: it may be any part of one.
    """

    text: str
    prefix: bool = False
    anywhere: bool = False

    @classmethod
    def of(cls, typed: str, *, prefix: bool = False) -> Needle | None:
        """A needle of what was typed; a star at its end makes a prefix. None where it is empty."""
        text = " ".join(folding.folded(typed).split())
        bare = text.rstrip("* ")
        return cls(bare, prefix or text.endswith("*")) if bare else None

    @classmethod
    def anywhere_of(cls, typed: str) -> Needle | None:
        """A needle of what was typed, stars and all, found in the middle of words too."""
        text = " ".join(folding.folded(typed).split())
        return cls(text, anywhere=True) if text else None

    @classmethod
    def of_word(cls, word: str) -> Needle:
        """The needle that gave `word`."""
        return cls(word.removesuffix("*"), word.endswith("*"))

    @property
    def word(self) -> str:
        """The needle as one text, for `Found.words`."""
        return f"{self.text}*" if self.prefix else self.text

    @cached_property
    def has_terms(self) -> bool:
        """Whether there is a letter or digit in it."""
        return TOKEN.search(self.text) is not None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        words = (_spaced(word) for word in self.text.split(" "))
        return re.compile(r"\s+".join(words))

    @cached_property
    def _edges(self) -> tuple[int, int, bool]:
        """How long the word at the beginning is, and the one at the end, 0 where there is none of
        the kind with spaces around it; whether they are the same one.
        """
        first = WORD.match(self.text)
        begin = first.end() if first is not None else 0
        *_, last = (0, 0), *(found.span() for found in WORD.finditer(self.text))
        end = last[1] - last[0] if last[1] == len(self.text) else 0
        return begin, end, begin == len(self.text)

    def spans(self, plain: str, folded: str) -> Iterator[tuple[int, int]]:
        """Where it stands in a text that is given in both forms of `folding`."""
        first, last, same = self._edges
        for found in self._pattern.finditer(folded):
            begin, end = found.span()
            if self.anywhere:
                good = True
            elif same:
                good = _stands(plain, begin, end, self.prefix)
            else:
                good = (not first or _stands(plain, begin, begin + first, False)) and (
                    not last or _stands(plain, end - last, end, self.prefix)
                )
            if good:
                yield begin, end

    def is_in(self, plain: str, folded: str) -> bool:
        """Whether it stands in a text."""
        return next(self.spans(plain, folded), None) is not None


def _spaced(word: str) -> str:
    """A pattern for a word; between Chinese and Latin letters there may be a space."""
    pattern, at, before = "", 0, ""
    for found in TOKEN.finditer(word):
        begin, end = found.span()
        touching = begin == at and bool(before) and is_unspaced(before) != is_unspaced(word[begin])
        pattern += r"\s*" if touching else re.escape(word[at:begin])
        pattern += re.escape(found[0])
        at, before = end, word[end - 1]
    return pattern + re.escape(word[at:])


def _stands(plain: str, begin: int, end: int, prefix: bool) -> bool:
    """Whether [begin, end) of a word is all of it or a part; with `prefix`, begins one of them."""
    low, high = begin, end
    while low > 0 and _in_word(plain[low - 1]):
        low -= 1
    if low == begin and prefix:
        return True
    while high < len(plain) and _in_word(plain[high]):
        high += 1
    if low == begin and high == end:
        return True
    for part_begin, part_end in folding.parts(plain[low:high]):
        if low + part_begin == begin:
            return low + part_end == end or (prefix and end < low + part_end)
    return False


def _in_word(character: str) -> bool:
    return WORD.match(character) is not None


class Matcher:
    """Several needles at once."""

    def __init__(self, needles: Iterable[Needle]) -> None:
        self.needles: Sequence[Needle] = tuple(needles)

    @classmethod
    def of_words(cls, words: Iterable[str]) -> Matcher:
        """A matcher of `Found.words`."""
        return cls(map(Needle.of_word, words))

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Begin and end of all that is found in `text`, from the left, without overlaps."""
        plain = folding.plain(text)
        folded = plain.lower() if text.isascii() else plain.casefold()
        found = [span for needle in self.needles for span in needle.spans(plain, folded)]
        if not found:
            return []
        places = Places(text)
        merged: list[tuple[int, int]] = []
        for begin, end in sorted(found):
            begin, end = places.begin(begin), places.end(end)
            if merged and begin < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((begin, end))
        return merged
