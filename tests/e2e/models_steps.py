"""A chat, then everything about models and downloads, in a process that has no network.

    python -m tests.e2e.models_steps PROFILE

The profile has a download that was under way when the program was killed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.e2e import offline

MOMENTS = 25  # turns of the event loop, for what would begin by itself


def look_at_all(profile: Path) -> None:
    """Open every page and dialog, type everything, press nothing that asks a hub; quit."""
    from qwen_desktop.chat.downloads import Stage
    from tests.e2e.driver import Driver

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
    window.commanding.show_settings()
    _rest(driver)
    assert downloads.entries[0].stage is Stage.PAUSED
    driver.app.close()


def _rest(driver: object) -> None:
    """Let begin what would begin by itself."""
    left = list(range(MOMENTS))
    driver.wait("a moment", lambda: not left or left.pop() == 0)  # type: ignore[attr-defined]


if __name__ == "__main__":
    offline.forbid()
    look_at_all(Path(sys.argv[1]))
    print("ok")
