"""Connections to servers in the window, with a real server on loopback."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QMenu, QPushButton

from qwen_desktop.errors import Known
from qwen_desktop.ui.answer_facts import server_text
from qwen_desktop.ui.small_dialogs import ConfirmDialog
from tests.bridge.vaults import vault  # noqa: F401 - a fixture
from tests.engine.checkpoints import chatty_checkpoint
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
    form = dialog.form
    for field, text in ((form.name, "Lab"), (form.address, server.address), (form.key, KEY)):
        field.clear()
        qtbot.keyClicks(field, text)
    assert not server.seen
    qtbot.mouseClick(button(dialog, "testConnection"), Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: "answered in" in dialog.state.text())
    assert form.model.currentText() == "m"
    qtbot.mouseClick(button(dialog, "saveConnection"), Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: shop.connections.entries)
    wait(qtbot, lambda: "keyring" in form.key_note.text())
    assert not form.key.text()
    assert form.forget.isEnabled()
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


def choose(window, *words):
    """Choose who answers in the menu of the model's name, by what it says."""
    menu = QMenu(window)
    window.connecting.fill(menu)
    *inner, last = words
    for part in inner:
        menu = next(a.menu() for a in menu.actions() if a.menu() and part in a.text())
    next(a for a in menu.actions() if a.text() == last).trigger()


def test_a_chat_goes_to_a_server_and_comes_back(shop, qtbot, server, tmp_path):
    """Asked here, then there, then here again: nothing goes there that was not agreed to."""
    window, chats = shop.window, shop.chats
    shop.engine.start()
    shop.models.open(chatty_checkpoint(tmp_path / "Endless-Chat"))
    shop.preferences.set("max_new_tokens", 3)
    wait(qtbot, lambda: shop.models.state.info is not None and not shop.models.state.busy)

    def ask(text, count):
        qtbot.keyClicks(window.composer.edit, text)
        qtbot.keyClick(window.composer.edit, Qt.Key.Key_Return)
        wait(qtbot, lambda: len(chats.current.tree.path()) == count and not chats.run.running)
        wait(qtbot, lambda: chats.list.row(chats.current.id) is not None)
        return chats.current.tree.path()[-1]

    assert not server_text(ask("Hello", 2).provenance)
    made = connect(shop, qtbot, server)
    choose(window, "Lab", "m")
    assert chats.list.row(chats.current.id).remote
    qtbot.keyClicks(window.composer.edit, "And you?")
    qtbot.keyClick(window.composer.edit, Qt.Key.Key_Return)
    question = window.findChild(ConfirmDialog)
    assert "2 messages" in question.words.text()
    assert made.host in question.words.text()
    assert not server.asked
    qtbot.mouseClick(question.do_button, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: len(chats.current.tree.path()) == 4 and not chats.run.running)
    said = chats.current.tree.path()[-1]
    assert said.text == "From afar"
    assert server_text(said.provenance) == f"On the server {made.host} (“Lab”)"
    choose(window, "Endless-Chat")
    assert not window.connecting.chip.isVisible()
    assert not server_text(ask("Here again?", 6).provenance)
    assert len(server.asked) == 1
    assert not chats.list.row(chats.current.id).remote
    assert "Endless-Chat" in window.header.model.text()


def test_the_dialog_opens_at_the_connection_that_is_meant(shop, qtbot):
    window = shop.window
    window.actions_by_name["connections"].trigger()
    dialog = window.connecting.dialog
    for count, name in enumerate(("Aye", "Bee", "Cee"), 1):
        qtbot.mouseClick(button(dialog, "newConnection"), Qt.MouseButton.LeftButton)
        qtbot.keyClicks(dialog.form.name, name)
        qtbot.keyClicks(dialog.form.address, "127.0.0.1:9")
        qtbot.mouseClick(button(dialog, "saveConnection"), Qt.MouseButton.LeftButton)
        wait(qtbot, lambda count=count: len(shop.connections.entries) == count)
    dialog.close()
    choose(window, "Bee", "Test the connection to see its models…")
    dialog = window.connecting.dialog
    assert dialog.form.name.text() == dialog.list.currentItem().text() == "Bee"
    dialog.close()
    last = shop.connections.entries[-1].connection
    shop.placing.use_server(last.id, "m")  # it answers this chat
    window.actions_by_name["connections"].trigger()
    assert window.connecting.dialog.form.name.text() == last.name
    window.connecting.dialog.close()


def test_a_connection_is_removed_and_its_chat_says_so(shop, qtbot, server):
    made = connect(shop, qtbot, server)
    shop.placing.use_server(made.id, "m")
    shop.window.connecting.show_connections()
    dialog = shop.window.connecting.dialog
    qtbot.mouseClick(button(dialog, "removeConnection"), Qt.MouseButton.LeftButton)
    question = dialog.findChild(ConfirmDialog)
    assert "“Lab” and its key" in question.words.text()
    qtbot.keyClick(question, Qt.Key.Key_Return)  # Cancel is what Enter presses
    assert shop.connections.entries
    qtbot.mouseClick(button(dialog, "removeConnection"), Qt.MouseButton.LeftButton)
    question = next(q for q in dialog.findChildren(ConfirmDialog) if q.isVisible())
    qtbot.mouseClick(question.do_button, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: not shop.connections.entries)
    assert shop.window.connecting.chip.text() == "Connection removed"
    dialog.close()
    assert not server.asked


def test_what_is_wrong_with_a_server_is_a_sentence(shop, qtbot, server):
    server.pages["/v1/models"] = lambda asked: asked.json({"error": "no"}, 401)
    shop.window.actions_by_name["connections"].trigger()
    dialog = shop.window.connecting.dialog
    qtbot.keyClicks(dialog.form.name, "Lab")
    qtbot.keyClicks(dialog.form.address, server.address)
    qtbot.mouseClick(button(dialog, "testConnection"), Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: "wants a key" in dialog.state.text())
    dialog.close()


def test_an_address_is_told_as_it_is_asked(shop, qtbot):
    shop.window.actions_by_name["connections"].trigger()
    dialog = shop.window.connecting.dialog
    form = dialog.form
    for text, words in (
        ("", ""),
        ("http://", "no address"),
        ("192.168.1.20:8000", "https://192.168.1.20:8000/v1"),
        ("http://192.168.1.20:8000/v1", ""),
        ("http://models.example.com/v1", "Not encrypted"),
        ("https://models.example.com/v1", ""),
    ):
        form.address.setText(text)
        assert (words in form.address_note.text()) if words else not form.address_note.text()
        assert form.address.accessibleDescription() == form.address_note.text()
        assert button(dialog, "testConnection").isEnabled() == (text not in ("", "http://"))
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert not shop.connections.entries  # given up


def test_two_connections_have_two_names(shop, qtbot, server):
    made = connect(shop, qtbot, server)
    shop.window.actions_by_name["connections"].trigger()
    dialog = shop.window.connecting.dialog
    form, save = dialog.form, button(dialog, "saveConnection")
    qtbot.mouseClick(button(dialog, "newConnection"), Qt.MouseButton.LeftButton)
    form.address.setText("https://models.example.com/v1")
    form.name.setText(f"  {made.name} ")
    assert "called so" in form.name_note.text()
    assert not save.isEnabled()
    form.name.setText("Other")
    assert not form.name_note.text()
    assert save.isEnabled()
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)


def test_trouble_with_a_server_leads_to_its_connection(shop, qtbot, server):
    connect(shop, qtbot, server)
    trouble = Known("It does not take the key.", "Enter it in Connections.", code="remote-key")
    shop.window.show_problem(trouble.report())
    wait(qtbot, shop.window.banner.action.isVisible)
    qtbot.mouseClick(shop.window.banner.action, Qt.MouseButton.LeftButton)
    wait(qtbot, shop.window.connecting.dialog.isVisible)
    shop.window.connecting.dialog.close()


def test_models_of_an_address_that_is_not_kept_are_not_kept(shop, qtbot, server):
    made = connect(shop, qtbot, server)
    with fake() as other:
        other.models = {"object": "list", "data": [{"id": "other"}]}
        shop.window.connecting.show_connections()
        dialog = shop.window.connecting.dialog
        dialog.form.address.setText(other.address)
        qtbot.mouseClick(button(dialog, "testConnection"), Qt.MouseButton.LeftButton)
        wait(qtbot, lambda: "other" in dialog.state.text())
        assert [one.name for one in shop.connections.entry(made.id).models] == ["m"]
        qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert shop.connections.get(made.id) == made


def test_keys_go_through_the_dialog(shop, qtbot, server):
    """Enter in a field saves, Esc leaves, and Tab goes down the fields."""
    shop.window.actions_by_name["connections"].trigger()
    dialog = shop.window.connecting.dialog
    form = dialog.form
    wait(qtbot, form.name.hasFocus)
    names = []
    for _ in range(11):
        now = QApplication.focusWidget()
        names.append(now.accessibleName() or now.text())
        qtbot.keyClick(now, Qt.Key.Key_Tab)
    expected = ["Name", "Address", "Server", "Key"]
    assert names[:4] == expected
    assert names[4] == "Default model"
    assert "" not in names
    form.address.setFocus()
    qtbot.keyClicks(form.address, server.address)
    qtbot.keyClick(form.address, Qt.Key.Key_Return)
    assert [e.connection.name for e in shop.connections.entries] == [f"127.0.0.1:{server.port}"]
    assert dialog.isVisible()
    qtbot.keyClick(form.address, Qt.Key.Key_Escape)
    assert not dialog.isVisible()
    assert not server.seen
