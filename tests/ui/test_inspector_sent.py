"""The inspector of a chat that a server answers, in the real window."""

from __future__ import annotations

import json

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication

from tests.bridge.vaults import vault  # noqa: F401 - a fixture
from tests.engine.remote.fakeserver import KEY
from tests.ui.test_connections import connect, server, shop, wait  # noqa: F401 - fixtures


def test_the_inspector_shows_messages_and_settings(shop, qtbot, server):  # noqa: F811
    window = shop.window
    made = connect(shop, qtbot, server)
    shop.preferences.set("system_prompt", "Be <b>brief</b>")
    shop.placing.use_server(made.id, "m")
    window.actions_by_name["inspect"].trigger()
    dialog = window.inspection.open[""]
    window.composer.set_draft("What is rain?")
    wait(qtbot, lambda: dialog.sent is not None and "rain" in dialog.sent.body)
    view = dialog.messages
    assert dialog.pages.currentWidget() is view
    assert view.text.toPlainText() == "What is rain?"
    rows = [view.list.item(row).text() for row in range(view.list.count())]
    assert [row.partition(" ·")[0] for row in rows] == [
        "Settings of the request",
        "System prompt",
        "User",
    ]
    qtbot.keyClick(view.list, Qt.Key.Key_Home)
    assert f"POST {server.address}/chat/completions" in view.text.toPlainText()
    assert '"stream": true' in view.text.toPlainText()
    assert KEY not in view.text.toPlainText() + dialog.facts.text()
    qtbot.keyClick(view.list, Qt.Key.Key_Down)
    assert view.text.toPlainText() == "Be <b>brief</b>"
    assert "only it knows" in dialog.notes.text()
    assert dialog.search.isHidden()
    assert dialog.copy_ids.isHidden()
    qtbot.mouseClick(dialog.copy_json, Qt.MouseButton.LeftButton)
    assert json.loads(QGuiApplication.clipboard().text())["messages"][1]["content"].startswith("W")
    shop.placing.use_checkpoint()
    wait(qtbot, lambda: dialog.sent is None)
    assert not dialog.search.isHidden()
    dialog.close()
