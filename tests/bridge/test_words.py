"""Sentences of errors as they are shown."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QCoreApplication, QTranslator

from qwen_desktop.bridge.words import translated
from qwen_desktop.errors import Report, report_of


class Chinese(QTranslator):
    """Translates what the tests ask for."""

    WORDS = {"No {name}.": "没有 {name}。", "Look again.": "请再看一次。"}  # noqa: RUF012

    def translate(self, context, text, disambiguation=None, n=-1):
        return self.WORDS.get(text, "")


@pytest.fixture
def chinese(qapp):
    made = Chinese()
    QCoreApplication.installTranslator(made)
    yield
    QCoreApplication.removeTranslator(made)


REPORT = Report("No {name}.", "Look again.", {"name": "file"})


def test_sentences_are_joined_by_a_space(qapp):
    assert translated(REPORT) == "No file. Look again."
    assert translated(Report("No {name}.", "", {"name": "file"})) == "No file."


def test_chinese_sentences_are_not(chinese):
    assert translated(REPORT) == "没有 file。请再看一次。"


def test_the_log_has_the_places_of_a_fault_and_no_words_that_may_quote_a_chat():
    def work(said):
        try:
            {}[said]
        except KeyError:
            int(said)

    with pytest.raises(ValueError) as caught:
        work("my secret")
    report = report_of(caught.value)
    logged = report.for_log()
    assert "in work" in logged
    assert "KeyError" in logged
    assert "ValueError" in logged
    assert "secret" not in logged.replace('work("my secret")', "")  # code of ours is no chat
    assert "my secret" in report.details  # shown to the user alone


def test_the_log_has_the_numbers_of_a_sentence_and_no_names():
    values = {"have": "12,345", "file": "secret.txt", "share": "87%", "what": "3 pages"}
    report = Report("{file}: {have} of {share}, {what}.", values=values)
    assert report.for_log() == "{file}: 12,345 of 87%, {what}."
    assert Report("No {name}.", values={"name": "x"}, details="a trace").for_log() == "a trace"
