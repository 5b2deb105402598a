"""Files come in through the window: dropped, chosen, named; and what the dialog says of it."""

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog

from qwen_desktop.chat.importing import Outcome, Progress, Result
from qwen_desktop.errors import Known
from qwen_desktop.storage import conversation_json
from qwen_desktop.storage.imports.files import Reader
from qwen_desktop.ui.checkpoints import QT_DIALOGS
from qwen_desktop.ui.import_dialog import ImportDialog

FIXTURES = Path(__file__).parent.parent / "storage" / "imports" / "fixtures"
TIDES = FIXTURES / "1755014461974.conversation.json"
CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


def drop(widget, *paths, on=None):
    """Drag files over a widget, or a part of it, and let go; whether they were taken."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    at, action = (on or widget).geometry().center(), Qt.DropAction.CopyAction
    at -= widget.pos() if on is None else QPoint(0, 0)
    button, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(widget, QDragEnterEvent(QPoint(at), action, data, button, keys))
    event = QDropEvent(QPointF(at), action, data, button, keys)
    QApplication.sendEvent(widget, event)
    return event.isAccepted()


def dialog_of(window) -> ImportDialog | None:
    found = [one for one in window.findChildren(ImportDialog) if one.isVisible()]
    return found[0] if found else None


def wait_for_dialog(qtbot, window) -> ImportDialog:
    qtbot.waitUntil(lambda: dialog_of(window) is not None)
    dialog = dialog_of(window)
    qtbot.waitUntil(lambda: dialog.pages.currentIndex() == 2)
    return dialog


def titles(application):
    return {row.title for row in application.chats.list.top() or ()}


def test_a_dropped_conversation_is_shown(qtbot, application, window):
    assert drop(window, TIDES)
    qtbot.waitUntil(lambda: window.header.title.text() == "Tides")
    assert application.chats.current.tree.path()[0].text == "Why two tides a day?"
    qtbot.waitUntil(lambda: "Tides" in titles(application))
    assert window.toast.isVisible()
    assert "harbour.png" in window.toast.label.accessibleName()
    assert dialog_of(window) is None


def test_our_own_file_is_shown_with_its_versions(qtbot, application, window, tmp_path):
    record = next(iter(Reader([FIXTURES / "chatgpt.json"]))).record
    file = tmp_path / "bread.qwenchat.json"
    file.write_bytes(conversation_json.encoded(record))
    drop(window, file)
    qtbot.waitUntil(lambda: window.header.title.text() == "Sourdough schedule")
    assert application.chats.current == record.conversation
    # Opened once more it is the same one, and nothing is said of it.
    window.toast.dismiss()
    application.chats.new()
    drop(window, file)
    qtbot.waitUntil(lambda: application.chats.current.id == record.conversation.id)
    assert not window.toast.isVisible()


def test_several_files_are_imported_with_a_list_of_what_came_in(qtbot, application, window):
    assert drop(window, FIXTURES / "openai.json", FIXTURES / "sharegpt.jsonl")
    dialog = wait_for_dialog(qtbot, window)
    assert dialog.summary.text() == "3 added · 1 not imported"
    entries = dialog.table.entries
    assert entries.entry(0).outcome is Outcome.REJECTED
    assert "This is not JSON" in dialog.notes.text()
    QTest.mouseClick(dialog.copy_button, Qt.MouseButton.LeftButton)
    copied = QGuiApplication.clipboard().text()
    assert "3 added · 1 not imported" in copied
    assert "Not imported\t\tsharegpt.jsonl #2\tThis is not JSON" in copied
    assert copied.count("Added\t") == 3
    qtbot.waitUntil(lambda: titles(application) == {"Name a prime.", "One?", "Two?"})


def test_a_row_of_the_list_leads_to_its_conversation(qtbot, application, window):
    drop(window, FIXTURES / "sharegpt.jsonl")
    dialog = wait_for_dialog(qtbot, window)
    dialog.table.selectRow(2)
    dialog.table.setFocus()
    QTest.keyClick(dialog.table, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: window.header.title.text() == "Two?")
    assert dialog_of(window) is None


def test_undo_takes_it_all_back(qtbot, application, window):
    drop(window, FIXTURES / "sharegpt.jsonl")
    dialog = wait_for_dialog(qtbot, window)
    qtbot.waitUntil(lambda: titles(application) == {"One?", "Two?"})
    QTest.mouseClick(dialog.undo_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: titles(application) == set())
    qtbot.waitUntil(lambda: application.chats.list.shape.deleted == 2)


def test_a_file_that_is_none_is_told_in_a_sentence(qtbot, application, window, tmp_path):
    file = tmp_path / "picture.png"
    file.write_bytes(b"\x89PNG\r\n\0\0")
    drop(window, file, on=window.sidebar)
    qtbot.waitUntil(window.banner.isVisible)
    assert "picture.png holds no chat" in window.banner.label.text()
    assert "LM Studio" in window.banner.label.text()
    assert dialog_of(window) is None


def test_files_of_another_start_are_opened(qtbot, application, window):
    application.open_files((TIDES,))
    qtbot.waitUntil(lambda: window.header.title.text() == "Tides")


@pytest.fixture
def qt_dialogs(monkeypatch):
    monkeypatch.setenv(QT_DIALOGS, "1")


def picker_of(parent) -> QFileDialog | None:
    found = [one for one in parent.findChildren(QFileDialog) if one.isVisible()]
    return found[0] if found else None


def test_a_key_chooses_a_conversation_to_open(qtbot, application, window, qt_dialogs):
    QTest.keyClick(window, Qt.Key.Key_O, CONTROL | SHIFT)
    qtbot.waitUntil(lambda: picker_of(window) is not None)
    picker = picker_of(window)
    assert picker.fileMode() is QFileDialog.FileMode.ExistingFiles
    picker.selectFile(str(TIDES))
    picker.accept()
    qtbot.waitUntil(lambda: window.header.title.text() == "Tides")


def test_a_key_leads_to_importing(qtbot, application, window, qt_dialogs):
    QTest.keyClick(window, Qt.Key.Key_I, CONTROL | SHIFT)
    qtbot.waitUntil(lambda: dialog_of(window) is not None)
    dialog = dialog_of(window)
    QTest.keyClick(dialog.choose_files, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: picker_of(dialog) is not None)
    picker = picker_of(dialog)
    picker.selectFile(str(FIXTURES / "openwebui.json"))
    picker.accept()
    qtbot.waitUntil(lambda: dialog.pages.currentIndex() == 2)
    assert dialog.summary.text() == "2 added"
    assert application.chats.current.tree.head is None  # imported, not opened
    dialog.accept()


def test_a_folder_can_be_imported_and_files_dropped_on_the_dialog(
    qtbot, application, window, qt_dialogs
):
    window.incoming.choose_import()
    dialog = dialog_of(window)
    QTest.mouseClick(dialog.choose_folder, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: picker_of(dialog) is not None)
    picker = picker_of(dialog)
    assert picker.fileMode() is QFileDialog.FileMode.Directory
    picker.reject()
    assert drop(dialog, FIXTURES / "jan")
    qtbot.waitUntil(lambda: dialog.pages.currentIndex() == 2)
    assert dialog.summary.text() == "2 added"
    QTest.mouseClick(dialog.more_button, Qt.MouseButton.LeftButton)
    assert dialog.choose_files.isVisible()
    dialog.accept()


def test_an_import_goes_on_when_its_dialog_is_closed(qtbot, application, window, tmp_path):
    file = tmp_path / "many.jsonl"
    turn = '{"conversations": [{"from": "human", "value": "%d?"}]}'
    file.write_text("\n".join(turn % at for at in range(300)))
    window.incoming.choose_import()
    application.importing.start([file])
    dialog_of(window).accept()
    qtbot.waitUntil(lambda: not application.importing.busy, timeout=20_000)
    qtbot.waitUntil(window.toast.isVisible)
    assert window.toast.label.accessibleName() == "300 added"


# -- the dialog by itself ------------------------------------------------------------------------


@pytest.fixture
def dialog(qtbot, looks):
    made = ImportDialog()
    made.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    qtbot.addWidget(made)
    made.show()
    return made


def test_the_dialog_says_what_can_be_imported(dialog):
    words = " ".join(label.text() for label in dialog.findChildren(type(dialog.working)))
    for name in ("ChatGPT", "Open WebUI", "LM Studio", "Jan", "ShareGPT", ".qwenchat.json"):
        assert name in words
    assert dialog.choose_files.hasFocus()


def test_progress_and_cancelling(dialog, qtbot):
    dialog.show_progress(Progress())
    assert dialog.working.text() == "Reading…"
    dialog.show_progress(Progress("a.json", 5, 10, 3))
    assert dialog.working.text() == "Chats so far: 3"
    assert dialog.bar.value() == 500
    with qtbot.waitSignal(dialog.cancel_requested):
        QTest.mouseClick(dialog.cancel_button, Qt.MouseButton.LeftButton)
    dialog.show_result(Result(cancelled=True))
    assert dialog.summary.text() == "Nothing was imported"
    assert "cancelled" in dialog.trouble.text()
    assert not dialog.undo_button.isVisible()


def test_trouble_is_told(dialog):
    dialog.show_result(Result(trouble=Known("The disk is full.", "Free some space.").report()))
    assert dialog.trouble.text() == "The disk is full. Free some space."


def test_every_control_has_a_name(dialog):
    dialog.show_result(Result())
    for button in (
        dialog.choose_files,
        dialog.choose_folder,
        dialog.copy_button,
        dialog.more_button,
        dialog.undo_button,
        dialog.cancel_button,
        dialog.table,
        dialog.bar,
    ):
        assert button.accessibleName()
