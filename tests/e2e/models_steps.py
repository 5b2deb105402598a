"""A chat, then everything about models, downloads and servers, in a process that has no network.

    python -m tests.e2e.models_steps PROFILE

The profile has a download that was under way when the program was killed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e import offline

if TYPE_CHECKING:
    from tests.e2e.driver import Driver

MOMENTS = 25  # turns of the event loop, for what would begin by itself


def look_at_all(profile: Path) -> None:
    """Open every page and dialog, type everything, press nothing that asks a hub; quit."""
    import keyring

    from qwen_desktop.chat.downloads import Stage
    from tests.bridge.vaults import Vault
    from tests.e2e.driver import Driver

    keyring.set_keyring(Vault())
    driver = Driver(profile)
    window, downloads = driver.app.window, driver.app.downloads
    driver.wait_ready()
    driver.send("What is a token?")
    driver.wait("an answer", lambda: driver.answers())
    driver.wait_idle()
    driver.wait("the download of the last run", lambda: len(downloads.entries) == 1)
    assert downloads.entries[0].stage is Stage.PAUSED
    window.shelf.show()
    dialog = window.shelf.dialog
    assert dialog is not None
    for page in dialog.pages:
        window.shelf.show(page)
        _rest(driver)
    window.shelf.show("downloads")
    driver.wait_shown("Paused")
    driver.click("Files (2): Qwen/Tiny")
    get = window.downloading.get("https://huggingface.co/Qwen/Qwen3-8B/tree/main")
    _rest(driver)
    get.hub.setCurrentIndex(1)
    get.revision.setText("v1")
    get.parent_folder.setText(str(profile / "elsewhere"))
    window.downloading.show_access()
    driver.wait_shown("no token")
    for name, value in (("hub", "modelscope"), ("huggingface_address", "http://127.0.0.1:9")):
        driver.app.preferences.set(name, value)
    _look_at_servers(driver)
    window.commanding.show_settings()
    _rest(driver)
    assert downloads.entries[0].stage is Stage.PAUSED
    driver.app.close()


def _look_at_servers(driver: Driver) -> None:
    """Enter a server and choose it for a chat, without Test; open the local server's dialog."""
    window = driver.app.window
    window.connecting.show_connections()
    connections = window.connecting.dialog
    assert connections is not None
    connections.form.name.setText("Lab")
    connections.form.address.setText("http://192.0.2.1:8000/v1")
    connections.form.key.setText("sk-secret")
    _rest(driver)
    connections.save.click()
    connections.accept()
    driver.wait("the connection", lambda: driver.app.connections.entries)
    driver.app.chats.new()
    driver.app.placing.use_server(driver.app.connections.entries[0].connection.id, "m")
    driver.wait("the chip", window.connecting.chip.isVisible)
    driver.app.window.composer.edit.setPlainText("Not sent")
    _rest(driver)
    driver.app.placing.use_checkpoint()
    window.serving.show()
    serving = window.serving.dialog
    assert serving is not None
    serving.keyed.click()
    driver.wait("a key", serving.key.text)
    _rest(driver)
    serving.accept()


def _rest(driver: object) -> None:
    """Let begin what would begin by itself."""
    left = list(range(MOMENTS))
    driver.wait("a moment", lambda: not left or left.pop() == 0)  # type: ignore[attr-defined]


if __name__ == "__main__":
    offline.forbid()
    look_at_all(Path(sys.argv[1]))
    print("ok")
