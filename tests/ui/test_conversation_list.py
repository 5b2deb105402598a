"""The model of the conversation list: headings, keys, and what views are told of changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from PySide6.QtCore import QPersistentModelIndex, Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QStyleOptionViewItem

from qwen_desktop.chat.summary import ListFilter, Summary
from qwen_desktop.ui.conversation_list import (
    BUSY_ROLE,
    HEADER_HEIGHT,
    ID_ROLE,
    OPEN_ROLE,
    ROW_HEIGHT,
    SUMMARY_ROLE,
    ConversationList,
)
from qwen_desktop.ui.conversation_row import RowDelegate
from qwen_desktop.ui.list_source import KeptRows
from qwen_desktop.ui.previews import without_marks

TODAY = date(2026, 3, 15)
NOW = datetime(2026, 3, 15, 9, 30).timestamp()


def row(name: str, days: int = 0, preview: str = "", **more) -> Summary:
    noon = datetime.combine(TODAY - timedelta(days=days), datetime.min.time())
    return Summary(name.lower(), name, preview, noon.timestamp() + 43_200, **more)


def shown(model) -> list[str]:
    return [model.index(i).data() for i in range(model.rowCount())]


@pytest.fixture
def model(qapp):
    """The model, watched: it must never tell its views something untrue."""
    made = ConversationList()
    made.seen = lambda: range(100)
    made.watch = QAbstractItemModelTester(
        made, QAbstractItemModelTester.FailureReportingMode.Fatal, made
    )
    return made


def fill(model, *rows: Summary) -> None:
    model.set_source(KeptRows(rows, NOW))


def test_conversations_stand_under_their_days(model):
    ages = (("A", 0), ("B", 1), ("C", 2), ("D", 7), ("E", 8), ("F", 30), ("G", 31), ("H", 999))
    fill(model, *(row(name, days) for name, days in ages), row("P", 50, pinned=True))
    assert shown(model) == [
        *("Pinned", "P", "Today", "A", "Yesterday", "B", "Previous 7 days", "C", "D"),
        *("Previous 30 days", "E", "F", "Older", "G", "H"),
    ]
    assert model.heights()[:4] == [HEADER_HEIGHT, ROW_HEIGHT, HEADER_HEIGHT, ROW_HEIGHT]


def test_a_clock_that_was_ahead_does_no_harm(model):
    fill(model, row("Tomorrow", -1), row("Now"))
    assert shown(model) == ["Today", "Tomorrow", "Now"]


def test_headings_can_not_be_reached(model):
    fill(model, row("A"))
    assert model.flags(model.index(0)) == Qt.ItemFlag.NoItemFlags
    assert model.index(0).data(ID_ROLE) == ""


def test_a_row_keeps_its_index_wherever_it_goes(model):
    fill(model, row("A"), row("B", 1), row("C", 1), row("D", 40))
    kept = {name: QPersistentModelIndex(model.index_of(name)) for name in "abcd"}
    resets = []
    model.modelReset.connect(lambda: resets.append(1))
    fill(model, row("D"), row("A"), row("C", 1))  # D was answered, B deleted
    assert shown(model) == ["Today", "D", "A", "Yesterday", "C"]
    assert [kept[name].data() for name in "acd"] == ["A", "C", "D"]
    assert not kept["b"].isValid()
    assert not resets


def test_words_change_without_a_row_going_anywhere(model):
    fill(model, row("A"), row("B"))
    told = []
    model.changed.connect(told.append)
    fill(model, row("A", preview="new"), replace(row("B"), title="Other"))
    assert shown(model) == ["Today", "A", "Other"]
    assert not told


def test_another_list_starts_over(model):
    fill(model, row("A"), row("B"))
    other = KeptRows([row("B")], NOW)
    other.filter = ListFilter(tag="x")
    told = []
    model.changed.connect(told.append)
    model.set_source(other)
    assert told == [True]
    assert shown(model) == ["Today", "B"]


def test_the_open_and_the_busy_row_are_marked(model):
    fill(model, row("Apple", preview="about **pie**"), row("Bread", pinned=True, tags=("x", "y")))
    model.set_open("bread")
    model.set_busy("apple")
    apple, bread = model.index_of("apple"), model.index_of("bread")
    assert (apple.data(OPEN_ROLE), apple.data(BUSY_ROLE)) == (False, True)
    assert (bread.data(OPEN_ROLE), bread.data(BUSY_ROLE)) == (True, False)
    spoken = Qt.ItemDataRole.AccessibleTextRole
    assert apple.data(spoken) == "Apple, about pie, answering"
    assert bread.data(spoken) == "Bread, pinned, tag x, tag y"
    model.set_busy("")
    assert not apple.data(BUSY_ROLE)


def test_an_untitled_conversation_has_a_name(model):
    fill(model, Summary("x", "", "", NOW))
    assert model.index(1).data() == "New chat"
    assert model.index(1).data(SUMMARY_ROLE).id == "x"


@pytest.mark.parametrize(
    ("preview", "read"),
    [
        ("This is **bold**, a `word` and ~~gone~~", "This is bold, a word and gone"),
        ("Keys: | Key | Action | |---|:-:| | `F2` | Rename |", "Keys: Key Action F2 Rename"),
        ("# Head ## Part", "Head Part"),
        ("```python print(1) ```", "print(1)"),
        ("- one - two", "one - two"),
        ("> quoted", "quoted"),
        ("see [the page](https://example.org/x)", "see the page"),
        ("说明：**加粗**文字", "说明：加粗文字"),
        ("cut **off", "cut off"),
        ("C# and F#, x**2 + y**2, 2 * 3, a | b|c, __init__, #tag", None),
    ],
)
def test_a_preview_is_read_without_marks(preview, read):
    if read is None:  # no marks at all, but for a cell's border
        read = preview.replace(" | ", " ")
    assert without_marks(preview) == read


def test_a_chat_that_a_server_answers_is_marked(model, looks):
    fill(model, row("Here"), row("There", remote=True))
    here, there = model.index(1), model.index(2)
    spoken, tip = Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.ToolTipRole
    assert "answered by a server" in there.data(spoken)
    assert "server" in there.data(tip)
    assert "server" not in here.data(spoken)
    assert here.data(tip) is None
    pictures = []
    for remote in (False, True):
        fill(model, row("There", remote=remote))
        image = QImage(240, ROW_HEIGHT, QImage.Format.Format_RGB32)
        image.fill(0)
        option = QStyleOptionViewItem()
        option.rect = image.rect()
        painter = QPainter(image)
        RowDelegate(model).paint(painter, option, model.index(1))
        painter.end()
        pictures.append(image)
    assert pictures[0] != pictures[1]
