"""Text as it is compared when one searches: without case, width and accents. Standard library only.

`plain` takes away width and accents, `folded` the case as well. Both have the same length, so a
place in one is the same place in the other; `Places` finds it in the text itself.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache

LONGEST = 64  # characters of a word that tell it from others
MOST_PARTS = 6  # of a word; one with more is a number in base 16 or 64, and no name

# Writing without spaces between words: Han, kana, bopomofo, Hangul; Thai, Lao, Burmese, Khmer.
UNSPACED = (
    "\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3041-\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff"
    "\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U000323af\u1100-\u11ff\ua960-\ua97f\uac00-\ud7fb"
    "\u0e01-\u0e4e\u0e81-\u0ece\u1000-\u109f\u1780-\u17dd"
)
# A run of such writing, or a word of the other kind.
TOKEN = re.compile(f"[{UNSPACED}]+|[^\\W_{UNSPACED}]+")
WORD = re.compile(f"[^\\W_{UNSPACED}]+")
_UNSPACED = re.compile(f"[{UNSPACED}]")
_PART = re.compile(r"\d+|[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+")

# Latin, Greek and Cyrillic accents only: those of kana and of Indian scripts make other letters.
_ACCENTS = re.compile("[\u0300-\u036f]+")
_SHARP_S = str.maketrans({"ß": "ss", "ẞ": "SS"})  # the only letters whose case has two lengths

# Characters that stay one character and never join the one before them.
_REGULAR = (
    "\x00-\x7f\u00a1-\u00a7\u00ab-\u00ae\u00b0-\u00b3\u00b5-\u00b7\u00b9-\u00bb\u00bf-\u00de"
    "\u00e0-\u0131\u0134-\u013e\u0141-\u0148\u014a-\u017e\u0391-\u03a9\u03b1-\u03c9\u0410-\u044f"
    "\u2010-\u2016\u2018-\u2023\u3000-\u3029\u3041-\u3096\u30a1-\u30fa\u30fc-\u30fe"
    "\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff5e"
)
# Whatever else there is, with the character before it, which it may join.
_IRREGULAR = re.compile(f"(?s:.)?[^{_REGULAR}]+")
# Where Unicode has marks; between these are the large scripts of the East.
_WITH_MARKS = (
    (0x300, 0x3100),
    (0xA660, 0xA700),
    (0xA800, 0xAC00),
    (0xFB00, 0xFB20),
    (0xFE00, 0xFE30),
    (0x10000, 0x12000),
    (0x16A00, 0x17000),
    (0x1BC00, 0x1BD00),
    (0x1CF00, 0x1D300),
    (0x1DA00, 0x1DB00),
    (0x1E000, 0x1E960),
)


def plain(text: str) -> str:
    """`text` in compatibility form (NFKC) without accents; upper case stays."""
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFC", _ACCENTS.sub("", apart)).translate(_SHARP_S)


def folded(text: str) -> str:
    """`plain(text)` without case, as long as that."""
    return text.lower() if text.isascii() else plain(text).casefold()


@lru_cache(maxsize=1)
def _clusters() -> re.Pattern[str]:
    """A character with what joins it: marks, and the parts of Hangul in all their forms.

    Made at the first use, as it takes a few milliseconds.
    """
    codes = (code for begin, end in _WITH_MARKS for code in range(begin, end))
    marks = "".join(c for c in map(chr, codes) if unicodedata.category(c)[0] == "M")
    hangul = "\u1100-\u11ff\u3131-\u318e\ua960-\ua97f\ud7b0-\ud7fb\uff9e-\uffdc"
    return re.compile(f"(?s:.)[{marks}{hangul}]*")


@lru_cache(maxsize=1 << 14)
def _length(cluster: str) -> int:
    return len(plain(cluster))


class Places:
    """Where the characters of `plain(text)` stand in `text`."""

    def __init__(self, text: str) -> None:
        # From each of these places of the plain text on, the text is so far behind it or ahead.
        self._plain = [0]
        self._text = [0]
        self._regular = [True]  # whether one character stands for one from there on
        if text.isascii():
            return
        behind = 0  # characters that the plain text has more
        for found in _IRREGULAR.finditer(text):
            at = found.start()
            for cluster in _clusters().findall(found[0]):
                length, end = _length(cluster), at + len(cluster)
                if not length == len(cluster) == 1:
                    self._add(at + behind, at, False)
                    behind += length - len(cluster)
                    self._add(end + behind, end, True)
                at = end

    def _add(self, at: int, text: int, regular: bool) -> None:
        self._plain.append(at)
        self._text.append(text)
        self._regular.append(regular)

    def begin(self, at: int) -> int:
        """Where the character at place `at` of the plain text begins in the text."""
        step = bisect_right(self._plain, at) - 1
        if self._regular[step]:
            return self._text[step] + at - self._plain[step]
        return self._text[step]  # somewhere in characters that became others: all of them

    def end(self, at: int) -> int:
        """Where the character before place `at` of the plain text ends in the text."""
        if at <= 0:
            return 0
        step = bisect_right(self._plain, at - 1) - 1
        if self._regular[step]:
            return self._text[step] + at - self._plain[step]
        return self._text[step + 1]


def is_unspaced(character: str) -> bool:
    """Whether a character is of a writing without spaces between words."""
    return _UNSPACED.match(character) is not None


@lru_cache(maxsize=1 << 16)
def parts(word: str) -> tuple[tuple[int, int], ...]:
    """Begin and end of the parts of a plain word that is joined of several; none of others.

    "ConversationList" has "Conversation" and "List", "Qwen3" has "Qwen" and "3".
    """
    if len(word) > LONGEST or (word.islower() and word.isalpha()):
        return ()
    spans = tuple(found.span() for found in _PART.finditer(word))
    return spans if 1 < len(spans) <= MOST_PARTS else ()


def words(plain_text: str) -> Iterator[tuple[int, int]]:
    """Begin and end of the runs and words of a plain text."""
    return (found.span() for found in TOKEN.finditer(plain_text))
