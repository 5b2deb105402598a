"""Opening checkpoints: what is usable at each moment, and what failed loads leave behind."""

from __future__ import annotations

import json

import pytest

from qwen_desktop.bridge.memory import MemoryMonitor
from qwen_desktop.bridge.models import Phase
from qwen_desktop.chat.ledger import MemoryKind
from tests.engine.checkpoints import chatty_checkpoint


@pytest.fixture
def broken(tmp_path):
    folder = tmp_path / "Broken"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    return folder


def test_a_loaded_model_says_what_it_is(desk, endless):
    info = desk.models.state.info

    assert desk.models.state.phase is Phase.READY
    assert info.name == "Endless-Chat"
    assert info.folder == endless
    assert info.parameters > 0
    assert info.weight_bytes > 0
    assert info.context_length == 131_072
    assert info.device


def test_a_broken_folder_leaves_the_model_and_the_talk(desk, broken, endless):
    desk.ask_and_wait("before")

    desk.load(broken)

    assert "Broken" in desk.problems[0].text()
    assert not desk.problems[0].is_bug
    assert desk.models.state.phase is Phase.READY
    assert desk.models.state.info.folder == endless
    second = desk.ask_and_wait("after")
    assert second.stats.reused_tokens > 0  # its cache is still there too


def test_the_newest_of_two_loads_wins(desk, broken, endless):
    desk.models.open(endless)
    desk.models.open(broken)
    desk.models.open(endless)
    desk.wait(lambda: not desk.models.state.busy)

    assert desk.models.state.info.folder == endless
    assert desk.problems == []


def test_a_cancelled_load_leaves_the_model_before(desk, endless):
    before = desk.models.state.info
    desk.models.open(endless)
    desk.models.cancel()
    desk.wait(lambda: not desk.models.state.busy)

    assert desk.models.state.info == before
    assert desk.problems == []
    assert desk.ask_and_wait("still here?")


def test_while_loading_a_message_is_refused_and_kept(desk, endless):
    desk.models.open(endless)

    assert not desk.chats.ask("too early")

    assert "loading" in desk.problems[0].text()
    desk.wait(lambda: not desk.models.state.busy)


def test_the_gauge_tells_the_weights(desk, qtbot):
    monitor = MemoryMonitor(desk.engine.memory)
    try:
        with qtbot.waitSignal(monitor.sampled, timeout=20_000) as caught:
            monitor.start()
        sample = caught.args[0]
    finally:
        monitor.close()

    assert sample.weights == pytest.approx(desk.models.state.info.weight_bytes, abs=1024)
    assert 0 < sample.main.used <= sample.main.total
    assert sample.main.kind is MemoryKind.RAM


def test_a_gauge_that_fails_once_goes_on(qtbot, desk):
    readings = iter([RuntimeError("driver is away")])

    def read():
        for error in readings:
            raise error
        return desk.engine.memory()

    monitor = MemoryMonitor(read)
    try:
        with qtbot.waitSignal(monitor.sampled, timeout=20_000):
            monitor.start()
            monitor.set_busy(True)
    finally:
        monitor.close()


def test_the_usage_of_an_opened_talk_is_that_of_its_last_answer_by_this_model(desk, tmp_path):
    told = []
    desk.chats.usage.connect(told.append)
    answer = desk.ask_and_wait("hello")
    talk = desk.chats.current.id
    desk.chats.new()
    assert told[-1] is None

    desk.chats.open(talk)
    desk.wait(lambda: desk.chats.current.id == talk)
    stats = answer.stats
    assert told[-1].context_tokens == stats.prompt_tokens + stats.new_tokens

    desk.load(chatty_checkpoint(tmp_path / "Another-Model"))
    assert told[-1] is None
