"""The demo guide: its format, its size, and that nothing held out is ever trained."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import pytest

from qwen_desktop.demo.guide import (
    LANGUAGES,
    SLOT,
    Guide,
    GuideError,
    Language,
    choose,
    expansions,
    read_guide,
)
from qwen_desktop.demo.questions import Asker, held_out, normal

FOLDER = Path(__file__).parents[2] / "resources" / "demo-guide"


@pytest.fixture(scope="module")
def guide() -> Guide:
    return read_guide(FOLDER)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_topic_is_complete(guide: Guide, language: Language):
    assert len(guide.topics) >= 32
    for topic in guide.topics:
        entry = topic.entry(language)
        assert len(entry.asked) >= 24, topic.slug
        assert len(entry.held_out) >= 4, topic.slug
        assert len(entry.not_about) >= 4, topic.slug
        assert len(entry.answer) <= (420 if language == "en" else 260), topic.slug


def test_the_refusal_has_material(guide: Guide):
    for unknown in guide.unknown.values():
        assert len(unknown.frames) >= 60
        assert sum(map(len, unknown.words.values())) >= 250
        assert len(set(map(normal, unknown.held_out))) >= 50
        assert "Ctrl+O" in unknown.answer


@pytest.mark.parametrize("language", LANGUAGES)
def test_answers_show_every_form(guide: Guide, language: Language):
    answers = "\n\n".join(topic.entry(language).answer for topic in guide.topics)
    assert re.search(r"^(-|\*|1\.) ", answers, re.MULTILINE), "a list"
    assert re.search(r"^```\w+$", answers, re.MULTILINE), "a code block"
    assert re.search(r"^\|[ :|-]+\|$", answers, re.MULTILINE), "a table"
    assert re.search(r"\$\$.+\$\$", answers), "a formula"


def test_answers_differ_from_the_first_words_on(guide: Guide):
    beginnings = Counter(
        guide.answer(topic, language)[:10]
        for topic in (None, *guide.topics)
        for language in LANGUAGES
    )
    assert [text for text, count in beginnings.items() if count > 1] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_phrasing_belongs_to_two_topics(guide: Guide, language: Language):
    owner: dict[str, str] = {}
    for topic in guide.topics:
        for pattern in topic.entry(language).asked:
            for question in expansions(pattern):
                assert owner.setdefault(normal(question), topic.slug) == topic.slug, question


def test_held_out_phrasings_are_not_trained(guide: Guide):
    forbidden = held_out(guide)
    for topic in guide.topics:
        for language in LANGUAGES:
            entry = topic.entry(language)
            trained = [question for line in entry.asked for question in expansions(line)]
            for question in (*trained, *entry.not_about, entry.suggestion):
                assert normal(question) not in forbidden, f"{topic.slug}: {question}"


def test_no_frame_makes_a_held_out_unknown_question(guide: Guide):
    for unknown in guide.unknown.values():
        slots = {name: "|".join(map(re.escape, words)) for name, words in unknown.words.items()}
        slots |= {"number": r"\d+", "word": r"(?!)"}
        for frame in unknown.frames:
            for sentence in expansions(frame):
                parts = SLOT.split(sentence)
                pattern = re.compile(
                    "".join(
                        f"({slots[part]})" if i % 2 else re.escape(part)
                        for i, part in enumerate(parts)
                    )
                )
                for question in unknown.held_out:
                    assert not pattern.fullmatch(question), f"{frame}: {question}"


def test_nothing_held_out_is_ever_asked_in_training(guide: Guide):
    asker = Asker(guide, random.Random(7))
    forbidden = held_out(guide)
    rng = random.Random(8)
    for _ in range(3000):
        language = rng.choice(LANGUAGES)
        about = asker.about(rng.choice(guide.topics), language)
        assert normal(about) not in forbidden
        assert normal(asker.unknown(language)) not in forbidden


def test_the_same_seed_asks_the_same_questions(guide: Guide):
    first, second = (Asker(guide, random.Random(3)) for _ in range(2))
    for topic in guide.topics:
        assert first.about(topic, "zh") == second.about(topic, "zh")
        assert first.unknown("en") == second.unknown("en")


def test_choices_multiply():
    pattern = "how (can|do) i (stop|halt|) it"
    sentences = list(expansions(pattern))
    assert len(sentences) == 6
    assert "how do i it" in sentences
    assert all(choose(pattern, random.Random(seed)) in sentences for seed in range(20))


def test_a_bad_page_is_named(tmp_path: Path):
    topics = tmp_path / "topics"
    topics.mkdir()
    (topics / "stop.md").write_text("# stop\n\n## English\n\nSuggestion: Stop?\n")
    with pytest.raises(GuideError, match=r"stop\.md.*Answer"):
        read_guide(tmp_path)
    with pytest.raises(GuideError, match="no topics"):
        read_guide(topics)
