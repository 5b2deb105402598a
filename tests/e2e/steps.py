"""What a person does, one start of the program each. Run as a process by test_window.py:

    python -m tests.e2e.steps STEP PROFILE [ARGUMENTS…]

Prints `ok` at the end; a step that meets something else ends with a traceback and what was shown.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QDialog, QFileDialog, QLineEdit, QListView

from qwen_desktop.bridge.models import ModelState
from qwen_desktop.chat.events import Stage
from qwen_desktop.chat.messages import Status
from tests.e2e import answer_steps
from tests.e2e.driver import Driver, say

CONTROL = Qt.KeyboardModifier.ControlModifier


def ask_twice(profile: Path) -> None:
    """The demo checkpoint answers, and a second turn knows the first."""
    driver = Driver(profile)
    driver.wait_ready()
    info = driver.app.models.state.info
    assert info is not None
    assert info.demo is not None
    driver.wait_shown("demo")  # the interface says what it is
    question = info.demo.questions["en"][0]
    driver.click_text(question)
    driver.wait("the question", lambda: question in driver.shown())
    driver.wait_idle()
    (first,) = driver.answers()
    assert len(first) > 20
    driver.wait_shown(_first_words(first))
    used = _context_tokens(driver)

    driver.send("How do I stop an answer?")
    driver.wait("a second answer", lambda: len(driver.answers()) == 2)
    driver.wait_idle()
    assert "Stop" in driver.answers()[1]
    driver.wait_shown("How do I stop an answer?")
    # Everything of the first turn is in the second prompt, and was not read again.
    assert _context_tokens(driver) > used
    stats = driver.app.chats.current.tree.path()[-1].stats
    assert stats is not None
    assert stats.reused_tokens > 0.5 * used
    assert f"{_context_tokens(driver):,}" in driver.shown()
    driver.close()


def conversation_is_there(profile: Path) -> None:
    """After a restart: the list, every message, and going on."""
    driver = Driver(profile)
    driver.wait_shown("How do I stop an answer?")  # readable before the model is there
    driver.wait("both answers", lambda: len(driver.answers()) == 2)
    driver.wait_ready()
    driver.send("What is a token?")
    driver.wait("a third answer", lambda: len(driver.answers()) == 3)
    driver.wait_idle()
    assert "token" in driver.answers()[2].lower()
    driver.click("New chat")
    driver.wait("an empty chat", lambda: not driver.answers())
    driver.close()


def stop_and_go_on(profile: Path, checkpoint: str) -> None:
    """Stop keeps the text; the next message works."""
    driver = Driver(profile, "--checkpoint", checkpoint)
    driver.wait_ready()
    driver.send("go on for ever")
    driver.wait("some text", lambda: driver.answers() and len(driver.answers()[0]) > 50)
    text = driver.answers()[0]
    driver.click("Stop")
    driver.wait_idle()
    message = driver.app.chats.current.tree.path()[-1]
    assert message.status is Status.STOPPED
    assert message.text.startswith(text)
    driver.wait_shown("Stopped")
    driver.send("again")
    driver.wait("a second answer", lambda: len(driver.answers()) == 2 and driver.answers()[1])
    driver.press(Qt.Key.Key_Escape)
    driver.wait_idle()
    assert driver.app.chats.current.tree.path()[-1].status is Status.STOPPED
    driver.close()


def close_in_the_middle(profile: Path, checkpoint: str) -> None:
    """Close the window while an answer is being written."""
    driver = Driver(profile, "--checkpoint", checkpoint)
    driver.wait_ready()
    driver.send("tell me a very long story")
    driver.wait("some text", lambda: driver.answers() and len(driver.answers()[-1]) > 80)
    say(f"had {len(driver.answers()[-1])}")
    driver.close()


def partial_answer_is_there(profile: Path, had: str) -> None:
    """After closing in the middle: what was written is there, and the talk goes on."""
    driver = Driver(profile, "--checkpoint", str(_demo()))
    driver.wait("the partial answer", lambda: driver.answers())
    driver.wait_shown("tell me a very long story")
    message = driver.app.chats.current.tree.path()[-1]
    assert message.status is Status.INTERRUPTED, message.status
    assert len(message.text) >= int(had)
    driver.wait_shown("Interrupted")
    driver.wait_ready()
    driver.send("hello")
    driver.wait("an answer", lambda: len(driver.answers()) == 2 and driver.answers()[1])
    driver.wait_idle()
    driver.close()


def open_folders(profile: Path, first: str, second: str, broken: str) -> None:
    """Ctrl+O, drag and drop; a broken folder leaves the model, the talk and the typed text."""
    driver = Driver(profile)
    driver.wait_ready()
    driver.send("hello")
    driver.wait("an answer", lambda: driver.answers() and driver.answers()[0])
    driver.wait_idle()

    # Nothing was opened before: the picker comes at once, then what there is to say of the folder.
    driver.press(Qt.Key.Key_O, CONTROL)
    _pick_folder(driver, first)
    driver.wait("a folder that can be opened", lambda: _open_button(driver).isEnabled())
    driver.press(Qt.Key.Key_Return, into="Recent checkpoints")
    driver.wait("the chosen folder", lambda: _open_folder(driver) == Path(first))
    driver.wait_shown(Path(first).name)

    driver.drop_folder(Path(second))
    driver.wait("the dropped folder", lambda: _open_folder(driver) == Path(second))

    driver.type("not sent yet")
    driver.to_front()
    driver.press(Qt.Key.Key_O, CONTROL)  # now the dialog, with both of them
    driver.wait("the recent checkpoints", lambda: driver.has("Recent checkpoints"))
    rows = driver.widget("Recent checkpoints", QListView).model()
    names = [rows.index(row, 0).data() for row in range(rows.rowCount())]
    assert names == [Path(second).name, Path(first).name]
    driver.click("Choose folder")
    _pick_folder(driver, broken)
    driver.wait_shown("This folder cannot be opened.")
    assert "config.json" in driver.shown()
    assert not _open_button(driver).isEnabled()
    driver.click("Cancel")
    driver.wait("the end of the dialog", lambda: not driver.has("Recent checkpoints"))

    driver.drop_folder(Path(broken))
    driver.wait_shown("config.json")
    driver.wait_shown(f"{Path(second).name} stays open.")
    assert _open_folder(driver) == Path(second)
    assert "not sent yet" in driver.shown()
    assert "hello" in driver.shown()
    driver.wait_ready()
    driver.press(Qt.Key.Key_Return)
    driver.wait("an answer of the kept model", lambda: len(driver.answers()) == 2)
    driver.wait("some text", lambda: driver.answers()[1])
    driver.click("Stop")
    driver.wait_idle()
    driver.close()


def cancel_a_load(profile: Path, large: str) -> None:
    """A load can be cancelled; the history stays readable and the model before stays open."""
    driver = Driver(profile)
    driver.wait_ready()
    driver.send("hello")
    driver.wait("an answer", lambda: driver.answers() and driver.answers()[0])
    driver.wait_idle()
    before = _open_folder(driver)
    driver.drop_folder(Path(large))
    driver.wait("the Cancel button", lambda: driver.has("Cancel loading"), 20)
    assert "hello" in driver.shown()
    driver.click("Cancel loading")
    driver.wait("the end of the load", lambda: not driver.app.models.state.busy)
    driver.wait_shown("Loading was cancelled. The demo checkpoint stays open.")
    assert _open_folder(driver) == before
    driver.send("thanks")
    driver.wait("an answer", lambda: len(driver.answers()) == 2 and driver.answers()[1])
    driver.wait_idle()
    driver.close()


def open_and_close(profile: Path, checkpoint: str) -> None:
    """A checkpoint is opened; the next start takes it up again."""
    driver = Driver(profile, "--checkpoint", checkpoint)
    driver.wait_ready()
    driver.close()


def load_until_killed(profile: Path) -> None:
    """Reopens the last checkpoint, and says when it is in the middle of reading it."""
    driver = Driver(profile)

    def tell(state: ModelState) -> None:
        if state.progress is not None and state.progress.stage is Stage.READING:
            say("reading")

    driver.app.models.changed.connect(tell)
    driver.wait("the kill", lambda: False, 300)


def not_reopened(profile: Path, checkpoint: str) -> None:
    """After a kill in the middle of a load: the window works, and loads only when asked."""
    driver = Driver(profile)
    driver.wait_shown(f"{Path(checkpoint).name} was not reopened")
    driver.wait("the list", lambda: driver.has("Chats"))
    assert not driver.app.models.state.busy
    assert driver.app.models.request is None
    driver.close()


def opened_by_hand(profile: Path, checkpoint: str) -> None:
    """Nothing was loaded in between, so it is still left alone; the button loads it."""
    driver = Driver(profile)
    driver.wait_shown(f"{Path(checkpoint).name} was not reopened")
    driver.click("Open")
    driver.wait_ready()
    assert _open_folder(driver) == Path(checkpoint)
    driver.close()


def reopened(profile: Path, checkpoint: str) -> None:
    """The last checkpoint is open again."""
    driver = Driver(profile)
    driver.wait_ready()
    assert _open_folder(driver) == Path(checkpoint)
    assert "was not reopened" not in driver.shown()
    driver.close()


def list_by_hand(profile: Path) -> None:
    """Rename, search, delete with undo, in the conversation list."""
    driver = Driver(profile)
    driver.wait_ready()
    for question in ("hello", "what is a token"):
        driver.click("New chat")
        driver.send(question)
        driver.wait("an answer", lambda: driver.answers() and driver.answers()[0])
        driver.wait_idle()
    driver.wait("two rows", lambda: len(driver.app.chats.list.top()) == 2)

    driver.click("Chats")
    row = driver.app.chats.current.id
    sidebar = driver.window.sidebar
    driver.wait("the row that is shown", lambda: sidebar.list.index_of(row).isValid())
    sidebar.view.setCurrentIndex(sidebar.list.index_of(row))  # wherever the click went
    driver.press(Qt.Key.Key_F2, into="Chats")
    editor = driver.window.focusWidget()
    assert isinstance(editor, QLineEdit), editor
    editor.selectAll()
    from PySide6.QtTest import QTest

    QTest.keyClicks(editor, "About tokens")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    driver.wait(
        "the new title", lambda: "About tokens" in [s.title for s in driver.app.chats.list.top()]
    )

    driver.press(Qt.Key.Key_Delete, Qt.KeyboardModifier.ControlModifier, into="Chats")
    driver.wait("one row", lambda: len(driver.app.chats.list.top()) == 1)
    assert "hello" in driver.app.chats.list.top()[0].title
    driver.click_text("Undo")
    driver.wait("two rows again", lambda: len(driver.app.chats.list.top()) == 2)
    driver.wait("the restored talk", lambda: driver.app.chats.current.id == row)
    driver.close()


def refusals(profile: Path) -> None:
    """An empty and a 1 MB message: one sentence, and the typed text stays."""
    driver = Driver(profile)
    driver.wait_ready()
    driver.click("Message")
    driver.press(Qt.Key.Key_Return)
    assert not driver.app.chats.current.tree.messages

    long = "word " * 200_000
    composer = driver.widget("Message")
    composer.setPlainText(long)  # type: ignore[attr-defined]
    driver.press(Qt.Key.Key_Return)
    driver.wait_shown("tokens")
    driver.wait_idle()
    driver.wait("the text back", lambda: composer.toPlainText() == long)  # type: ignore[attr-defined]
    assert not driver.app.chats.current.tree.messages
    assert not driver.app.chats.list.top()
    composer.setPlainText("hello")  # type: ignore[attr-defined]
    driver.press(Qt.Key.Key_Return)
    driver.wait("an answer", lambda: driver.answers() and driver.answers()[0])
    driver.wait_idle()
    driver.close()


def stream_for_ever(profile: Path, checkpoint: str) -> None:
    """Streams until killed, telling at each change how much text has been shown."""
    driver = Driver(profile, "--checkpoint", checkpoint, "--max-new-tokens", "100000")
    shown = driver.app.chats.message_changed
    shown.connect(lambda message: say(f"shown {time.monotonic():.4f} {len(message.text)}"))
    driver.wait_ready()
    driver.click("New chat")
    driver.send(f"question {time.time_ns()}")
    driver.wait("the kill", lambda: False, 300)


def partial_answer_opens(profile: Path) -> None:
    """After many kills the program opens, with every conversation in the list."""
    driver = Driver(profile, "--checkpoint", str(_demo()))
    driver.wait("the list", lambda: len(driver.app.chats.list.top()) == 20)
    driver.wait("the last talk", lambda: driver.answers())
    driver.wait_shown("Interrupted")
    driver.wait_ready()
    driver.send("hello")
    driver.wait("an answer", lambda: len(driver.answers()) == 2 and driver.answers()[1])
    driver.wait_idle()
    driver.close()


def _first_words(markdown: str) -> str:
    plain = markdown.replace("*", "").replace("`", "").splitlines()[0]
    return " ".join(plain.split()[:4])


def _context_tokens(driver: Driver) -> int:
    stats = driver.app.chats.current.tree.path()[-1].stats
    assert stats is not None
    return stats.prompt_tokens + stats.new_tokens


def _open_folder(driver: Driver) -> Path | None:
    info = driver.app.models.state.info
    return info.folder if info and not driver.app.models.state.busy else None


def _demo() -> Path:
    from qwen_desktop.paths import demo_checkpoint

    return demo_checkpoint()


def _pick_folder(driver: Driver, folder: str) -> None:
    """Choose `folder` in the picker, once that is there."""

    def picker() -> QFileDialog | None:
        pickers = [w for w in driver.qt.topLevelWidgets() if isinstance(w, QFileDialog)]
        return next((p for p in pickers if p.isVisible()), None)

    driver.wait("the folder picker", picker)
    shown = picker()
    assert shown is not None
    shown.setDirectory(folder)
    shown.selectFile(folder)
    shown.done(QDialog.DialogCode.Accepted)
    driver.wait("the open dialog", lambda: picker() is None and driver.has("Choose folder"))


def _open_button(driver: Driver) -> QAbstractButton:
    return driver.widget("Open", QAbstractButton)


STEPS = {
    step.__name__: step
    for step in (
        ask_twice,
        conversation_is_there,
        stop_and_go_on,
        close_in_the_middle,
        partial_answer_is_there,
        open_folders,
        cancel_a_load,
        open_and_close,
        load_until_killed,
        not_reopened,
        opened_by_hand,
        reopened,
        list_by_hand,
        refusals,
        stream_for_ever,
        partial_answer_opens,
        *answer_steps.STEPS,
    )
}

if __name__ == "__main__":
    STEPS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
    say("ok")
