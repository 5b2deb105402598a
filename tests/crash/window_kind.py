"""The whole application with its window: typing, sending, streaming and renaming by hand."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from qwen_desktop.chat.messages import Message, Role
from qwen_desktop.storage.store import Store
from tests.crash.bridge_kinds import all_talks
from tests.crash.killing import Kind, Life, Tell, Work


def using(folder: Path, profile: Path, seed: int, tell: Tell) -> None:
    """Ask, read a moment, stop, name the conversation, write a draft; again and again."""
    from PySide6.QtCore import Qt

    from tests.e2e.driver import Driver

    driver = Driver(profile, "--checkpoint", str(folder), "--max-new-tokens", "100000")
    chats = driver.app.chats
    driver.wait_ready()
    shown: dict[str, int] = {}

    def changed(message: Message) -> None:
        if message.role is Role.ASSISTANT and len(message.text) > shown.get(message.id, 0):
            shown[message.id] = len(message.text)
            tell("shown", message.id, len(message.text))

    chats.message_changed.connect(changed)
    tell("at work")
    number = 0
    while True:
        number += 1
        driver.click("New chat")
        question = f"question {seed} {number}"
        driver.type(question)
        tell("typed", question)
        tell("asked", question)
        driver.press(Qt.Key.Key_Return)
        driver.wait("some text", lambda: driver.answers() and len(driver.answers()[-1]) > 200)
        driver.click("Stop")
        driver.wait_idle()
        talk = chats.current.id
        title = f"title {seed} {number}"
        tell("named", talk, title)
        chats.list.rename(talk, title)
        draft = f"draft {seed} {number}"
        driver.type(draft)
        tell("typed", draft)
        later = time.monotonic() + 0.7
        driver.wait("a moment", lambda later=later: time.monotonic() > later)


@dataclass
class Window(Kind):
    """Everything that was seen a second before the end."""

    folder: Path = Path()
    longest_s: float = 3.0
    titles: dict[str, str] = field(default_factory=dict)

    def before(self) -> Work:
        self.profile.mkdir(parents=True, exist_ok=True)
        return partial(using, self.folder)

    def after(self, life: Life, store: Store) -> None:
        by_id = {m.id: m for talk in all_talks(store) for m in talk.tree.messages.values()}
        texts = [m.text for m in by_id.values()] + list(store.drafts().values())
        for told in life.of("typed", "asked"):
            assert told.values[0] in texts or not life.is_due(told.moment), told.values[0]
        for told in life.of("shown"):
            answer_id, length = told.values
            found = len(by_id[answer_id].text) if answer_id in by_id else 0
            assert found >= length or not life.is_due(told.moment), f"{found} of {length}"
            if found < length:
                self.losses.add("answer", life.ago_ms(told.moment))
        for told in life.of("named"):
            if life.is_due(told.moment):
                self.titles[told.values[0]] = told.values[1]
        for talk, title in self.titles.items():
            assert store.load(talk).title == title
