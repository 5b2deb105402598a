"""Searching from the field to the message, over a real database and the real search."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible, QFontMetrics
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu

from qwen_desktop.chat.messages import Message, Part, PartKind, Role, Status, user_message
from qwen_desktop.chat.search import Found, Snippet
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.ui import theme
from qwen_desktop.ui.search_rows import Kind, fitting

# raise() and grabs of the offscreen platform, at every menu
pytestmark = pytest.mark.qt_log_ignore("does not support")

LEFT = Qt.MouseButton.LeftButton


def talk(name: str, age: float, *said: str) -> Conversation:
    """A conversation of questions and answers in turn."""
    when, parent, messages = time.time() - age, None, []
    for number, text in enumerate(said):
        if number % 2 == 0:
            message = replace(user_message(text, parent), created_at=when)
        else:
            message = Message(
                role=Role.ASSISTANT,
                parts=(Part(PartKind.TEXT, text),),
                parent_id=parent,
                created_at=when,
                status=Status.COMPLETE,
            )
        messages.append(message)
        parent = message.id
    tree = Tree.of(messages)
    return Conversation(id=name, title=name, created_at=when, updated_at=when, tree=tree)


@pytest.fixture
def found(application, qtbot):
    """The sidebar, with conversations that can all be found; fills the field and waits."""
    talks = (
        talk("bees", 10, "Do bees sleep?", "Honey bees do.", "All?", "Bees of every kind."),
        talk("显存", 20, "为什么显存会增加？", "因为 KV cache 占用显存。"),
        talk("old", 30, "A bee in the archive", "Yes."),
        talk("many", 40, *(f"ants number {n}" for n in range(9))),
    )

    def make(store) -> None:
        for one in reversed(talks):
            store.create(one)
        store.listing.set_archived(["old"], True)
        while store.index.add_some(1000):
            pass

    done = []
    application.store.submit(make, done.append)
    qtbot.waitUntil(lambda: bool(done))
    application.chats.start("")
    sidebar = application.window.sidebar
    qtbot.waitUntil(lambda: sidebar.list.rowCount() == 4)

    def search(text: str):
        sidebar.search.setFocus()
        sidebar.search.setText(text)
        qtbot.waitUntil(lambda: sidebar.results.list.found.query.strip() == text.strip())
        return sidebar.results

    search.sidebar = sidebar
    return search


def rows(pane) -> list[tuple[Kind, str]]:
    listed = [pane.list.row(pane.list.index(i)) for i in range(pane.list.rowCount())]
    texts = {Kind.TITLE: lambda r: r.hit.title.text, Kind.SNIPPET: lambda r: r.hit.snippet.text}
    return [(r.kind, texts[r.kind](r) if r.kind in texts else "") for r in listed]


def test_as_one_types_the_list_gives_way_to_what_is_found(found, qtbot):
    sidebar = found.sidebar
    place = sidebar.view.currentIndex()
    sidebar.search.setFocus()
    QTest.keyClicks(sidebar.search, "bees")
    qtbot.waitUntil(lambda: len(rows(sidebar.results)) == 4)
    assert not sidebar.view.isVisible()
    assert sidebar.results.isVisible()
    listed = rows(sidebar.results)
    assert listed[0] == (Kind.TITLE, "bees")
    assert {text for kind, text in listed if kind is Kind.SNIPPET} == {
        *("Do bees sleep?", "Honey bees do.", "Bees of every kind.")
    }
    assert sidebar.results.count.text() == "3 messages"
    QTest.keyClick(sidebar.search, Qt.Key.Key_Escape)
    assert sidebar.search.text() == ""
    assert sidebar.view.isVisible()
    assert not sidebar.results.isVisible()
    assert sidebar.view.currentIndex() == place


def test_two_chinese_characters_lead_to_the_message(found, application, qtbot):
    pane = found("显存")
    assert (Kind.SNIPPET, "因为 KV cache 占用显存。") in rows(pane)
    row = next(i for i, (_, text) in enumerate(rows(pane)) if text.startswith("因为"))
    index = pane.list.index(row)
    QTest.mouseClick(pane.view.viewport(), LEFT, pos=pane.view.visualRect(index).center())
    qtbot.waitUntil(lambda: application.chats.current.id == "显存")
    assert application.window.timeline.marks == ("显存*",)  # more may be typed
    assert pane.view.currentIndex().row() == row
    found.sidebar.search.clear()
    assert application.window.timeline.marks == ()


def test_the_keyboard_goes_through_results_and_back(found, application, qtbot):
    pane = found("bees")
    sidebar = found.sidebar
    QTest.keyClick(sidebar.search, Qt.Key.Key_Down)
    assert pane.view.hasFocus()
    assert pane.view.currentIndex().row() == 0
    QTest.keyClick(pane.view, Qt.Key.Key_Down)
    QTest.keyClick(pane.view, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: application.chats.current.id == "bees")
    assert pane.count.text() == "1 of 3"
    QTest.mouseClick(pane.next, LEFT)
    assert pane.count.text() == "2 of 3"
    QTest.mouseClick(pane.previous, LEFT)
    QTest.mouseClick(pane.previous, LEFT)
    assert pane.count.text() == "3 of 3"
    QTest.keyClick(pane.view, Qt.Key.Key_Escape)
    assert sidebar.search.text() == ""
    assert sidebar.view.hasFocus()


def test_escape_in_the_message_field_ends_the_search(found, application, qtbot):
    found("cache")
    sidebar, composer = found.sidebar, application.window.composer
    QTest.keyClick(sidebar.search, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: application.chats.current.id == "显存")
    assert application.window.timeline.marks
    composer.edit.setFocus()
    QTest.keyClick(composer.edit, Qt.Key.Key_Escape)
    assert sidebar.search.text() == ""
    assert application.window.timeline.marks == ()
    assert sidebar.view.isVisible()


def test_where_one_went_is_seen_among_the_results(found, application, qtbot):
    pane = found("bees")

    def picture(row: int):
        return pane.view.grab(pane.view.visualRect(pane.list.index(row))).toImage()

    before = picture(1), picture(2)
    pane.step(1)
    assert (picture(1) != before[0], picture(2) != before[1]) == (True, False)
    pane.step(1)
    assert (picture(1) != before[0], picture(2) != before[1]) == (False, True)


def test_filters_alone_are_told_as_chats(found):
    assert found("in:archive").count.text() == "1 chat"
    assert found("in:chats").count.text() == "3 chats"
    assert found("archive in:archive").count.text() == "1 message"


def test_enter_in_the_field_opens_what_comes_first(found, application, qtbot):
    sidebar = found.sidebar
    sidebar.search.setFocus()
    QTest.keyClicks(sidebar.search, "cache")
    QTest.keyClick(sidebar.search, Qt.Key.Key_Return)  # before anything can be found
    qtbot.waitUntil(lambda: application.chats.current.id == "显存")


def test_what_is_in_the_archive_says_so(found):
    pane = found("archive")
    view = QAccessible.queryAccessibleInterface(pane.view)
    assert view.text(QAccessible.Text.Name) == "Search results"
    assert view.child(0).text(QAccessible.Text.Name) == "old, Archive"
    assert view.child(1).text(QAccessible.Text.Name).endswith("A bee in the archive")


def test_of_many_hits_in_one_conversation_three_are_shown(found, application, qtbot):
    pane = found("ants")
    assert [kind for kind, _ in rows(pane)] == [Kind.TITLE, *[Kind.SNIPPET] * 3, Kind.MORE]
    assert pane.count.text() == "3+ messages"
    more = pane.list.index(4)
    assert more.data() == "More in this chat"
    QTest.mouseClick(pane.view.viewport(), LEFT, pos=pane.view.visualRect(more).center())
    qtbot.waitUntil(lambda: application.chats.current.id == "many")


def test_nothing_found_tells_of_filters(found):
    pane = found("zebra before:soon")
    assert rows(pane) == []
    assert pane.hint.text().splitlines() == [
        "Nothing found.",
        "Not understood: before:soon",
        "Filters: model: before: after: tag: role: folder:",
    ]
    assert not pane.next.isVisible()


def test_filters_are_offered_and_written_into_the_field(found, qtbot):
    sidebar = found.sidebar
    sidebar.search.setText("bees ")
    QTest.mouseClick(sidebar.search.filters, LEFT)
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    wanted = next(a for a in menu.actions() if a.text().endswith("role:user"))
    menu.close()
    wanted.trigger()
    assert sidebar.search.text() == "bees role:user "
    assert sidebar.search.hasFocus()
    qtbot.waitUntil(lambda: len(sidebar.results.list.hits) == 1)
    sidebar.search.add_filter("tag:")
    assert sidebar.search.text() == "bees role:user tag:"


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("short 显存", ((6, 8),)),
        ("far " * 60 + "needle and more " * 20, ((240, 246),)),
        ("字" * 100 + "显存" + "字" * 100, ((100, 102),)),
        ("𝄞" * 90 + "bees", ((90, 94),)),
    ],
)
def test_the_first_mark_of_a_snippet_is_always_seen(qapp, text, marks):
    metrics = QFontMetrics(theme.body_font(12))
    shown = fitting(Snippet(text, marks), metrics, 400)
    assert metrics.horizontalAdvance(shown.text) <= 400
    begin, end = shown.marks[0]
    assert shown.text[begin:end] == text[marks[0][0] : marks[0][1]]


def test_it_looks_again_while_not_everything_is_indexed(found, application, qtbot):
    pane = found("zebra")
    application.search.found.emit(Found("zebra", unindexed=1200))
    assert "Still indexing 1,200 messages" in pane.hint.text()
    qtbot.waitUntil(lambda: "Still indexing" not in pane.hint.text())
