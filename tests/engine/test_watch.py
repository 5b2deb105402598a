"""The alarm of a slow and full device: raised once, ended once, never by a long context."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from qwen_desktop.chat.events import Alarm, AlarmKind, Delta, Finished, FinishReason
from qwen_desktop.chat.messages import PartKind
from qwen_desktop.engine import watch
from qwen_desktop.engine.watch import ENOUGH, SAMPLE_TOKENS, SpeedWatch

ANSWER = SAMPLE_TOKENS * ENOUGH + 1  # tokens: enough to know the usual speed


class Device:
    """A clock that answers drive, and a memory that is full when the test says so."""

    def __init__(self) -> None:
        self.now, self.full = 0.0, False
        self.watch = SpeedWatch(lambda: self.full, lambda: self.now)

    def answer(self, tokens: int, speed: float, *, context: int = 100, wait: float = 3.0):
        """The alarms of an answer at `speed` tokens a second after `wait` seconds of reading."""

        def events() -> Iterator[Delta | Finished]:
            self.now += wait
            for number in range(tokens):
                self.now += 1 / speed
                yield Delta(PartKind.TEXT, "a", (number,))
            yield Finished(FinishReason.STOP)

        told = list(self.watch.over(events(), context))
        assert len([event for event in told if not isinstance(event, Alarm)]) == tokens + 1
        return [event for event in told if isinstance(event, Alarm)]


@pytest.fixture
def device() -> Device:
    found = Device()
    assert found.answer(ANSWER, 50.0) == []
    return found


def test_slow_and_full_is_told_once_with_both_speeds(device):
    device.full = True
    (alarm,) = device.answer(100, 10.0)
    assert alarm.kind is AlarmKind.SLOW_AND_FULL
    assert alarm.on
    assert dict(alarm.values) == {"speed": "10.0", "usual": "50.0"}
    assert device.answer(100, 10.0) == []


def test_it_ends_when_the_speed_is_back(device):
    device.full = True
    device.answer(100, 10.0)
    assert device.answer(100, 25.0) == []  # half: neither well nor new
    (end,) = device.answer(100, 45.0)
    assert not end.on


def test_it_ends_when_the_memory_is_free(device):
    device.full = True
    device.answer(100, 10.0)
    device.full = False
    (end,) = device.answer(3, 10.0)
    assert not end.on


@pytest.mark.parametrize(("full", "speed"), [(False, 5.0), (True, 30.0), (True, 200.0)])
def test_one_of_the_two_alone_is_nothing(device, full, speed):
    device.full = full
    assert device.answer(200, speed) == []


def test_a_new_model_has_no_usual_speed_yet():
    device = Device()
    device.full = True
    assert device.answer(SAMPLE_TOKENS * (ENOUGH - 1), 50.0) == []
    assert device.answer(SAMPLE_TOKENS, 1.0) == []


def test_longer_contexts_are_slower_by_themselves(device):
    device.full = True
    assert device.answer(100, 10.0, context=30_000) == []
    device.answer(ANSWER, 10.0, context=30_000)
    assert [alarm.on for alarm in device.answer(100, 2.0, context=30_000)] == [True]


def test_slow_answers_do_not_become_the_usual_ones(device):
    device.full = True
    device.answer(100, 10.0)
    for _ in range(20):
        assert device.answer(200, 10.0) == []


def test_reading_the_prompt_is_no_slowness(device):
    device.full = True
    assert device.answer(100, 50.0, wait=1000.0) == []


def test_the_memory_of_this_machine_is_measured(monkeypatch):
    class Memory:
        total, available = 100, 50

    monkeypatch.setattr(watch.psutil, "virtual_memory", Memory)
    assert not watch.is_full(torch.device("cpu"))
    Memory.available = 2
    assert watch.is_full(torch.device("cpu"))
