"""Steps about answers and their context: versions, edits, going on, presets, what is left out.

Each is one start of the program; see steps.py.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton, QWidget

from qwen_desktop.chat.context import Policy
from qwen_desktop.chat.messages import Message, Status
from tests.e2e.driver import Driver

CONTROL = Qt.KeyboardModifier.ControlModifier
SHORT = ("--max-new-tokens", "24")
QUESTION = "What is a token?"
EDITED = "How do I stop an answer?"


def versions_and_edits(profile: Path) -> None:
    """Regenerate, page between versions, edit an earlier message: nothing is overwritten."""
    driver = Driver(profile)
    driver.wait_ready()
    _ask(driver, QUESTION)
    first = _path(driver)[-1]
    assert not driver.has("Previous version")

    driver.click("Retry")
    driver.wait("a second version", lambda: driver.has("Version 2 of 2"))
    driver.wait_idle()
    second = _path(driver)[-1]
    assert second.id != first.id
    assert second.parent_id == first.parent_id
    assert second.text
    driver.wait_shown("2/2")

    driver.click("Previous version")
    driver.wait("the first version", lambda: _path(driver)[-1].id == first.id)
    driver.wait("its place", lambda: driver.has("Version 1 of 2"))
    assert _path(driver)[-1] == first
    assert not driver.widget("Previous version").isEnabled()

    _ask(driver, "hello")  # below the first version
    driver.click("Next version")
    driver.wait("the second version", lambda: len(_path(driver)) == 2)
    assert _path(driver)[-1] == second
    driver.click("Previous version")
    driver.wait("what followed the first version", lambda: len(_path(driver)) == 4)
    assert "hello" in driver.shown()

    _edit(driver, EDITED, of=QUESTION)
    driver.wait("the edited message", lambda: _path(driver)[0].text == EDITED)
    driver.wait_idle()
    assert len(_path(driver)) == 2
    assert "Stop" in driver.answers()[0]
    driver.wait_shown(EDITED)
    driver.wait("its place", lambda: driver.has("Version 2 of 2"))
    driver.click("Previous version")
    driver.wait("the message before", lambda: _path(driver)[0].text == QUESTION)
    assert _path(driver)[-1] == second  # the newest answer to it
    driver.click("Previous version", at=-1)
    driver.wait("the first answer", lambda: len(_path(driver)) == 4)
    driver.click("Pin message")
    driver.wait("the pin", lambda: _path(driver)[0].pinned)
    driver.close()


def versions_are_there(profile: Path) -> None:
    """After a restart: both versions of question and answer, the pin, and paging goes on."""
    driver = Driver(profile)
    driver.wait("the conversation", lambda: len(_path(driver)) == 4)
    driver.wait("the versions", lambda: driver.has("Version 1 of 2"))
    question, answer = _path(driver)[:2]
    assert question.pinned
    assert driver.has("Unpin message")
    assert answer.provenance is not None
    assert answer.provenance.fingerprint
    assert answer.token_ids
    driver.wait_ready()
    driver.click("Next version")
    driver.wait("the edited message", lambda: _path(driver)[0].text == EDITED)
    driver.click("Previous version")
    driver.wait("the first message", lambda: _path(driver)[0].text == QUESTION)
    driver.wait("the pin", lambda: driver.has("Unpin message"))
    driver.click("Unpin message")
    driver.wait("no pin", lambda: not _path(driver)[0].pinned)
    driver.close()


def stop_and_continue(profile: Path, checkpoint: str) -> None:
    """An answer that was stopped goes on where it ended, as the same message."""
    driver = Driver(profile, "--checkpoint", checkpoint)
    driver.wait_ready()
    driver.send("go on for ever")
    _stop_after(driver, 50)
    stopped = _path(driver)[-1]
    driver.wait_shown("Stopped")
    driver.click("Continue")
    _stop_after(driver, len(stopped.text) + 50)
    longer = _path(driver)[-1]
    assert longer.id == stopped.id
    assert longer.text.startswith(stopped.text)
    assert longer.token_ids[: len(stopped.token_ids)] == stopped.token_ids
    assert len(longer.token_ids) > len(stopped.token_ids)
    assert len(_path(driver)) == 2
    assert not driver.has("Previous version")
    driver.click("Continue")
    driver.wait("more", lambda: len(_path(driver)[-1].text) > len(longer.text) + 50)
    driver.close()


def continue_after_restart(profile: Path, checkpoint: str) -> None:
    """Closed in the middle of going on; the next start goes on again."""
    driver = Driver(profile, "--checkpoint", checkpoint)
    driver.wait("the answer", lambda: driver.answers())
    before = _path(driver)[-1]
    assert before.status is Status.INTERRUPTED, before.status
    assert before.token_ids
    driver.wait_ready()
    driver.click("Continue")
    _stop_after(driver, len(before.text) + 30)
    after = _path(driver)[-1]
    assert after.text.startswith(before.text)
    assert after.token_ids[: len(before.token_ids)] == before.token_ids
    driver.close()


def cannot_think(profile: Path) -> None:
    """The demo has no thinking, so there is no switch for it."""
    driver = Driver(profile)
    driver.wait_ready()
    assert driver.has("Send message")
    assert not driver.has("Thinking")
    driver.close()


def thinking_switch(profile: Path, checkpoint: str) -> None:
    """A model that thinks has a switch; each answer keeps how it was."""
    driver = Driver(profile, "--checkpoint", checkpoint, *SHORT)
    driver.wait_ready()
    driver.wait("the switch", lambda: driver.has("Thinking"))
    thought = _ask(driver, "think")
    assert thought.reasoning
    driver.click("Thinking")
    said = _ask(driver, "do not")
    assert said.text
    assert not said.reasoning
    driver.click("Retry", at=-1)
    driver.wait("another version", lambda: _path(driver)[-1].id != said.id)
    driver.wait_idle()
    assert not _path(driver)[-1].reasoning
    modes = [m.provenance.thinking for m in _path(driver) if m.provenance is not None]
    assert modes == [True, False]
    driver.click("New chat")
    driver.wait("the general setting", lambda: _is_checked(driver, "Thinking"))
    driver.close()


def thinking_is_kept(profile: Path, checkpoint: str) -> None:
    """After a restart the conversation still does without."""
    driver = Driver(profile, "--checkpoint", checkpoint, *SHORT)
    driver.wait_ready()
    driver.click("Chats")
    driver.press(Qt.Key.Key_Down, into="Chats")
    driver.press(Qt.Key.Key_Return, into="Chats")
    driver.wait("the conversation", lambda: len(_path(driver)) == 4)
    driver.wait("the switch", lambda: driver.has("Thinking"))
    assert not _is_checked(driver, "Thinking")
    assert not _ask(driver, "still not").reasoning
    driver.close()


def presets(profile: Path) -> None:
    """Values are saved under a name, taken back, and used again from the list."""
    driver = Driver(profile)
    driver.wait_ready()
    driver.click("Chat settings")
    _wait_for_settings(driver)
    _set_number(driver, "Temperature", "0.35")
    driver.wait("the value", lambda: driver.app.chats.options.values.get("temperature") == 0.35)
    driver.click("Save as preset")
    driver.type("Calm", into="Name of the preset")
    driver.click("Save preset")
    driver.wait("the preset", lambda: driver.combo("Preset").currentText() == "Calm")

    driver.pick("Preset", "Recommended by Qwen")
    driver.wait("no own value", lambda: driver.app.chats.values["temperature"] is None)
    driver.pick("Preset", "Calm")
    driver.wait("the value again", lambda: driver.app.chats.values["temperature"] == 0.35)
    _close_dialog(driver)
    answer = _ask(driver, QUESTION)
    assert answer.provenance is not None
    assert dict(answer.provenance.sampling)["temperature"] == 0.35
    driver.close()


def presets_are_there(profile: Path) -> None:
    """After a restart: the conversation has its values, a new one takes them from the list."""
    driver = Driver(profile)
    driver.wait("the conversation", lambda: len(_path(driver)) == 2)
    assert driver.app.chats.values["temperature"] == 0.35
    driver.wait_ready()
    driver.click("New chat")
    driver.wait("an empty chat", lambda: not _path(driver))
    assert driver.app.chats.values["temperature"] is None
    driver.click("Chat settings")
    _wait_for_settings(driver)
    driver.pick("Preset", "Calm")
    driver.wait("the value", lambda: driver.app.chats.values["temperature"] == 0.35)
    driver.click("Delete preset")
    driver.wait("no preset", lambda: driver.combo("Preset").findText("Calm") < 0)
    _close_dialog(driver)
    driver.close()


def outgrow_the_context(profile: Path, checkpoint: str) -> None:
    """Old messages are dimmed when they no longer fit, pinned ones stay, and one can be asked."""
    driver = Driver(profile, "--checkpoint", checkpoint, *SHORT)
    driver.wait_ready()
    first = _fill(driver, "the very first words")
    assert first.id in _unseen(driver)
    driver.wait("the mark", lambda: _gap(driver))

    # With "stop and ask", the next one is not sent.
    driver.click("Why messages are left out")
    _wait_for_settings(driver)
    driver.pick("When the context is full", "Stop and ask")
    driver.wait("the choice", lambda: driver.app.chats.options.policy is Policy.ASK)
    _close_dialog(driver)
    count = len(_path(driver))
    driver.wait("nothing left out", lambda: not _gap(driver))
    driver.send("does this fit?")
    driver.wait("the question", lambda: driver.has("Drop the oldest turns and send"))
    assert len(_path(driver)) == count
    assert _text_of(driver, "Message") == "does this fit?"
    driver.click("Cancel")
    driver.wait("the window", lambda: not driver.has("Drop the oldest turns and send"))
    assert _text_of(driver, "Message") == "does this fit?"
    driver.press(Qt.Key.Key_Return)
    middle = "Keep the first turn, drop the middle and send"
    driver.wait("the question again", lambda: driver.has(middle))
    driver.click(middle)
    driver.wait("the answer", lambda: len(_path(driver)) == count + 2)
    driver.wait_idle()
    assert driver.app.chats.options.policy is Policy.KEEP_FIRST
    answer = _path(driver)[-1]
    assert answer.provenance is not None
    assert answer.provenance.unseen
    assert first.id not in answer.provenance.unseen
    driver.wait("the mark", lambda: _gap(driver))
    assert _text_of(driver, "Message") == ""
    driver.close()


def context_is_kept(profile: Path, checkpoint: str) -> None:
    """After a restart: the policy of the conversation, the mark, and a pin that changes it."""
    driver = Driver(profile, "--checkpoint", checkpoint, *SHORT)
    driver.wait("the conversation", lambda: _path(driver))
    assert driver.app.chats.options.policy is Policy.KEEP_FIRST
    driver.wait_ready()
    driver.wait("the mark", lambda: _gap(driver))
    driver.press(Qt.Key.Key_Home, CONTROL, into="Chat")
    second = _path(driver)[2]
    assert second.id in _unseen(driver)
    driver.wait("three messages", lambda: driver.widget("Pin message", at=2))
    driver.click("Pin message", at=2)
    driver.wait("the pin", lambda: _path(driver)[2].pinned)
    answer = _ask(driver, "with the second words again")
    assert answer.provenance is not None
    assert answer.provenance.unseen
    assert second.id not in answer.provenance.unseen
    driver.close()


def too_long_to_fit(profile: Path, checkpoint: str) -> None:
    """A message that no context could take is refused with both numbers and stays."""
    driver = Driver(profile, "--checkpoint", checkpoint, *SHORT)
    driver.wait_ready()
    text = "much too long " * 40
    driver.type(text)
    driver.press(Qt.Key.Key_Return)
    driver.wait_shown("320")
    driver.wait("the text back", lambda: _text_of(driver, "Message") == text)
    assert not _path(driver)
    driver.close()


# -- what the steps share ------------------------------------------------------------------


def _path(driver: Driver) -> tuple[Message, ...]:
    return driver.app.chats.current.tree.path()


def _ask(driver: Driver, text: str) -> Message:
    """Send, wait for the end; the answer."""
    count = len(_path(driver))
    driver.send(text)
    driver.wait("an answer", lambda: len(_path(driver)) == count + 2)
    driver.wait_idle()
    answer = _path(driver)[-1]
    assert answer.status is not Status.FAILED, answer.error
    return answer


def _stop_after(driver: Driver, characters: int) -> None:
    driver.wait("some text", lambda: driver.answers() and len(driver.answers()[-1]) > characters)
    driver.click("Stop")
    driver.wait_idle()
    assert _path(driver)[-1].status is Status.STOPPED


def _edit(driver: Driver, text: str, *, of: str) -> None:
    assert of in driver.shown()
    driver.click("Edit message")
    driver.wait("the field", lambda: driver.has("Send edited message"))
    driver.press(Qt.Key.Key_A, CONTROL, into="Edit message")
    driver.type(text, into="Edit message")
    driver.click("Send edited message")


def _fill(driver: Driver, text: str) -> Message:
    """Ask until something is left out; the first message."""
    _ask(driver, text)
    while not _unseen(driver):
        assert len(_path(driver)) < 30, "the context never fills"
        _ask(driver, "and then some more words")
    return _path(driver)[0]


def _unseen(driver: Driver) -> tuple[str, ...]:
    """What the last answer was not shown."""
    provenance = _path(driver)[-1].provenance
    return provenance.unseen if provenance is not None else ()


def _gap(driver: Driver) -> bool:
    """Whether the line is there where seeing begins again."""
    return driver.has("Why messages are left out")


def _is_checked(driver: Driver, name: str) -> bool:
    return bool(driver.widget(name, QWidget).property("checked"))


def _text_of(driver: Driver, name: str) -> str:
    text = driver.widget(name).property("plainText")
    return str(text)


def _set_number(driver: Driver, name: str, value: str) -> None:
    """Take up an optional number and type it."""
    if not driver.widget(name).isEnabled():
        driver.click(f"{name}: As recommended")
    driver.click(name)
    driver.press(Qt.Key.Key_A, CONTROL, into=name)
    QTest.keyClicks(driver.widget(name), value)
    driver.press(Qt.Key.Key_Tab, into=name)


def _wait_for_settings(driver: Driver) -> None:
    driver.wait("the settings of the chat", lambda: driver.has("Preset"))
    dialog = driver.widget("Preset").window()
    driver.wait("them in front", dialog.isActiveWindow)


def _close_dialog(driver: Driver) -> None:
    button = driver.widget("Close", QPushButton)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    driver.wait("the end of the dialog", lambda: not driver.has("Preset"))
    driver.to_front()


STEPS = (
    versions_and_edits,
    versions_are_there,
    stop_and_continue,
    continue_after_restart,
    cannot_think,
    thinking_switch,
    thinking_is_kept,
    presets,
    presets_are_there,
    outgrow_the_context,
    context_is_kept,
    too_long_to_fit,
)
