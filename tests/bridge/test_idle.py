"""What the engine does while nobody waits: in steps, behind everything that was asked for."""

from __future__ import annotations

import threading

import pytest

from qwen_desktop.bridge import engine_client
from qwen_desktop.bridge.idle_work import IdleWork
from qwen_desktop.chat.messages import Status, new_id
from qwen_desktop.chat.model import EngineOptions
from qwen_desktop.engine.engine import Engine
from tests.bridge.conftest import Desk

EVERY_LETTER = "\n".join("abcdefghijklmnopqrstuvwxyz")  # as stop strings: the answer ends at once


# The queue


def job(done, name, steps=3):
    try:
        for step in range(steps):
            done.append(f"{name}{step}")
            yield
    finally:
        done.append(f"{name} ends")


def test_jobs_are_done_in_order_a_step_at_a_time():
    done, idle, stop = [], IdleWork(), threading.Event()
    idle.add(job(done, "a", 2), stop, "one")
    idle.add(job(done, "b", 1), stop)

    idle.step()
    assert done == ["a0"]
    while idle.waits:
        idle.step()

    assert done == ["a0", "a1", "a ends", "b0", "b ends"]


def test_a_stopped_job_ends_before_its_next_step():
    done, idle, stop = [], IdleWork(), threading.Event()
    idle.add(job(done, "a"), stop, "one")
    idle.add(job(done, "b"), threading.Event(), "two")
    idle.step()

    stop.set()
    idle.step()

    assert done == ["a0", "a ends", "b0"]


def test_jobs_of_a_conversation_are_dropped_with_those_of_none():
    done, idle = [], IdleWork()
    for name, conversation in (("a", "one"), ("b", "two"), ("c", "")):
        idle.add(job(done, name, 1), threading.Event(), conversation)
    idle.step()

    idle.drop("one")
    assert done == ["a0", "a ends"]
    idle.step()
    assert done[2:] == ["b0"]
    idle.drop()
    assert not idle.waits
    assert done[2:] == ["b0", "b ends"]


def test_a_job_that_fails_is_over_and_the_others_go_on():
    def failing():
        yield
        raise RuntimeError("no more")

    done, idle = [], IdleWork()
    idle.add(failing(), threading.Event(), "one")
    idle.add(job(done, "b", 1), threading.Event(), "two")
    idle.step()

    with pytest.raises(RuntimeError):
        idle.step()
    idle.step()

    assert done == ["b0"]


# On the engine's thread


class Reading:
    """Stands in for reading ahead that would take for ever, and tells what becomes of it."""

    def __init__(self, monkeypatch) -> None:
        self.requests, self.steps, self.ends = [], 0, 0
        self.hang = threading.Event()  # once set, a step lasts until it is interrupted
        reading = self

        def prepare(_engine, request, cancel):
            reading.requests.append(request)
            try:
                while not cancel.is_set():
                    reading.steps += 1
                    if reading.hang.is_set():
                        assert cancel.wait(600)
                    yield
            finally:
                reading.ends += 1

        monkeypatch.setattr(Engine, "prepare", prepare)


@pytest.fixture
def reading(monkeypatch):
    return Reading(monkeypatch)


def complete(desk, text="a question"):
    """An answer that ends by itself."""
    desk.set(stop_strings=EVERY_LETTER)
    answer = desk.ask_and_wait(text)
    desk.set(stop_strings="")
    assert answer.status is Status.COMPLETE
    return answer


def test_after_a_complete_answer_the_engine_reads_ahead(desk, reading):
    answer = complete(desk)
    desk.wait(lambda: reading.steps > 3)

    (request,) = reading.requests
    assert request.conversation_id == desk.chats.current.id
    assert request.messages == desk.path()
    assert request.messages[-1] == answer


def test_an_answer_that_was_cut_is_left_as_it_is_and_a_continued_one_is_read(desk, reading):
    cut = desk.ask_and_wait("a question")
    assert cut.status is Status.LENGTH
    desk.set(stop_strings=EVERY_LETTER)
    desk.chats.resume(cut.id)
    desk.wait(lambda: len(desk.saved) == 2)
    desk.wait(lambda: reading.requests)

    (request,) = reading.requests
    assert request.messages == desk.path()
    assert request.messages[-1].status is Status.COMPLETE


def test_what_is_asked_for_meanwhile_is_served_between_two_steps(desk, reading, qtbot):
    complete(desk)
    desk.wait(lambda: reading.steps)
    counts = []
    desk.chats.counted.connect(counts.append)

    with qtbot.waitSignal(desk.engine.card_made, timeout=60_000):
        desk.engine.card(new_id())
    desk.chats.count("what is typed")
    desk.wait(lambda: counts and counts[-1])

    before = reading.steps
    desk.wait(lambda: reading.steps > before)  # and it goes on
    assert reading.ends == 0


def test_a_request_interrupts_a_step_at_once(desk, reading):
    complete(desk)
    desk.wait(lambda: reading.steps)
    # From the moment the prompt was checked, a step lasts until it is interrupted.
    desk.engine.accepted.connect(lambda *_: reading.hang.set())

    answer = desk.ask_and_wait("the next question")

    assert answer.status is Status.LENGTH
    assert reading.ends == 1


def test_a_load_interrupts_a_step_at_once(desk, reading, endless):
    complete(desk)
    reading.hang.set()
    desk.wait(lambda: reading.steps)

    desk.load(endless)

    assert desk.models.state.info
    assert reading.ends == 1


def test_closing_interrupts_a_step_at_once(desk, reading):
    complete(desk)
    reading.hang.set()
    desk.wait(lambda: reading.steps)

    desk.close()

    assert reading.ends == 1


def test_deleting_the_conversation_ends_the_reading_of_it(desk, reading):
    complete(desk)
    reading.hang.set()
    desk.wait(lambda: reading.steps)

    desk.chats.list.delete([desk.chats.current.id])

    desk.wait(lambda: reading.ends)
    complete(desk, "another talk")


def test_an_answer_that_ends_after_its_conversation_was_deleted_is_not_read(desk, reading):
    desk.set(stop_strings=EVERY_LETTER)
    talk = desk.chats.current.id

    def delete(message):
        if message.status is Status.COMPLETE:
            desk.chats.list.delete([talk])

    desk.chats.message_changed.connect(delete)
    desk.chats.ask("a question")
    desk.wait(lambda: desk.saved)
    desk.ask_and_wait("another talk")  # what was asked of the engine before this has been done

    assert talk not in [request.conversation_id for request in reading.requests]


def test_a_failure_while_nobody_waits_disturbs_nobody(desk, monkeypatch):
    tried = []

    def failing(_engine, request, _cancel):
        tried.append(request)
        yield
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(Engine, "prepare", failing)
    complete(desk)
    desk.wait(lambda: tried)

    assert complete(desk, "the next one")
    assert desk.problems == []


# Cache files


def files(folder):
    return [file for file in folder.rglob("*") if file.is_file()] if folder.exists() else []


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "kv-cache"


def test_what_was_read_is_written_when_nothing_was_asked_for_a_while(
    qtbot, tmp_path, endless, kept, monkeypatch
):
    monkeypatch.setattr(engine_client, "REST_AFTER_MS", 1)
    desk = Desk(qtbot, tmp_path / "data" / "conversations.db")
    try:
        desk.engine.configure(EngineOptions(kv_disk=2**30, kv_folder=kept))
        desk.load(endless)

        desk.ask_and_wait("a question")
        desk.wait(lambda: files(kept))

        desk.chats.list.delete([desk.chats.current.id])
        desk.wait(lambda: not files(kept))  # with the conversation
    finally:
        desk.close()


def test_what_was_read_is_written_at_the_end_and_serves_the_next_start(desk, kept, endless):
    desk.engine.configure(EngineOptions(kv_disk=2**30, kv_folder=kept))
    first = desk.ask_and_wait("a question " + "word " * 50)
    talk = desk.chats.current.id
    assert not files(kept)
    desk.close()
    assert files(kept)

    again = Desk(desk.qtbot, desk.file)
    again.engine.configure(EngineOptions(kv_disk=2**30, kv_folder=kept))
    again.load(endless)
    again.chats.open(talk)
    again.wait(lambda: again.chats.current.id == talk)
    second = again.ask_and_wait("and more")
    assert second.stats.reused_tokens >= first.stats.prompt_tokens
    again.engine.configure(EngineOptions(kv_disk=0, kv_folder=kept))
    again.wait(lambda: not files(kept))
    again.close()
    assert not files(kept)


@pytest.mark.parametrize("asked", ["answer", "count", "forget", "configure"])
def test_whatever_is_asked_does_not_wait_for_a_file(qtbot, tmp_path, endless, monkeypatch, asked):
    begun = []  # what ends the writing of files that would take for ever

    def rest(_engine, cancel):
        begun.append(cancel)
        assert cancel.wait(600)
        yield

    monkeypatch.setattr(engine_client, "REST_AFTER_MS", 1)
    desk = Desk(qtbot, tmp_path / "data" / "conversations.db")
    try:
        desk.load(endless)
        monkeypatch.setattr(Engine, "rest", rest)
        desk.engine.configure(EngineOptions())
        desk.wait(lambda: begun and not begun[-1].is_set())
        before = len(begun)
        if asked == "answer":
            desk.ask_and_wait("a question")
        elif asked == "count":
            counts = []
            desk.chats.counted.connect(counts.append)
            desk.chats.count("what is typed")
            desk.wait(lambda: counts and counts[-1])
        elif asked == "forget":
            desk.engine.forget("a talk of another day")
        else:
            desk.engine.configure(EngineOptions())
        desk.wait(lambda: len(begun) > before)  # and it begins anew
    finally:
        desk.close()
    assert begun[-1].is_set()


def test_without_rest_nothing_is_written_at_the_end(desk, kept):
    desk.engine.configure(EngineOptions(kv_disk=2**30, kv_folder=kept))
    desk.ask_and_wait("a question")

    desk.chats.close()
    assert desk.engine.close(rest=False)

    assert not files(kept)
