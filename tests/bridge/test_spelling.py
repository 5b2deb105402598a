"""Words judged on another thread: what is told, what is kept, what is dropped."""

from __future__ import annotations

import pytest

from qwen_desktop.bridge.file_jobs import FileJobs
from qwen_desktop.bridge.preferences import PreferencesModel
from qwen_desktop.bridge.spelling import Spelling
from qwen_desktop.storage.preferences import Preferences
from tests.dictionaries import make, needs_hunspell, own_dictionaries  # noqa: F401

pytestmark = needs_hunspell


class Desk:
    def __init__(self, tmp_path, **settings) -> None:
        self.files = FileJobs()
        self.words = tmp_path / "words.txt"
        kept = Preferences(tmp_path / "settings.json")
        values = {"spelling_language": "en_US", **settings}
        self.preferences = PreferencesModel(kept, self.files, values)
        self.spelling = Spelling(self.words, self.files, self.preferences)
        self.suggested = []
        self.spelling.suggested.connect(lambda word, found: self.suggested.append((word, found)))

    def wrong(self, qtbot, *words) -> list[str]:
        """Which of the words are wrong, once all are known."""
        self.spelling.check(words)
        qtbot.waitUntil(lambda: all(word in self.spelling._right for word in words))
        return [word for word in words if self.spelling.is_wrong(word)]

    def close(self) -> None:
        self.spelling.close()
        self.files.close()


@pytest.fixture
def desk(own_dictionaries, tmp_path):  # noqa: F811
    made = Desk(tmp_path)
    yield made
    made.close()


def test_nothing_is_looked_for_before_a_word_is_asked_about(desk):
    assert desk.spelling.spellers is None
    assert desk.spelling._thread is None


def test_words_are_judged_and_suggestions_come(desk, qtbot):
    assert desk.wrong(qtbot, "apple", "aple", "banana") == ["aple"]
    assert desk.spelling.language == "en_US"
    desk.spelling.suggest("aple")
    qtbot.waitUntil(lambda: bool(desk.suggested))
    assert desk.suggested == [("aple", ("apple",))]


def test_an_unknown_word_is_not_wrong(desk):
    assert not desk.spelling.is_wrong("aple")


def test_added_words_are_right_from_then_on_also_after_a_start(desk, qtbot, tmp_path):
    assert desk.wrong(qtbot, "qwen", "Qwen", "aple") == ["qwen", "Qwen", "aple"]
    desk.spelling.add("qwen")
    assert not desk.spelling.is_wrong("qwen")
    assert not desk.spelling.is_wrong("Qwen")
    desk.close()
    assert desk.words.read_text("utf-8") == "qwen\n"
    again = Desk(tmp_path)
    assert again.wrong(qtbot, "Qwen", "aple") == ["aple"]
    assert again.spelling.is_own("Qwen")
    again.spelling.remove("Qwen")
    assert again.spelling.is_wrong("qwen") or again.wrong(qtbot, "qwen") == ["qwen"]
    again.close()
    assert desk.words.read_text("utf-8") == ""


def test_a_name_is_added_as_it_is_written(desk, qtbot):
    desk.wrong(qtbot, "Müller", "müller")
    desk.spelling.add("Müller")
    assert not desk.spelling.is_wrong("Müller")
    assert desk.spelling.is_wrong("müller")


def test_an_ignored_word_is_let_be_until_the_end(desk, qtbot):
    desk.wrong(qtbot, "aple")
    desk.spelling.ignore("aple")
    assert not desk.spelling.is_wrong("aple")
    desk.close()
    assert not desk.words.exists()


def test_another_language_judges_anew(desk, qtbot, own_dictionaries):  # noqa: F811
    make(own_dictionaries, "de_DE", ("apfel", "gut"))
    assert desk.wrong(qtbot, "gut", "apple") == ["gut"]
    desk.preferences.set("spelling_language", "de_DE")
    assert not desk.spelling.is_wrong("apple")
    qtbot.waitUntil(lambda: desk.spelling.language == "de_DE")
    assert desk.wrong(qtbot, "gut", "apple") == ["apple"]


def test_switched_off_nothing_is_asked_and_on_again_all_is(desk, qtbot):
    assert desk.wrong(qtbot, "aple") == ["aple"]
    desk.preferences.set("spelling", False)
    assert desk.spelling.language == ""
    desk.spelling.check(["bnana"])
    desk.preferences.set("spelling", True)
    assert desk.wrong(qtbot, "aple", "bnana") == ["aple", "bnana"]


def test_a_language_without_dictionary_judges_nothing(own_dictionaries, tmp_path, qtbot):  # noqa: F811
    desk = Desk(tmp_path, spelling_language="fr_FR")
    desk.spelling.check(["aple"])
    qtbot.waitUntil(lambda: desk.spelling.spellers is not None)
    assert desk.spelling.spellers.library
    assert desk.spelling.spellers.languages == ("en_US",)
    assert desk.spelling.language == ""
    assert not desk.spelling.is_wrong("aple")
    desk.close()


def test_a_dictionary_that_cannot_be_read_is_none(own_dictionaries, tmp_path, qtbot):  # noqa: F811
    make(own_dictionaries, affixes="SET KLINGON-8\n")
    desk = Desk(tmp_path)
    desk.spelling.check(["aple"])
    qtbot.waitUntil(lambda: desk.spelling.spellers is not None)
    assert desk.spelling.spellers.languages == ()
    desk.close()


def test_words_that_cannot_be_saved_are_told(desk, qtbot):
    problems = []
    desk.spelling.problem.connect(problems.append)
    desk.wrong(qtbot, "aple")
    desk.words.mkdir()
    desk.spelling.add("aple")
    qtbot.waitUntil(lambda: bool(problems))
    assert not desk.spelling.is_wrong("aple")
