"""What an empty conversation offers: ways to a checkpoint, the demo, and what to ask."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from qwen_desktop.bridge.models import ModelState, Phase
from qwen_desktop.chat.model import DemoInfo
from qwen_desktop.paths import demo_checkpoint
from tests.ui.test_memory_panel import INFO

DEMO = replace(
    INFO,
    folder=demo_checkpoint(),
    parameters=2_100_000,
    demo=DemoInfo({"en": ("What is this?", "How?", "Why?", "Where?")}),
)


def show(application, info=None) -> None:
    phase = Phase.READY if info is not None else Phase.NONE
    application.models._set(ModelState(phase, info=info))


def test_without_a_checkpoint_there_are_three_ways_to_one(qtbot, application, window):
    show(application)
    page = window.empty
    assert page.open_button.isVisible()
    assert page.get_button.isVisible()
    assert page.demo_button.isVisible()
    assert page.buttons == []
    with qtbot.waitSignal(page.open_requested):
        QTest.mouseClick(page.open_button, Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(page.demo_requested):
        QTest.keyClick(page.demo_button, Qt.Key.Key_Return)


def test_the_demo_opens_from_the_first_page(application, window):
    show(application)
    QTest.mouseClick(window.empty.demo_button, Qt.MouseButton.LeftButton)
    assert application.models.state.busy
    assert application.models.state.folder == demo_checkpoint()


def test_who_knows_only_the_demo_is_led_to_a_folder(application, window):
    show(application, DEMO)
    page = window.empty
    assert len(page.buttons) == 3
    assert page.open_button.isVisible()
    assert not page.demo_button.isVisible()


def test_who_has_opened_another_is_not(application, window, tmp_path):
    from qwen_desktop.chat.recent import Recent

    application.recents._entries = (Recent(str(tmp_path), "Mine"),)
    show(application, DEMO)
    assert not window.empty.open_button.isVisible()


def test_a_real_model_has_three_suggestions_and_more(qtbot, application, window):
    show(application, INFO)
    page = window.empty
    first = [button.text() for button in page.buttons]
    assert len(first) == 3
    assert not page.demo_line.isVisible()
    QTest.mouseClick(page.more, Qt.MouseButton.LeftButton)
    assert not set(first) & {button.text() for button in page.buttons}
    with qtbot.waitSignal(page.asked) as asked:
        QTest.mouseClick(page.buttons[1], Qt.MouseButton.LeftButton)
    assert asked.args == [page.buttons[1].text()]


def test_a_base_model_is_asked_nothing(application, window):
    show(application, replace(INFO, has_chat_template=False))
    assert window.empty.buttons == []
    assert not window.empty.more.isVisible()


@pytest.mark.parametrize("width", [900, 1400])
@pytest.mark.parametrize("zoom", [100, 150])
def test_the_entries_never_overlap(application, window, width, zoom):
    window.resize(width, 700)
    application.preferences.set("zoom", zoom)
    show(application)
    entries = window.empty.open_button, window.empty.get_button, window.empty.demo_button
    window.empty.layout().activate()
    for one, other in combinations([entry for entry in entries if entry.isVisible()], 2):
        assert not one.geometry().intersects(other.geometry())
        assert abs(one.height() - other.height()) <= 1  # of rows that share what room there is
        assert min(one.height(), other.height()) >= 64
