"""The local server in the real window: it shares the open model with the chat."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication

from qwen_desktop.storage.state import StateFile
from tests.engine.checkpoints import chatty_checkpoint

QUESTION = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4, "seed": 1}
LONG = {**QUESTION, "max_tokens": 3000, "loop_guard": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return chatty_checkpoint(tmp_path_factory.mktemp("serve") / "Endless-Chat")


@pytest.fixture
def loaded(application, qtbot, folder):
    application.engine.start()
    application.models.open(folder)
    wait(qtbot, lambda: application.models.state.info is not None)
    return application


@pytest.fixture
def dialog(loaded, qtbot):
    loaded.window.actions_by_name["server"].trigger()
    found = loaded.window.serving.dialog
    found.port.setMinimum(0)
    found.port.setValue(0)  # any free one
    return found


def wait(qtbot, condition):
    qtbot.waitUntil(lambda: bool(condition()), timeout=60_000)


def press(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def started(qtbot, dialog):
    press(qtbot, dialog.go)
    wait(qtbot, lambda: dialog.address.text())
    return dialog.address.text()


class Asking(threading.Thread):
    """One request of another program, and what came of it."""

    def __init__(self, url, path="/chat/completions", body=QUESTION, key=""):
        super().__init__(name="another program")
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        data = json.dumps(body).encode() if body is not None else None
        self._request = urllib.request.Request(url + path, data, headers)
        self.status, self.found = 0, {}
        self.start()

    def run(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self._request, timeout=60) as answer:
                self.status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                self.status, text = error.code, error.read()
        self.found = json.loads(text)

    def ended(self, qtbot):
        wait(qtbot, lambda: not self.is_alive())
        return self


def test_from_start_to_stop(dialog, loaded, qtbot):
    assert "off" in dialog.words.text()
    assert not dialog.copy.isEnabled()
    url = started(qtbot, dialog)
    assert dialog.go.text() == "Stop"
    assert not dialog.port.isEnabled()
    asked = Asking(url).ended(qtbot)
    assert asked.status == 200
    assert asked.found["usage"]["completion_tokens"] == 4
    assert asked.found["model"] == "Endless-Chat"
    wait(qtbot, lambda: dialog.entries.rowCount() == 1)
    texts = [dialog.entries.index(0, column).data() for column in range(6)]
    assert texts[1:3] == ["POST /v1/chat/completions", "200"]
    assert texts[5] == "4"
    press(qtbot, dialog.copy)
    assert QGuiApplication.clipboard().text() == url
    assert dialog.copy.text() == "Copied"
    press(qtbot, dialog.page)
    assert QGuiApplication.clipboard().text() == url.removesuffix("v1")
    press(qtbot, dialog.go)
    wait(qtbot, lambda: "off" in dialog.words.text())
    assert dialog.address.text() == ""
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=5)
    assert started(qtbot, dialog)  # and again
    dialog.accept()
    loaded.window.actions_by_name["server"].trigger()
    again = loaded.window.serving.dialog
    assert again.entries.rowCount() == 1  # the log is still there
    press(qtbot, again.copy_log)
    lines = QGuiApplication.clipboard().text().splitlines()
    assert lines[0].startswith("Time\tPath\tStatus")
    assert "POST /v1/chat/completions\t200" in lines[1]
    press(qtbot, again.clear_log)
    assert again.entries.rowCount() == 0
    assert not again.clear_log.isEnabled()
    again.accept()
    loaded.window.actions_by_name["server"].trigger()
    assert loaded.window.serving.dialog.entries.rowCount() == 0


def test_a_message_waits_for_another_program_and_is_told(dialog, loaded, qtbot):
    url = started(qtbot, dialog)
    view = loaded.window.serving
    asked = Asking(url, body=LONG)
    wait(qtbot, lambda: loaded.serving._begun)
    assert "Answering" in dialog.words.text()
    assert loaded.chats.ask("And I?")
    wait(qtbot, lambda: view.notice is not None and view.notice.isVisible())
    assert "your message is next" in view.notice.text
    loaded.serving.stop()
    assert asked.ended(qtbot).found["error"]["code"] == "stopped"
    wait(qtbot, lambda: not view.notice.text)
    loaded.chats.stop()
    wait(qtbot, lambda: not loaded.chats.run.running)


def test_a_request_waits_for_the_answer_in_the_window(dialog, loaded, qtbot):
    url = started(qtbot, dialog)
    loaded.preferences.set("max_new_tokens", 3000)
    loaded.preferences.set("loop_guard", False)
    assert loaded.chats.ask("A long one")
    wait(qtbot, lambda: loaded.chats.current.tree.path()[-1].text)  # the engine has come to it
    asked = Asking(url)
    wait(qtbot, lambda: "waits for the answer in the window" in dialog.words.text())
    loaded.chats.stop()
    assert asked.ended(qtbot).status == 200


def test_another_checkpoint_does_not_wait_for_strangers(dialog, loaded, qtbot, folder):
    url = started(qtbot, dialog)
    asked = Asking(url, body=LONG)
    wait(qtbot, lambda: loaded.serving._begun)
    loaded.models.open(folder)
    assert asked.ended(qtbot).status == 503
    wait(qtbot, lambda: not loaded.models.state.busy)
    assert Asking(url).ended(qtbot).status == 200


def test_the_key_is_asked_for(dialog, loaded, qtbot, tmp_path):
    assert not dialog.key.isVisible()
    dialog.keyed.click()
    wait(qtbot, lambda: dialog.key.text())
    key = dialog.key.text()
    assert dialog.key.displayText() != key
    dialog.show_key.click()
    assert dialog.key.displayText() == key
    dialog.new_key.click()
    wait(qtbot, lambda: dialog.key.text() != key)
    key = dialog.key.text()
    url = started(qtbot, dialog)
    assert not dialog.new_key.isEnabled()
    assert Asking(url).ended(qtbot).status == 401
    assert Asking(url, key=key).ended(qtbot).status == 200
    press(qtbot, dialog.copy_key)
    assert QGuiApplication.clipboard().text() == key
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or key.encode() not in file.read_bytes()


def test_a_port_that_is_taken_is_told(dialog, qtbot):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as other:
        dialog.port.setValue(other.getsockname()[1])
        press(qtbot, dialog.go)
        wait(qtbot, dialog.trouble.isVisible)
        assert "in use" in dialog.trouble.text()
        assert dialog.go.text() == "Start"
        assert dialog.focusWidget() is dialog.port
        dialog.port.stepUp()
        assert not dialog.trouble.isVisible()


def test_how_it_was_started_is_remembered(dialog, loaded, qtbot):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    dialog.port.setValue(port)
    dialog.keyed.click()
    wait(qtbot, dialog.go.isEnabled)
    started(qtbot, dialog)
    wait(qtbot, lambda: StateFile(loaded.options.profile.state).load().serving_port == port)
    press(qtbot, dialog.go)
    wait(qtbot, lambda: not loaded.serving.state.running)
    dialog.accept()
    loaded.window.actions_by_name["server"].trigger()
    again = loaded.window.serving.dialog
    assert (again.port.value(), again.keyed.isChecked()) == (port, True)
    assert StateFile(loaded.options.profile.state).load().serving_keyed


def test_enter_starts_and_esc_leaves_it_running(dialog, loaded, qtbot):
    dialog.port.setFocus()
    qtbot.keyClick(dialog.port, Qt.Key.Key_Return)
    wait(qtbot, lambda: dialog.address.text())
    qtbot.keyClick(dialog.address, Qt.Key.Key_Escape)
    assert loaded.window.serving.dialog is None
    assert loaded.serving.state.running
    mark = loaded.window.serving.mark
    assert mark.isVisible()  # one sees that it goes on
    assert mark.nextInFocusChain() is loaded.window.sidebar.settings_button
    press(qtbot, mark)
    assert loaded.window.serving.dialog.isVisible()
    loaded.serving.stop()
    wait(qtbot, lambda: not loaded.serving.state.running)
    assert not mark.isVisible()


def test_the_end_of_the_program_is_told_to_all_who_wait(dialog, loaded, qtbot):
    url = started(qtbot, dialog)
    asked = [Asking(url, body=LONG) for _ in range(3)]
    wait(qtbot, lambda: loaded.serving._begun and loaded.serving.state.requests == 3)
    loaded.serving.close()  # this thread waits for the server: nobody else may wait for this one
    for one in asked:
        one.join(60)
        assert one.found["error"]["code"] in ("stopped", "stopping")


def test_a_key_is_read_from_its_beginning(dialog, qtbot):
    dialog.keyed.click()
    wait(qtbot, dialog.go.isEnabled)
    press(qtbot, dialog.show_key)
    assert dialog.key.text().startswith("qd-")
    assert dialog.key.cursorPosition() == 0
    needed = dialog.key.fontMetrics().horizontalAdvance(dialog.key.text())
    assert dialog.key.width() > needed


def test_the_log_opens_at_its_end(application):
    from qwen_desktop.serve.served import Entry

    for number in range(100):
        entry = Entry(time=float(number), method="GET", path="/v1/models", status=200)
        application.serving.served.emit(entry)
    application.window.actions_by_name["server"].trigger()
    log = application.window.serving.dialog.log
    assert log.verticalScrollBar().value() == log.verticalScrollBar().maximum() > 0


def test_without_a_checkpoint_it_says_so(application, qtbot):
    application.window.actions_by_name["server"].trigger()
    dialog = application.window.serving.dialog
    dialog.port.setMinimum(0)
    dialog.port.setValue(0)
    url = started(qtbot, dialog)
    asked = Asking(url).ended(qtbot)
    assert (asked.status, asked.found["error"]["code"]) == (503, "no_model")


def test_nothing_of_a_request_is_in_the_profile(dialog, loaded, qtbot):
    url = started(qtbot, dialog)
    body = {**QUESTION, "messages": [{"role": "user", "content": "Kohlrabi secret"}]}
    assert Asking(url, body=body).ended(qtbot).status == 200
    for _ in loaded.engine._worker.engine.rest():  # cache files, as they are written at rest
        pass
    root = loaded.options.profile.root
    assert not [file for file in (root / "kv-cache").rglob("*") if file.is_file()]
    for file in root.rglob("*"):
        assert not file.is_file() or b"Kohlrabi" not in file.read_bytes()
