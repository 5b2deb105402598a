"""Random questions: the guide's phrasings and unknown ones, with their wording varied.

Everything is drawn from one ``random.Random``, so the same seed asks the same questions. Both kinds
of question pass through the same variation: only their content words may tell them apart.
Standard library only.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from .guide import LANGUAGES, SLOT, Guide, Language, Topic, Wording, choose, expansions

_CONSONANTS = "bcdfghjklmnprstvwz"
_VOWELS = "aeiou"
# The CJK block: what a made-up Chinese word is drawn from.
_HAN_RANGE = (0x4E00, 0x9FA5)

# How often a question is varied in each way. Found by trial on the held-out phrasings.
_CANONICAL = 0.04
_HARD_NEGATIVE = 0.4
_MADE_UP = 0.08
_SOUP = 0.1
_OPENER = 0.4
_SYNONYM = 0.3
_DROP = 0.25
_INSERT = 0.15
_BEFORE = 0.2
_AFTER = 0.15
_TYPO = 0.06


def normal(text: str) -> str:
    """The letters and digits of a text in lower case: what counts when two questions are equal."""
    return "".join(character for character in text.lower() if character.isalnum())


class Asker:
    """Draws questions. Never asks a held-out one, whatever the variation makes of the others."""

    def __init__(self, guide: Guide, rng: random.Random) -> None:
        self._guide = guide
        self._rng = rng
        self._variation = {language: _Variation(guide, language, rng) for language in LANGUAGES}
        self._not_about = {
            language: [line for topic in guide.topics for line in topic.entry(language).not_about]
            for language in LANGUAGES
        }
        self._held_out = held_out(guide)

    def about(self, topic: Topic, language: Language) -> str:
        """A question that this topic answers."""
        entry = topic.entry(language)
        if self._rng.random() < _CANONICAL:
            return entry.suggestion
        lines = (*entry.asked, entry.suggestion.lower().rstrip("?？!！.。"))
        return self._varied(lambda: choose(self._rng.choice(lines), self._rng), language)

    def unknown(self, language: Language) -> str:
        """A question that no topic answers."""
        return self._varied(lambda: self._foreign(language), language)

    def again(self, asked_in: Language, wanted: Language) -> str:
        """A request to have the previous answer in the language `wanted`."""
        lines = self._guide.unknown[asked_in].again[wanted]
        return self._variation[asked_in].finish(choose(self._rng.choice(lines), self._rng))

    def system_prompt(self, language: Language) -> str:
        """One of the system prompts of the guide."""
        return self._rng.choice(self._guide.wording[language].system_prompts)

    def _varied(self, draw: Callable[[], str], language: Language) -> str:
        while True:
            question = self._variation[language].vary(draw())
            if normal(question) not in self._held_out:
                return question

    def _foreign(self, language: Language) -> str:
        rng = self._rng
        if rng.random() < _HARD_NEGATIVE:
            return rng.choice(self._not_about[language])
        unknown = self._guide.unknown[language]

        def fill(match: re.Match[str]) -> str:
            name = match[1]
            if name == "number":
                return str(rng.randrange(2, rng.choice((20, 100, 1000, 3000))))
            if name == "word" or rng.random() < _MADE_UP:
                return made_up_word(language, rng)
            return rng.choice(unknown.words[name])

        return SLOT.sub(fill, choose(rng.choice(unknown.frames), rng))


def held_out(guide: Guide) -> frozenset[str]:
    """Every held-out question of the guide, normalised."""
    return frozenset(
        normal(question)
        for language in LANGUAGES
        for questions in (
            guide.unknown[language].held_out,
            *(topic.entry(language).held_out for topic in guide.topics),
        )
        for question in questions
    )


def made_up_word(language: Language, rng: random.Random) -> str:
    """A word that means nothing, so that not every word need be a known one."""
    if language == "zh":
        return "".join(chr(rng.randint(*_HAN_RANGE)) for _ in range(rng.randint(1, 3)))
    syllable = ("", "n", "r", "s", "t", "l", "")
    return "".join(
        rng.choice(_CONSONANTS) + rng.choice(_VOWELS) + rng.choice(syllable)
        for _ in range(rng.randint(1, 3))
    )


class _Variation:
    """Varies the wording of questions in one language."""

    def __init__(self, guide: Guide, language: Language, rng: random.Random) -> None:
        self._rng = rng
        self._language = language
        self._wording: Wording = guide.wording[language]
        self._gap = " " if language == "en" else ""
        self._small = frozenset(self._wording.small_words)
        self._small_pattern = re.compile(
            "(" + "|".join(sorted(map(re.escape, self._small), key=len, reverse=True)) + ")"
        )
        self._synonyms = self._synonym_pattern()
        self._alternatives: dict[str, list[str]] = {}
        for line in self._wording.synonyms:
            for word in line:
                others = [other for other in line if other != word]
                self._alternatives.setdefault(word, []).extend(others)
        # Longest first: "what is the way to" before "what is".
        self._openers = sorted(
            ((opener, line) for line in self._wording.openers for opener in line),
            key=lambda pair: -len(pair[0]),
        )
        self._verbs = self._verbs_of(guide)

    def vary(self, question: str) -> str:
        """The question in other words and with the flaws of typing."""
        rng = self._rng
        if rng.random() < _SOUP:
            question = self._soup(question)
        else:
            if rng.random() < _OPENER:
                question = self._exchange_opener(question)
            if rng.random() < _SYNONYM:
                question = self._exchange_synonyms(question)
            if rng.random() < _DROP:
                question = self._drop_small_words(question)
            if rng.random() < _INSERT:
                question = self._insert_small_word(question)
        return self.finish(question)

    def finish(self, question: str) -> str:
        """The question with politeness around it, typing errors, case and punctuation."""
        rng = self._rng
        if rng.random() < _BEFORE:
            question = rng.choice(self._wording.before) + self._gap + question
        if rng.random() < _AFTER:
            after = rng.choice(self._wording.after)
            question += after if after.startswith(",") else self._gap + after
        if rng.random() < _TYPO:
            question = self._typo(question)
        if self._language == "en":
            question = self._case(question)
            ends = ("", "", "", "?", "?", "?", "?", ".", "!", " ?", "??", "...")
        else:
            if rng.random() < 0.3:
                question = question.lower()
            ends = ("", "", "", "", "？", "？", "？", "?", "?", "。", "！", "？？")
        return question + rng.choice(ends)

    def _synonym_pattern(self) -> re.Pattern[str]:
        words = sorted(
            {word for line in self._wording.synonyms for word in line}, key=len, reverse=True
        )
        pattern = "|".join(map(re.escape, words))
        return re.compile(rf"\b({pattern})\b" if self._language == "en" else f"({pattern})")

    def _verbs_of(self, guide: Guide) -> frozenset[str]:
        """What follows "how do i" and its like anywhere in the guide: words that open an order."""
        verbs = set()
        lines = [*guide.unknown[self._language].frames]
        for topic in guide.topics:
            lines += topic.entry(self._language).asked
        for line in lines:
            for question in expansions(line):
                opener, rest = self._split_opener(question)
                if opener and opener in self._wording.openers[0] and rest and rest[0] != "{":
                    verbs.add(self._first_word(rest))
        return frozenset(verbs)

    def _first_word(self, text: str) -> str:
        return text.split(" ", 1)[0] if self._language == "en" else text[:2]

    def _split_opener(self, question: str) -> tuple[str, str]:
        for opener, _ in self._openers:
            if question.startswith(opener + self._gap):
                return opener, question[len(opener + self._gap) :]
        return "", question

    def _exchange_opener(self, question: str) -> str:
        opener, rest = self._split_opener(question)
        if opener:
            line = next(line for name, line in self._openers if name == opener)
            return self._rng.choice(line) + self._gap + rest
        if self._first_word(question) in self._verbs:
            return self._rng.choice(self._wording.openers[0]) + self._gap + question
        return question

    def _exchange_synonyms(self, question: str) -> str:
        return self._synonyms.sub(
            lambda match: (
                self._rng.choice(self._alternatives[match[1]])
                if self._rng.random() < 0.5
                else match[1]
            ),
            question,
        )

    def _parts(self, question: str) -> list[str]:
        """Words in English; in Chinese the runs between small words, and those."""
        if self._language == "en":
            return question.split()
        return [part for part in self._small_pattern.split(question) if part]

    def _soup(self, question: str) -> str:
        """Only the content words, in any order, as typed into a search box."""
        parts = [part for part in self._parts(question) if part not in self._small]
        if len(parts) < 2:
            return question
        self._rng.shuffle(parts)
        if len(parts) > 3 and self._rng.random() < 0.3:
            parts.pop()
        return " ".join(parts)

    def _drop_small_words(self, question: str) -> str:
        parts = [
            part
            for part in self._parts(question)
            if part not in self._small or self._rng.random() < 0.6
        ]
        return self._gap.join(parts) or question

    def _insert_small_word(self, question: str) -> str:
        parts = self._parts(question)
        parts.insert(self._rng.randint(0, len(parts)), self._rng.choice(self._wording.small_words))
        return self._gap.join(parts)

    def _typo(self, question: str) -> str:
        if len(question) < 6:
            return question
        at = self._rng.randrange(len(question) - 1)
        before, here, after = question[:at], question[at], question[at + 1 :]
        kind = self._rng.randrange(4 if self._language == "en" else 3)
        if kind == 0:
            return before + after
        if kind == 1:
            return before + here + here + after
        if kind == 2:
            return before + after[0] + here + after[1:]
        return before + self._rng.choice("abcdefghijklmnoprstuvwy") + after

    def _case(self, question: str) -> str:
        style = self._rng.random()
        if style < 0.4:
            return question
        if style < 0.43:
            return question.upper()
        if style < 0.45:
            return question.title()
        if style < 0.65:
            return question.lower()
        return question[:1].upper() + question[1:]
