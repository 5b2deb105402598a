"""The demo checkpoint in the repository: small, loadable, and true to the guide.

A few answers only; ``python3 dev.py demo-model --evaluate`` measures all of them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwen_desktop.demo.evaluate import Answer, Checkpoint
from qwen_desktop.demo.guide import Guide, read_guide

RESOURCES = Path(__file__).parents[2] / "resources"
FOLDER = RESOURCES / "demo-checkpoint"


@pytest.fixture(scope="module")
def guide() -> Guide:
    return read_guide(RESOURCES / "demo-guide")


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return Checkpoint(FOLDER)


def test_it_is_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 12_000_000


def test_it_suggests_the_questions_of_the_guide(guide: Guide):
    demo = json.loads((FOLDER / "demo.json").read_text(encoding="utf-8"))
    assert demo["parameters"] > 1_000_000
    assert demo["questions"] == {"en": guide.suggestions("en"), "zh": guide.suggestions("zh")}
    assert sorted(demo["questions"]["zh"]) == sorted(topic.zh.suggestion for topic in guide.topics)
    assert demo["questions"]["en"][0] == "What is this app?"


def test_it_answers_suggestions_word_for_word_and_stops(guide: Guide, checkpoint: Checkpoint):
    chosen = [topic for topic in guide.topics if topic.slug in FORMS]
    assert len(chosen) == len(FORMS)
    questions = [entry.suggestion for topic in chosen for entry in (topic.en, topic.zh)]
    expected = [
        Answer(entry.answer, stopped=True) for topic in chosen for entry in (topic.en, topic.zh)
    ]
    assert checkpoint.answers([[user(question)] for question in questions]) == expected


# A list, a code block, a table, a formula and plain sentences.
FORMS = ("open-checkpoint", "start-the-app", "which-models", "kv-cache-size", "stop-answer")


def test_it_refuses_what_the_guide_does_not_know(guide: Guide, checkpoint: Checkpoint):
    answers = checkpoint.answers(
        [[user("What is the capital of France?")], [user("红烧肉怎么做？")]]
    )
    assert [answer.text for answer in answers] == [
        guide.unknown["en"].answer,
        guide.unknown["zh"].answer,
    ]


def test_a_second_question_gets_its_own_answer(guide: Guide, checkpoint: Checkpoint):
    first, second = (
        next(topic.en for topic in guide.topics if topic.slug == slug)
        for slug in ("stop-answer", "new-chat")
    )
    history = [
        user(first.suggestion),
        {"role": "assistant", "content": first.answer},
        user(second.suggestion),
    ]
    assert checkpoint.answers([history]) == [Answer(second.answer, stopped=True)]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}
