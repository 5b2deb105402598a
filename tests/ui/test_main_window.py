"""The window with the real bridge and store behind it: what is shown when, drops, keys, themes."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, QSize, Qt, QUrl
from PySide6.QtGui import (
    QColor,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QTextDocument,
)
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractScrollArea,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QProgressBar,
    QWidget,
)

from qwen_desktop.bridge.models import ModelState, Phase
from qwen_desktop.chat.messages import Status, pending_answer, user_message
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import Known
from qwen_desktop.ui import theme
from qwen_desktop.ui.frame import fitting
from tests.ui.test_memory_panel import INFO

CONTROL = Qt.KeyboardModifier.ControlModifier
INTERACTIVE = (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
)


def conversation(title: str, question: str) -> Conversation:
    asked = user_message(question, None)
    answer = pending_answer(asked.id, "Qwen3-4B")
    answer = answer.appended(answer_kind(), f"About {question}")
    from dataclasses import replace

    tree = Tree.of([asked, replace(answer, status=Status.COMPLETE)])
    return Conversation(title=title, tree=tree)


def answer_kind():
    from qwen_desktop.chat.messages import PartKind

    return PartKind.TEXT


@pytest.fixture
def stored(qtbot, application):
    """Two conversations on disk, listed."""
    made = [conversation("Bees", "bees?"), conversation("Ants", "ants?")]
    for one in made:
        application.store.submit(lambda store, one=one: store.create(one))
    application.chats.start("")
    qtbot.waitUntil(lambda: len(application.chats.list.top()) == 2)
    return made


def open_row(qtbot, application, conversation_id: str) -> None:
    view = application.window.sidebar.view
    index = application.window.sidebar.list.index_of(conversation_id)
    place = view.visualRect(index).center()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    qtbot.waitUntil(lambda: application.chats.current.id == conversation_id)


# --- conversations -------------------------------------------------------------------------------


def test_an_empty_chat_asks_what_to_ask(window):
    assert window.header.title.text() == "New chat"
    assert window.empty.isVisible()
    assert window.composer.edit.hasFocus()


def test_a_click_in_the_list_shows_the_conversation(qtbot, application, window, stored):
    bees, ants = stored
    open_row(qtbot, application, bees.id)
    assert window.header.title.text() == "Bees"
    assert window.windowTitle() == "Bees"
    assert window.timeline.isVisible()
    assert window.sidebar.list.open_id == bees.id
    open_row(qtbot, application, ants.id)
    assert window.header.title.text() == "Ants"
    QTest.keyClick(window, Qt.Key.Key_N, CONTROL)
    assert window.header.title.text() == "New chat"
    assert window.empty.isVisible()
    assert window.sidebar.list.open_id != ants.id


def test_each_conversation_keeps_its_draft(qtbot, application, window, stored):
    bees, ants = stored
    edit = window.composer.edit
    open_row(qtbot, application, bees.id)
    QTest.keyClicks(edit, "for the bees")
    open_row(qtbot, application, ants.id)
    assert window.composer.text() == ""
    QTest.keyClicks(edit, "for the ants")
    open_row(qtbot, application, bees.id)
    assert window.composer.text() == "for the bees"
    open_row(qtbot, application, ants.id)
    assert window.composer.text() == "for the ants"


def test_what_is_typed_before_the_list_is_read_stays(qtbot, application, window, stored):
    window.pane.shown = False  # as at the start, before anything was opened
    QTest.keyClicks(window.composer.edit, "early bird")
    application.chats.open(stored[0].id)
    qtbot.waitUntil(lambda: application.chats.current.id == stored[0].id)
    assert window.composer.text() == "early bird"


def test_a_suggestion_leaves_what_is_typed(qtbot, application, window):
    application.models._set(ModelState(Phase.READY, info=INFO))
    QTest.keyClicks(window.composer.edit, "half a thought")
    window.composer.flush_draft()
    window.empty.asked.emit("How do I stop?")
    run = application.chats._answering.run
    application.engine.accepted.emit(run.id, 5)  # as the engine does, which is not started here
    qtbot.waitUntil(lambda: run.stored)
    assert window.composer.text() == "half a thought"
    QTest.keyClick(window, Qt.Key.Key_N, CONTROL)
    assert window.composer.text() == ""
    application.chats.open(run.conversation.id)
    assert window.composer.text() == "half a thought"


def test_what_is_typed_while_another_conversation_is_read_stays(qtbot, application, window, stored):
    bees, ants = stored
    open_row(qtbot, application, bees.id)
    application.chats.open(ants.id)
    QTest.keyClicks(window.composer.edit, "too quick")
    qtbot.waitUntil(lambda: application.chats.current.id == ants.id)
    open_row(qtbot, application, bees.id)
    assert window.composer.text() == "too quick"


def test_deleting_can_be_undone_by_the_toast_and_by_a_key(qtbot, application, window, stored):
    bees, _ = stored
    for undo in (
        lambda: QTest.mouseClick(window.toast.undo_button, Qt.MouseButton.LeftButton),
        lambda: QTest.keyClick(window, Qt.Key.Key_Z, CONTROL | Qt.KeyboardModifier.ShiftModifier),
    ):
        view = window.sidebar.view
        view.setFocus()
        view.setCurrentIndex(window.sidebar.list.index_of(bees.id))
        QTest.keyClick(view, Qt.Key.Key_Delete, CONTROL)
        qtbot.waitUntil(lambda: len(application.chats.list.top()) == 1)
        qtbot.waitUntil(window.toast.isVisible)
        assert "Bees" in window.toast.label.text()
        undo()
        qtbot.waitUntil(lambda: len(application.chats.list.top()) == 2)
        assert not window.toast.isVisible()


def test_renaming_reaches_the_header(qtbot, application, window, stored):
    bees, _ = stored
    open_row(qtbot, application, bees.id)
    window.sidebar.list.rename_requested.emit(bees.id, "Bumblebees")
    qtbot.waitUntil(lambda: window.header.title.text() == "Bumblebees")


def test_the_enter_that_ends_renaming_does_not_open_the_conversation_again(
    qtbot, application, window, stored
):
    bees, _ = stored
    open_row(qtbot, application, bees.id)
    opened = []
    application.chats.opened.connect(opened.append)
    view = window.sidebar.view
    view.setFocus()
    view.setCurrentIndex(window.sidebar.list.index_of(bees.id))
    QTest.keyClick(view, Qt.Key.Key_F2)
    QTest.keyClicks(QApplication.focusWidget(), "Bumblebees")
    QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: window.header.title.text() == "Bumblebees")
    stored_now = []
    application.store.submit(lambda store: store.load(bees.id), stored_now.append)
    qtbot.waitUntil(lambda: bool(stored_now))
    assert stored_now[0].title == window.header.title.text() == "Bumblebees"
    assert not opened


def test_without_a_model_nothing_is_sent_and_the_text_stays(application, window):
    QTest.keyClicks(window.composer.edit, "hello")
    QTest.keyClick(window.composer.edit, Qt.Key.Key_Return)
    assert window.composer.text() == "hello"
    assert window.composer.hint.text() == "Open a checkpoint first"
    assert not application.chats.current.tree.messages


def test_trouble_is_shown_and_everything_else_stays(application, window):
    QTest.keyClicks(window.composer.edit, "typed")
    trouble = Known("{file} ends too early.", "Download it again.", file="a.safetensors")
    application.models.problem.emit(trouble.report())
    assert window.banner.isVisible()
    assert window.banner.label.text() == (
        "a.safetensors ends too early. Download it again. No checkpoint is open."
    )
    assert window.composer.text() == "typed"
    assert window.composer.edit.hasFocus()


# --- checkpoints ---------------------------------------------------------------------------------


def test_no_model_offers_to_open_one(window):
    assert window.empty.open_button.isVisible()
    assert not window.composer.button.isEnabled()
    assert window.header.model.text() == "No checkpoint  ▾"


def test_a_load_is_shown_in_every_place(application, window, tmp_path):
    folder = tmp_path / "Qwen3-4B"
    application.models.open(folder)
    assert window.header.model.text() == "Loading Qwen3-4B…  ▾"
    assert window.composer.hint.text() == "Loading…"
    assert window.panel.loading.isVisible()
    assert not window.empty.open_button.isVisible()
    assert window.composer.edit.isEnabled()


def test_the_model_that_is_open_is_named(application, window):
    application.models.changed.emit(ModelState(Phase.READY, info=INFO))
    assert window.header.model.text() == "Qwen3-4B  ▾"
    assert window.header.model.accessibleName() == "Checkpoint: Qwen3-4B"
    assert window.composer.edit.placeholderText() == "Message Qwen3-4B…"
    assert window.panel.facts["device"].value == "NVIDIA GeForce RTX 4090"


def test_a_model_that_was_opened_otherwise_says_so_in_the_header(application, window):
    from dataclasses import replace

    from qwen_desktop.chat.checkpoint import KvFormat

    info = replace(INFO, kv_format=KvFormat.INT8, rope_factor=4.0)
    application.models.changed.emit(ModelState(Phase.READY, info=info))
    assert window.header.model.toolTip() == "Qwen3-4B\nKV cache: 8-bit · YaRN ×4"
    assert window.header.model.accessibleDescription() == "KV cache: 8-bit · YaRN ×4"
    application.models.changed.emit(ModelState(Phase.READY, info=INFO))
    assert window.header.model.toolTip() == "Qwen3-4B"
    assert window.header.model.accessibleDescription() == ""


def test_the_demo_says_what_it_is_and_offers_questions(qtbot, application, window):
    from dataclasses import replace

    from qwen_desktop.chat.model import DemoInfo

    questions = tuple(f"Question {i}?" for i in range(8))
    info = replace(INFO, parameters=2_100_000, demo=DemoInfo({"en": questions}))
    application.models.changed.emit(ModelState(Phase.READY, info=info))
    assert window.empty.demo_line.text() == (
        "Demo checkpoint of about 2 million parameters. It only knows this application."
    )
    shown = [button.text() for button in window.empty.buttons]
    assert shown == list(questions[:3])
    QTest.mouseClick(window.empty.more, Qt.MouseButton.LeftButton)
    assert [b.text() for b in window.empty.buttons] == list(questions[3:6])
    with qtbot.waitSignal(window.empty.asked) as asked:
        QTest.mouseClick(window.empty.buttons[0], Qt.MouseButton.LeftButton)
    assert asked.args == ["Question 3?"]


def test_a_tooltip_never_reads_a_text_as_markup(qtbot, application, window):
    from dataclasses import replace

    from qwen_desktop.chat.model import DemoInfo

    wild = '<img src="file://host/share/picture.png"> & more'
    info = replace(INFO, name=wild, demo=DemoInfo({"en": (wild,)}))
    application.models.changed.emit(ModelState(Phase.READY, info=info))
    window.show_title(wild * 20)
    tips = [
        window.header.title.toolTip(),
        window.header.model.toolTip(),
        window.empty.buttons[0].toolTip(),
    ]
    for tip in tips:
        document = QTextDocument()
        document.setHtml(tip)
        assert document.toPlainText().startswith(wild)


@pytest.mark.qt_log_ignore("does not support")  # raise() and grabs of the offscreen platform
def test_the_model_menu_has_what_exists(application, window, tmp_path):
    application.models.open(tmp_path)
    QTest.mouseClick(window.header.model, Qt.MouseButton.LeftButton)
    menu = window.findChild(QMenu, "modelMenu")
    texts = [action.text() for action in menu.actions()]
    assert texts[:2] == ["Open checkpoint folder…", "Cancel loading"]
    menu.close()


@pytest.mark.qt_log_ignore("does not support")
def test_the_model_menu_has_the_recent_checkpoints(qtbot, application, window, tmp_path):
    from dataclasses import replace

    from qwen_desktop.chat.model import LoadRequest

    for name in ("A & B", "C"):
        folder = tmp_path / name
        folder.mkdir()
        info = replace(INFO, name=name, folder=folder)
        application.recents.remember(info, LoadRequest(folder, placement="cpu"))
    application.models._set(ModelState(Phase.READY, info=info))
    window.header.show_menu()
    menu = window.findChild(QMenu, "modelMenu")
    found = {action.text(): action for action in menu.actions() if action.isCheckable()}
    assert list(found)[:2] == ["C", "A && B"]
    assert found["C"].isChecked()
    found["A && B"].trigger()
    assert application.models.request == LoadRequest(tmp_path / "A & B", placement="cpu")
    menu.close()


# --- drag and drop -------------------------------------------------------------------------------


def urls(*places) -> QMimeData:
    data = QMimeData()
    data.setUrls(
        [place if isinstance(place, QUrl) else QUrl.fromLocalFile(place) for place in places]
    )
    return data


def drag(window, data: QMimeData) -> bool:
    """Drag `data` to the middle; whether it would be taken there."""
    at, action = window.rect().center(), Qt.DropAction.CopyAction
    button, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(window, QDragEnterEvent(QPoint(at), action, data, button, keys))
    move = QDragMoveEvent(QPoint(at), action, data, button, keys)
    QApplication.sendEvent(window, move)
    return move.isAccepted()


def drop(window, data: QMimeData) -> bool:
    at, action = QPointF(window.rect().center()), Qt.DropAction.CopyAction
    event = QDropEvent(at, action, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(window, event)
    return event.isAccepted()


def test_a_dropped_folder_is_opened(qtbot, application, window, tmp_path):
    folder = tmp_path / "Qwen"
    folder.mkdir()
    data = urls(str(folder))
    assert drag(window, data)
    assert window.overlay.isVisible()
    assert window.overlay.text == "Drop to open this folder"
    assert drop(window, data)
    assert not window.overlay.isVisible()
    qtbot.waitUntil(lambda: application.models.state.folder == folder)


def test_anything_else_is_refused_politely(application, window, tmp_path):
    for data, words in (
        (urls(str(tmp_path), str(tmp_path)), "Only chat files or one folder"),
        (urls(QUrl("https://example.com/model")), "Only files and folders of this computer"),
        (urls(QUrl("https://example.com/a"), QUrl("file:///b")), "Only files and folders of this"),
    ):
        assert not drag(window, data)
        assert window.overlay.text.startswith(words)
        assert not drop(window, data)
        assert not window.overlay.isVisible()
    assert application.models.state.phase is Phase.NONE
    assert not application.importing.busy


def test_leaving_takes_the_overlay_away(window, tmp_path):
    drag(window, urls(str(tmp_path)))
    QApplication.sendEvent(window, QDragLeaveEvent())
    assert not window.overlay.isVisible()


# --- window --------------------------------------------------------------------------------------


def test_the_panel_folds_away_in_a_narrow_window(window):
    assert window.panel.isVisible()
    window.resize(1100, 700)
    assert not window.panel.isVisible()
    QTest.mouseClick(window.header.panel, Qt.MouseButton.LeftButton)
    assert window.panel.isVisible()
    assert window.centre.geometry().right() < window.panel.x()
    window.resize(1400, 900)
    assert window.panel.isVisible()
    window.resize(1100, 700)
    assert not window.panel.isVisible()


def test_the_state_of_the_window_comes_back(window):
    window.resize(1300, 700)
    QTest.keyClick(window, Qt.Key.Key_M, CONTROL)
    assert not window.panel.isVisible()
    state = window.state()
    window.resize(1300, 600)
    window.toggle_panel()
    window.restore_state(*state)
    assert window.height() == 700  # the width is cut to the small screen of the test
    assert not window.panel.isVisible()
    assert window.state()[1] is False


@pytest.mark.parametrize("geometry", ["", "00", "feed", "not hex"])
def test_a_damaged_geometry_does_no_harm(window, geometry):
    window.restore_state(geometry, True)
    assert window.width() >= 900


@pytest.mark.parametrize("width", [900, 1179, 1180, 1400])
def test_no_column_overlaps_another(window, width):
    window.resize(width, 600)
    for _ in range(2):
        right = window.panel.x() if window.panel.isVisible() else window.width()
        assert window.sidebar.geometry().right() < window.centre.x()
        assert window.centre.geometry().right() < right
        assert window.centre.width() >= window.centre.minimumSizeHint().width()
        window.toggle_panel()


def test_the_theme_changes_live(application, window):
    for name, colours in (("dark", theme.DARK), ("light", theme.LIGHT)):
        application.preferences.set("theme", name)
        image = window.grab().toImage()
        scale = image.devicePixelRatio()
        for part, colour in (
            (window.sidebar, colours.sidebar),
            (window.centre, colours.background),
            (window.panel, colours.panel),
        ):
            place = part.mapTo(window, QPoint(3, part.height() - 3)) * scale
            assert image.pixelColor(place) == QColor(colour)


def test_keys_reach_their_parts(window):
    QTest.keyClick(window, Qt.Key.Key_K, CONTROL)
    assert window.sidebar.search.hasFocus()
    QTest.keyClick(window, Qt.Key.Key_L, CONTROL)
    assert window.composer.edit.hasFocus()
    for key, modifiers, name in (
        (Qt.Key.Key_F1, Qt.KeyboardModifier.NoModifier, "shortcutsDialog"),
        (Qt.Key.Key_Comma, CONTROL, "settingsDialog"),
    ):
        QTest.keyClick(window, key, modifiers)
        dialog = window.findChild(QWidget, name)
        assert dialog.isVisible()
        dialog.close()


def test_tab_goes_round_and_comes_back(window):
    visited = []
    for _ in range(40):
        focused = QApplication.focusWidget()
        if visited and focused is visited[0]:
            break
        visited.append(focused)
        QTest.keyClick(focused, Qt.Key.Key_Tab)
    assert visited[0] is QApplication.focusWidget()
    names = {widget.accessibleName() for widget in visited}
    assert {"Message", "New chat", "Search chats", "Chats", "Settings"} <= names


def test_closing_keeps_the_draft(qtbot, application, window):
    QTest.keyClicks(window.composer.edit, "not sent")
    told = []
    application.chats.draft_restored.connect(told.append)
    window.close()
    application.chats.new()
    assert told == ["not sent"]


def test_every_control_has_a_name_for_a_screen_reader(qtbot, application, window, stored, tmp_path):
    open_row(qtbot, application, stored[0].id)
    application.models.open(tmp_path)
    window.commanding.show_settings()
    nameless = [
        f"{type(widget).__name__} in {type(widget.parent()).__name__}"
        for widget in window.findChildren(QWidget)
        if isinstance(widget, INTERACTIVE) and not widget.accessibleName() and not _is_inner(widget)
    ]
    assert nameless == []
    window.findChild(QWidget, "settingsDialog").close()


def _is_inner(widget: QWidget) -> bool:
    """Parts that Qt itself puts into a named control."""
    parent = widget.parentWidget()
    while parent is not None:
        if isinstance(parent, (QAbstractSpinBox, QComboBox, QAbstractScrollArea)):
            return parent.accessibleName() != "" and not isinstance(widget, QAbstractButton)
        parent = parent.parentWidget()
    return False


@pytest.mark.parametrize(
    ("screen", "window"),
    [
        ((2560, 1400), (1400, 900)),
        ((1366, 728), (1366, 688)),  # a small laptop with a task bar
        ((800, 600), (900, 600)),  # smaller than the window can be
    ],
)
def test_a_first_window_fits_its_screen(screen, window):
    assert fitting(QSize(*screen)) == QSize(*window)
