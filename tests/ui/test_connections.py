"""Connections to servers in the window, with a real server on loopback."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton

from tests.bridge.vaults import vault  # noqa: F401 - a fixture
from tests.engine.remote.fakeserver import KEY, chunk, fake, usage

PATIENCE_MS = 60_000


@pytest.fixture
def server():
    with fake(
        lambda asked: asked.stream(chunk("From afar"), chunk(finish="stop"), usage(7, 2))
    ) as made:
        yield made


@pytest.fixture
def shop(application, vault):  # noqa: F811
    return application


def wait(qtbot, is_so):
    qtbot.waitUntil(lambda: bool(is_so()), timeout=PATIENCE_MS)


def button(dialog, name) -> QPushButton:
    found = dialog.findChild(QPushButton, name)
    assert found is not None
    return found


def connect(shop, qtbot, server):
    """By the dialog, as a user does it; what is kept then."""
    shop.window.actions_by_name["connections"].trigger()
    dialog = shop.window.connecting.dialog
    for field, text in ((dialog.name, "Lab"), (dialog.address, server.address), (dialog.key, KEY)):
        field.clear()
        qtbot.keyClicks(field, text)
    assert not server.seen
    qtbot.mouseClick(button(dialog, "testConnection"), Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: "answered in" in dialog.state.text())
    assert dialog.model.currentText() == "m"
    qtbot.mouseClick(button(dialog, "saveConnection"), Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: shop.connections.entries)
    dialog.close()
    return shop.connections.entries[0].connection


def test_a_chat_goes_to_a_server_and_the_window_says_so(shop, qtbot, server):
    window = shop.window
    made = connect(shop, qtbot, server)
    before = window.empty.line.text()
    assert not window.connecting.chip.isVisible()
    shop.placing.use_server(made.id, "m")
    assert window.empty.line.text() == f"What you send goes to {made.host}."
    assert window.connecting.chip.text() == made.host
    assert made.host in window.connecting.chip.accessibleName()
    assert "m" in window.header.model.text()
    assert not server.asked
    qtbot.keyClicks(window.composer.edit, "Hello")
    qtbot.keyClick(window.composer.edit, Qt.Key.Key_Return)
    wait(qtbot, lambda: server.asked and not shop.chats.run.running)
    wait(qtbot, lambda: shop.chats.current.tree.path()[-1].text == "From afar")
    assert shop.chats.current.tree.path()[-1].provenance.connection == "Lab"
    # A new chat is of this computer again.
    shop.chats.new()
    assert not window.connecting.chip.isVisible()
    assert window.empty.line.text() == before


def test_a_connection_is_removed_and_its_chat_says_so(shop, qtbot, server):
    made = connect(shop, qtbot, server)
    shop.placing.use_server(made.id, "m")
    shop.window.connecting.show_connections()
    dialog = shop.window.connecting.dialog
    qtbot.mouseClick(button(dialog, "removeConnection"), Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: not shop.connections.entries)
    assert shop.window.connecting.chip.text() == "Connection removed"
    dialog.close()
    assert not server.asked


def test_what_is_wrong_with_a_server_is_a_sentence(shop, qtbot, server):
    server.pages["/v1/models"] = lambda asked: asked.json({"error": "no"}, 401)
    shop.window.actions_by_name["connections"].trigger()
    dialog = shop.window.connecting.dialog
    qtbot.keyClicks(dialog.name, "Lab")
    qtbot.keyClicks(dialog.address, server.address)
    qtbot.mouseClick(button(dialog, "testConnection"), Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: "wants a key" in dialog.state.text())
    dialog.close()
