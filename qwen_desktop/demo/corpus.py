"""Training samples: token ids with a weight for each token that the model must predict.

Two kinds. A *head* is one question and the first few tokens of its answer: which topic a question
is about is decided there, it is the hard part, and heads are cheap. A *conversation* has up to six
turns with whole answers: it teaches the texts, where to stop, and to heed the last question only.
Knows the guide and the vocabulary, but not torch.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from tokenizers import Tokenizer

from . import vocabulary
from .guide import LANGUAGES, Guide, Language, Topic, expansions
from .questions import Asker

# Tokens of an answer that name its topic.
HEAD = 4
TURNS = 6
_HEAD_WEIGHT = 4.0
_UNKNOWN = 0.16
_AGAIN = 0.15
_SYSTEM = 0.08
# How many heads are of a second question, half of which ask for the same in a language.
_SECOND = 0.08
_BROKEN = 0.3


@dataclass(frozen=True)
class Sample:
    """Token ids; `weights` is 0 for what the model need not predict and 1 or more for the rest."""

    ids: list[int]
    weights: list[float]


@dataclass(frozen=True)
class Turn:
    """A question and the topic and language of its answer; no topic is the refusal."""

    question: str
    topic: Topic | None
    language: Language


def texts(guide: Guide, rng: random.Random) -> Iterator[str]:
    """What the vocabulary is learned from: all answers and phrasings, and unknown questions."""
    asker = Asker(guide, rng)
    # The roles of the chat template are in every prompt: one token each.
    yield from ["system", "user", "assistant"] * 200
    for language in LANGUAGES:
        for topic in (None, *guide.topics):
            for _ in range(6):
                yield guide.answer(topic, language)
        for topic in guide.topics:
            for pattern in topic.entry(language).asked:
                for question in list(expansions(pattern))[:4]:
                    yield question
                    yield question[:1].upper() + question[1:]
                    yield "? " + question
            for _ in range(8):
                yield asker.about(topic, language)
        for _ in range(4000):
            yield asker.unknown(language)


class Corpus:
    """An endless stream of samples, the same for the same seed."""

    def __init__(self, guide: Guide, tokenizer: Tokenizer, rng: random.Random) -> None:
        self._guide = guide
        self._tokenizer = tokenizer
        self._rng = rng
        self._asker = Asker(guide, rng)
        self._before_question = self._encode(f"{vocabulary.TURN_START}user\n")
        self._before_answer = self._encode(
            f"{vocabulary.TURN_END}\n{vocabulary.TURN_START}assistant\n"
        )
        self._after_answer = self._encode("\n")
        self._answers = {
            (topic.slug if topic else "", language): [
                *self._encode(guide.answer(topic, language)),
                *self._encode(vocabulary.TURN_END),
            ]
            for topic in (None, *guide.topics)
            for language in LANGUAGES
        }

    def head(self) -> Sample:
        """One question, sometimes the second of a conversation, and the beginning of its answer."""
        ids = self._system()
        previous: Turn | None = None
        if self._rng.random() < _SECOND:
            previous = self._turn(None)
            ids += self._question(previous) + self._answer(previous) + self._after_answer
        turn = self._turn(previous, again=0.5)
        ids += self._question(turn)
        answer = self._answer(turn)[:HEAD]
        weights = [0.0] * len(ids) + [1.0] * len(answer)
        return Sample(ids + answer, weights)

    def conversation(self) -> Sample:
        """One to six questions with their whole answers."""
        ids = self._system()
        weights = [0.0] * len(ids)
        turn: Turn | None = None
        for _ in range(self._rng.randint(1, TURNS)):
            turn = self._turn(turn)
            question = self._question(turn)
            answer = self._answer(turn)
            ids += question + answer + self._after_answer
            weights += [0.0] * len(question)
            weights += [_HEAD_WEIGHT if i < HEAD else 1.0 for i in range(len(answer))]
            weights += [0.0] * len(self._after_answer)
        return Sample(ids, weights)

    def _turn(self, previous: Turn | None, again: float = _AGAIN) -> Turn:
        rng = self._rng
        asked_in = rng.choice(LANGUAGES)
        if previous and rng.random() < again:
            wanted = rng.choice(LANGUAGES)
            return Turn(self._asker.again(asked_in, wanted), previous.topic, wanted)
        if rng.random() < _UNKNOWN:
            return Turn(self._asker.unknown(asked_in), None, asked_in)
        topic = rng.choice(self._guide.topics)
        return Turn(self._asker.about(topic, asked_in), topic, asked_in)

    def _system(self) -> list[int]:
        if self._rng.random() >= _SYSTEM:
            return []
        prompt = self._asker.system_prompt(self._rng.choice(LANGUAGES))
        return self._encode(f"{vocabulary.TURN_START}system\n{prompt}{vocabulary.TURN_END}\n")

    def _question(self, turn: Turn) -> list[int]:
        if self._rng.random() < _BROKEN:
            ids = vocabulary.encode_broken(self._tokenizer, turn.question, self._rng)
        else:
            ids = self._encode(turn.question)
        return self._before_question + ids + self._before_answer

    def _answer(self, turn: Turn) -> list[int]:
        return self._answers[turn.topic.slug if turn.topic else "", turn.language]

    def _encode(self, text: str) -> list[int]:
        return vocabulary.encode(self._tokenizer, text)
