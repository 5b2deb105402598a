"""Files for the draft: pasted, chosen, dropped; their chips, their tokens, where they go."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QGuiApplication,
)
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog

from qwen_desktop.bridge.models import ModelState, Phase
from qwen_desktop.chat.attached import attached
from qwen_desktop.chat.draft import Draft
from qwen_desktop.chat.events import PromptCount
from qwen_desktop.chat.messages import Role, user_message
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import Report
from qwen_desktop.ui.file_text import FileTextDialog
from tests.storage.pdfs import pdf
from tests.ui.test_asking import INFO

CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
LONG = "word " * 600


@pytest.fixture
def composer(application, window):
    application.models._set(ModelState(Phase.READY, info=INFO))
    window.composer.focus_edit()
    return window.composer


def paste(composer, text: str, keys=CONTROL):
    QGuiApplication.clipboard().setText(text)
    QTest.keyClick(composer.edit, Qt.Key.Key_V, keys)


def names(composer) -> list[str]:
    return [chip.name for chip in composer.attachments.area.chips]


def read(qtbot, composer) -> None:
    qtbot.waitUntil(lambda: not composer.attachments.reading)


def drag(window, part, *paths):
    """Drag files over a part of the window; let go with the function that comes back."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    at = QPointF(part.mapTo(window, part.rect().center()))
    rest = (Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton)
    none = Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(window, QDragEnterEvent(QPoint(5, 5), *rest, none))
    QApplication.sendEvent(window, QDragMoveEvent(at.toPoint(), *rest, none))
    return lambda: QApplication.sendEvent(window, QDropEvent(at, *rest, none))


def test_long_pasted_text_becomes_a_file_and_can_come_back(composer):
    QTest.keyClicks(composer.edit, "sum up: ")
    paste(composer, LONG)
    paste(composer, LONG.upper())
    assert composer.text() == "sum up: "
    assert names(composer) == ["Pasted text", "Pasted text 2"]
    assert composer.attachments.area.isVisible()
    first = composer.attachments.area.chips[0]
    assert first.detail == "3,000 characters"
    QTest.mouseClick(first, Qt.MouseButton.LeftButton)
    dialog = composer.window().findChild(FileTextDialog)
    assert dialog.text.toPlainText() == LONG
    QTest.mouseClick(dialog.findChild(object, "fileAsText"), Qt.MouseButton.LeftButton)
    assert composer.text() == f"sum up: {LONG}"
    assert names(composer) == ["Pasted text 2"]


def test_short_text_and_text_pasted_as_it_is_come_into_the_field(composer):
    paste(composer, "short")
    paste(composer, LONG, CONTROL | SHIFT)
    assert composer.text() == f"short{LONG}"
    assert names(composer) == []


def test_the_setting_says_what_is_long(application, composer):
    application.preferences.set("paste_as_file", 0)
    paste(composer, LONG)
    assert composer.text() == LONG
    composer.clear()
    application.preferences.set("paste_as_file", 4)
    paste(composer, "12345")
    assert names(composer) == ["Pasted text"]


def test_chips_are_removed_by_mouse_and_by_key_and_the_focus_goes_on(composer):
    composer.set_draft(Draft("x", tuple(attached(n, n) for n in "abc")).written())
    chips = composer.attachments.area.chips
    QTest.mouseClick(chips[0].cross, Qt.MouseButton.LeftButton)
    assert names(composer) == ["b", "c"]
    chips[1].setFocus()
    QTest.keyClick(chips[1], Qt.Key.Key_Delete)
    assert names(composer) == ["c"]
    assert chips[2].hasFocus()
    QTest.keyClick(chips[2], Qt.Key.Key_Backspace)
    assert composer.edit.hasFocus()
    assert not composer.attachments.area.isVisible()


def test_tokens_are_shown_on_the_chips(application, composer):
    composer.set_draft(Draft("", (attached("a.txt", "one"), attached("b.txt", "two"))).written())
    application.chats.counted.emit(PromptCount(100, 50, 1000, 1200, files=(12, 30)))
    chips = composer.attachments.area.chips
    assert [chip.detail for chip in chips] == ["12 tokens", "30 tokens"]
    assert chips[0].accessibleName() == "File a.txt, 12 tokens"


def test_chosen_files_are_read_and_sent(qtbot, application, window, composer, tmp_path):
    (tmp_path / "notes.md").write_text("# Notes")
    (tmp_path / "paper.pdf").write_bytes(pdf("Abstract"))
    QTest.mouseClick(composer.attach, Qt.MouseButton.LeftButton)
    picker = window.findChild(QFileDialog, "attachDialog")
    picker.close()
    QTest.keyClick(composer.edit, Qt.Key.Key_U, CONTROL)
    assert window.findChild(QFileDialog, "attachDialog") is not None
    window.findChild(QFileDialog, "attachDialog").close()
    window.attach.add([tmp_path / "notes.md", tmp_path / "paper.pdf"])
    assert names(composer) == ["notes.md", "paper.pdf"]
    assert not composer.button.isEnabled()
    assert composer.button.toolTip() == "Reading notes.md…"
    assert composer.button.accessibleDescription() == "Reading notes.md…"
    assert composer.hint.text() == "Reading notes.md…"
    read(qtbot, composer)
    assert composer.button.isEnabled()
    QTest.keyClick(composer.edit, Qt.Key.Key_Return)
    (asked,) = (m for m in application.chats.current.tree.path() if m.role is Role.USER)
    assert [(f.name, f.text) for f in asked.files] == [
        ("notes.md", "# Notes"),
        ("paper.pdf", "Abstract"),
    ]
    assert names(composer) == []


def test_dropped_on_the_chat_files_are_attached(qtbot, window, composer, tmp_path):
    for name in ("a.csv", "b.json"):
        (tmp_path / name).write_text('{"x": 1}')
    (tmp_path / "c.png").write_bytes(b"\x89PNG\0")
    drop = drag(window, window.body, tmp_path / "a.csv", tmp_path / "c.png")
    assert window.overlay.text == "Drop to attach"
    drop()
    read(qtbot, composer)
    assert names(composer) == ["a.csv"]
    assert "c.png is no text." in window.banner.label.text()
    drop = drag(window, composer, tmp_path / "b.json")
    assert window.overlay.text == "Drop to attach; a chat is opened"
    drop()
    read(qtbot, composer)
    assert names(composer) == ["a.csv", "b.json"]
    drag(window, window.sidebar, tmp_path / "a.csv")
    assert window.overlay.text == "Drop to open this chat"


def test_pasted_files_are_attached(qtbot, composer, tmp_path):
    (tmp_path / "a.txt").write_text("one")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "a.txt"))])
    QGuiApplication.clipboard().setMimeData(data)
    QTest.keyClick(composer.edit, Qt.Key.Key_V, CONTROL)
    read(qtbot, composer)
    assert names(composer) == ["a.txt"]


def test_files_stay_with_their_conversation(qtbot, application, window, composer):
    talk = Conversation(tree=Tree().added(user_message("hello", None)))
    application.store.submit(lambda store: store.create(talk))
    application.chats.open(talk.id)
    qtbot.waitUntil(lambda: application.chats.current.id == talk.id)
    composer.attachments.add(attached("first.txt", "1"))
    QTest.keyClick(composer.edit, Qt.Key.Key_N, CONTROL)
    assert names(composer) == []
    composer.attachments.add(attached("new.txt", "2"))
    application.chats.open(talk.id)
    qtbot.waitUntil(lambda: application.chats.current.id == talk.id)
    assert names(composer) == ["first.txt"]
    QTest.keyClick(composer.edit, Qt.Key.Key_N, CONTROL)
    assert names(composer) == ["new.txt"]


def test_a_file_that_is_read_late_goes_where_it_was_meant(
    qtbot, application, window, composer, tmp_path
):
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.txt").write_text("two")
    composer.set_text("kept")
    composer.draft_changed.emit("kept")
    window.attach.add([tmp_path / "a.txt", tmp_path / "b.txt"])
    chip = composer.attachments.area.chips[1]
    QTest.mouseClick(chip.cross, Qt.MouseButton.LeftButton)  # nobody wants that one any more
    place = application.chats.draft_place
    window.attach._on_leaving()
    assert names(composer) == []
    assert list(window.attach._elsewhere.values()) == [place]
    qtbot.waitUntil(lambda: not window.attach._elsewhere)
    assert names(composer) == ["a.txt"]


def test_a_message_has_only_so_many_files(window, composer, tmp_path):
    files = tuple(attached(f"{n}.txt", str(n)) for n in range(20))
    composer.set_draft(Draft("", files).written())
    (tmp_path / "a.txt").write_text("one")
    window.attach.add([tmp_path / "a.txt"])
    assert len(names(composer)) == 20
    assert composer.hint.text() == "A message has at most 20 files."
    paste(composer, LONG)
    assert composer.text() == LONG  # nothing of it is lost


def test_a_file_for_a_draft_that_is_full_by_now_is_told_as_one_too_many(
    window, composer, tmp_path, qtbot
):
    files = tuple(attached(f"{n}.txt", str(n)) for n in range(20))
    (tmp_path / "a.txt").write_text("one")
    window.attach.add([tmp_path / "a.txt"])
    composer.attachments.set_files(files)
    read(qtbot, composer)
    assert len(names(composer)) == 20
    assert composer.hint.text() == "A message has at most 20 files."


def test_chips_show_tokens_also_where_nothing_can_be_sent(application, composer):
    composer.set_draft(Draft("", (attached("a.txt", "one"),)).written())
    chip = composer.attachments.area.chips[0]
    assert chip.detail == "3 characters"
    refusal = Report("The prompt has {have} tokens.", values={"have": "9"})
    application.chats.counted.emit(PromptCount(0, 7, 0, 10, files=(7,), refusal=refusal))
    assert chip.detail == "7 tokens"
    assert composer.prompt.text() == "The prompt has 9 tokens."
    assert composer.prompt.tint == "error"
