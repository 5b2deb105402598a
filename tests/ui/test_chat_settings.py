"""Settings of one conversation: every control, presets, what is of its own and what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from qwen_desktop.bridge.models import ModelState, Phase
from qwen_desktop.chat.context import ChatOptions, Policy
from qwen_desktop.chat.messages import Provenance, Status, pending_answer, user_message
from qwen_desktop.chat.presets import NAMES
from qwen_desktop.chat.settings import BY_NAME, SETTINGS
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.ui.chat_settings import ChatSettingsDialog
from qwen_desktop.ui.chat_values import POLICY
from tests.ui.test_main_window import INFO
from tests.ui.test_settings_dialog import change_by_hand

OWN = [s.name for s in SETTINGS if s.group == "generation"] + [POLICY]


@pytest.fixture
def dialog(application, window):
    window.asking.show_chat_settings()
    made = window.findChild(ChatSettingsDialog)
    made.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    assert made.isVisible()
    yield made
    made.close()


def click(widget: QWidget) -> None:
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton)


def is_wholly_seen(dialog, name: str) -> bool:
    """Whether nothing of a control is cut off at its right."""
    control, seen = dialog.fields[name].control, dialog.form.viewport()
    return control.mapTo(seen, control.rect().bottomRight()).x() < seen.width()


def save_as(dialog, name: str) -> None:
    click(dialog.presets.save_as)
    dialog.presets.name.clear()
    QTest.keyClicks(dialog.presets.name, name)
    QTest.keyClick(dialog.presets.name, Qt.Key.Key_Return)


def test_it_has_every_setting_that_a_conversation_can_have(dialog):
    assert list(dialog.fields) == OWN


@pytest.mark.parametrize("name", OWN)
def test_a_setting_of_this_chat_leaves_the_general_one(application, dialog, name):
    before = application.preferences.get(name)
    wanted = change_by_hand(dialog, name)
    dialog.accept()
    options = application.chats.options
    if name == POLICY:
        assert options == ChatOptions(Policy(wanted))
    else:
        assert options == ChatOptions(values={name: wanted})
        assert application.chats.values[name] == wanted
    assert application.preferences.get(name) == before


def test_what_is_set_here_stands_out_and_can_be_reset(application, dialog):
    assert not dialog.reset.isEnabled()
    change_by_hand(dialog, "temperature")
    assert dialog.form.names["temperature"].font().bold()
    assert not dialog.form.names["top_p"].font().bold()
    described = dialog.fields["temperature"].control.accessibleDescription()
    assert described.endswith("This chat has a value of its own.")
    click(dialog.reset)
    assert application.chats.options == ChatOptions()
    assert dialog.fields["temperature"].value is None
    assert not dialog.form.names["temperature"].font().bold()


def test_general_settings_show_through(application, dialog):
    application.preferences.set("temperature", 0.5)
    application.preferences.set("context_policy", "ask")
    assert dialog.fields["temperature"].value == 0.5
    assert dialog.fields[POLICY].value == "ask"
    assert application.chats.options == ChatOptions()


def test_another_chat_has_its_own(application, window, dialog):
    change_by_hand(dialog, "top_k")
    dialog.accept()
    application.chats.new()
    assert application.chats.options == ChatOptions()


def test_a_new_chat_is_as_qwen_recommends(dialog):
    assert dialog.presets.box.currentText() == "Recommended by Qwen"
    assert not dialog.presets.delete.isEnabled()
    change_by_hand(dialog, "temperature")
    assert dialog.presets.box.currentIndex() == -1
    assert dialog.presets.box.placeholderText() == "Own values"


def test_a_preset_is_saved_used_and_deleted(application, dialog):
    change_by_hand(dialog, "temperature")
    change_by_hand(dialog, "system_prompt")
    dialog.fields["system_prompt"].finish()
    save_as(dialog, "  Careful   one ")
    assert [p.name for p in application.presets.entries] == ["", "Careful one"]
    assert set(application.presets.entries[1].values) <= set(NAMES)
    assert dialog.presets.box.currentText() == "Careful one"
    assert dialog.presets.delete.isEnabled()

    box = dialog.presets.box
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_Home)
    assert application.chats.values["temperature"] is None
    assert application.chats.values["system_prompt"] == ""
    QTest.keyClick(box, Qt.Key.Key_Down)
    assert application.chats.values["temperature"] == 0.75
    assert application.chats.values["system_prompt"] == "Be brief."
    assert dialog.fields["system_prompt"].value == "Be brief."

    click(dialog.presets.delete)
    assert [p.name for p in application.presets.entries] == [""]
    assert application.chats.values["temperature"] == 0.75  # the values of the chat stay


def test_a_preset_leaves_thinking_the_seed_and_the_policy(application, dialog):
    for name in ("thinking", "seed", POLICY):
        change_by_hand(dialog, name)
    save_as(dialog, "Other")
    before = application.chats.options
    dialog.presets.box.setFocus()
    QTest.keyClick(dialog.presets.box, Qt.Key.Key_Home)
    now = application.chats.options
    assert now.policy == before.policy
    assert now.values["thinking"] == before.values["thinking"]
    assert now.values["seed"] == before.values["seed"]


def test_a_known_name_is_replaced_and_says_so(application, dialog):
    save_as(dialog, "One")
    change_by_hand(dialog, "top_k")
    click(dialog.presets.save_as)
    QTest.keyClicks(dialog.presets.name, "One")
    assert dialog.presets.save.text() == "Replace"
    click(dialog.presets.save)
    assert len(application.presets.entries) == 2
    assert application.presets.entries[1].values["top_k"] == 1


def test_escape_leaves_the_name_and_not_the_dialog(application, dialog):
    click(dialog.presets.save_as)
    assert QApplication.focusWidget() is dialog.presets.name
    assert not dialog.presets.save.isEnabled()
    QTest.keyClicks(dialog.presets.name, "half")
    QTest.keyClick(dialog.presets.name, Qt.Key.Key_Escape)
    assert dialog.isVisible()
    assert dialog.presets.box.isVisible()
    assert len(application.presets.entries) == 1


def test_it_tells_what_is_recommended_in_each_mode_and_the_last_seed(qtbot, application, window):
    info = replace(
        INFO,
        sampling=(("temperature", 0.7), ("top_p", 0.8)),
        thinking_sampling=(("temperature", 0.6), ("top_p", 0.95)),
    )
    application.models._set(ModelState(Phase.READY, info=info))
    asked = user_message("bees?", None)
    answer = replace(
        pending_answer(asked.id, "Qwen3"),
        status=Status.COMPLETE,
        provenance=Provenance(seed=2_047_483_647),
    )
    made = Conversation(title="Bees", tree=Tree.of([asked, answer]))
    application.store.submit(lambda store: store.create(made))
    application.chats.open(made.id)
    qtbot.waitUntil(lambda: application.chats.current.id == made.id)
    window.asking.show_chat_settings()
    dialog = window.findChild(ChatSettingsDialog)
    assert dialog.fields["temperature"].recommended.text() == "As recommended (0.6)"
    assert (
        dialog.fields["seed"].recommended.text() == "A new one for every answer (last: 2047483647)"
    )
    assert dialog.fields["min_p"].recommended.text() == "As recommended"
    change_by_hand(dialog, "thinking")
    dialog.resize(300, 500)  # as narrow as it gets
    qtbot.waitUntil(lambda: all(is_wholly_seen(dialog, name) for name in OWN))
    assert dialog.fields["temperature"].recommended.text() == "As recommended (0.7)"
    assert dialog.fields["top_p"].recommended.text() == "As recommended (0.8)"
    dialog.close()


def test_every_control_has_a_name(dialog):
    nameless = []
    widget = dialog.nextInFocusChain()
    while widget is not dialog:
        tab = widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        if (
            tab
            and widget.isVisible()
            and widget.focusProxy() is None
            and not widget.accessibleName()
        ):
            nameless.append(widget.objectName() or type(widget).__name__)
        widget = widget.nextInFocusChain()
    assert nameless == []


def test_its_words_are_those_of_the_table(dialog):
    for name, field in dialog.fields.items():
        assert field.control.accessibleName() == BY_NAME[name].label
