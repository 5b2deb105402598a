"""Which words of a text are to be spelt right, and in which language. Pure.

Passed over: code, addresses, paths, names of programs, words with digits or in capitals, and what
is not written in the script of the dictionary, Chinese above all.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

LONGEST = 60  # characters of a word that is looked at
FENCES = ("```", "~~~")
FOREIGN_FROM = 6  # words; of fewer nobody can say that they are of another language

# Scripts of languages that are not written in Latin letters, as Unicode names them.
_SCRIPTS = {
    **dict.fromkeys(("be", "bg", "kk", "mk", "mn", "ru", "sr", "uk"), "CYRILLIC"),
    "el": "GREEK",
    "he": "HEBREW",
    "hy": "ARMENIAN",
    "ka": "GEORGIAN",
}
# Written without Latin letters: a dictionary of English does no harm to who writes them.
_BESIDE_ENGLISH = ("ja", "ko", "th", "zh", *_SCRIPTS)
# Dictionaries of scripts whose words are not found by this module.
_UNSUPPORTED = (
    *("am", "ar", "as", "bn", "bo", "dv", "dz", "fa", "gu", "hi", "ja", "km", "kn", "ko", "lo"),
    *("ml", "mr", "my", "ne", "or", "pa", "ps", "sa", "si", "ta", "te", "th", "ug", "ur", "yi"),
    "zh",
)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
_CHUNK = re.compile(r"\S+")
# Chinese, Japanese and Korean stand beside other words without a space.
_LETTER = (
    "(?![\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef"
    "\U0001b000-\U0001b2ff\U00020000-\U0003ffff])[^\\W\\d_]"
)
_WORD = re.compile(f"{_LETTER}(?:{_LETTER}|[\u0300-\u036f\u0591-\u05c7]|['’](?={_LETTER}))*")
_PROGRAM = re.compile(
    r"://|@|\\|_|::|->|=|\(\)"  # addresses, names and calls
    r"|^[\"'(\[]*(?:[/~$#<%{&]|-{1,2}\w|\.{1,2}/)"  # paths, options, variables, tags
    r"|\w/\w*[./]\w|[^\W\d]\.[^\W\d]"  # src/main.py, config.json
    r"|^www\."
)


@dataclass(frozen=True)
class Word:
    """A word and where it stands, in characters of its line."""

    text: str
    start: int

    @property
    def end(self) -> int:
        """Behind its last character."""
        return self.start + len(self.text)


@dataclass(frozen=True)
class Spellers:
    """What this machine has. `language` is the one in use, "" where there is none."""

    library: bool = False
    languages: tuple[str, ...] = ()
    language: str = ""


def is_fence(line: str) -> bool:
    """Whether a line begins or ends a block of code."""
    return line.lstrip().startswith(FENCES)


def words(line: str, language: str) -> Iterator[Word]:
    """The words of a line outside code blocks that a dictionary of `language` can judge."""
    script = script_of(language)
    without_code = _CODE.sub(lambda found: " " * len(found.group()), line)
    for chunk in _CHUNK.finditer(without_code):
        if _PROGRAM.search(chunk.group()):
            continue
        for found in _WORD.finditer(chunk.group()):
            word = found.group()
            if _is_beside_a_digit(chunk.group(), found) or not _is_plain(word, script):
                continue
            yield Word(word, chunk.start() + found.start())


def _is_beside_a_digit(chunk: str, found: re.Match[str]) -> bool:
    around = chunk[max(0, found.start() - 1) : found.start()], chunk[found.end() : found.end() + 1]
    return any(one.isdigit() for one in around)


def _is_plain(word: str, script: str) -> bool:
    """Whether a word is of one script, and no abbreviation and no name of a program."""
    if not 1 < len(word) <= LONGEST:
        return False
    rest = word[1:]
    if any(one.isupper() for one in rest):  # NASA, iPhone, QWidget
        return False
    return all(
        unicodedata.name(one, "").startswith(script)
        for one in word
        if one not in "'’" and not unicodedata.combining(one)
    )


def looked_up(word: str) -> str:
    """The form of a word that dictionaries have."""
    return unicodedata.normalize("NFC", word.replace("’", "'"))


def script_of(language: str) -> str:
    """The script of a language, as the Unicode names of its letters begin."""
    return _SCRIPTS.get(_base(language), "LATIN")


def is_foreign(count: int, wrong: int) -> bool:
    """Whether a text is of another language: so many of its `count` different words are `wrong`."""
    return count >= FOREIGN_FROM and wrong * 5 > count * 3


def supported(languages: Iterable[str]) -> tuple[str, ...]:
    """Those whose words this module finds, in their order."""
    return tuple(sorted(one for one in set(languages) if _base(one) not in _UNSUPPORTED))


def chosen(wanted: str, languages: Sequence[str], system: str) -> str:
    """The language to use: the one that is `wanted`, else that of the `system`; "" where none is.

    Languages are written as dictionaries are named: en_US. Beside a language in another script
    English is checked; it would mark every word of one in Latin letters.
    """
    if wanted:
        return wanted if wanted in languages else ""
    if _base(system) in ("", "c", "posix"):
        system = "en_US"
    base = _base(system)
    found = _of(system, languages)
    return found or (_of("en_US", languages) if base in _BESIDE_ENGLISH else "")


def _of(locale: str, languages: Sequence[str]) -> str:
    same = [one for one in languages if _base(one) == _base(locale)]
    exact = [one for one in same if one.replace("-", "_") == locale]
    usual = [one for one in same if one.replace("-", "_") == "en_US"]
    return next(iter([*exact, *usual, *same]), "")


def _base(language: str) -> str:
    return re.split("[-_.@]", language, maxsplit=1)[0].lower()
