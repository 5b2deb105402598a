"""Where an answer came from, as it is shown and copied."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from PySide6.QtCore import QAbstractItemModel, QLocale, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QAbstractItemModelTester, QTest
from PySide6.QtWidgets import QAbstractButton, QPlainTextEdit, QTableView

from qwen_desktop.chat.messages import (
    AnswerStats,
    AnswerTrace,
    Message,
    Part,
    PartKind,
    Provenance,
    Role,
    TokenScore,
)
from qwen_desktop.ui import theme
from qwen_desktop.ui.answer_details import AnswerDetails
from qwen_desktop.ui.score_table import visible

ORIGIN = Provenance(
    fingerprint="ab" * 32,
    template="cd" * 32,
    family="qwen3",
    precision="INT4 (GPTQ)",
    kv_format="int8",
    device="NVIDIA GeForce RTX 4090",
    engine="torch 2.13.0, transformers 5.23.0",
    thinking=True,
    sampling=(("temperature", 0.6), ("top_k", 20), ("not_in_the_settings", 1)),
    seed=123456,
    thinking_budget=2048,
    stop_strings=("END", "#"),
    context_limit=32768,
    unseen=("a", "b"),
    stop_reason="stop_string",
    peak_bytes=6 * 2**30,
)
ANSWER = Message(
    Role.ASSISTANT,
    (Part(PartKind.TEXT, "<b>Hello</b>"),),
    stats=AnswerStats("Qwen3-8B", 1024, 1000, 120, 214, 0.31, 0.12, 5.08),
    token_ids=(7, 8),
    provenance=ORIGIN,
)
SCORES = (
    TokenScore(5, " The", -0.105, ((5, " The", -0.105), (6, "<i>A</i>", -2.4))),
    TokenScore(7, "\n", -7, ()),
)


@pytest.fixture
def show(qtbot, looks):
    def shown(message=ANSWER, trace=None):
        dialog = AnswerDetails(message)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
        qtbot.addWidget(dialog)
        dialog.show()
        if trace is not None:
            dialog.set_trace(trace)
        return dialog

    return shown


def rows(model: QAbstractItemModel) -> list[list[str]]:
    return [
        [str(model.index(row, column).data()).strip() for column in range(model.columnCount())]
        for row in range(model.rowCount())
    ]


def test_everything_of_the_origin_is_told(show):
    assert dict(rows(show().origin.shown)) == {
        "Where it ran": "On this computer",
        "Checkpoint fingerprint": "ab" * 32,
        "Chat template (SHA-256)": "cd" * 32,
        "Family": "qwen3",
        "Precision": "INT4 (GPTQ)",
        "KV cache": "8-bit",
        "Device": "NVIDIA GeForce RTX 4090",
        "Computed by": "torch 2.13.0, transformers 5.23.0",
        "Thinking": "On",
        "Temperature": "0.6",
        "Top-k": "20",
        "not_in_the_settings": "1",
        "Seed": "123456",
        "Thinking budget": "2,048 tokens",
        "Stop strings": "“END”, “#”",
        "Context limit": "32,768 tokens",
        "Messages left out": "2",
        "How it ended": "A stop string came",
    }


def test_what_was_guessed_ahead_is_told(show):
    assert "Guessed ahead" not in dict(rows(show().origin.shown))
    origin = replace(ORIGIN, drafted=1200, accepted=1034, draft_model="Qwen2.5-0.5B")
    told = dict(rows(show(replace(ANSWER, provenance=origin)).origin.shown))
    assert told["Guessed ahead"] == "1,034 of 1,200 tokens came"
    assert told["Draft model"] == "Qwen2.5-0.5B"


def test_what_is_unknown_is_left_out(show):
    bare = dict(rows(show(replace(ANSWER, provenance=Provenance())).origin.shown))
    assert bare["Chat template (SHA-256)"] == "None: a base model"
    assert bare["Thinking"] == "Off"
    assert not {"Device", "Family", "Thinking budget", "Context limit", "How it ended"} & set(bare)
    assert rows(show(replace(ANSWER, provenance=None)).origin.shown) == [["Origin", "Not kept"]]


def test_the_statistics_are_those_of_the_answer(show):
    told = dict(rows(show().statistics.shown))
    assert told["Reused from the cache"] == "1,000 tokens"
    assert told["Read anew"] == "24 tokens"
    assert told["Reading speed"] == "200.0 tok/s"
    assert told["Peak memory"] == "6.0 GiB"
    retried = replace(ANSWER, stats=replace(ANSWER.stats, reused_tokens=1023))
    assert dict(rows(show(retried).statistics.shown))["Read anew"] == "1 token"
    assert rows(show(replace(ANSWER, stats=None, provenance=None)).statistics.shown) == []


def test_log_probabilities_of_each_token(show):
    dialog = show()
    dialog.tabs.setCurrentWidget(dialog.scores)
    assert dialog.scores.note.isVisible()
    assert dialog.scores.note.text() == "Reading…"
    dialog.set_trace(AnswerTrace((1, 2), SCORES))
    assert dialog.scores.table.isVisible()
    model = dialog.scores.scores
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    assert rows(model) == [
        ["␣The", "90.0 %", "-0.105", "<i>A</i> 9.1 %"],
        ["⏎", "0.091 %", "-7.000", ""],
    ]
    tip = model.index(0, 3).data(Qt.ItemDataRole.ToolTipRole)
    assert "<i>" not in tip  # nor read as markup
    assert "&lt;i&gt;" in tip


def test_without_log_probabilities_it_says_how_to_get_some(show):
    dialog = show(trace=AnswerTrace((1, 2)))
    dialog.tabs.setCurrentWidget(dialog.scores)
    assert "Alternatives per token" in dialog.scores.note.text()
    assert not dialog.scores.table.isVisible()


@pytest.mark.parametrize(
    ("text", "seen"),
    [("a b", "a b"), (" a ", "␣a␣"), ("  ", "␣␣"), ("\n\tx", "⏎⇥x"), ("", "∅"), (" \n", "␣⏎")],
)
def test_white_space_of_a_token_is_seen(text, seen):
    assert visible(text) == seen


def test_its_prompt_and_its_turn_are_a_click_away(show, qtbot):
    dialog = show()
    for signal, button in (
        (dialog.prompt_requested, dialog.prompt),
        (dialog.turn_requested, dialog.turn),
    ):
        with qtbot.waitSignal(signal) as told:
            QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        assert told.args == [ANSWER.id]


def test_it_is_copied_as_text(show, qtbot):
    dialog = show()
    QTest.mouseClick(dialog.copy, Qt.MouseButton.LeftButton)
    lines = QGuiApplication.clipboard().text().splitlines()
    assert lines[0].startswith("Qwen3-8B, ")
    assert "Seed: 123456" in lines
    assert "Prompt: 1,024 tokens" in lines
    assert dialog.copy.text() == "Copied"
    qtbot.waitUntil(lambda: dialog.copy.text() == "Copy", timeout=5000)


def test_it_is_copied_as_json(show):
    dialog = show()
    assert json.loads(dialog.as_json())["prompt_ids"] is None  # not known yet
    dialog.set_trace(AnswerTrace((1, 2), SCORES))
    QTest.mouseClick(dialog.copy_json, Qt.MouseButton.LeftButton)
    found = json.loads(QGuiApplication.clipboard().text())
    assert found["id"] == ANSWER.id
    assert found["provenance"]["sampling"]["temperature"] == 0.6
    assert found["stats"]["answer_tokens"] == 214
    assert found["prompt_ids"] == [1, 2]
    assert found["token_ids"] == [7, 8]
    assert found["scores"][0]["top"][1] == [6, "<i>A</i>", -2.4]
    assert "Hello" not in dialog.as_json()


def test_numbers_follow_the_language(show):
    QLocale.setDefault(QLocale("de_DE"))
    told = dict(rows(show().origin.shown))
    assert told["Temperature"] == "0,6"
    assert told["Context limit"] == "32.768 tokens"
    assert told["Seed"] == "123456"  # as it is typed


def test_every_control_has_a_name_and_the_keyboard_closes_it(show):
    dialog = show(trace=AnswerTrace((1,), SCORES))
    for kind in (QAbstractButton, QTableView, QPlainTextEdit):
        for control in dialog.findChildren(kind):
            inside = control.parent() is not None and control.parent().inherits("QTabBar")
            corner = control.metaObject().className() == "QTableCornerButton"
            assert control.accessibleName() or inside or corner, control
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()


@pytest.mark.parametrize("colours", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_it_is_usable_when_small(show, colours):
    theme.use(colours)
    dialog = show(trace=AnswerTrace((1,), SCORES))
    dialog.resize(dialog.minimumSize())
    for page in range(dialog.tabs.count()):
        dialog.tabs.setCurrentIndex(page)
        for control in (dialog.copy, dialog.copy_json, dialog.findChild(object, "closeDialog")):
            place = control.rect().translated(control.mapTo(dialog, control.rect().topLeft()))
            assert dialog.rect().contains(place)
    assert dialog.origin.table.viewport().height() > 40
    image = dialog.grab().toImage()
    assert image.pixelColor(2, 2).name() == colours.background
