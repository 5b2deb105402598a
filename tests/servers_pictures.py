"""Pictures of servers: connections, a chat that one answers, and the local server."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING

import keyring

from tests.bridge.vaults import Vault
from tests.engine.remote.fakeserver import KEY, FakeServer, chunk, fake, usage
from tests.window_pictures import settle, top

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from qwen_desktop.ui.connections_dialog import ConnectionsDialog
    from tests.e2e.driver import Driver

Save = Callable[["QWidget", str], None]
Picture = Callable[[str], None]

MODELS = ("Qwen3-235B-A22B-Instruct", "Qwen3-32B", "QwQ-32B")
_ANSWER = "A model of this size is shared by the cards of several hosts; the chat stays the same."
_BUSY = (
    b"vllm:gpu_cache_usage_perc 0.93\nvllm:num_requests_running 3\nvllm:num_requests_waiting 1\n"
)


def take_servers(driver: Driver, picture: Picture, save: Save) -> None:
    """A server on loopback that says it is vLLM and busy; a keyring in memory."""
    keyring.set_keyring(Vault())
    listed = [{"id": name, "owned_by": "vllm", "max_model_len": 131_072} for name in MODELS]
    pieces = [chunk(_ANSWER[at : at + 9]) for at in range(0, len(_ANSWER), 9)]
    with fake(lambda x: x.stream(*pieces, chunk(finish="stop"), usage(48, 21))) as server:
        server.models = {"object": "list", "data": listed}
        server.pages["/metrics"] = lambda x: x.send(_BUSY, "text/plain")
        _take_connections(driver, save, server)
        _take_chat(driver, picture, save)
    _take_local(driver, save)


def _dialog(driver: Driver) -> ConnectionsDialog:
    driver.window.connecting.show_connections()
    dialog: ConnectionsDialog | None = driver.window.connecting.dialog
    assert dialog is not None
    settle(driver)
    return dialog


def _take_connections(driver: Driver, save: Save, server: FakeServer) -> None:
    save(_dialog(driver), "connections-empty")
    for name in ("Office", "Lab"):
        _add(driver, name, server)
    dialog = _dialog(driver)
    dialog.test.click()
    driver.wait("the end of the test", lambda: not dialog._job)
    settle(driver)
    save(dialog, "connections")
    dialog = _dialog(driver)
    server.pages["/v1/models"] = lambda x: x.json({"error": "no"}, 401)
    dialog.test.click()
    driver.wait("the end of the test", lambda: not dialog._job)
    del server.pages["/v1/models"]
    dialog.form.address.setText("http://models.example.com")
    settle(driver)
    save(dialog, "connections-failed")


def _add(driver: Driver, name: str, server: FakeServer) -> None:
    dialog = _dialog(driver)
    dialog.new.click()
    dialog.form.name.setText(name)
    dialog.form.address.setText(server.address)
    dialog.form.key.setText(KEY)
    dialog.test.click()
    driver.wait("the models", lambda: dialog.form.models)
    dialog.save.click()
    driver.wait("the key", dialog.form.forget.isEnabled)
    dialog.accept()


def _take_chat(driver: Driver, picture: Picture, save: Save) -> None:
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    app = driver.app
    chat = next(row.id for row in app.chats.list.top() if row.title.startswith("SQL"))
    app.chats.open(chat)
    driver.wait("the chat", lambda: app.chats.current.id == chat and driver.answers())
    entry = app.connections.entries[0]
    app.placing.use_server(entry.connection.id, MODELS[0])
    settle(driver)
    driver.window.composer.edit.setPlainText("And on several cards?")
    QTest.keyClick(driver.window.composer.edit, Qt.Key.Key_Return)
    save(top(driver, "confirmDialog"), "server-consent")
    app.placing.agree()
    driver.window.asking.again()
    driver.wait("the answer", lambda: driver.answers()[-1] == _ANSWER)
    driver.wait_idle()
    view = driver.window.connecting.view
    assert view is not None
    driver.wait("its KV use", view.bar.isVisible)
    picture("server-chat")
    app.placing.use_checkpoint()


def _take_local(driver: Driver, save: Save) -> None:
    driver.window.serving.show()
    dialog = driver.window.serving.dialog
    assert dialog is not None
    settle(driver)
    dialog.keyed.click()
    driver.wait("a key", dialog.key.text)
    save(dialog, "server-off")
    driver.window.serving.show()
    dialog = driver.window.serving.dialog
    assert dialog is not None
    dialog.port.setMinimum(0)
    dialog.port.setValue(0)
    dialog.go.click()
    driver.wait("its address", dialog.address.text)
    body = b'{"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}'
    for path, data in (("/v1/models", None), ("/v1/chat/completions", body), ("/", None)):
        rows = dialog.entries.rowCount()
        asking = threading.Thread(target=_ask, args=(driver.app.serving.state.address + path, data))
        asking.start()
        driver.wait("a row", lambda rows=rows: dialog.entries.rowCount() > rows)
        asking.join()
    settle(driver)
    save(dialog, "server-running")
    driver.app.serving.stop()
    driver.wait("its end", lambda: not driver.app.serving.state.running)


def _ask(url: str, data: bytes | None) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with opener.open(request, timeout=60) as answer:
        answer.read()
