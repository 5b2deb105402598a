"""The tokens of an answer as they are shown, and going back to one of them, in real windows."""

from __future__ import annotations

import itertools
import math

import pytest
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QListWidget

from qwen_desktop.bridge.run import RunKind
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
from qwen_desktop.chat.tokens import Tokens
from qwen_desktop.chat.turn_tokens import TurnTokens
from qwen_desktop.ui import theme
from qwen_desktop.ui.answer_details import AnswerDetails
from qwen_desktop.ui.token_heat import HEATS, LIMITS, HeatLegend, least_likely, step_of
from qwen_desktop.ui.token_paint import heat_colour
from qwen_desktop.ui.token_text import Mode
from tests.engine.checkpoints import chatty_checkpoint
from tests.ui.test_answer_details import ORIGIN
from tests.ui.test_conversation_pane import talk  # noqa: F401
from tests.ui.test_message_actions import choose
from tests.ui.timeline.conftest import click

TEXTS = ("<think>", "why", "</think>", "So", " it", " is")
IDS = (90, 1, 91, 2, 3, 4)
ANSWER = Message(
    Role.ASSISTANT,
    (Part(PartKind.REASONING, "why"), Part(PartKind.TEXT, "So it is")),
    stats=AnswerStats("Qwen3-8B", 10, 4, 3, 3),
    token_ids=IDS,
    provenance=ORIGIN,
)
KINDS = (PartKind.REASONING,) * 3 + (PartKind.TEXT,) * 3
SPELLED = TurnTokens(
    answer=Tokens.of(IDS, [text.encode() for text in TEXTS], {90, 91}, [3]), kinds=KINDS
)
CHANCES = (1.0, 0.6, 0.95, 0.3, 0.1, 0.01)
SCORES = tuple(
    TokenScore(
        number,
        text,
        math.log(chance),
        ((number, text, math.log(chance)), (70 + number, " other", math.log(0.2))),
    )
    for number, text, chance in zip(IDS, TEXTS, CHANCES, strict=True)
)
THEMES = [theme.LIGHT, theme.DARK, theme.HIGH_LIGHT, theme.HIGH_DARK]


@pytest.fixture
def show(qtbot, looks):
    """The page of the tokens in its dialog, and what it asked for."""

    def shown(message=ANSWER, scores=SCORES, tokens=SPELLED):
        dialog = AnswerDetails(message)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
        qtbot.addWidget(dialog)
        dialog.tabs.setCurrentWidget(dialog.tokens)
        dialog.show()
        dialog.set_trace(AnswerTrace((5,), scores))
        dialog.tokens.set_tokens(tokens)
        page = dialog.tokens
        page.asked = []
        page.dialog = dialog
        dialog.fork_requested.connect(lambda *args: page.asked.append(args))
        return page

    return shown


def rows(choices: QListWidget) -> list[str]:
    return [choices.item(at).text() for at in range(choices.count())]


# -- numbers -------------------------------------------------------------------------------------


def luminance(colour: QColor) -> float:
    def part(value: float) -> float:
        return value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (part(v) for v in (colour.redF(), colour.greenF(), colour.blueF()))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colours", THEMES, ids=lambda one: one.name)
def test_text_is_read_on_every_heat(looks, colours):
    theme.use(colours)
    least = 7.0 if colours.name.startswith("high") else 4.5
    grounds = [heat_colour(heat) for heat in HEATS]
    for ground in grounds:
        bright, dark = sorted((luminance(ground), luminance(QColor(colours.text))), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= least
    assert grounds[0].name() == colours.background
    assert len({ground.name() for ground in grounds}) == len(HEATS)


def test_steps_of_heat():
    for limit, step in zip(LIMITS, itertools.count()):
        assert step_of(math.log(limit)) == step
        assert step_of(math.log(limit) - 1e-6) == step + 1
    assert step_of(0.1) == 0  # rounding
    assert least_likely((None, *SCORES), 2) == [6, 5]
    assert least_likely((SCORES[0], SCORES[2]), 9) == []


def test_the_legend_says_its_ranges_and_wraps(qtbot, looks):
    legend = HeatLegend()
    qtbot.addWidget(legend)
    assert legend.words() == ["≥ 90 %", "50–90 %", "20–50 %", "5–20 %", "< 5 %"]
    assert "50–90 %" in legend.accessibleDescription()
    assert legend.heightForWidth(120) > legend.heightForWidth(1000)


# -- the page ------------------------------------------------------------------------------------


def test_every_token_its_probability_and_what_might_have_come(show):
    page = show()
    assert page.view.tokens == SPELLED.answer
    page.view.set_current(4)
    assert page.about.text().split("\n") == [
        "“ it”",
        "Token 5, id 3",
        "Bytes 20 69 74",
        "Answer",
        "Probability 10.0 %",
    ]
    assert rows(page.choices) == ["␣other  20.0 %"]
    assert "Instead: ␣other 20.0 %" in page.view.accessibleDescription()
    page.view.set_current(1)
    assert "Reasoning" in page.about.text()


def test_the_summary(show):
    page = show()
    mean = sum(map(math.log, CHANCES)) / 6
    assert page.summary.text() == (
        f"6 tokens · mean log probability {mean:.3f} · perplexity {math.exp(-mean):.4g}"
    )
    assert rows(page.surprises) == [
        "␣is  1.0 %",
        "␣it  10.0 %",
        "So  30.0 %",
        "why  60.0 %",
    ]
    page.surprises.setFocus()
    QTest.keyClick(page.surprises, Qt.Key.Key_Down)
    QTest.keyClick(page.surprises, Qt.Key.Key_Return)
    assert page.view.current == page.surprises.currentItem().data(Qt.ItemDataRole.UserRole)
    assert page.dialog.isVisible()  # Enter pressed nothing else


def test_an_answer_that_was_continued_has_scores_of_its_end_only(show):
    page = show(scores=SCORES[3:])
    assert "3 with probabilities" in page.summary.text()
    page.view.set_current(0)
    assert "Probability" not in page.about.text()
    page.view.set_current(3)
    assert "Probability 30.0 %" in page.about.text()


def test_by_keys_from_a_token_to_an_alternative(show):
    page = show()
    page.view.setFocus()
    for _ in range(4):
        QTest.keyClick(page.view, Qt.Key.Key_Right)
    at = page.view.current
    QTest.keyClick(page.view, Qt.Key.Key_Return)
    assert page.dialog.focusWidget() is page.choices
    QTest.keyClick(page.choices, Qt.Key.Key_Return)
    assert page.asked == [(ANSWER.id, at, 70 + IDS[at])]


def test_what_is_pointed_at_is_told_until_the_pointer_leaves(show):
    page = show()
    page.view.set_current(0)
    QTest.mouseMove(page.view.viewport(), page.view.place_of(4).center())
    assert "Probability 10.0 %" in page.about.text()
    assert rows(page.choices) == ["␣other  20.0 %"]
    page.choices.itemActivated.emit(page.choices.item(0))
    assert page.asked == [(ANSWER.id, 4, 70 + IDS[4])]  # what is seen there counts
    QApplication.sendEvent(page.view.viewport(), QEvent(QEvent.Type.Leave))
    assert "Probability 100.0 %" in page.about.text()


def test_by_mouse_from_here_on(show):
    page = show()
    assert not page.fork.isEnabled()  # no token yet
    QTest.mouseClick(
        page.view.viewport(), Qt.MouseButton.LeftButton, pos=page.view.place_of(5).center()
    )
    QTest.mouseClick(page.fork, Qt.MouseButton.LeftButton)
    assert page.asked == [(ANSWER.id, 5, None)]


def test_where_it_cannot_be_done_the_reason_stands_there(show):
    page = show()
    page.view.set_current(2)
    page.set_refusal("Another checkpoint wrote this answer.")
    assert not page.fork.isEnabled()
    assert page.refusal.isVisible()
    assert page.refusal.text() == "Another checkpoint wrote this answer."
    page.choices.itemActivated.emit(page.choices.item(0))
    assert page.asked == []
    page.set_refusal("")
    assert page.fork.isEnabled()
    assert not page.refusal.isVisible()


def test_without_probabilities_they_can_be_switched_on(show, qtbot):
    page = show(scores=())
    assert not page.legend.isVisible()
    assert not page.choices.isVisible()
    assert "Alternatives per token" in page.note.text()
    with qtbot.waitSignal(page.dialog.logprobs_requested):
        QTest.mouseClick(page.switch_on, Qt.MouseButton.LeftButton)
    page.show_switched_on()
    assert not page.switch_on.isVisible()
    page.view.set_current(3)
    assert "Answer" in page.about.text()


def test_where_another_checkpoint_is_open_ids_are_shown(show):
    page = show(scores=(), tokens=None)
    assert page.view.mode is Mode.IDS
    assert not page.modes[Mode.TEXT].isEnabled()
    assert "checkpoint that wrote it" in page.note.text()
    page.view.set_current(4)
    assert page.about.text() == "Token 5, id 3"
    page = show(tokens=TurnTokens())  # the scores hold texts
    assert page.view.mode is Mode.TEXT
    assert page.view.tokens.text() == "".join(TEXTS)


def test_the_current_token_stays_when_texts_come(show):
    page = show(tokens=None)
    page.view.set_current(3)
    page.set_tokens(SPELLED)
    assert page.view.current == 3
    assert "Answer" in page.about.text()


def test_an_answer_without_tokens_says_so(show):
    page = show(message=Message(Role.ASSISTANT, (), provenance=Provenance()), scores=())
    assert page.note.text() == "The tokens of this answer were not kept."
    assert not page.switch_on.isVisible()
    assert not page.fork.isEnabled()


@pytest.mark.parametrize("colours", THEMES, ids=lambda one: one.name)
def test_heat_is_painted_and_told_by_a_line_too(show, colours):
    theme.use(colours)
    page = show()
    page.setFocus()
    image = page.view.viewport().grab().toImage()
    hot, cold = page.view.place_of(5), page.view.place_of(0)
    inside = QPoint(hot.left() + 1, hot.top() + 4)
    assert image.pixelColor(inside) == heat_colour(HEATS[4])
    assert image.pixelColor(QPoint(hot.center().x(), hot.bottom() - 1)).name() == colours.error
    foot = image.pixelColor(QPoint(cold.center().x(), cold.bottom()))
    assert foot.name() == colours.background


def test_it_is_usable_when_narrow(show):
    page = show()
    page.dialog.resize(page.dialog.minimumSize())
    page.view.set_current(4)
    for part in (page.view, page.choices, page.fork):
        assert part.isVisible()
        assert part.width() > 200
    assert not page.surprises.isVisible()
    assert " · " in page.about.text()
    page.dialog.resize(900, 640)
    assert page.surprises.isVisible()
    assert "\n" in page.about.text()


def test_every_control_has_a_name(show):
    page = show()
    for kind in (QAbstractButton, QListWidget):
        for control in page.findChildren(kind):
            assert control.accessibleName(), control
    assert page.view.accessibleName() == "Tokens of the answer"


def test_the_ids_can_stand_below_the_texts(show):
    page = show()
    QTest.mouseClick(page.modes[Mode.BOTH], Qt.MouseButton.LeftButton)
    assert page.view.mode is Mode.BOTH
    assert page.modes[Mode.BOTH].isChecked()


# -- in the window -------------------------------------------------------------------------------


@pytest.mark.qt_log_ignore("does not support")
def test_from_the_menu_to_a_new_version(qtbot, application, window, tmp_path):
    """With a real checkpoint: ask, look at the tokens, take an alternative."""
    application.engine.start()
    application.models.open(chatty_checkpoint(tmp_path / "Chatty"))
    qtbot.waitUntil(lambda: application.models.state.info is not None, timeout=60_000)
    application.preferences.set("max_new_tokens", 12)
    application.preferences.set("logprobs", 3)
    saved = []
    application.chats.answer_saved.connect(saved.append)
    application.chats.ask("hello")
    qtbot.waitUntil(lambda: bool(saved), timeout=60_000)
    answer = saved[0]

    choose(window, 1, "Show tokens")
    dialog = window.findChild(AnswerDetails)
    page = dialog.tokens
    assert dialog.tabs.currentWidget() is page
    qtbot.waitUntil(lambda: bool(page._kinds), timeout=30_000)
    assert page.view.tokens.text() == answer.text
    page.view.set_current(6)
    token = page.choices.item(0).data(Qt.ItemDataRole.UserRole)
    page.choices.itemActivated.emit(page.choices.item(0))
    run = application.chats._answering.run
    assert run.kind is RunKind.FORK
    qtbot.waitUntil(lambda: len(saved) == 2, timeout=60_000)
    made = saved[1]
    assert made.token_ids[:7] == (*answer.token_ids[:6], token)
    assert window.timeline.messages()[-1].text == made.text
    assert application.chats.current.tree.versions(answer.id) == (answer.id, made.id)

    choose(window, 1, "Answer details")
    dialog = window.findChildren(AnswerDetails)[-1]
    assert f"Token 7 of another version, with token {token} there" in dialog.as_text()
    click(dialog.turn)
    steps = window.pane.looks._steps
    assert steps is not None
    qtbot.waitUntil(lambda: steps.assemble.view.isVisible(), timeout=30_000)
    assert "hello" in steps.assemble.view.tokens.text()
    steps.reject()


@pytest.mark.qt_log_ignore("does not support")
def test_probabilities_are_switched_on_for_this_chat(application, window, talk):  # noqa: F811
    choose(window, 1, "Answer details")
    dialog = window.findChild(AnswerDetails)
    dialog.logprobs_requested.emit()
    assert application.chats.options.values["logprobs"] == 5
    assert application.chats.values["logprobs"] == 5
    assert "not kept" in dialog.tokens.refusal.text()
    dialog.reject()
