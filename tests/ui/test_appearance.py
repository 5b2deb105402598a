"""The look changes at once, everywhere, and reading goes on where it was."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QFontDatabase
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from qwen_desktop.chat.messages import Part, PartKind, Status, pending_answer, user_message
from qwen_desktop.chat.settings import BY_NAME
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.ui import theme
from qwen_desktop.ui.appearance import STEPS

CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def read(qtbot, application, window):
    """A long conversation is shown, in the middle of it."""
    from dataclasses import replace

    steps, before = [], None
    for number in range(30):
        asked = user_message(f"Question {number}?", before)
        said = replace(
            pending_answer(asked.id, "Qwen3-4B"),
            parts=(Part(PartKind.TEXT, f"Answer {number}. " * 60),),
            status=Status.COMPLETE,
        )
        steps += [asked, said]
        before = said.id
    made = Conversation(title="Long", tree=Tree.of(steps))
    application.store.submit(lambda store: store.create(made))
    application.chats.list.refresh()
    qtbot.waitUntil(lambda: len(application.chats.list.top()) == 1)
    application.chats.open(made.id)
    qtbot.waitUntil(lambda: application.chats.current.id == made.id)
    qtbot.waitUntil(window.timeline.isVisible)
    bar = window.timeline.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    return made


def first_seen(timeline) -> str:
    """The message at the top of the viewport."""
    seen = [
        (view.y(), view.message.id)
        for view in timeline._views.values()
        if view.isVisible() and view.y() + view.height() > 0
    ]
    return min(seen)[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [("zoom", 150), ("zoom", 67), ("density", "compact"), ("text_width", "narrow")],
)
def test_reading_goes_on_at_the_same_message(application, window, read, name, value):
    before = first_seen(window.timeline)
    application.preferences.set(name, value)
    assert first_seen(window.timeline) == before
    application.preferences.set(name, BY_NAME[name].default)
    assert first_seen(window.timeline) == before


def test_everything_grows_with_the_zoom(application, window, read):
    parts = {
        "title": lambda: window.header.title.font().pixelSize(),
        "header": lambda: window.header.height(),
        "button": lambda: window.sidebar.new_button.sizeHint().height(),
        "row": lambda: window.sidebar.view.row_rect(1).height(),
        "search": lambda: window.sidebar.search.height(),
        "send": lambda: window.composer.button.width(),
        "message": lambda: window.composer.edit.font().pixelSize(),
        "text": lambda: (
            next(window.timeline.view_at(1).leaves()).document().defaultFont().pixelSize()
        ),
        "settings": lambda: QApplication.font().pixelSize(),
    }
    before = {name: size() for name, size in parts.items()}
    application.preferences.set("zoom", 200)
    assert {name: size() for name, size in parts.items()} == {
        name: 2 * size for name, size in before.items()
    }
    application.preferences.set("zoom", 100)
    assert {name: size() for name, size in parts.items()} == before


def test_keys_zoom_step_by_step_and_back(application, window):
    for key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
        QTest.keyClick(window, key, CONTROL)
    assert application.preferences.get("zoom") == 125
    QTest.keyClick(window, Qt.Key.Key_0, CONTROL)
    for _ in range(30):
        QTest.keyClick(window, Qt.Key.Key_Minus, CONTROL)
    assert application.preferences.get("zoom") == STEPS[0] == BY_NAME["zoom"].minimum
    for _ in range(30):
        QTest.keyClick(window, Qt.Key.Key_Plus, CONTROL)
    assert application.preferences.get("zoom") == STEPS[-1] == BY_NAME["zoom"].maximum


def test_the_wheel_zooms_with_control_alone(application, window, read):
    at = QPointF(window.timeline.mapTo(window, window.timeline.rect().center()))
    scrolled = window.timeline.verticalScrollBar().value()

    def turn(notches: int, modifiers: Qt.KeyboardModifier) -> None:
        handle = window.windowHandle()
        QTest.wheelEvent(handle, at, QPoint(0, 120 * notches), QPoint(), modifiers)

    turn(1, CONTROL)
    assert application.preferences.get("zoom") == 110
    turn(-1, CONTROL)
    assert application.preferences.get("zoom") == 100
    assert abs(window.timeline.verticalScrollBar().value() - scrolled) <= 2
    turn(1, Qt.KeyboardModifier.NoModifier)
    assert application.preferences.get("zoom") == 100
    assert window.timeline.verticalScrollBar().value() != scrolled


def test_a_font_is_used_everywhere_and_chinese_still_has_one(application, window, read):
    family = QFontDatabase.families()[-1]
    application.preferences.set("font_family", family)
    for part in (window.header.title, window.composer.edit, window.timeline):
        assert part.font().families()[0] == family
        assert "Noto Sans CJK SC" in part.font().families()
    application.preferences.set("font_family", "")
    assert window.header.title.font().families()[0] == theme.BODY_FAMILIES[0]


def test_the_text_is_as_wide_as_was_chosen(application, window, read):
    window.resize(1900, 900)
    wide = {}
    for choice in ("narrow", "normal", "wide", "full"):
        application.preferences.set("text_width", choice)
        QApplication.sendPostedEvents()
        wide[choice] = (
            next(window.timeline.view_at(1).leaves()).width(),
            window.composer.box.width() if hasattr(window.composer, "box") else 0,
        )
    texts = [pair[0] for pair in wide.values()]
    assert texts[:3] == [640, 760, 960]
    assert texts[3] > 1000


def test_compact_takes_less_room(application, window, read):
    def heights() -> tuple[int, int]:
        return window.timeline.verticalScrollBar().maximum(), window.sidebar.view.tops[-1]

    before = heights()
    application.preferences.set("density", "compact")
    after = heights()
    assert after[0] < before[0]
    assert after[1] < before[1]


def test_without_motion_nothing_blinks(application, window):
    usual = QApplication.cursorFlashTime()
    assert usual > 0
    application.preferences.set("reduced_motion", "on")
    assert QApplication.cursorFlashTime() == 0
    assert theme.look().still
    application.preferences.set("reduced_motion", "off")
    assert QApplication.cursorFlashTime() == usual


@pytest.mark.parametrize(
    ("name", "contrast", "colours"),
    [
        ("light", "on", theme.HIGH_LIGHT),
        ("dark", "on", theme.HIGH_DARK),
        ("dark", "off", theme.DARK),
        ("light", "off", theme.LIGHT),
    ],
)
def test_high_contrast_is_a_choice_beside_the_theme(application, window, name, contrast, colours):
    application.preferences.set("theme", name)
    application.preferences.set("high_contrast", contrast)
    assert theme.current() == colours
    place = window.sidebar.mapTo(window, QPoint(3, window.sidebar.height() - 3))
    image = window.grab().toImage()
    assert image.pixelColor(place * image.devicePixelRatio()).name() == colours.sidebar


def test_a_start_has_the_look_that_was_chosen(qtbot, looks, tmp_path):
    import json

    from qwen_desktop import cli
    from qwen_desktop.app import App

    profile = tmp_path / "profile"
    profile.mkdir()
    kept = {"zoom": 150, "density": "compact", "high_contrast": "on", "theme": "dark"}
    (profile / "settings.json").write_text(json.dumps(kept))
    application = App(cli.parse(["--profile", str(profile)]))
    try:
        assert theme.look() == theme.Look(zoom=1.5, compact=True)
        assert theme.current() == theme.HIGH_DARK
        assert application.window.header.title.font().pixelSize() == 24
    finally:
        application.close()
        application.window.deleteLater()
        application.deleteLater()
