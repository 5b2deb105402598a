"""The sidebar over a real list: days, places, menus, several selected, keys."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, Qt
from PySide6.QtGui import QAccessible, QContextMenuEvent, QPalette
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QMenu

from qwen_desktop.chat.messages import user_message
from qwen_desktop.chat.summary import ListFilter, Place
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.ui.conversation_list import BUSY_ROLE, CHOSEN_ROLE, OPEN_ROLE
from qwen_desktop.ui.conversation_row import more_rect

# raise() and grabs of the offscreen platform, at every menu
pytestmark = pytest.mark.qt_log_ignore("does not support")

CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
NAMES = ("Apple", "Bread", "Corn", "Dill", "Eggs")  # from the newest


def talk(name: str, age: float = 0.0) -> Conversation:
    when = time.time() - age
    tree = Tree.of([user_message(f"about {name}", None)])
    return Conversation(id=name.lower(), title=name, created_at=when, updated_at=when, tree=tree)


def change(application, qtbot, job) -> None:
    """Do something to the store behind the list's back, and let it be read again."""
    done = []
    application.store.submit(lambda store: job(store), done.append)
    qtbot.waitUntil(lambda: bool(done))
    application.chats.start("")
    application.store.submit(lambda store: None, done.append)
    qtbot.waitUntil(lambda: len(done) == 2)


@pytest.fixture
def sidebar(application, qtbot):
    """The sidebar of the window, with five conversations of today."""

    def make(store) -> None:
        for age, name in reversed(tuple(enumerate(NAMES))):
            store.create(talk(name, age / 10))

    change(application, qtbot, make)
    made = application.window.sidebar
    qtbot.waitUntil(lambda: shown(made) == list(NAMES))
    return made


def shown(sidebar) -> list[str]:
    """The titles in the list, without headings."""
    rows = range(sidebar.list.rowCount())
    return [sidebar.list.index(r).data() for r in rows if sidebar.list.offset_of_row(r) is not None]


def place_of(sidebar, name: str) -> QPoint:
    return sidebar.view.visualRect(sidebar.list.index_of(name.lower())).center()


def click(sidebar, name: str, modifiers=Qt.KeyboardModifier.NoModifier) -> None:
    left = Qt.MouseButton.LeftButton
    QTest.mouseClick(sidebar.view.viewport(), left, modifiers, place_of(sidebar, name))


def focus(sidebar, qtbot, name: str) -> None:
    sidebar.view.setFocus()
    sidebar.view.setCurrentIndex(sidebar.list.index_of(name.lower()))
    qtbot.waitUntil(sidebar.view.hasFocus)


def context_menu(sidebar, name: str) -> QMenu:
    """The menu of a right click, by the events a mouse would send."""
    place = place_of(sidebar, name)
    viewport = sidebar.view.viewport()
    QTest.mouseClick(viewport, Qt.MouseButton.RightButton, pos=place)
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, place, viewport.mapToGlobal(place))
    QCoreApplication.sendEvent(viewport, event)
    return popup()


def popup() -> QMenu:
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    return menu


def entries(menu: QMenu) -> list[str]:
    return [action.text() for action in menu.actions() if not action.isSeparator()]


def choose(menu: QMenu, *path: str) -> None:
    """Trigger an entry, through submenus, and close the menu."""
    here = menu
    for text in path:
        action = next(a for a in here.actions() if a.text() == text)
        if action.menu() is not None:
            here = action.menu()
    menu.close()
    action.trigger()


# --- opening and keys ----------------------------------------------------------------------------


def test_a_click_opens(sidebar, qtbot):
    with qtbot.waitSignal(sidebar.open_requested) as asked:
        click(sidebar, "Corn")
    assert asked.args == ["corn"]


def test_arrows_move_over_headings_and_enter_opens(sidebar, application, qtbot):
    change(application, qtbot, lambda store: store.create(talk("Flour", 9e6)))
    qtbot.waitUntil(lambda: len(shown(sidebar)) == 6)
    asked = []
    sidebar.open_requested.connect(asked.append)
    focus(sidebar, qtbot, "Eggs")
    QTest.keyClick(sidebar.view, Qt.Key.Key_Down)
    assert asked == []
    QTest.keyClick(sidebar.view, Qt.Key.Key_Return)
    assert asked == ["flour"]
    QTest.keyClick(sidebar.view, Qt.Key.Key_Home)
    QTest.keyClick(sidebar.view, Qt.Key.Key_Up)
    QTest.keyClick(sidebar.view, Qt.Key.Key_Return)
    assert asked == ["flour", "apple"]


def test_buttons_ask(sidebar, qtbot):
    with qtbot.waitSignal(sidebar.new_requested):
        QTest.mouseClick(sidebar.new_button, Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(sidebar.settings_requested):
        QTest.keyClick(sidebar.settings_button, Qt.Key.Key_Return)


def test_tab_goes_from_the_top_to_the_bottom(sidebar, qtbot):
    click(sidebar, "Apple")
    click(sidebar, "Bread", CONTROL)
    sidebar.new_button.setFocus()
    gone = []
    while QApplication.focusWidget() is not sidebar.settings_button and len(gone) < 30:
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        gone.append(QApplication.focusWidget())
    bar = sidebar.selection
    assert gone == [
        *(sidebar.search, sidebar.search.filters, sidebar.place.button, sidebar.view),
        *(bar.pin, bar.folder, bar.tag, bar.archive, bar.export, bar.delete, bar.close_button),
        sidebar.settings_button,
    ]


def test_rows_are_read_by_a_screen_reader(sidebar):
    view = QAccessible.queryAccessibleInterface(sidebar.view)
    assert view.text(QAccessible.Text.Name) == "Chats"
    names = [view.child(i).text(QAccessible.Text.Name) for i in range(view.childCount())]
    assert names[:2] == ["Today", "Apple, about Apple"]
    assert view.child(2).rect().height() == 52


# --- renaming ------------------------------------------------------------------------------------


def test_renaming_in_place(sidebar, application, qtbot):
    focus(sidebar, qtbot, "Bread")
    QTest.keyClick(sidebar.view, Qt.Key.Key_F2)
    editor = sidebar.view.findChild(QLineEdit, "titleEditor")
    assert editor.text() == "Bread"
    assert editor.accessibleName() == "Chat title"
    assert editor.palette().color(QPalette.ColorRole.Base).alpha() == 255
    assert editor.height() >= 52 - 8  # title and preview are behind it
    editor.selectAll()
    QTest.keyClicks(editor, " Butter  bread ")
    # A title by the model and a new row leave what is typed alone.
    application.chats.list.suggest_title("bread", "Other")
    change(application, qtbot, lambda store: store.create(talk("Flour")))
    qtbot.waitUntil(lambda: shown(sidebar)[0] == "Flour")
    assert editor.text() == " Butter  bread "
    assert editor.isVisible()
    QTest.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "Butter bread" in shown(sidebar))


@pytest.mark.parametrize("title", ["", "   ", "Bread"])
def test_a_rename_to_nothing_new_asks_nothing(sidebar, qtbot, title):
    asked = []
    sidebar.list.rename_requested.connect(lambda *args: asked.append(args))
    focus(sidebar, qtbot, "Bread")
    QTest.keyClick(sidebar.view, Qt.Key.Key_F2)
    editor = sidebar.view.findChild(QLineEdit, "titleEditor")
    editor.setText(title)
    QTest.keyClick(editor, Qt.Key.Key_Return)
    assert asked == []


def test_escape_keeps_the_old_title(sidebar, qtbot):
    focus(sidebar, qtbot, "Bread")
    QTest.keyClick(sidebar.view, Qt.Key.Key_F2)
    editor = sidebar.view.findChild(QLineEdit, "titleEditor")
    QTest.keyClicks(editor, "other")
    QTest.keyClick(editor, Qt.Key.Key_Escape)
    assert shown(sidebar) == list(NAMES)


# --- deleting ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", [Qt.Key.Key_Delete, Qt.Key.Key_Backspace, Qt.Key.Key_D, Qt.Key.Key_Space]
)
def test_no_single_key_deletes(sidebar, application, qtbot, key):
    done = []
    application.chats.list.deleted.connect(lambda *args: done.append(args))
    focus(sidebar, qtbot, "Bread")
    QTest.keyClick(sidebar.view, key)
    QTest.keyClick(sidebar.view, key, SHIFT)
    assert done == []
    assert shown(sidebar) == list(NAMES)


@pytest.mark.parametrize("key", [Qt.Key.Key_Delete, Qt.Key.Key_Backspace])
def test_deleting_keeps_the_focus_at_its_height_and_can_be_undone(sidebar, application, qtbot, key):
    focus(sidebar, qtbot, "Bread")
    QTest.keyClick(sidebar.view, key, CONTROL)
    qtbot.waitUntil(lambda: "Bread" not in shown(sidebar))
    assert sidebar.view.currentIndex().data() == "Corn"
    window = application.window
    assert "Bread" in window.toast.label.text()
    QTest.keyClick(window, Qt.Key.Key_Z, CONTROL | SHIFT)
    qtbot.waitUntil(lambda: shown(sidebar) == list(NAMES))


def test_the_bin_restores_and_asks_before_it_is_emptied(sidebar, application, qtbot):
    window = application.window
    application.chats.list.delete(("apple", "bread", "corn"))
    application.chats.list.set_filter(ListFilter(place=Place.BIN))
    qtbot.waitUntil(lambda: set(shown(sidebar)) == {"Apple", "Bread", "Corn"})
    menu = context_menu(sidebar, "Apple")
    assert entries(menu) == ["Open", "Restore", "Export…", "Copy as Markdown", "Delete for good…"]
    choose(menu, "Restore")
    qtbot.waitUntil(lambda: set(shown(sidebar)) == {"Bread", "Corn"})

    choose(context_menu(sidebar, "Bread"), "Delete for good…")
    dialog = window.findChild(QApplication.activeModalWidget().__class__, "confirmDialog")
    kept = "Backups that were made before keep it until they are removed."
    assert dialog.words.text() == f"“Bread” will be gone for good. {kept}"
    QTest.keyClick(dialog, Qt.Key.Key_Return)  # the default is Cancel
    assert set(shown(sidebar)) == {"Bread", "Corn"}

    QTest.mouseClick(sidebar.place.empty, Qt.MouseButton.LeftButton)
    dialog = QApplication.activeModalWidget()
    assert dialog.words.text().startswith("2 chats will be gone for good. ")
    QTest.mouseClick(dialog.do_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: shown(sidebar) == [])
    qtbot.waitUntil(sidebar.nothing.isVisible)
    assert sidebar.nothing.text() == "The bin is empty."
    QTest.mouseClick(sidebar.place.back, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: shown(sidebar) == ["Apple", "Dill", "Eggs"])


# --- menus and places ----------------------------------------------------------------------------


def test_the_menu_of_a_conversation_pins_files_tags_and_archives(sidebar, qtbot):
    menu = context_menu(sidebar, "Corn")
    assert entries(menu) == [
        *("Open", "Rename", "Pin", "Move to folder", "Tags", "Archive"),
        *("Export…", "Copy as Markdown", "Delete"),
    ]
    choose(menu, "Pin")
    qtbot.waitUntil(lambda: shown(sidebar)[0] == "Corn")
    assert sidebar.list.index(0).data() == "Pinned"

    choose(context_menu(sidebar, "Corn"), "Move to folder", "New folder…")
    name_it("Kitchen")
    qtbot.waitUntil(lambda: [f.count for f in sidebar.acts.shape.folders] == [1])
    choose(context_menu(sidebar, "Dill"), "Tags", "New tag…")
    name_it("green")
    qtbot.waitUntil(lambda: sidebar.acts.shape.tags == (("green", 1),))
    choose(context_menu(sidebar, "Eggs"), "Archive")
    qtbot.waitUntil(lambda: "Eggs" not in shown(sidebar))

    menu = context_menu(sidebar, "Dill")
    tags = next(a.menu() for a in menu.actions() if a.text() == "Tags")
    assert tags.actions()[0].isChecked()
    choose(menu, "Tags", "green")  # again takes it off
    qtbot.waitUntil(lambda: sidebar.acts.rows(["dill"])[0].tags == ())


def name_it(name: str) -> None:
    dialog = QApplication.activeModalWidget()
    assert not dialog.do_button.isEnabled()
    QTest.keyClicks(dialog.edit, name)
    QTest.keyClick(dialog.edit, Qt.Key.Key_Return)


def test_the_button_of_a_row_opens_its_menu_and_not_the_row(sidebar, qtbot):
    opened = []
    sidebar.open_requested.connect(opened.append)
    rect = sidebar.view.visualRect(sidebar.list.index_of("dill"))
    place = more_rect(rect).center()
    QTest.mouseClick(sidebar.view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert entries(popup())[0] == "Open"
    popup().close()
    assert opened == []


def test_the_menu_key_opens_the_menu_of_the_row_with_the_focus(sidebar, qtbot):
    focus(sidebar, qtbot, "Dill")
    event = QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, QPoint(0, 0), QPoint(0, 0))
    QCoreApplication.sendEvent(sidebar.view, event)
    choose(popup(), "Delete")
    qtbot.waitUntil(lambda: "Dill" not in shown(sidebar))


def test_places_are_chosen_and_left_by_one_click(sidebar, application, qtbot):
    chats = application.chats.list
    chats.make_folder("Kitchen", lambda folder: chats.set_folder(("apple",), folder.id))
    chats.add_tag(("bread",), "a & b")
    chats.set_archived(("corn",), True)
    qtbot.waitUntil(lambda: sidebar.acts.shape.archived == 1)

    def go(text: str) -> None:
        QTest.mouseClick(sidebar.place.button, Qt.MouseButton.LeftButton)
        choose(popup(), text)

    QTest.mouseClick(sidebar.place.button, Qt.MouseButton.LeftButton)
    assert entries(popup()) == [
        *("All chats", "Kitchen (1)", "New folder…", "a && b (1)", "Archive (1)", "Bin (0)")
    ]
    assert [a.text() for a in popup().actions() if a.isChecked()] == ["All chats"]
    popup().close()
    for text, rows, name in (
        ("Kitchen (1)", ["Apple"], "Shown: Kitchen"),
        ("a && b (1)", ["Bread"], "Shown: Tag: a & b"),
        ("Archive (1)", ["Corn"], "Shown: Archive"),
    ):
        go(text)
        qtbot.waitUntil(lambda rows=rows: shown(sidebar) == rows)
        assert sidebar.place.button.accessibleName() == name
    menu = context_menu(sidebar, "Corn")
    assert "Unarchive" in entries(menu)
    menu.close()
    QTest.mouseClick(sidebar.place.back, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: shown(sidebar) == ["Apple", "Bread", "Dill", "Eggs"])
    assert not sidebar.place.back.isVisible()


def test_a_folder_is_renamed_in_place_and_deleted_from_its_menu(sidebar, application, qtbot):
    chats = application.chats.list
    chats.make_folder("Kitchen", lambda folder: chats.set_folder(("apple",), folder.id))
    chats.set_filter(ListFilter(folder=chats.shape.folders[0].id))
    qtbot.waitUntil(lambda: shown(sidebar) == ["Apple"])

    def folder_menu() -> QMenu:
        QTest.mouseClick(sidebar.place.more, Qt.MouseButton.LeftButton)
        return popup()

    choose(folder_menu(), "Rename folder")
    editor = sidebar.place.findChild(QLineEdit, "folderEditor")
    QTest.keyClicks(editor, "Pantry")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: sidebar.place.button.text().startswith("Pantry"))
    assert sidebar.place.button.hasFocus()
    choose(folder_menu(), "Rename folder")
    editor = sidebar.place.findChildren(QLineEdit, "folderEditor")[-1]
    QTest.keyClicks(editor, "Nothing")
    QTest.keyClick(editor, Qt.Key.Key_Escape)
    assert sidebar.place.button.text().startswith("Pantry")
    chats.make_folder("Shed")
    choose(folder_menu(), "Rename folder")
    editor = sidebar.place.findChildren(QLineEdit, "folderEditor")[-1]
    QTest.keyClicks(editor, "shed")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    assert sidebar.place.button.text().startswith("Pantry")
    assert application.window.toast.label.text() == "Another folder has the name “shed”"
    editor = sidebar.place.findChildren(QLineEdit, "folderEditor")[-1]
    assert (editor.text(), editor.isVisible(), editor.hasFocus()) == ("shed", True, True)
    QTest.keyClicks(editor, "Larder")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: sidebar.place.button.text().startswith("Larder"))
    choose(folder_menu(), "Delete folder")
    qtbot.waitUntil(lambda: shown(sidebar) == list(NAMES))
    assert "Larder" in application.window.toast.label.text()


def test_a_refused_name_stays_where_the_focus_goes_elsewhere(application, sidebar, qtbot):
    chats = application.chats.list
    for name in ("Pantry", "Shed"):
        chats.make_folder(name)
    pantry = chats.shape.folders[0].id
    chats.set_filter(ListFilter(folder=pantry))
    qtbot.waitUntil(lambda: sidebar.place.filter.folder == pantry)
    sidebar.place.rename_folder("Pantry")
    editor = sidebar.place.findChild(QLineEdit, "folderEditor")
    QTest.keyClicks(editor, "Shed")
    sidebar.search.setFocus()
    editor = sidebar.place.findChildren(QLineEdit, "folderEditor")[-1]
    assert (editor.text(), editor.isVisible()) == ("Shed", True)
    assert sidebar.search.hasFocus()
    chats.set_filter(ListFilter())
    qtbot.waitUntil(lambda: not sidebar.place.findChildren(QLineEdit, "folderEditor"))


# --- taken back ----------------------------------------------------------------------------------


def test_control_z_in_the_list_takes_changes_back_one_after_the_other(application, sidebar, qtbot):
    chats, toast = application.chats.list, application.window.toast
    click(sidebar, "Corn")
    focus(sidebar, qtbot, "Corn")
    chats.set_pinned(("dill",), True)
    assert toast.label.text() == "Pinned “Dill”"
    assert shown(sidebar)[0] == "Dill"
    QTest.keyClick(sidebar.view, Qt.Key.Key_Delete, CONTROL)
    assert "Corn" not in shown(sidebar)
    toast.dismiss()  # its time is up: the change can still be taken back
    sidebar.view.setFocus()
    QTest.keyClick(sidebar.view, Qt.Key.Key_Z, CONTROL)
    assert "Corn" in shown(sidebar)
    assert shown(sidebar)[0] == "Dill"
    QTest.keyClick(sidebar.view, Qt.Key.Key_Z, CONTROL)
    assert shown(sidebar) == list(NAMES)
    QTest.keyClick(sidebar.view, Qt.Key.Key_Z, CONTROL)  # nothing is left
    settle_list(application, qtbot)
    assert shown(sidebar) == list(NAMES)


def test_what_the_notice_took_back_is_not_taken_back_again(application, sidebar, qtbot):
    chats, toast = application.chats.list, application.window.toast
    chats.set_archived(("apple",), True)
    chats.set_pinned(("dill", "eggs"), True)
    assert toast.label.text() == "Pinned 2 chats"
    focus(sidebar, qtbot, "Corn")
    QTest.keyClick(sidebar.view, Qt.Key.Key_Z, CONTROL)
    assert not toast.isVisible()
    assert shown(sidebar) == ["Bread", "Corn", "Dill", "Eggs"]
    QTest.keyClick(sidebar.view, Qt.Key.Key_Z, CONTROL)
    settle_list(application, qtbot)
    assert shown(sidebar) == list(NAMES)


def settle_list(application, qtbot) -> None:
    done = []
    application.store.submit(lambda store: None, done.append)
    qtbot.waitUntil(lambda: bool(done))


# --- where the focus is --------------------------------------------------------------------------


def test_the_focus_follows_to_an_opened_and_to_a_new_chat(application, window, sidebar, qtbot):
    window.open_conversation("corn")
    qtbot.waitUntil(lambda: sidebar.list.open_id == "corn")
    assert sidebar.view.currentIndex().data() == "Corn"
    window.composer.focus_edit()
    window._new()
    assert not sidebar.view.currentIndex().isValid()
    made = replace(application.chats.current, title="Fig", tree=talk("Fig").tree)
    application.chats.list.update(made, is_new=True)
    assert sidebar.view.currentIndex().data() == "Fig"


# --- several selected ----------------------------------------------------------------------------


def marked(sidebar) -> list[str]:
    rows = range(sidebar.list.rowCount())
    return [i.data() for r in rows if (i := sidebar.list.index(r)).data(CHOSEN_ROLE)]


def test_control_and_shift_select_and_a_plain_click_opens(sidebar, qtbot):
    opened = []
    sidebar.open_requested.connect(opened.append)
    click(sidebar, "Apple")
    assert not sidebar.selection.isVisible()
    click(sidebar, "Corn", CONTROL)
    assert marked(sidebar) == ["Apple", "Corn"]
    assert sidebar.selection.label.text() == "2 selected"
    click(sidebar, "Eggs", SHIFT)
    assert marked(sidebar) == ["Apple", "Corn", "Dill", "Eggs"]
    assert opened == ["apple"]
    click(sidebar, "Bread")
    assert opened == ["apple", "bread"]
    assert marked(sidebar) == []
    assert not sidebar.selection.isVisible()


def test_keys_select_and_escape_ends_it_without_stopping_the_answer(sidebar, application, qtbot):
    stopped = []
    stop = application.window.actions_by_name["stop"]
    stop.setEnabled(True)
    stop.triggered.connect(lambda: stopped.append(1))
    focus(sidebar, qtbot, "Bread")
    QTest.keyClick(sidebar.view, Qt.Key.Key_Down, SHIFT)
    assert marked(sidebar) == ["Bread", "Corn"]
    QTest.keyClick(sidebar.view, Qt.Key.Key_A, CONTROL)
    assert marked(sidebar) == list(NAMES)
    QTest.keyClick(sidebar.view, Qt.Key.Key_Escape)
    assert marked(sidebar) == []
    assert stopped == []
    QTest.keyClick(sidebar.view, Qt.Key.Key_Escape)
    assert stopped == [1]


def test_the_bar_acts_on_all_that_are_selected(sidebar, application, qtbot):
    bar = sidebar.selection
    left = Qt.MouseButton.LeftButton
    click(sidebar, "Bread", CONTROL)
    click(sidebar, "Dill", CONTROL)
    assert {"bread", "dill"} <= set(sidebar.view.chosen)
    exported = []
    sidebar.export_requested.connect(exported.append)
    QTest.mouseClick(bar.pin, left)
    qtbot.waitUntil(lambda: sidebar.list.index(0).data() == "Pinned")
    # The rows went elsewhere and are selected still.
    assert set(marked(sidebar)) == {s.title for s in sidebar.acts.rows(sidebar.view.chosen)}
    assert {"Bread", "Dill"} <= set(marked(sidebar))
    chosen = sidebar.view.chosen
    QTest.mouseClick(bar.tag, left)
    choose(popup(), "New tag…")
    name_it("both")
    qtbot.waitUntil(lambda: sidebar.acts.shape.tags == (("both", len(chosen)),))
    QTest.mouseClick(bar.delete, left)
    qtbot.waitUntil(lambda: not {"Bread", "Dill"} & set(shown(sidebar)))
    assert application.window.toast.label.text() == f"Deleted {len(chosen)} chats"
    QTest.mouseClick(application.window.toast.undo_button, left)
    qtbot.waitUntil(lambda: {"Bread", "Dill"} <= set(shown(sidebar)))


def test_the_menu_of_several_is_that_of_all_of_them(sidebar, qtbot):
    click(sidebar, "Apple")
    click(sidebar, "Bread", CONTROL)
    menu = context_menu(sidebar, "Bread")
    assert entries(menu) == ["Pin", "Move to folder", "Tags", "Archive", "Export…", "Delete"]
    choose(menu, "Archive")
    qtbot.waitUntil(lambda: shown(sidebar) == ["Corn", "Dill", "Eggs"])


# --- many ----------------------------------------------------------------------------------------


@pytest.fixture
def long(application, qtbot):
    """The sidebar with 450 conversations, one an hour, named by their place."""

    def make(store) -> None:
        for at in reversed(range(450)):
            store.create(talk(f"T{at}", at * 3600))

    change(application, qtbot, make)
    made = application.window.sidebar
    qtbot.waitUntil(lambda: made.list.index_of("t449").isValid())
    return made


def test_only_the_pages_that_are_seen_are_read(long, application, qtbot):
    chats = application.chats.list
    bar = long.view.verticalScrollBar()
    rows = long.list.heights()
    assert bar.maximum() == sum(rows) - long.view.viewport().height()
    bar.setValue(bar.maximum())
    qtbot.waitUntil(lambda: chats.offset_of("t449") == 449)  # it is painted, thus asked for
    assert chats.offset_of("t250") is None
    last = long.list.index_of("t449")
    assert last.data() == "T449"
    assert long.view.indexAt(QPoint(50, long.view.viewport().height() - 2)) == last


def test_a_row_that_goes_to_the_top_moves_nothing_else(long, application, qtbot):
    chats, view = application.chats.list, long.view
    resets = []
    long.list.modelReset.connect(lambda: resets.append(1))
    view.scrollTo(long.list.index_of("t250"))
    qtbot.waitUntil(lambda: long.list.index_of("t250").data() == "T250")
    focus(long, qtbot, "T250")
    click(long, "T249", CONTROL)
    before = place_of(long, "T250")
    chats.set_pinned(("t420",), True)
    qtbot.waitUntil(lambda: long.list.index(1).data() == "T420")
    qtbot.waitUntil(lambda: long.list.rows_of({"t420"}) == [1])
    assert place_of(long, "T250") == before
    assert view.chosen == ("t249", "t250")
    assert marked(long) == ["T249", "T250"]
    assert resets == []


def test_everything_is_selected_though_most_is_not_read(long, application, qtbot):
    focus(long, qtbot, "T0")
    QTest.keyClick(long.view, Qt.Key.Key_A, CONTROL)
    assert len(long.view.chosen) == 450
    assert long.selection.label.text() == "450 selected"
    QTest.mouseClick(long.selection.delete, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: long.list.rowCount() == 0)
    assert application.chats.list.shape.deleted == 450


def test_the_open_conversation_is_brought_into_view(long, application, qtbot):
    application.chats.open("t350")
    qtbot.waitUntil(lambda: application.chats.current.id == "t350")
    row = long.list.index_of("t350")
    assert row.data(OPEN_ROLE)
    assert not row.data(BUSY_ROLE)
    assert long.view.viewport().rect().contains(long.view.visualRect(row))


def test_the_focus_is_seen_once_keys_move_it_after_a_click(sidebar, qtbot):
    def picture():
        return sidebar.view.grab(sidebar.view.visualRect(sidebar.list.index_of("corn"))).toImage()

    focus(sidebar, qtbot, "Corn")
    QTest.keyClick(sidebar.view, Qt.Key.Key_Down)
    plain = picture()
    QTest.keyClick(sidebar.view, Qt.Key.Key_Up)
    assert picture() != plain
    click(sidebar, "Dill")
    assert picture() == plain
    QTest.keyClick(sidebar.view, Qt.Key.Key_Up)
    assert sidebar.view.currentIndex() == sidebar.list.index_of("corn")
    assert picture() != plain


def test_hovering_is_told_by_the_mouse(sidebar):
    QTest.mouseMove(sidebar.view.viewport(), place_of(sidebar, "Corn"))
    assert sidebar.view.hovered == sidebar.list.index_of("corn").row()
    QCoreApplication.sendEvent(sidebar.view.viewport(), QEvent(QEvent.Type.Leave))
