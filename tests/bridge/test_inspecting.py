"""Prompts that are looked at while the talk goes on, with the real engine and store."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from qwen_desktop.bridge.inspecting import Inspecting, Wait
from qwen_desktop.chat.inspected import Doubt, Inspected, SegmentKind


class Eye:
    """Everything that a look tells."""

    def __init__(self, look) -> None:
        self.look = look
        self.found: list[Inspected] = []
        self.waits: list[Wait] = []
        self.failed = []
        look.inspected.connect(self.found.append)
        look.waits.connect(self.waits.append)
        look.failed.connect(self.failed.append)
        look.start()

    def drafted(self) -> str:
        """The text of the last message of the user in what is shown."""
        shown = self.look.shows
        users = [s for s in shown.segments if s.kind is SegmentKind.USER] if shown else []
        return shown.tokens.text(users[-1].start, users[-1].end) if users else ""


@pytest.fixture
def inspecting(desk) -> Inspecting:
    return Inspecting(desk.engine, desk.chats, desk.models, desk.chats)


def test_what_would_be_sent_follows_the_draft_and_the_chat(desk, inspecting):
    eye = Eye(inspecting.now(desk.chats))
    desk.wait(lambda: eye.found)
    desk.chats.count("Tell me")
    desk.wait(lambda: eye.drafted() == "Tell me")
    answer = desk.ask_and_wait("Tell me")
    assert Wait.ANSWERING in eye.waits
    desk.chats.count("and then")
    desk.wait(lambda: eye.drafted() == "and then")
    shown = eye.look.shows
    assert answer.id in {segment.message_id for segment in shown.segments}
    # All that was read for the answer is in the cache.
    before = min(s.start for s in shown.segments if s.message_id == answer.id)
    assert shown.reused >= before
    desk.chats.new()
    desk.wait(lambda: eye.look.shows is not None and not eye.drafted())
    eye.look.close()
    count = len(eye.found)
    desk.chats.count("more")
    desk.wait(lambda: desk.chats.request() is not None)
    assert len(eye.found) == count


def test_the_prompt_of_an_answer(desk, inspecting):
    first = desk.ask_and_wait("One")
    second = desk.ask_and_wait("Two")
    eye = Eye(inspecting.back(second.id, desk.chats))
    desk.wait(lambda: eye.found)
    found = eye.found[-1]
    assert len(found.tokens) == second.stats.prompt_tokens
    assert found.reused == second.stats.reused_tokens
    assert found.answer_id == second.id
    assert eye.drafted() == "Two"
    assert first.id in {segment.message_id for segment in found.segments}
    assert Doubt.OTHER_TOKENIZER not in found.doubts
    assert inspecting.back("nobody", desk.chats) is None


def test_an_answer_that_never_started_has_no_prompt(desk, inspecting):
    desk.ask_and_wait("One")
    question = desk.path()[0]
    eye = Eye(inspecting.back(question.id, desk.chats))
    desk.wait(lambda: Wait.NOT_KEPT in eye.waits)


def test_a_prompt_that_cannot_be_read_says_so(desk, inspecting):
    answer = desk.ask_and_wait("One")
    with closing(sqlite3.connect(desk.file)) as other:
        other.execute("DROP TABLE answer_traces")
    eye = Eye(inspecting.back(answer.id, desk.chats))
    desk.wait(lambda: eye.failed)
    assert eye.failed[0] in desk.problems


def test_nothing_to_show_without_a_model(qtbot, tmp_path):
    from tests.bridge.conftest import Desk

    desk = Desk(qtbot, tmp_path / "data" / "conversations.db")
    try:
        inspecting = Inspecting(desk.engine, desk.chats, desk.models, desk.chats)
        eye = Eye(inspecting.now(desk.chats))
        desk.wait(lambda: eye.waits == [Wait.NO_MODEL])
    finally:
        desk.close()
