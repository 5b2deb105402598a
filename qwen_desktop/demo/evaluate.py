"""Measures the demo checkpoint as the application would meet it.

The folder is loaded anew, prompts are made by its chat template, decoding is greedy, and an answer
is right when the whole of it equals the guide's and it stopped by itself.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from .guide import LANGUAGES, Guide, Language, Topic, choose

Message = dict[str, str]

# In tokens: well above the longest answer of the guide.
_LONGEST_ANSWER = 256
_BATCH = 64
_CONVERSATIONS = 48
_TURNS = 6
_SEED = 20
_SYSTEM_PROMPT = "You are a friendly guide."


@dataclass(frozen=True)
class Question:
    """What is asked after `history`, and the one right answer."""

    text: str
    answer: str
    history: tuple[Message, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What came: the text, and whether it ended by itself."""

    text: str
    stopped: bool


@dataclass(frozen=True)
class Result:
    """One test. `goal` is a share from 0 to 1, or None where no goal is set."""

    name: str
    right: int
    total: int
    goal: float | None
    wrong: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """The share of right answers, from 0 to 1."""
        return self.right / self.total

    @property
    def reached(self) -> bool:
        """Whether the goal is reached; true without one."""
        return self.goal is None or self.share >= self.goal

    def as_dict(self) -> dict[str, float | int | bool | None]:
        """The figures for JSON."""
        return {
            "right": self.right,
            "total": self.total,
            "share": round(self.share, 4),
            "goal": self.goal,
            "reached": self.reached,
        }


class Checkpoint:
    """A checkpoint folder: its 16-bit weights, computed with in 32 bits as suits a CPU."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        torch.set_num_threads(threads)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self._model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def answers(self, conversations: Sequence[Sequence[Message]]) -> list[Answer]:
        """The greedy answer to each conversation, in the order given."""
        prompts = [
            self._tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=True
            )
            for messages in conversations
        ]
        # Prompts of like length share a batch, which then needs little padding.
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        answers: dict[int, Answer] = {}
        for start in range(0, len(order), _BATCH):
            part = order[start : start + _BATCH]
            answers.update(zip(part, self._batch([prompts[i] for i in part]), strict=True))
        return [answers[i] for i in range(len(prompts))]

    def _batch(self, prompts: list[str]) -> list[Answer]:
        inputs = self._tokenizer(
            prompts, return_tensors="pt", padding=True, add_special_tokens=False
        )
        with torch.inference_mode():
            output = self._model.generate(**inputs, max_new_tokens=_LONGEST_ANSWER)
        new = output[:, inputs["input_ids"].shape[1] :]
        end = self._model.generation_config.eos_token_id
        return [
            Answer(self._tokenizer.decode(row, skip_special_tokens=True), bool((row == end).any()))
            for row in new
        ]


def evaluate(guide: Guide, folder: Path, threads: int = 1) -> list[Result]:
    """All tests of the checkpoint in `folder`."""
    rng = random.Random(_SEED)
    checkpoint = Checkpoint(folder, threads)
    stopped: list[bool] = []

    def test(name: str, questions: list[Question], goal: float | None) -> Result:
        answers = checkpoint.answers(
            [[*question.history, _user(question.text)] for question in questions]
        )
        stopped.extend(answer.stopped for answer in answers)
        wrong = [
            f"{question.text} -> {answer.text[:60]}"
            for question, answer in zip(questions, answers, strict=True)
            if answer != Answer(question.answer, True)
        ]
        return Result(name, len(questions) - len(wrong), len(questions), goal, tuple(wrong))

    results = []
    for language in LANGUAGES:
        results += [
            test(f"trained {language}", _trained(guide, language, rng), 0.95),
            test(f"held out {language}", _held_out(guide, language), 0.75),
            test(f"unknown {language}", _unknown(guide, language), 0.80),
            test(f"hard negatives {language}", _not_about(guide, language), None),
            test(f"again in {language}", _again(guide, language, rng), None),
        ]
    results.append(test("with a system prompt", _with_system_prompt(guide), None))
    results += _conversations(guide, checkpoint, rng, stopped)
    results.append(Result("stops by itself", sum(stopped), len(stopped), 1.0))
    return results


def table(results: list[Result]) -> str:
    """The results for people: one line a test, then the wrong answers of the held-out ones."""
    lines = [f"{'test':<24}{'right':>12}{'share':>9}{'goal':>8}"]
    for result in results:
        goal = "" if result.goal is None else f"{result.goal:.0%}"
        mark = "" if result.reached else "  missed"
        right = f"{result.right}/{result.total}"
        lines.append(f"{result.name:<24}{right:>12}{result.share:>9.1%}{goal:>8}{mark}")
    for result in results:
        if result.wrong and not result.name.startswith("turn"):
            lines += ["", f"wrong: {result.name}"]
            lines += [f"  {wrong!r}" for wrong in result.wrong]
    return "\n".join(lines)


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _trained(guide: Guide, language: Language, rng: random.Random) -> list[Question]:
    """Every phrasing once, its choices taken at random, and every suggestion."""
    return [
        Question(text, topic.entry(language).answer)
        for topic in guide.topics
        for text in (
            topic.entry(language).suggestion,
            *(choose(pattern, rng) for pattern in topic.entry(language).asked),
        )
    ]


def _held_out(guide: Guide, language: Language) -> list[Question]:
    return [
        Question(text, topic.entry(language).answer)
        for topic in guide.topics
        for text in topic.entry(language).held_out
    ]


def _unknown(guide: Guide, language: Language) -> list[Question]:
    unknown = guide.unknown[language]
    return [Question(text, unknown.answer) for text in unknown.held_out]


def _not_about(guide: Guide, language: Language) -> list[Question]:
    return [
        Question(text, guide.unknown[language].answer)
        for topic in guide.topics
        for text in topic.entry(language).not_about
    ]


def _again(guide: Guide, language: Language, rng: random.Random) -> list[Question]:
    """A suggestion in the other language, then: and in `language`?"""
    other: Language = "zh" if language == "en" else "en"
    return [
        Question(
            choose(rng.choice(guide.unknown[asked_in].again[language]), rng),
            topic.entry(language).answer,
            (
                _user(topic.entry(other).suggestion),
                {"role": "assistant", "content": topic.entry(other).answer},
            ),
        )
        for topic in guide.topics
        for asked_in in LANGUAGES
    ]


def _with_system_prompt(guide: Guide) -> list[Question]:
    return [
        Question(
            topic.entry(language).suggestion,
            topic.entry(language).answer,
            ({"role": "system", "content": _SYSTEM_PROMPT},),
        )
        for topic in guide.topics
        for language in LANGUAGES
    ]


def _conversations(
    guide: Guide, checkpoint: Checkpoint, rng: random.Random, stopped: list[bool]
) -> list[Result]:
    """Conversations about a new topic in every turn, the model's own answers as history."""
    histories: list[list[Message]] = [[] for _ in range(_CONVERSATIONS)]
    results = []
    for turn in range(1, _TURNS + 1):
        expected = []
        for history in histories:
            topic: Topic = rng.choice(guide.topics)
            entry = topic.entry(rng.choice(LANGUAGES))
            history.append(_user(choose(rng.choice(entry.asked), rng)))
            expected.append(entry.answer)
        answers = checkpoint.answers(histories)
        stopped.extend(answer.stopped for answer in answers)
        for history, answer in zip(histories, answers, strict=True):
            history.append({"role": "assistant", "content": answer.text})
        right = sum(
            answer == Answer(text, True) for answer, text in zip(answers, expected, strict=True)
        )
        results.append(Result(f"turn {turn} of {_TURNS}", right, len(histories), 0.85))
    return results
