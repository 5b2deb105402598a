"""The conversation list: days, search, renaming in place, deleting, keys."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QPalette
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit

from qwen_desktop.chat.summary import Summary
from qwen_desktop.ui.conversation_list import (
    BUSY_ROLE,
    ID_ROLE,
    OPEN_ROLE,
    PREVIEW_ROLE,
    ConversationList,
    without_marks,
)
from qwen_desktop.ui.sidebar import Sidebar

TODAY = date(2026, 3, 15)
NOW = datetime(2026, 3, 15, 9, 30).timestamp()


def row(name: str, days: int = 0, preview: str = "") -> Summary:
    noon = datetime.combine(TODAY - timedelta(days=days), datetime.min.time())
    return Summary(name.lower(), name, preview, noon.timestamp() + 43_200)


def shown(model) -> list[str]:
    return [model.index(i).data() for i in range(model.rowCount())]


@pytest.fixture
def sidebar(qtbot, looks):
    made = Sidebar()
    qtbot.addWidget(made)
    made.resize(264, 700)
    made.show()
    made.activateWindow()
    now = time.time()
    made.set_summaries(
        [Summary(name.lower(), name, f"about {name}", now) for name in ("Apple", "Bread", "Corn")]
    )
    return made


def focus(sidebar, qtbot, name: str) -> None:
    sidebar.view.setFocus()
    sidebar.view.setCurrentIndex(sidebar.list.index_of(name))
    qtbot.waitUntil(sidebar.view.hasFocus)


def test_conversations_stand_under_their_days(qapp):
    model = ConversationList(now=lambda: NOW)
    ages = (("A", 0), ("B", 1), ("C", 2), ("D", 7), ("E", 8), ("F", 30), ("G", 31), ("H", 999))
    model.set_summaries([row(name, days) for name, days in ages])
    assert shown(model) == [
        *("Today", "A", "Yesterday", "B", "Previous 7 days", "C", "D"),
        *("Previous 30 days", "E", "F", "Older", "G", "H"),
    ]


def test_a_clock_that_was_ahead_does_no_harm(qapp):
    model = ConversationList(now=lambda: NOW)
    model.set_summaries([row("Tomorrow", -1), row("Now")])
    assert shown(model) == ["Today", "Tomorrow", "Now"]


def test_day_headers_can_not_be_reached(qapp):
    model = ConversationList(now=lambda: NOW)
    model.set_summaries([row("A")])
    assert model.flags(model.index(0)) == Qt.ItemFlag.NoItemFlags
    assert model.index(0).data(ID_ROLE) == ""


def test_search_finds_every_word_in_title_or_preview(sidebar):
    QTest.keyClicks(sidebar.search, "about br")
    assert shown(sidebar.list)[1:] == ["Bread"]
    sidebar.search.setText("CORN")
    assert shown(sidebar.list)[1:] == ["Corn"]
    sidebar.search.setText("zebra")
    assert shown(sidebar.list) == []
    assert sidebar.nothing.isVisible()
    QTest.keyClick(sidebar.search, Qt.Key.Key_Escape)
    assert sidebar.search.text() == ""
    assert len(shown(sidebar.list)) == 4


def test_enter_in_the_search_opens_the_first_match(sidebar, qtbot):
    sidebar.search.setText("bread")
    with qtbot.waitSignal(sidebar.open_requested) as asked:
        QTest.keyClick(sidebar.search, Qt.Key.Key_Return)
    assert asked.args == ["bread"]


def test_a_click_opens(sidebar, qtbot):
    place = sidebar.view.visualRect(sidebar.list.index_of("corn")).center()
    with qtbot.waitSignal(sidebar.open_requested) as asked:
        QTest.mouseClick(sidebar.view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert asked.args == ["corn"]


def test_arrows_move_and_enter_opens(sidebar, qtbot):
    asked = []
    sidebar.open_requested.connect(asked.append)
    focus(sidebar, qtbot, "apple")
    QTest.keyClick(sidebar.view, Qt.Key.Key_Down)
    assert asked == []
    QTest.keyClick(sidebar.view, Qt.Key.Key_Return)
    assert asked == ["bread"]


def test_the_arrows_step_over_day_headers(sidebar, qtbot):
    now = time.time()
    sidebar.set_summaries([Summary("new", "New", "", now), Summary("old", "Old", "", now - 9e6)])
    focus(sidebar, qtbot, "new")
    QTest.keyClick(sidebar.view, Qt.Key.Key_Down)
    assert sidebar.view.currentIndex().data(ID_ROLE) == "old"


def test_renaming_in_place(sidebar, qtbot):
    asked = []
    sidebar.rename_requested.connect(lambda *args: asked.append(args))
    focus(sidebar, qtbot, "bread")
    QTest.keyClick(sidebar.view, Qt.Key.Key_F2)
    editor = sidebar.view.findChild(QLineEdit, "titleEditor")
    assert editor.text() == "Bread"
    assert editor.accessibleName() == "Conversation title"
    editor.selectAll()
    QTest.keyClicks(editor, " Butter  bread ")
    # Rows that come meanwhile must not close the editor.
    sidebar.set_summaries([Summary("date", "Date", "", time.time())])
    assert shown(sidebar.list)[1:] == ["Apple", "Bread", "Corn"]
    QTest.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: shown(sidebar.list)[1:] == ["Date"])
    assert asked == [("bread", "Butter bread")]


@pytest.mark.parametrize("title", ["", "   ", "Bread"])
def test_a_rename_to_nothing_new_asks_nothing(sidebar, qtbot, title):
    asked = []
    sidebar.rename_requested.connect(lambda *args: asked.append(args))
    focus(sidebar, qtbot, "bread")
    sidebar.rename_action.trigger()
    editor = sidebar.view.findChild(QLineEdit, "titleEditor")
    editor.setText(title)
    QTest.keyClick(editor, Qt.Key.Key_Return)
    assert asked == []


def test_escape_keeps_the_old_title(sidebar, qtbot):
    asked = []
    sidebar.rename_requested.connect(lambda *args: asked.append(args))
    focus(sidebar, qtbot, "bread")
    sidebar.rename_action.trigger()
    editor = sidebar.view.findChild(QLineEdit, "titleEditor")
    QTest.keyClicks(editor, "other")
    QTest.keyClick(editor, Qt.Key.Key_Escape)
    assert asked == []


def test_delete_asks_and_the_focus_stays_at_that_height(sidebar, qtbot):
    focus(sidebar, qtbot, "bread")
    with qtbot.waitSignal(sidebar.delete_requested) as asked:
        QTest.keyClick(sidebar.view, Qt.Key.Key_Delete)
    assert asked.args == ["bread"]
    now = time.time()
    sidebar.set_summaries([Summary("apple", "Apple", "", now), Summary("corn", "Corn", "", now)])
    assert sidebar.view.currentIndex().data(ID_ROLE) == "corn"


def test_new_words_keep_the_place_in_the_list(sidebar, qtbot):
    focus(sidebar, qtbot, "corn")
    now = time.time()
    names = ("Apple", "Bread", "Corn")
    sidebar.set_summaries([Summary(name.lower(), name, "other words", now) for name in names])
    assert sidebar.view.currentIndex().data(ID_ROLE) == "corn"
    # Another order: the same conversation keeps the focus.
    sidebar.set_summaries(
        [Summary(name.lower(), name, "", now) for name in ("Corn", "Apple", "Bread")]
    )
    assert sidebar.view.currentIndex().data(ID_ROLE) == "corn"


def test_the_open_and_the_busy_row_are_marked(sidebar):
    sidebar.set_open("bread")
    sidebar.set_busy("apple")
    apple, bread = sidebar.list.index_of("apple"), sidebar.list.index_of("bread")
    assert (apple.data(OPEN_ROLE), apple.data(BUSY_ROLE)) == (False, True)
    assert (bread.data(OPEN_ROLE), bread.data(BUSY_ROLE)) == (True, False)
    assert apple.data(Qt.ItemDataRole.AccessibleTextRole) == "Apple, about Apple, answering"
    sidebar.set_busy("")
    assert not apple.data(BUSY_ROLE)


def test_buttons_ask(sidebar, qtbot):
    with qtbot.waitSignal(sidebar.new_requested):
        QTest.mouseClick(sidebar.new_button, Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(sidebar.settings_requested):
        QTest.keyClick(sidebar.settings_button, Qt.Key.Key_Return)


def test_an_untitled_conversation_has_a_name(qapp):
    model = ConversationList()
    model.set_summaries([Summary("x", "", "", time.time())])
    assert model.index(1).data() == "New chat"


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


def test_the_list_shows_and_finds_previews_as_they_read(qapp):
    model = ConversationList(now=lambda: NOW)
    model.set_summaries([row("A", preview="the **bold**er way"), row("B", preview="none")])
    index = model.index_of("a")
    assert index.data(PREVIEW_ROLE) == "the bolder way"
    assert index.data(Qt.ItemDataRole.AccessibleTextRole) == "A, the bolder way"
    for words in ("bolder", "**bold**"):
        model.set_filter(words)
        assert shown(model) == ["Today", "A"]


def test_a_title_is_edited_on_an_opaque_field(sidebar, qtbot):
    focus(sidebar, qtbot, "bread")
    QTest.keyClick(sidebar.view, Qt.Key.Key_F2)
    editor = sidebar.view.findChild(QLineEdit, "titleEditor")
    assert editor.palette().color(QPalette.ColorRole.Base).alpha() == 255
    row_box = sidebar.view.visualRect(sidebar.list.index_of("bread"))
    assert editor.height() >= row_box.height() - 8  # title and preview are behind it
