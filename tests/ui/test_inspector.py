"""The prompt inspector in the real window, with a real model behind it."""

from __future__ import annotations

import json

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QAbstractItemModelTester, QTest

from qwen_desktop.bridge.models import Phase
from qwen_desktop.chat.attached import attached
from qwen_desktop.chat.draft import Draft
from qwen_desktop.chat.inspected import (
    Doubt,
    Inspected,
    LeftOut,
    Segment,
    SegmentKind,
    Why,
)
from qwen_desktop.chat.messages import Role
from qwen_desktop.chat.tokens import Tokens
from qwen_desktop.ui.inspector_segments import KIND, TOKENS
from qwen_desktop.ui.inspector_words import facts, in_order, notes
from qwen_desktop.ui.token_text import Mode
from tests.engine.checkpoints import chatty_checkpoint

CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return chatty_checkpoint(tmp_path_factory.mktemp("inspector") / "Small-Chat")


@pytest.fixture
def ready(qtbot, application, window, checkpoint):
    """The application with a model that answers."""
    application.engine.start()
    application.preferences.set("max_new_tokens", 8)
    application.models.open(checkpoint)
    qtbot.waitUntil(lambda: application.models.state.phase is Phase.READY, timeout=60_000)
    return application


@pytest.fixture
def inspector(qtbot, ready, window):
    QTest.keyClick(window, Qt.Key.Key_I, CONTROL)
    dialog = window.inspection.open[""]
    qtbot.waitUntil(lambda: dialog.found is not None, timeout=20_000)
    yield dialog
    for shown in list(window.inspection.open.values()):
        shown.close()


def type_in(qtbot, window, inspector, draft: str, shown: str) -> None:
    """Let `draft` be typed, and wait until it is in the prompt that is shown."""
    window.composer.set_draft(draft)
    qtbot.waitUntil(
        lambda: inspector.found is not None and shown in inspector.found.tokens.text(),
        timeout=20_000,
    )


def column(inspector, number: int) -> list[str]:
    model = inspector.table.segments
    return [str(model.index(row, number).data()) for row in range(model.rowCount())]


def test_it_follows_what_is_typed_beside_the_chat(qtbot, window, inspector):
    assert not inspector.isModal()
    QAbstractItemModelTester(
        inspector.table.segments, QAbstractItemModelTester.FailureReportingMode.Fatal
    )
    draft = Draft("Sum <|im_end|> up", (attached("a.txt", "one"),)).written()
    type_in(qtbot, window, inspector, draft, "Sum")
    kinds = column(inspector, KIND)
    assert "File" in kinds
    assert kinds[-1] == "Generation prompt"
    counts = [int(text) for text in column(inspector, TOKENS)]
    assert sum(counts) == len(inspector.found.tokens)
    assert f"{sum(counts)} tokens of" in inspector.facts.text()
    assert "reads like a control token" in inspector.notes.text()
    # The same again brings it to the front.
    QTest.keyClick(window, Qt.Key.Key_I, CONTROL)
    assert window.inspection.open == {"": inspector}
    type_in(qtbot, window, inspector, "Other", "Other")
    assert "File" not in column(inspector, KIND)


def test_a_segment_and_its_tokens_go_together(qtbot, window, inspector):
    type_in(qtbot, window, inspector, "Where is this", "Where is this")
    segments = inspector.found.segments
    user = next(s for s in segments if s.kind is SegmentKind.USER)
    row = inspector.table.segments.row_of(user)
    inspector.table.selectRow(row)
    assert inspector.view.current == user.start
    assert "User" in inspector.view.accessibleDescription()
    inspector.view.set_current(len(inspector.found.tokens) - 1)
    assert inspector.table.currentIndex().row() == len(segments) - 1
    inspector.bar.chosen.emit(inspector.bar.token_at(0))
    assert inspector.view.current == 0


def test_search_and_modes_by_keyboard(qtbot, window, inspector):
    type_in(qtbot, window, inspector, "one two one", "one two one")
    QTest.keyClick(inspector, Qt.Key.Key_F, CONTROL)
    assert inspector.search.hasFocus()
    QTest.keyClicks(inspector.search, "one")
    QTest.keyClick(inspector.search, Qt.Key.Key_Return)
    assert inspector.matches.text() == "1 of 2"
    first = inspector.view.current
    QTest.keyClick(inspector.search, Qt.Key.Key_Return)
    assert inspector.matches.text() == "2 of 2"
    assert inspector.view.current > first
    QTest.keyClick(inspector.search, Qt.Key.Key_Escape)
    assert inspector.search.text() == ""
    assert inspector.isVisible()
    inspector.modes[Mode.BOTH].click()
    assert inspector.view.mode is Mode.BOTH
    QTest.keyClick(inspector.view, Qt.Key.Key_Escape)
    assert not inspector.isVisible()


def test_what_is_copied(qtbot, window, inspector, capsys):
    type_in(qtbot, window, inspector, "Copy me", "Copy me")
    found, clipboard = inspector.found, QGuiApplication.clipboard()
    QTest.mouseClick(inspector.copy_text, Qt.MouseButton.LeftButton)
    assert clipboard.text() == found.tokens.text()
    assert inspector.copy_text.text() == "Copied"
    QTest.mouseClick(inspector.copy_ids, Qt.MouseButton.LeftButton)
    assert tuple(json.loads(clipboard.text())) == found.tokens.ids
    QTest.mouseClick(inspector.copy_json, Qt.MouseButton.LeftButton)
    assert json.loads(clipboard.text())["tokens"] == len(found.tokens)
    QTest.mouseClick(inspector.copy_python, Qt.MouseButton.LeftButton)
    exec(compile(clipboard.text(), "copied.py", "exec"), {})
    assert capsys.readouterr().out == f"{len(found.tokens)} tokens, the same\n"


def test_the_prompt_of_an_answer_stays_while_the_chat_goes_on(qtbot, ready, window):
    chats = ready.chats
    with qtbot.waitSignal(chats.answer_saved, timeout=60_000) as saved:
        assert chats.ask("Tell me")
    answer = saved.args[0]
    window.timeline.prompt_requested.emit(answer.id)
    dialog = window.inspection.open[answer.id]
    qtbot.waitUntil(lambda: dialog.found is not None, timeout=20_000)
    assert len(dialog.found.tokens) == answer.stats.prompt_tokens
    assert "Tell me" in dialog.found.tokens.text()
    before = dialog.found
    with qtbot.waitSignal(chats.answer_saved, timeout=60_000):
        assert chats.ask("And more")
    assert dialog.found == before
    dialog.reject()
    assert not window.inspection.open


def test_without_a_model_it_says_so(qtbot, application, window):
    window.actions_by_name["inspect"].trigger()
    dialog = window.inspection.open[""]
    assert dialog.note.text() == "No checkpoint is open."
    assert not dialog.copy_text.isEnabled()
    dialog.reject()


def made(**values) -> Inspected:
    ids = tuple(range(10))
    segments = (
        Segment(SegmentKind.SYSTEM, 0, 2, "system"),
        Segment(SegmentKind.USER, 2, 6, "user", "u", turn=1),
        Segment(SegmentKind.ASSISTANT, 6, 9, "assistant", "a", turn=2),
        Segment(SegmentKind.OPENING, 9, 10, "assistant", None, turn=3),
    )
    return Inspected(Tokens.of(ids, [b"x"] * 10), segments, **values)


def test_what_is_left_out_stands_where_it_would_be():
    gone = LeftOut(Why.POLICY, "old", Role.USER, 400, "long ago")
    thought = LeftOut(Why.REASONING, "a", Role.ASSISTANT, 7, "hm")
    found = made(left_out=(gone, thought), budget=12, limit=20, reused=6, pinned=("u",))
    rows = in_order(found)
    assert rows == [
        found.segments[0],
        gone,
        found.segments[1],
        thought,
        found.segments[2],
        found.segments[3],
    ]
    words = notes(found)
    assert (
        "Left out: messages 1, tokens 400. The context is full, the oldest turns go first." in words
    )
    assert "Reasoning dropped: answers 1, tokens 7." in words
    assert "Pinned messages that stay: 1." in words
    line = facts(found)
    assert line.startswith("10 tokens of 12 that fit")
    assert "from the cache 6 (underlined), to be read 4" in line
    assert "not known" in facts(made())
    assert "more than the 4" in facts(made(budget=4))


def test_ids_alone_are_shown_as_ids(qtbot, ready, window, inspector):
    found = made(doubts=(Doubt.OTHER_TOKENIZER,))
    inspector.modes[Mode.BOTH].click()
    inspector._look.inspected.emit(found)
    assert inspector.view.mode is Mode.IDS
    assert not inspector.modes[Mode.TEXT].isEnabled()
    assert not inspector.copy_text.isEnabled()
    assert "without text" in inspector.notes.text()
    inspector._look.inspected.emit(made())
    assert inspector.view.mode is Mode.BOTH
