"""The next message: thinking, tokens, a full context and what is asked again then."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton

from qwen_desktop.bridge.models import ModelState, Phase
from qwen_desktop.chat.context import ChatOptions, Policy
from qwen_desktop.chat.events import Alarm, AlarmKind, PromptCount
from qwen_desktop.errors import Report
from qwen_desktop.ui.chat_settings import ChatSettingsDialog
from qwen_desktop.ui.chat_values import POLICY
from qwen_desktop.ui.overflow_dialog import OverflowDialog
from tests.ui.test_memory_panel import INFO

CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
COUNT = PromptCount(prompt=30_000, draft=120, budget=28_672, limit=32_768, overflows=True)


@pytest.fixture
def ready(application):
    """A model that can think is open, as far as the window knows."""
    application.models._set(ModelState(Phase.READY, info=INFO))
    return application


def test_thinking_is_switched_for_this_chat_by_mouse_and_by_key(ready, window):
    assert window.composer.thinking.isChecked()
    QTest.mouseClick(window.composer.thinking, Qt.MouseButton.LeftButton)
    assert ready.chats.values["thinking"] is False
    assert ready.preferences.get("thinking") is True
    assert not window.composer.thinking.isChecked()
    QTest.keyClick(window.composer.edit, Qt.Key.Key_T, CONTROL | SHIFT)
    assert ready.chats.values["thinking"] is True
    assert window.composer.thinking.isChecked()
    assert ready.chats.options == ChatOptions()  # as in general again


def test_thinking_follows_the_general_setting_and_the_chat(ready, window):
    ready.preferences.set("thinking", False)
    assert not window.composer.thinking.isChecked()
    QTest.mouseClick(window.composer.thinking, Qt.MouseButton.LeftButton)
    assert window.composer.thinking.isChecked()
    ready.chats.new()
    assert not window.composer.thinking.isChecked()


def test_the_switch_is_not_there_for_a_model_that_cannot_think(application, window):
    application.models._set(ModelState(Phase.READY, info=replace(INFO, can_think=False)))
    assert not window.composer.thinking.isVisible()
    QTest.keyClick(window.composer.edit, Qt.Key.Key_T, CONTROL | SHIFT)
    assert application.chats.options == ChatOptions()


def test_what_is_counted_is_shown(ready, window):
    ready.chats.counted.emit(PromptCount(3412, 120, 28_672, 32_768))
    assert window.composer.prompt.text() == "Draft 120 · Prompt 3,412 of 28,672 tokens"
    ready.chats.counted.emit(None)
    assert window.composer.prompt.text() == ""


def test_what_cannot_be_sent_says_so_before_it_is(ready, window):
    words = ("The prompt has {have} tokens.", "Shorten it.")
    ready.chats.counted.emit(Report(*words, values={"have": "1,903"}))
    assert window.composer.prompt.text() == "The prompt has 1,903 tokens. Shorten it."
    assert window.composer.prompt.tint == "error"
    ready.chats.counted.emit(PromptCount(12, 2, 28_672, 32_768))
    assert window.composer.prompt.text() == "Draft 2 · Prompt 12 of 28,672 tokens"
    assert window.composer.prompt.tint == "dim"


def test_what_is_typed_is_counted(qtbot, ready, window):
    asked = []
    ready.engine._count.connect(lambda _, request, __: asked.append(request.messages[-1].text))
    QTest.keyClicks(window.composer.edit, "hello")
    qtbot.waitUntil(lambda: asked[-1:] == ["hello"])


def overflow(application, window, text: str) -> OverflowDialog:
    """Send `text`, which is too long then, as the engine says."""
    window.composer.set_text(text)
    QTest.keyClick(window.composer.edit, Qt.Key.Key_Return)
    run = application.chats._answering.run
    application.engine.overflowed.emit(run.id, COUNT)
    dialog = window.findChild(OverflowDialog)
    assert dialog.isVisible()
    return dialog


def press(dialog: OverflowDialog, name: str) -> None:
    from qwen_desktop.ui.controls import Button

    QTest.mouseClick(dialog.findChild(Button, name), Qt.MouseButton.LeftButton)


def test_a_full_context_is_told_in_numbers_and_the_text_stays(ready, window):
    dialog = overflow(ready, window, "too much")
    assert "30,000" in dialog.words.text()
    assert "28,672" in dialog.words.text()
    assert window.composer.text() == "too much"
    assert not ready.chats.current.tree.messages
    cancel = dialog.findChild(QPushButton, "cancelOverflow")
    assert dialog.focusWidget() is cancel  # Enter, pressed twice by haste, chooses nothing
    QTest.mouseClick(cancel, Qt.MouseButton.LeftButton)
    assert not dialog.isVisible()
    assert window.composer.text() == "too much"
    assert not ready.chats.run.running


def test_a_refused_first_message_leaves_no_chat_to_switch_to(ready, window):
    overflow(ready, window, "too much")
    assert ready.chats.current.id not in window.switching.order


def test_a_chat_is_shown_before_the_rest_of_the_window_is_built(qtbot, looks, tmp_path):
    from qwen_desktop import cli
    from qwen_desktop.app import App

    built = App(cli.parse(["--profile", str(tmp_path / "profile")]))
    built.build()
    built.store.start()
    with qtbot.captureExceptions() as thrown:
        built.chats.opened.emit(built.chats.current)
    built.close()
    for made in (built.window, built):
        made.deleteLater()
        QCoreApplication.sendPostedEvents(made, QEvent.Type.DeferredDelete.value)
    assert not thrown


def test_what_was_said_of_one_chat_is_not_said_above_another(ready, window):
    report = Report("The prompt has {have} tokens.", values={"have": "1,903"})
    for code, stays in (("prompt-too-long", False), ("disk-full", True)):
        ready.chats.problem.emit(replace(report, code=code))
        assert window.banner.isVisible()
        ready.chats.new()
        assert window.banner.isVisible() is stays


@pytest.mark.parametrize(
    ("name", "policy"), [("dropOldest", Policy.DROP_OLDEST), ("keepFirst", Policy.KEEP_FIRST)]
)
def test_a_way_out_holds_for_the_chat_and_sends_again(ready, window, name, policy):
    press(overflow(ready, window, "too much"), name)
    assert ready.chats.options.policy is policy
    run = ready.chats._answering.run
    assert run.request.policy is policy
    assert run.request.messages[-1].text == "too much"
    assert window.composer.text() == ""


def test_the_message_can_go_to_a_new_chat(ready, window):
    press(overflow(ready, window, "too much"), "overflowNew")
    assert not ready.chats.run.running
    assert window.composer.text() == "too much"
    assert window.empty.isVisible()


def test_the_chat_settings_open_by_button_and_by_key_and_at_the_policy(qtbot, ready, window):
    for act in (
        lambda: QTest.mouseClick(window.composer.options, Qt.MouseButton.LeftButton),
        lambda: QTest.keyClick(window.composer.edit, Qt.Key.Key_G, CONTROL),
        lambda: window.timeline.policy_requested.emit(),
    ):
        act()
        dialogs = [d for d in window.findChildren(ChatSettingsDialog) if d.isVisible()]
        assert len(dialogs) == 1
        focused, field = dialogs[0].focusWidget(), dialogs[0].fields[POLICY]
        if focused is field.control:  # only where it was asked for
            qtbot.waitUntil(lambda field=field: not field.visibleRegion().isEmpty())
        dialogs[0].close()
    assert focused is field.control


def test_an_alarm_is_shown_in_the_window_and_in_the_panel(ready, window):
    slow = Alarm(AlarmKind.SLOW_AND_FULL, True, (("speed", "3"), ("usual", "42")))
    ready.chats.alarm.emit(slow)
    assert window.alarms.isVisible()
    assert window.panel.alarm.isVisible()
    ready.chats.alarm.emit(Alarm(AlarmKind.SLOW_AND_FULL, on=False))
    assert not window.alarms.isVisible()
    assert not window.panel.alarm.isVisible()


def test_a_model_on_the_cpu_by_accident_raises_the_alarm(ready, window):
    from dataclasses import replace

    info = replace(INFO, cpu_fallback="CUDA could not be started.")
    ready.models._set(ModelState(Phase.READY, info=info))
    assert "CUDA could not be started." in window.panel.alarm.text()
    ready.models._set(ModelState(Phase.READY, info=INFO))
    assert not window.panel.alarm.isVisible()
