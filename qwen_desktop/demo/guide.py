"""The demo guide as typed, frozen values.

Reads the Markdown of ``resources/demo-guide`` (its README describes the format) and refuses what
does not follow it. Standard library only: no torch, no tokenizer, nothing of the application.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, Language] = ("en", "zh")

_HEADINGS: dict[Language, str] = {"en": "English", "zh": "中文"}
_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
SLOT = re.compile(r"\{(\w+)\}")
BUILT_IN_SLOTS = frozenset({"number", "word"})

# The order in which the application suggests questions.
FIRST = (
    "what-is-this-app",
    "open-checkpoint",
    "get-a-checkpoint",
    "which-models",
    "keyboard-shortcuts",
    "kv-cache-size",
    "privacy",
    "stop-answer",
    "memory-panel",
    "data-location",
    "gpu",
    "thinking",
)
SMALL_TALK = ("hello", "thanks", "goodbye")


class GuideError(Exception):
    """A file of the guide that does not follow the format; the text names the file and the line."""


@dataclass(frozen=True)
class Entry:
    """One topic in one language."""

    suggestion: str
    answer: str
    asked: tuple[str, ...]
    held_out: tuple[str, ...]
    not_about: tuple[str, ...]


@dataclass(frozen=True)
class Topic:
    """One topic of the guide in both languages."""

    slug: str
    en: Entry
    zh: Entry

    def entry(self, language: Language) -> Entry:
        """This topic in one language."""
        return self.en if language == "en" else self.zh


@dataclass(frozen=True)
class Unknown:
    """The refusal in one language and the questions that it answers.

    ``words`` maps the name of a slot to what may stand there. ``again`` maps a language to the
    ways of asking, in this one, for the previous answer in that language.
    """

    answer: str
    frames: tuple[str, ...]
    words: dict[str, tuple[str, ...]]
    again: dict[Language, tuple[str, ...]]
    held_out: tuple[str, ...]


@dataclass(frozen=True)
class Wording:
    """How one language varies a question without changing it."""

    openers: tuple[tuple[str, ...], ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    small_words: tuple[str, ...]
    synonyms: tuple[tuple[str, ...], ...]
    system_prompts: tuple[str, ...]


@dataclass(frozen=True)
class Guide:
    """The whole guide."""

    topics: tuple[Topic, ...]
    unknown: dict[Language, Unknown]
    wording: dict[Language, Wording]

    def answer(self, topic: Topic | None, language: Language) -> str:
        """The answer of a topic, or the refusal for None."""
        return self.unknown[language].answer if topic is None else topic.entry(language).answer

    def suggestions(self, language: Language) -> list[str]:
        """The questions for a new user: the most useful first, small talk last."""

        def rank(topic: Topic) -> int:
            if topic.slug in FIRST:
                return FIRST.index(topic.slug)
            return len(FIRST) + (topic.slug in SMALL_TALK)

        return [topic.entry(language).suggestion for topic in sorted(self.topics, key=rank)]


def expansions(pattern: str) -> Iterator[str]:
    """Every sentence that a pattern with ``(a|b)`` choices stands for."""
    parts = _CHOICE.split(pattern)
    options = [part.split("|") if i % 2 else [part] for i, part in enumerate(parts)]
    for choice in itertools.product(*options):
        yield _tidy("".join(choice))


def choose(pattern: str, rng: random.Random) -> str:
    """One of the sentences that a pattern stands for."""
    return _tidy(_CHOICE.sub(lambda match: rng.choice(match[1].split("|")), pattern))


def read_guide(folder: Path) -> Guide:
    """Read and check the whole guide.

    Raises GuideError where a file is missing or does not follow the format.
    """
    paths = sorted((folder / "topics").glob("*.md"))
    if not paths:
        raise GuideError(f"{folder / 'topics'}: no topics here")
    return Guide(
        topics=tuple(_topic(path) for path in paths),
        unknown=_unknown(folder / "unknown.md"),
        wording=_wording(folder / "wording.md"),
    )


def _tidy(sentence: str) -> str:
    return re.sub(r" +", " ", sentence).strip()


def _topic(path: Path) -> Topic:
    page = _Page(path)
    if page.title != path.stem:
        raise page.error(f"the title is {page.title!r}, not the name of the file")
    entries = {}
    for language in LANGUAGES:
        introduction = page.section(language, "")
        prefix = "Suggestion: "
        suggestion = next((x[len(prefix) :] for x in introduction if x.startswith(prefix)), "")
        if not suggestion:
            raise page.error(f"{_HEADINGS[language]} has no line 'Suggestion: …'")
        entries[language] = Entry(
            suggestion=suggestion.strip(),
            answer=page.text(language, "Answer"),
            asked=page.items(language, "Asked as"),
            held_out=page.items(language, "Held out"),
            not_about=page.items(language, "Not about this"),
        )
        _check_entry(page, entries[language])
    return Topic(path.stem, entries["en"], entries["zh"])


def _check_entry(page: _Page, entry: Entry) -> None:
    for pattern in entry.asked:
        if re.search(r"[()|]", _CHOICE.sub("", pattern)):
            raise page.error(f"a choice in {pattern!r} is nested or has only one side")
    for sentence in entry.held_out + entry.not_about:
        if "|" in sentence:
            raise page.error(f"{sentence!r} must be a plain sentence")


def _unknown(path: Path) -> dict[Language, Unknown]:
    page = _Page(path)
    unknown: dict[Language, Unknown] = {}
    for language in LANGUAGES:
        words = {}
        for line in page.items(language, "Words"):
            name, _, members = line.partition(": ")
            words[name] = tuple(word.strip() for word in members.split(","))
        frames = page.items(language, "Frames")
        for frame in frames:
            if strange := set(SLOT.findall(frame)) - set(words) - BUILT_IN_SLOTS:
                raise page.error(f"no words for {sorted(strange)} of {frame!r}")
        unknown[language] = Unknown(
            answer=page.text(language, "Answer"),
            frames=frames,
            words=words,
            again={to: page.items(language, f"Again in {_NAMES[to]}") for to in LANGUAGES},
            held_out=page.items(language, "Held out"),
        )
    return unknown


_NAMES: dict[Language, str] = {"en": "English", "zh": "Chinese"}


def _wording(path: Path) -> dict[Language, Wording]:
    page = _Page(path)

    def split(language: Language, name: str, by: str) -> tuple[tuple[str, ...], ...]:
        lines = page.items(language, name)
        return tuple(tuple(part.strip() for part in line.split(by)) for line in lines)

    return {
        language: Wording(
            openers=split(language, "Openers", "|"),
            before=page.items(language, "Before"),
            after=page.items(language, "After"),
            small_words=page.items(language, "Small words"),
            synonyms=split(language, "Synonyms", ","),
            system_prompts=page.items(language, "System prompts"),
        )
        for language in LANGUAGES
    }


class _Page:
    """A Markdown page cut at its headings: ``# title``, ``## language``, ``### section``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.title = ""
        self._sections: dict[tuple[str, str], list[str]] = {}
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise GuideError(f"{path}: {error.strerror}") from error
        chapter = section = ""
        fenced = False
        for line in text.splitlines():
            # A `# comment` inside a code block is no heading.
            fenced ^= line.startswith("```")
            if not fenced and line.startswith("# "):
                self.title = line[2:].strip()
            elif not fenced and line.startswith("## "):
                chapter, section = line[3:].strip(), ""
            elif not fenced and line.startswith("### "):
                section = line[4:].strip()
            else:
                self._sections.setdefault((chapter, section), []).append(line.rstrip())

    def error(self, what: str) -> GuideError:
        """An error that names this page."""
        return GuideError(f"{self._path}: {what}")

    def section(self, language: Language, name: str) -> list[str]:
        """The lines of a section; GuideError where there are none."""
        lines = self._sections.get((_HEADINGS[language], name), [])
        if not any(lines):
            raise self.error(f"{_HEADINGS[language]} has no section {name or 'before the first'!r}")
        return lines

    def text(self, language: Language, name: str) -> str:
        """A section as one text without blank lines around it."""
        return "\n".join(self.section(language, name)).strip()

    def items(self, language: Language, name: str) -> tuple[str, ...]:
        """A section that is one list."""
        lines = [line for line in self.section(language, name) if line]
        for line in lines:
            if not line.startswith("- "):
                raise self.error(f"section {name!r} must be a list, but says {line!r}")
        return tuple(line[2:].strip() for line in lines)
