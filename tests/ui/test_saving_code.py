"""A block of code becomes a file, from the real window."""

import os
from pathlib import Path

import pytest
from PySide6.QtWidgets import QAbstractButton, QFileDialog, QLabel, QLineEdit

from qwen_desktop.chat.messages import Message, Part, PartKind, Role, user_message
from qwen_desktop.ui.checkpoints import QT_DIALOGS


@pytest.fixture
def picker(window, qtbot, monkeypatch):
    """The dialog that asks where to save the one block that is shown."""
    monkeypatch.setenv(QT_DIALOGS, "1")
    window.timeline.set_messages(
        [
            user_message("q", None),
            Message(Role.ASSISTANT, (Part(PartKind.TEXT, "```python\nx = '🎉'\n```"),)),
        ]
    )
    window.timeline.show()
    (save,) = (
        one
        for one in window.timeline.findChildren(QAbstractButton)
        if one.accessibleName() == "Save code as…"
    )
    save.click()
    qtbot.waitUntil(lambda: bool(window.findChildren(QFileDialog, "codeTarget")))
    return window.findChildren(QFileDialog, "codeTarget")[0]


def accept(picker, file: Path) -> None:
    picker.setDirectory(str(file.parent))
    picker.findChild(QLineEdit, "fileNameEdit").setText(file.name)
    picker.accept()


def test_code_is_written_whole(window, qtbot, picker, tmp_path):
    assert Path(picker.selectedFiles()[0]).name == "code.py"
    accept(picker, tmp_path / "out.py")
    qtbot.waitUntil(lambda: window.toast.label.text() == "Saved “out.py”")
    assert (tmp_path / "out.py").read_bytes() == "x = '🎉'\n".encode()
    assert [one.name for one in tmp_path.iterdir() if one.suffix == ".tmp"] == []


def test_a_refusal_is_said(window, qtbot, picker, tmp_path):
    def refused() -> bool:
        return any("out.py" in label.text() for label in window.findChildren(QLabel))

    blocked = tmp_path / f"out.py.{os.getpid()}.tmp"
    blocked.mkdir()  # where the file would be written before it takes its place
    accept(picker, tmp_path / "out.py")
    qtbot.waitUntil(refused)
    assert not (tmp_path / "out.py").exists()
