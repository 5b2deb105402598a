"""How a turn works: its steps with the values of a real one, by mouse and keys."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton

from qwen_desktop.chat.messages import (
    AnswerStats,
    AnswerTrace,
    Message,
    Part,
    PartKind,
    Provenance,
    Role,
    user_message,
)
from qwen_desktop.chat.tokens import Tokens
from qwen_desktop.chat.turn_tokens import TurnTokens
from qwen_desktop.ui import theme
from qwen_desktop.ui.answer_details import AnswerDetails
from qwen_desktop.ui.turn_page import turns_of
from qwen_desktop.ui.turn_scheme import Stage
from qwen_desktop.ui.turn_steps import TurnSteps
from tests.ui.test_answer_details import ORIGIN
from tests.ui.test_answer_tokens import IDS, SCORES
from tests.ui.test_conversation_pane import talk  # noqa: F401
from tests.ui.test_message_actions import choose

START, END = 100, 101
PROMPT = (
    *(("<|im_start|>", START), ("system", 1), ("\n", 2), ("You help.", 3), ("<|im_end|>", END)),
    *(("\n", 2), ("<|im_start|>", START), ("user", 4), ("\n", 2), ("Hello", 5)),
    *(("<|im_end|>", END), ("\n", 2), ("<|im_start|>", START), ("assistant", 6), ("\n", 2)),
)
TOKENS = Tokens.of(
    [number for _, number in PROMPT], [text.encode() for text, _ in PROMPT], {START, END}
)
FOUND = TurnTokens(
    prompt=TOKENS,
    answer=Tokens.of(IDS, [b"a"] * len(IDS)),
    kinds=(PartKind.TEXT,) * len(IDS),
    ends=((END, "<|im_end|>"),),
)
QUESTION = user_message("Hello", None)
ANSWER = Message(
    Role.ASSISTANT,
    (Part(PartKind.TEXT, "aaaaaa"),),
    parent_id=QUESTION.id,
    stats=AnswerStats("Qwen3-8B", 15, 5, 0, 6, 0.31, 0.25, 0.5),
    token_ids=IDS,
    provenance=replace(
        ORIGIN,
        stop_reason="stop",
        end_token=END,
        kv_bytes=21 * 2**20,
        prefill_chunk=4,
        unseen=(),
        sampling=(("temperature", 0.6),),
    ),
)
TRACE = AnswerTrace(TOKENS.ids, SCORES)
NOT_KEPT = "not kept"


@pytest.fixture
def show(qtbot, looks):
    def shown(answer=ANSWER, trace=TRACE, tokens=FOUND, before=(QUESTION,)):
        dialog = TurnSteps(answer, before)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
        qtbot.addWidget(dialog)
        dialog.show()
        dialog.activateWindow()
        if trace is not None:
            dialog.set_trace(trace)
        if tokens is not None:
            dialog.set_tokens(tokens)
        return dialog

    return shown


def facts(page) -> dict[str, str]:
    return dict(page.fact_rows())


def test_the_values_of_each_step(show):
    steps = show()
    assert steps.about.text() == "Qwen3-8B · “Hello”"
    assert facts(steps.assemble) == {
        "Messages": "1 system, 1 user",
        "Left out": "0",
        "Chat template": "of the checkpoint",
        "Thinking": "on",
    }
    assert facts(steps.tokenise) == {
        "Tokens": "15",
        "Characters": str(len(TOKENS.text())),
        "Characters per token": f"{len(TOKENS.text()) / 15:.2f}",
        "Control tokens": "5",
    }
    assert facts(steps.prefill) == {
        "From the cache": "5",
        "Read": "10",
        "In pieces of": "at most 4 tokens: 3 pieces",
        "Time": "0.25 s",
        "Speed": "40.0 tok/s",
        "Time to first token": "0.31 s",
        "KV cache of the prompt": "about 15 MiB",
    }
    assert facts(steps.decode) == {
        "Temperature": "0.6",
        "Seed": "123456",
        "Speed": "10.0 tok/s",
        "Reasoning": "0",
    }
    assert steps.decode.rows.words()[4] == "␣it 10.0 %, ␣other 20.0 %"
    assert facts(steps.stop) == {
        "How it ended": "The model ended it",
        "End token": "<|im_end|>, id 101",
        "Tokens that end an answer": "<|im_end|> (101)",
        "Context now": "21 of 32,768 tokens",
        "KV cache kept": "21 MiB",
    }
    assert [box.value for box in steps.scheme.boxes] == [
        "2 messages",
        "15 tokens",
        "10 read",
        "6 tokens",
        "<|im_end|>",
    ]


def test_the_text_is_coloured_by_who_speaks():
    assert [(span.start, span.end, span.colour) for span in turns_of(TOKENS)] == [
        (0, 6, "other"),
        (6, 12, "accent"),
        (12, 15, "kv"),
    ]
    assert turns_of(Tokens.of((1, 2), (b"once", b" upon"))) == []


@pytest.mark.parametrize(
    ("changes", "beyond", "name", "value"),
    [
        (
            {"stop_reason": "stop_string", "stop_strings": ("EN", "END")},
            "END.",
            "Stop string",
            "“END”",
        ),
        ({"stop_reason": "stop_string", "stop_strings": ("X",)}, "", "Stop string", NOT_KEPT),
        ({"stop_reason": "length"}, "", "How it ended", "Longest answer reached"),
        ({"stop_reason": "stop", "end_token": -1}, "", "End token", NOT_KEPT),
        ({"stop_reason": "stop", "end_token": 7}, "", "End token", "7"),
    ],
)
def test_what_ended_it(show, changes, beyond, name, value):
    answer = replace(ANSWER, provenance=replace(ANSWER.provenance, **changes))
    steps = show(answer, tokens=replace(FOUND, beyond=beyond))
    assert facts(steps.stop)[name] == value


def test_greedy_is_said(show):
    greedy = replace(ANSWER.provenance, sampling=(("temperature", 0.0),))
    steps = show(replace(ANSWER, provenance=greedy))
    assert facts(steps.decode)["Choice"] == "greedy: always the likeliest"


def test_what_was_not_kept_is_said(show):
    bare = replace(ANSWER, stats=None, provenance=None, token_ids=())
    steps = show(bare, AnswerTrace(), TurnTokens())
    kept = {name: value for page in steps.pages for name, value in page.fact_rows()}
    for name in (
        "Chat template",
        "Time",
        "In pieces of",
        "Sampling",
        "How it ended",
        "Context now",
    ):
        assert kept[name] == NOT_KEPT
    assert facts(steps.assemble)["Messages"] == "1 user"
    assert steps.assemble.nothing.text() == "The tokens of this prompt were not kept."
    assert not steps.prefill.bar.isVisibleTo(steps)
    assert "not kept" in steps.decode.note.text()
    other = show(tokens=TurnTokens())
    assert "checkpoint that read it" in other.assemble.nothing.text()
    assert facts(other.tokenise)["Tokens"] == "15"


def test_what_only_a_server_knows_is_said(show):
    """No figure of its own stands where the server told none."""
    origin = Provenance(
        address="http://gpu:8000/v1", connection="Lab", device="gpu:8000", stop_reason="stop"
    )
    stats = AnswerStats("m", prompt_tokens=15, answer_tokens=6, first_token_seconds=0.5)
    served = replace(ANSWER, stats=stats, provenance=origin, token_ids=())
    steps = show(served, AnswerTrace((), SCORES), TurnTokens())
    kept = {name: value for page in steps.pages for name, value in page.fact_rows()}
    for name in (
        *("Chat template", "Characters", "Control tokens", "From the cache", "Read", "Time"),
        *("In pieces of", "KV cache of the prompt", "End token", "KV cache kept", "Sampling"),
    ):
        assert kept[name] == "only the server knows", name
    assert (kept["Tokens"], kept["Time to first token"]) == ("15", "0.50 s")
    assert "Seed" not in kept
    assert steps.prefill.bar.isHidden()
    assert not steps.decode.rows.isHidden(), "it told texts and their chances"
    assert "inspector shows what was sent" in steps.assemble.nothing.text()
    about = show(replace(served, provenance=replace(origin, estimated=True)), AnswerTrace())
    assert facts(about.tokenise)["Tokens"] == "about 15"


def test_without_an_answer_it_explains_all_the_same(show):
    steps = show(None, None, None, ())
    assert "no answer yet" in steps.about.text()
    for stage in Stage:
        steps.show_stage(stage)
        assert steps.pages[stage.value].words.isVisible()
    assert not steps.assemble.link.isEnabled()
    assert not steps.decode.link.isEnabled()


def test_next_and_back(show):
    steps = show()
    assert not steps.back.isEnabled()
    seen = [steps.stage]
    while steps.next.isEnabled():
        QTest.mouseClick(steps.next, Qt.MouseButton.LeftButton)
        seen.append(steps.stage)
        assert steps.pages[steps.stage.value].isVisible()
    assert seen == list(Stage)
    assert steps.place.text() == "Step 5 of 5"
    QTest.mouseClick(steps.back, Qt.MouseButton.LeftButton)
    assert steps.stage is Stage.DECODE
    assert steps.scheme.boxes[3].isChecked()


def test_arrows_step_and_the_focus_goes_along(show):
    steps = show()
    for key, stage in (
        (Qt.Key.Key_Right, Stage.TOKENISE),
        (Qt.Key.Key_Down, Stage.PREFILL),
        (Qt.Key.Key_Left, Stage.TOKENISE),
        (Qt.Key.Key_PageDown, Stage.PREFILL),
        (Qt.Key.Key_Right, Stage.DECODE),
        (Qt.Key.Key_Right, Stage.STOP),
        (Qt.Key.Key_Right, Stage.STOP),  # not around the end
    ):
        QTest.keyClick(steps.focusWidget(), key)
        assert steps.stage is stage
        assert steps.focusWidget() is steps.scheme.boxes[stage.value]
    QTest.keyClick(steps.scheme.boxes[1], Qt.Key.Key_Return)
    assert steps.stage is Stage.TOKENISE
    assert steps.isVisible()
    QTest.mouseClick(steps.scheme.boxes[3], Qt.MouseButton.LeftButton)
    assert steps.stage is Stage.DECODE
    QTest.keyClick(steps, Qt.Key.Key_Escape)
    assert not steps.isVisible()


def test_inside_the_text_the_arrows_move_there(show):
    steps = show()
    steps.assemble.view.setFocus()
    before = steps.assemble.view.current
    QTest.keyClick(steps.assemble.view, Qt.Key.Key_Right)
    assert steps.stage is Stage.ASSEMBLE
    assert steps.assemble.view.current == before + 1


def test_everything_has_a_name(show):
    steps = show()
    for control in steps.findChildren(QAbstractButton):
        assert control.accessibleName(), control
    assert steps.scheme.boxes[2].accessibleName() == "Step 3: Prefill, 10 read"
    assert "5 tokens from the cache, 10 read" in steps.prefill.bar.accessibleDescription()
    assert steps.stop.bar.accessibleDescription() == "▨ prompt 15, ■ answer 6, □ free 32,747"


@pytest.mark.parametrize("colours", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_it_is_usable_when_small(show, colours):
    theme.use(colours)
    steps = show()
    steps.resize(steps.minimumSize())
    for stage in Stage:
        steps.show_stage(stage)
        for control in (steps.back, steps.next, *steps.scheme.boxes):
            place = control.rect().translated(control.mapTo(steps, control.rect().topLeft()))
            assert steps.rect().contains(place)
    image = steps.grab().toImage()
    assert image.pixelColor(2, 2).name() == colours.background


def test_its_links_name_the_answer(show, qtbot):
    steps = show()
    with qtbot.waitSignal(steps.prompt_requested) as prompt:
        QTest.mouseClick(steps.assemble.link, Qt.MouseButton.LeftButton)
    steps.show_stage(Stage.DECODE)
    with qtbot.waitSignal(steps.tokens_requested) as tokens:
        QTest.mouseClick(steps.decode.link, Qt.MouseButton.LeftButton)
    assert prompt.args == tokens.args == [ANSWER.id]


# -- in the window -------------------------------------------------------------------------------


def test_the_newest_answer_by_its_key(qtbot, application, window, talk):  # noqa: F811
    keys = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    QTest.keyClick(window.composer.edit, Qt.Key.Key_H, keys)
    steps = window.findChild(TurnSteps)
    assert "“ants?”" in steps.about.text()
    steps.tokens_requested.emit(talk.tree.path()[-1].id)
    details = window.findChild(AnswerDetails)
    assert details.tabs.currentWidget() is details.tokens
    details.reject()


@pytest.mark.qt_log_ignore("does not support")
def test_any_answer_by_its_menu(window, talk):  # noqa: F811
    choose(window, 1, "How this turn worked")
    steps = window.findChild(TurnSteps)
    assert "“bees?”" in steps.about.text()
    QTest.mouseClick(steps.assemble.link, Qt.MouseButton.LeftButton)
    assert not steps.isVisible()
    inspector = window.inspection.open[talk.tree.path()[1].id]
    assert inspector.isVisible()
    inspector.close()


def test_in_an_empty_chat_too(application, window):
    application.chats.new()
    window.actions_by_name["turn_steps"].trigger()
    steps = window.findChild(TurnSteps)
    assert "no answer yet" in steps.about.text()
    steps.reject()
