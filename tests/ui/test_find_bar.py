"""Finding in the conversation that is shown, in the real window."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest

from qwen_desktop.chat.messages import Message, Part, PartKind, Role, Status, user_message
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.ui.file_chips import FileChip
from qwen_desktop.ui.file_text import FileTextDialog
from qwen_desktop.ui.timeline.leaf import PICTURE, TINT
from tests.ui.timeline.test_marks import colours, marked

CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
FILLER = "nothing of interest\n\n" * 15


def said(parent, text, reasoning="", **more) -> Message:
    parts = (Part(PartKind.REASONING, reasoning),) if reasoning else ()
    return Message(Role.ASSISTANT, (*parts, Part(PartKind.TEXT, text)), parent_id=parent, **more)


def talk(*texts) -> Conversation:
    """Questions and answers in turn; a pair of texts is reasoning and answer."""
    tree = Tree()
    for number, text in enumerate(texts):
        if number % 2 == 0:
            tree = tree.added(user_message(text, tree.head))
        elif isinstance(text, tuple):
            tree = tree.added(said(tree.head, text[1], text[0]))
        else:
            tree = tree.added(said(tree.head, text))
    return Conversation(title="Talk", tree=tree)


@pytest.fixture
def show(qtbot, application, window):
    """Shows a conversation of these texts."""

    def shown(*texts):
        made = talk(*texts)
        application.store.submit(lambda store: store.create(made))
        application.chats.open(made.id)
        qtbot.waitUntil(lambda: application.chats.current.id == made.id)
        window.activateWindow()
        return made

    return shown


@pytest.fixture
def find(qtbot, window):
    """Opens the bar with its key, types, and waits for the count."""

    def found(text):
        QTest.keyClick(window.composer.edit, Qt.Key.Key_F, CONTROL)
        bar = window.pane._find
        qtbot.waitUntil(bar.field.hasFocus)
        QTest.keyClicks(bar.field, text)
        qtbot.waitUntil(lambda: "or more" not in bar.count.text() and "…" not in bar.count.text())
        return bar

    return found


def now_at(timeline) -> tuple[int, str] | None:
    """The message and the text that is gone to, where it is seen."""
    theme = timeline._shared.theme
    height = timeline.viewport().height()
    for index in range(len(timeline.messages())):
        view = timeline.built_view(index)
        if view is None or not view.isVisible():
            continue
        for leaf in view.leaves():
            for look in leaf.extraSelections():
                form = look.format
                tint = form.property(TINT) if form.hasProperty(TINT) else form.background().color()
                if QColor(tint).name() == theme.found_now:
                    y = (
                        leaf.viewport()
                        .mapTo(timeline.viewport(), leaf.cursorRect(look.cursor).topLeft())
                        .y()
                    )
                    assert 0 <= y < height
                    return index, look.cursor.selectedText()
    return None


def test_all_is_counted_and_gone_through_in_both_directions(window, show, find):
    show("bees and bee", "A **bee**hive.\n\n" + FILLER, "no", FILLER + "`bees`", "x", FILLER)
    bar = find("bee")
    timeline = window.timeline
    assert bar.count.text() == "1 of 4"
    assert now_at(timeline) == (0, "bee")
    seen = []
    for _ in range(4):
        QTest.keyClick(bar.field, Qt.Key.Key_Return)
        seen.append((bar.count.text(), now_at(timeline)[0]))
    assert seen == [("2 of 4", 0), ("3 of 4", 1), ("4 of 4", 3), ("1 of 4", 0)]
    QTest.keyClick(bar.field, Qt.Key.Key_Return, SHIFT)
    assert (bar.count.text(), now_at(timeline)) == ("4 of 4", (3, "bee"))
    QTest.keyClick(bar.field, Qt.Key.Key_F3)
    assert bar.count.text() == "1 of 4"
    QTest.keyClick(window.composer.edit, Qt.Key.Key_F3, SHIFT)
    assert bar.count.text() == "4 of 4"


def test_escape_closes_it_and_stays_there(qtbot, window, show, find):
    show(*(["q", FILLER] * 5), "the bee", FILLER)
    bar = find("bee")
    place = window.timeline.view_at(10).mapToGlobal(QPoint(0, 0))
    QTest.keyClick(bar.field, Qt.Key.Key_Escape)
    assert not bar.isVisible()
    assert window.timeline.hasFocus()
    assert window.timeline.view_at(10).mapToGlobal(QPoint(0, 0)) == place
    assert marked(window.timeline, 10) == []
    QTest.keyClick(window.timeline, Qt.Key.Key_F, CONTROL)
    assert bar.field.selectedText() == "bee"
    assert marked(window.timeline, 10) == ["bee"]
    window.timeline.setFocus()
    QTest.keyClick(window.timeline, Qt.Key.Key_Escape)
    assert not bar.isVisible()


def test_what_is_not_there_is_told(window, show, find):
    show("q", "an answer")
    bar = find("zebra")
    assert bar.count.text() == "Not found"
    assert not bar.next.isEnabled()
    bar.field.clear()
    assert bar.count.text() == ""


def test_reasoning_is_unfolded_where_it_is_found(window, show, find):
    show("q", ("I think of bees.", FILLER + "Bees."), "r", ("Nothing here.", "bees"))
    bar = find("bees")
    assert bar.count.text() == "1 of 3"
    assert now_at(window.timeline) == (1, "bees")
    assert window.timeline.view_at(1).reasoning_is_open
    for _ in range(2):
        QTest.keyClick(bar.field, Qt.Key.Key_Return)
    assert (bar.count.text(), now_at(window.timeline)) == ("3 of 3", (3, "bees"))
    assert not window.timeline.view_at(3).reasoning_is_open


def test_the_rest_of_a_long_message_is_shown_where_it_is_found(window, show, find):
    show("bee\n" + "x\n" * 3000 + "bee\n" + "y\n" * 3000, "a")
    bar = find("bee")
    assert bar.count.text() == "1 of 2"
    QTest.keyClick(bar.field, Qt.Key.Key_Return)
    assert (bar.count.text(), now_at(window.timeline)) == ("2 of 2", (0, "bee"))


def test_typing_on_stays_where_it_is_as_long_as_it_is_found(window, show, find):
    show("an ant", FILLER, "a", FILLER, "a bee", FILLER, "ant", FILLER)
    bar = find("a b")
    assert now_at(window.timeline) == (4, "a b")
    QTest.keyClicks(bar.field, "ee")
    assert (bar.count.text(), now_at(window.timeline)) == ("1 of 1", (4, "a bee"))


def test_a_long_conversation_is_counted_without_its_widgets(window, show, find):
    texts = []
    for number in range(1000):
        texts += [f"question {number}", f"| a | *bee* {number} |\n|---|---|\n| x | y |"]
    show(*texts)
    bar = find("bee")
    assert bar.count.text().endswith(" of 1,000")
    assert len(window.timeline._views) < 50
    QTest.keyClick(bar.field, Qt.Key.Key_Return, SHIFT)
    assert now_at(window.timeline) is not None


def test_the_marks_of_the_search_come_back(window, show, find):
    show("ants and bees", "bees")
    window.timeline.set_marks(("ants",))
    bar = find("bees")
    assert marked(window.timeline, 0) == ["bees"]
    window.timeline.set_marks(("and",))  # the search goes on meanwhile
    assert marked(window.timeline, 0) == ["bees"]
    bar.leave()
    assert marked(window.timeline, 0) == ["and"]
    assert colours(window.timeline, 1) == set()


def test_what_is_written_meanwhile_is_counted_too(qtbot, window, show, find):
    show("bee?", "bee")
    bar = find("bee")
    assert bar.count.text() == "1 of 2"
    growing = said(None, "a bee", status=Status.STREAMING)
    window.timeline.add(growing)
    grown = growing.appended(PartKind.TEXT, " and a bee")
    window.timeline.change(grown)
    window.timeline.change(replace(grown, status=Status.COMPLETE))
    qtbot.waitUntil(lambda: bar.count.text() == "1 of 4")


def test_what_is_selected_is_looked_for(qtbot, window, show):
    show("q", "wasps and bees and bees")
    from tests.ui.timeline.conftest import Mouse, point_of

    Mouse(window.timeline).double_click(point_of(window.timeline, 1, 0, 11))
    assert window.timeline.selected_text() == "bees"
    QTest.keyClick(window.composer.edit, Qt.Key.Key_F, CONTROL)
    bar = window.pane._find
    assert (bar.field.text(), bar.count.text()) == ("bees", "1 of 2")


def test_every_part_of_it_has_a_name(window, show, find):
    show("q", "a")
    bar = find("a")
    names = [part.accessibleName() for part in (bar, bar.field, bar.previous, bar.next)]
    assert names == [
        "Find in this chat",
        "Find in this chat",
        "Previous occurrence",
        "Next occurrence",
    ]
    assert bar.close_button.accessibleName() == "Close find"


def test_the_rest_of_a_very_long_answer_is_shown_where_it_is_found(qtbot, window, show, find):
    show("q", "bee\n\n" + "Words.\n\n" * 1_200 + "the last bee")
    assert window.timeline.view_at(1).shown_end is not None
    bar = find("bee")
    assert (bar.count.text(), now_at(window.timeline)) == ("1 of 2", (1, "bee"))
    for key, count in ((Qt.Key.Key_Return, "2 of 2"), (Qt.Key.Key_Return, "1 of 2")):
        QTest.keyClick(bar.field, key)
        qtbot.waitUntil(lambda count=count: bar.count.text() == count)


def test_the_source_of_a_formula_is_found_and_the_formula_marked(qtbot, window, show, find):
    show("q", "🎉 A formula $\\frac{bee}{bee}$ and a bee\n\n$$\nbee^2\n$$\n\nand $bee$")
    window.timeline.view_at(1)
    qtbot.waitUntil(lambda: not window.timeline.drawing)
    bar = find("bee")
    assert bar.count.text() == "1 of 5"
    seen = [now_at(window.timeline)[1]]
    for _ in range(4):
        QTest.keyClick(bar.field, Qt.Key.Key_Return)
        seen.append(now_at(window.timeline)[1])
    assert seen == [PICTURE, PICTURE, "bee", PICTURE, PICTURE]
    assert bar.count.text() == "5 of 5"
    bar = find("formula $\\frac{bee}{bee}$ and")
    assert bar.count.text() == "1 of 1"
    assert now_at(window.timeline)[1] == "formula "  # and the formula, and what is behind it
    (leaf, *_) = window.timeline.view_at(1).leaves()
    marked = [look.cursor.selectedText() for look in leaf.extraSelections()]
    assert marked == ["formula ", PICTURE, " and"]


def test_a_marked_formula_looks_marked(qtbot, window, show, find):
    show("q", "$$\n\\rule{3em}{1em} bee\n$$")
    theme = window.timeline._shared.theme
    view = window.timeline.view_at(1)
    qtbot.waitUntil(lambda: not window.timeline.drawing)
    find("bee")
    image = view.grab().toImage()
    colours = {
        image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())
    }
    assert {theme.found_now, theme.text} <= colours  # behind it, and not over it


def test_what_is_in_files_is_counted_and_the_file_shows_it(qtbot, application, window, find):
    files = (
        Part(PartKind.FILE, "no\n" * 400 + "a bee\nand a bee", name="one.txt"),
        Part(PartKind.FILE, "nothing", name="two.txt"),
    )
    tree = Tree().added(user_message("old bee", None))
    tree = tree.added(said(tree.head, FILLER * 4))
    asked = user_message("what of the bee?", tree.head)
    tree = tree.added(replace(asked, parts=(*files, *asked.parts)))
    made = Conversation(title="Talk", tree=tree.added(said(asked.id, FILLER * 4)))
    application.store.submit(lambda store: store.create(made))
    application.chats.open(made.id)
    qtbot.waitUntil(lambda: application.chats.current.id == made.id)
    window.activateWindow()
    bar = find("bee")
    chips = [chip for chip in window.findChildren(FileChip) if chip.isVisible()]
    counts = [bar.count.text()]
    details = []
    for _ in range(4):
        QTest.keyClick(bar.field, Qt.Key.Key_Return)
        counts.append(bar.count.text())
        chips = [chip for chip in window.timeline.findChildren(FileChip) if chip.name == "one.txt"]
        details.append(chips[0].detail.split(" · ")[0])
        place = chips[0].mapTo(window.timeline.viewport(), QPoint(0, 0)).y()
        assert counts[-1][0] not in "34" or 0 <= place < window.timeline.viewport().height()
    assert sorted(counts[:4]) == ["1 of 4", "2 of 4", "3 of 4", "4 of 4"]
    assert counts[4] == counts[0]
    assert {"found, 1 of 2", "found, 2 of 2", "found 2 times"} == set(details)
    QTest.keyClick(bar.field, Qt.Key.Key_Return, SHIFT)
    while not chips[0].detail.startswith("found, 2"):
        QTest.keyClick(bar.field, Qt.Key.Key_Return)
    assert "found, 2 of 2" in chips[0].accessibleName()
    chips[0].click()
    dialog = window.findChild(FileTextDialog)
    marks = dialog.text.extraSelections()
    assert [look.cursor.selectedText() for look in marks] == ["bee", "bee"]
    assert dialog.text.textCursor().position() == marks[1].cursor.selectionStart()
    assert dialog.text.cursorRect().top() > 0
    dialog.reject()
    bar.leave()
    assert "found" not in chips[0].detail
