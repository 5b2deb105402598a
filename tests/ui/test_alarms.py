"""Alarms: shown while they last, closed by the user, told in the memory panel all the time."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from qwen_desktop.chat.events import Alarm, AlarmKind
from qwen_desktop.ui.alarms import AlarmBanner
from qwen_desktop.ui.memory_panel import MemoryPanel

SLOW = Alarm(AlarmKind.SLOW_AND_FULL, True, (("speed", "3.25"), ("usual", "42.0")))
FALLBACK = Alarm(AlarmKind.CPU_FALLBACK, True, (("reason", "CUDA could not be started."),))


@pytest.fixture
def banner(qtbot, looks):
    made = AlarmBanner()
    qtbot.addWidget(made)
    made.resize(700, 100)
    made.show_alarm(SLOW)
    return made


def test_a_slow_answer_tells_both_speeds(banner):
    text = banner.cards[AlarmKind.SLOW_AND_FULL].label.text()
    assert "at 3.3 instead of 42.0 tokens per second" in text
    assert banner.isVisible()


def test_the_cpu_tells_why(banner):
    banner.show_alarm(FALLBACK)
    card = banner.cards[AlarmKind.CPU_FALLBACK]
    assert card.label.text().endswith("CUDA could not be started.")
    assert card.isVisible()
    assert banner.cards[AlarmKind.SLOW_AND_FULL].isVisible()


def test_an_alarm_goes_when_it_ends(banner):
    banner.show_alarm(FALLBACK)
    banner.show_alarm(Alarm(AlarmKind.SLOW_AND_FULL, on=False))
    assert not banner.cards[AlarmKind.SLOW_AND_FULL].isVisible()
    assert banner.isVisible()
    banner.show_alarm(Alarm(AlarmKind.CPU_FALLBACK, on=False))
    assert not banner.isVisible()
    assert banner.texts == ()


def test_a_closed_alarm_stays_closed_until_it_comes_again(banner):
    card = banner.cards[AlarmKind.SLOW_AND_FULL]
    QTest.mouseClick(card.close_button, Qt.MouseButton.LeftButton)
    assert not banner.isVisible()
    banner.show_alarm(Alarm(AlarmKind.SLOW_AND_FULL, True, (("speed", "2"), ("usual", "42"))))
    assert not banner.isVisible()  # only other numbers
    assert len(banner.texts) == 1
    banner.show_alarm(Alarm(AlarmKind.SLOW_AND_FULL, on=False))
    banner.show_alarm(SLOW)
    assert card.isVisible()


def test_the_memory_panel_tells_it_all_the_time(qtbot, banner):
    panel = MemoryPanel()
    qtbot.addWidget(panel)
    panel.show()
    banner.changed.connect(panel.set_alarms)
    assert not panel.alarm.isVisible()
    banner.show_alarm(FALLBACK)
    banner.dismiss(AlarmKind.CPU_FALLBACK)
    assert panel.alarm.isVisible()
    assert "CUDA could not be started." in panel.alarm.text()
    for kind in AlarmKind:
        banner.show_alarm(Alarm(kind, on=False))
    assert not panel.alarm.isVisible()


def test_every_close_button_has_a_name_of_its_own(banner):
    names = {card.close_button.accessibleName() for card in banner.cards.values()}
    assert len(names) == len(AlarmKind)
