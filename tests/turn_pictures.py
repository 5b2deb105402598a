"""Pictures of what can be done with the turns of a chat: versions, editing, what is left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.chat.context import ChatOptions, Policy
from qwen_desktop.chat.events import Alarm, AlarmKind
from qwen_desktop.chat.messages import (
    AnswerStats,
    Message,
    Part,
    PartKind,
    Role,
    user_message,
)
from qwen_desktop.chat.tree import Conversation, Tree

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from tests.e2e.driver import Driver

Picture = Callable[[str], None]
Save = Callable[["QWidget", str], None]

LONG_TALK = "A long talk"
_TURNS = 30
_SAID = (
    "The KV cache keeps what was read, so that the next turn begins at once. It grows with every "
    "token, and the memory panel shows how large it is. When it is full, the oldest turns go."
)
SLOW = Alarm(AlarmKind.SLOW_AND_FULL, True, (("speed", "3.1"), ("usual", "41.8")))


def long_talk(when: float) -> Conversation:
    """More than the context of the demo checkpoint holds."""
    messages: list[Message] = []
    for number in range(1, _TURNS + 1):
        before = messages[-1].id if messages else None
        asked = user_message(f"Question {number}: how large is the KV cache now?", before)
        said = Message(
            role=Role.ASSISTANT,
            parts=(Part(PartKind.TEXT, f"Answer {number}. {_SAID}"),),
            parent_id=asked.id,
            created_at=when,
            stats=AnswerStats("Demo", 31, 0, 0, 64, 0.3, 0.25, 1.5),
        )
        messages += [asked, said]
    tree = Tree.of(messages)
    return Conversation(title=LONG_TALK, created_at=when, updated_at=when, tree=tree)


def take_turns(driver: Driver, picture: Picture, save: Save) -> None:
    """With a chat of the demo checkpoint that is shown, its last answer cut."""
    from qwen_desktop.ui.timeline.editor import Editor

    window, chats = driver.window, driver.app.chats
    edit, line = window.composer.edit, window.composer.prompt
    edit.setPlainText("How do I see how much of the context is used?")
    driver.wait("tokens of the draft", lambda: line.text().startswith(("Draft", "草稿")))
    picture("tokens")
    edit.clear()

    answer = chats.current.tree.path()[-1]
    window.pane.looks.show(answer.id)
    save(_top(driver, "answerDetails"), "details")
    chats.retry(answer.id)
    driver.wait_idle()
    driver.to_front()
    picture("versions")
    window.pane.edit_last()
    driver.wait("the editor", lambda: window.timeline.findChildren(Editor))
    picture("editing")
    chats.new()

    window.asking.show_chat_settings()
    save(_top(driver, "chatSettings"), "chat-settings")

    chats.alarm.emit(SLOW)
    picture("alarm")
    chats.alarm.emit(Alarm(AlarmKind.SLOW_AND_FULL, on=False))


def take_thinking(driver: Driver, folder: Path, picture: Picture) -> None:
    """A model that can think, and the switch for it."""
    driver.app.chats.new()
    driver.app.models.open(folder)
    driver.wait_ready()
    thinking = driver.window.composer.thinking
    driver.wait("the switch", lambda: thinking.isVisible() and thinking.isChecked())
    picture("thinking")


def take_full(driver: Driver, picture: Picture, save: Save) -> None:
    """A chat that is longer than the context, and the question what to do."""
    window, chats = driver.window, driver.app.chats
    chats.open(next(row.id for row in chats.list.top() if row.title == LONG_TALK))
    driver.wait("the long talk", lambda: len(chats.current.tree.path()) == 2 * _TURNS)
    counted: list[object] = []
    chats.counted.connect(counted.append)
    driver.wait("what is left out", lambda: counted and getattr(counted[-1], "unseen", ()))
    bar = window.timeline.verticalScrollBar()
    unseen = len(counted[-1].unseen)  # type: ignore[attr-defined]
    bar.setValue(bar.maximum() * unseen // (2 * _TURNS) - 200)
    picture("left-out")

    chats.set_options(ChatOptions(Policy.ASK))
    window.composer.edit.setPlainText("And now?")
    window.composer.send_requested.emit("And now?")
    save(_top(driver, "overflowDialog"), "full")
    window.composer.clear()
    chats.set_options(ChatOptions())


def take_stretched(driver: Driver, folder: Path, save: Save) -> None:
    """The open dialog with an 8-bit KV cache and a stretched context."""
    checkpoints = driver.window.checkpoints
    checkpoints.look_into(folder)
    dialog = checkpoints._dialog
    assert dialog is not None
    driver.wait("what there is to say", lambda: not dialog._request_id)
    choices = dialog.choices
    for box, value in ((choices.kv, KvFormat.INT8), (choices.stretch, 4.0)):
        box.setCurrentIndex(next(i for i in range(box.count()) if box.itemData(i) == value))
    _settle(driver)
    save(dialog, "open-stretched")


def _top(driver: Driver, name: str) -> QWidget:
    """The dialog of that name, once it is shown."""

    def found() -> list[QWidget]:
        return [w for w in driver.qt.topLevelWidgets() if w.objectName() == name and w.isVisible()]

    driver.wait(name, found)
    _settle(driver)
    return found()[0]


def _settle(driver: Driver) -> None:
    """Let what changed be laid out."""
    from PySide6.QtCore import QTimer

    done: list[bool] = []
    QTimer.singleShot(0, lambda: done.append(True))
    driver.wait("another look", lambda: done)
