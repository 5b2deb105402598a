"""When the shown chat meets its limit is told anew after each turn, and stays while one answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qwen_desktop.bridge.memory import MemoryMonitor
from qwen_desktop.bridge.models import ModelState
from qwen_desktop.chat.events import AlarmKind
from qwen_desktop.chat.ledger import Bound, Forecast


@pytest.fixture
def told(desk) -> list[Forecast | None]:
    found: list[Forecast | None] = []
    desk.chats.forecast.connect(found.append)
    desk.chats.count("")
    desk.wait(lambda: found)
    return found


def test_it_follows_the_turns(desk, told):
    assert told[-1].turn == 0
    used = told[-1].used
    for number in (1, 2):
        count = len(told)
        desk.ask_and_wait("hello there")
        desk.wait(lambda count=count: len(told) > count)
        assert told[-1].used > used
        assert told[-1].turn > 0
        assert (told[-1].bound, told[-1].limit) == (Bound.MODEL, told[0].limit), number
        used = told[-1].used


def test_it_holds_while_an_answer_is_written_and_goes_with_the_chat(desk, told):
    desk.ask_and_wait("hello there")
    desk.wait(lambda: told[-1].turn)
    desk.set(max_new_tokens=100_000)
    desk.wait(lambda: told[-1].limit < told[0].limit)  # more is kept for the answer
    before = list(told)
    desk.chats.ask("and now?")
    desk.wait(lambda: desk.path()[-1].text)
    assert told == before
    desk.chats.new()
    assert told[-1] is None
    desk.chats.stop()
    desk.wait(lambda: told[-1] is not None)
    assert told[-1].turn == 0


def test_without_a_model_there_is_none(desk, told):
    desk.models.changed.emit(ModelState())
    assert told[-1] is None


def test_samples_raise_the_alarm_of_memory_that_was_taken(desk, qtbot):
    alarms = []
    desk.chats.alarm.connect(alarms.append)
    monitor = MemoryMonitor(desk.engine.memory)
    monitor.sampled.connect(desk.chats.alarms.look)
    with qtbot.waitSignal(monitor.sampled, timeout=20_000) as caught:
        monitor.start()
    monitor.close()
    sample = caught.args[0]
    assert sample.window == desk.models.state.info.context_length
    ledger = sample.main
    full = replace(ledger, other=ledger.other + ledger.free, free=0)
    desk.chats.alarms.look(replace(sample, ledgers=(full,)))
    assert [alarm.kind for alarm in alarms] == [AlarmKind.MEMORY_TAKEN]
    desk.chats.alarms.look(sample)
    assert not alarms[-1].on
