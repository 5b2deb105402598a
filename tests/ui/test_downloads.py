"""Downloads in the real window, against a real hub on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QLineEdit, QPushButton

from qwen_desktop.chat.downloads import Stage
from qwen_desktop.chat.hub import Hub
from qwen_desktop.chat.hub_address import parse
from tests.engine.checkpoints import make_checkpoint
from tests.hub.conftest import bare, hub  # noqa: F401 - fixtures
from tests.hub.contents import noise

TINY, LARGE = "Qwen/Tiny", "Qwen/Large"
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("tiny") / "Tiny")


@pytest.fixture
def shop(application, hub, checkpoint):  # noqa: F811
    files = {file.name: file for file in checkpoint.iterdir() if file.is_file()}
    hub.add(TINY, {**files, "pytorch_model.bin": noise(100)})
    hub.add(LARGE, {"config.json": b"{}", "model.safetensors": noise(2_000_000)})
    application.preferences.set("huggingface_address", hub.endpoint)
    application.preferences.set("modelscope_address", hub.endpoint)
    application.downloads.start_reading()
    return application


def wait(qtbot, is_so):
    qtbot.waitUntil(lambda: bool(is_so()), timeout=PATIENCE_MS)


def get(shop, qtbot, name):
    """Through the dialog, as a user does it; the row of the page."""
    shop.window.actions_by_name["get"].trigger()
    dialog = shop.window.findChild(QDialog, "getDialog") or shop.window.shelf.dialog.findChild(
        QDialog, "getDialog"
    )
    dialog.name.selectAll()
    qtbot.keyClicks(dialog.name, name)
    qtbot.keyClick(dialog.name, Qt.Key.Key_Return)
    wait(qtbot, lambda: dialog.download.isEnabled())
    qtbot.mouseClick(dialog.download, Qt.MouseButton.LeftButton)
    page = shop.window.shelf.dialog.pages["downloads"]
    return next(row for row in page.rows.values() if row.entry.name == name)


def test_no_hub_is_asked_before_the_button_is_pressed(shop, hub, qtbot):  # noqa: F811
    dialog = shop.window.downloading.get("Qwen/Tiny")
    dialog.hub.setCurrentIndex(1)
    qtbot.keyClicks(dialog.revision, "main")
    dialog.parent_folder.setText("/tmp")
    shop.window.shelf.show("downloads")
    shop.window.downloading.show_access()
    qtbot.waitUntil(lambda: not dialog._pause.isActive())
    assert "is asked when you press" in dialog.facts.text()
    assert not dialog.download.isEnabled()
    assert hub.log == []
    dialog.close()


@pytest.mark.parametrize("kind", list(Hub))
def test_what_would_be_fetched_is_shown_first(shop, hub, qtbot, kind):  # noqa: F811
    dialog = shop.window.downloading.get(f"{TINY}", kind)
    qtbot.mouseClick(dialog.look, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: dialog.download.isEnabled())
    texts = {row[0]: row[2] for row in dialog.files.files.rows}
    assert texts["model.safetensors"] == "Is fetched"
    assert texts["pytorch_model.bin"].startswith("Left out")
    assert f"on {kind.label}" in dialog.facts.text()
    assert "Licence" in dialog.facts.text()
    assert "are free" in dialog.room.text()
    assert hub.asked("bytes") == [] or not any("safetensors" in s.file for s in hub.log)
    # Another folder: looked at without the hub.
    asked = len(hub.log)
    other = shop.options.profile.root / "elsewhere"
    dialog.parent_folder.setText(str(other))
    wait(qtbot, lambda: str(other) in dialog.room.text() and dialog.download.isEnabled())
    assert len(hub.log) == asked
    dialog.name.setText("Qwen/Other")
    assert not dialog.download.isEnabled()
    dialog.close()


def test_from_the_name_to_an_open_dialog(shop, hub, qtbot):  # noqa: F811
    window = shop.window
    row = get(shop, qtbot, TINY)
    wait(qtbot, lambda: window.toast.isVisible())
    assert window.toast.label.text() == f"{TINY} is here."
    assert row.entry.stage is Stage.DONE
    assert row.go.isHidden()
    assert row.opener.accessibleName() == f"Open: {TINY}"
    assert shop.recents.entries[0].name == "Tiny"
    qtbot.mouseClick(window.toast.action_button, Qt.MouseButton.LeftButton)
    assert window.findChild(QDialog, "openDialog").isVisible()
    window.findChild(QDialog, "openDialog").close()
    row.remove.click()
    assert shop.downloads.entries == ()
    assert (row.entry.folder / "config.json").is_file()


def test_pause_resume_and_a_word_in_the_header(shop, hub, qtbot):  # noqa: F811
    hub.misbehave("hold", file="*.safetensors", at=1_200_000)
    row = get(shop, qtbot, LARGE)
    wait(qtbot, lambda: row.entry.done > 1_000_000)
    button = shop.window.downloading.button
    assert button.isVisible()
    wait(qtbot, lambda: button.text() == "60 %")
    assert button.accessibleName() == "Downloads: 60 %"
    shop.window.shelf.dialog.close()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    page = shop.window.shelf.dialog.pages["downloads"]
    row = next(iter(page.rows.values()))
    assert "1.1 MiB of 1.9 MiB" in row.amount.text()
    row.details.click()
    assert [file.path for file in row.files._shown] == ["config.json", "model.safetensors"]
    qtbot.keyClick(row.go, Qt.Key.Key_Space)
    wait(qtbot, lambda: row.entry.stage is Stage.PAUSED)
    assert row.state.text() == "Paused"
    assert not button.isVisible()
    assert page.resume_all.isVisible()
    hub.heal()
    qtbot.mouseClick(page.resume_all, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: row.entry.stage is Stage.DONE)
    assert page.resume_all.isHidden()


def test_cancel_asks_what_becomes_of_the_files(shop, hub, qtbot):  # noqa: F811
    hub.misbehave("hold", file="*.safetensors", at=1_200_000)
    row = get(shop, qtbot, LARGE)
    wait(qtbot, lambda: row.entry.done > 1_000_000)
    page = shop.window.shelf.dialog.pages["downloads"]
    row.remove.click()
    question = page.findChild(QDialog, "cancelDownload")
    question.findChild(QPushButton, "cancel").click()
    assert row.entry.stage is Stage.RUNNING
    folder = row.entry.folder
    row.remove.click()
    question = next(d for d in page.findChildren(QDialog, "cancelDownload") if d.isVisible())
    question.findChild(QPushButton, "deleteFiles").click()
    wait(qtbot, lambda: not shop.downloads.entries)
    wait(qtbot, lambda: not folder.exists())
    assert not page.empty.isHidden()


def test_trouble_is_told_with_retry(shop, hub, qtbot):  # noqa: F811
    fault = hub.misbehave("status", on="resolve", file="model.safetensors", status=404, times=0)
    row = get(shop, qtbot, LARGE)
    wait(qtbot, lambda: row.entry.stage is Stage.FAILED)
    assert row.go.text() == "Retry"
    assert row.state.tint == "error"
    banner = shop.window.banner
    assert LARGE in banner.label.text()
    assert fault.used
    row.resume.emit(row.entry.id)  # in the page: what the banner says is old news
    wait(qtbot, lambda: banner.isHidden())
    wait(qtbot, lambda: row.entry.stage is Stage.FAILED)
    hub.heal()
    qtbot.mouseClick(banner.action, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: row.entry.stage is Stage.DONE)
    wait(qtbot, lambda: "does not open" in row.state.text())  # a config.json without a model


def test_leaving_asks_while_something_downloads(shop, hub, qtbot):  # noqa: F811
    hub.misbehave("hold", file="*.safetensors", at=1_200_000)
    row = get(shop, qtbot, LARGE)
    wait(qtbot, lambda: row.entry.done > 1_000_000)
    window = shop.window
    window.close()
    assert window.isVisible()
    question = window.findChild(QDialog, "confirmDialog")
    question.findChild(QPushButton, "cancel").click()
    assert row.entry.stage is Stage.RUNNING
    window.close()
    question = next(d for d in window.findChildren(QDialog, "confirmDialog") if d.isVisible())
    question.findChild(QPushButton, "doIt").click()
    qtbot.waitUntil(lambda: not window.isVisible())


def test_a_signal_of_the_system_is_not_asked_back(shop, hub, qtbot):  # noqa: F811
    hub.misbehave("hold", file="*.safetensors", at=1_200_000)
    row = get(shop, qtbot, LARGE)
    wait(qtbot, lambda: row.entry.done > 1_000_000)
    shop.window.downloading.stop_asking()
    shop.window.close()
    assert not shop.window.isVisible()


def test_a_repository_that_is_not_there_is_told(shop, hub, qtbot):  # noqa: F811
    dialog = shop.window.downloading.get("Qwen/Nothing")
    dialog.look.click()
    wait(qtbot, lambda: dialog.facts.tint == "error")
    assert "Qwen/Nothing" in dialog.facts.text()
    dialog.name.setText("nothing at all")
    dialog.look.click()
    assert "does not name a repository" in dialog.facts.text()
    dialog.close()


def test_a_pasted_address_chooses_its_hub(shop, hub, qtbot):  # noqa: F811
    dialog = shop.window.downloading.get("https://www.modelscope.cn/models/Qwen/Tiny")
    assert dialog.hub.currentText() == "ModelScope"
    dialog.name.setText("https://huggingface.co/Qwen/Tiny")
    assert dialog.hub.currentText() == "Hugging Face"
    assert hub.log == []
    dialog.close()


@pytest.mark.parametrize("typed", ["models", "~nobody-here/models"])
def test_a_folder_is_the_same_wherever_the_program_was_started(
    shop,
    hub,  # noqa: F811
    qtbot,
    typed,
):
    dialog = shop.window.downloading.get(TINY)
    dialog.parent_folder.setText(typed)
    qtbot.mouseClick(dialog.look, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: dialog.download.isEnabled())
    assert str(Path.home() / typed) in dialog.room.text()
    dialog.close()
    shop.preferences.set("models_folder", typed)
    assert shop.downloads.models_folder == Path.home() / typed


def test_everything_is_named_and_reached_by_keys(shop, hub, qtbot):  # noqa: F811
    hub.misbehave("hold", file="*.safetensors", at=1_200_000)
    row = get(shop, qtbot, LARGE)
    page = shop.window.shelf.dialog.pages["downloads"]
    names = [b.accessibleName() for b in (row.go, row.reveal, row.remove, row.details)]
    assert names == [
        f"Pause: {LARGE}",
        f"Show folder: {LARGE}",
        f"Cancel…: {LARGE}",
        f"Files (2): {LARGE}",
    ]
    assert row.bar.accessibleName() == f"Progress of {LARGE}"
    for widget in (page.get, page.access, page.pause_all, row.go, row.details):
        assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus
    dialog = shop.window.downloading.get()
    for edit in dialog.findChildren(QLineEdit):
        assert edit.accessibleName()
    dialog.close()


@pytest.fixture
def no_keyring():
    """A system that keeps no secrets."""
    import keyring
    from keyring.backends import null

    before = keyring.get_keyring()
    keyring.set_keyring(null.Keyring())
    yield
    keyring.set_keyring(before)


@pytest.mark.usefixtures("no_keyring")
def test_a_token_is_entered_tested_and_removed(shop, hub, qtbot, monkeypatch):  # noqa: F811
    shop.window.actions_by_name["hub_access"].trigger()
    dialog = shop.window.findChild(QDialog, "accessDialog")
    part = dialog.parts[Hub.HUGGING_FACE]
    wait(qtbot, lambda: "no token" in part.state.text())
    assert not part.save.isEnabled()
    assert not part.test.isEnabled()
    qtbot.keyClicks(part.token, "hf_secret")
    assert part.token.echoMode() is QLineEdit.EchoMode.Password
    qtbot.keyClick(part.token, Qt.Key.Key_Return)
    wait(qtbot, lambda: "until the program ends" in part.state.text())
    assert "no keyring" in part.state.text()
    assert part.token.text() == ""
    assert hub.log == []
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    qtbot.mouseClick(part.test, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: "Asking" not in part.state.text() and hub.log)
    assert hub.log[-1].headers["authorization"] == "Bearer hf_secret"
    qtbot.mouseClick(part.forget, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: "There is no token" in part.state.text())
    dialog.close()


def test_the_limit_is_set_on_the_page(shop, hub, qtbot):  # noqa: F811
    shop.window.shelf.show("downloads")
    page = shop.window.shelf.dialog.pages["downloads"]
    assert page.limit.text() == "No limit"
    page.limit.setFocus()
    page.limit.selectAll()
    qtbot.keyClicks(page.limit, "1.5")
    qtbot.keyClick(page.limit, Qt.Key.Key_Return)
    assert shop.window.shelf.dialog is not None  # Enter is the field's
    assert shop.preferences.get("download_limit") == 1.5
    shop.preferences.set("download_limit", 0.0)
    assert page.limit.value() == 0
    assert page.limit.accessibleName() == "Limit"


def test_what_a_folder_lacks_is_offered_as_it_is_planned(shop, hub, qtbot):  # noqa: F811
    plans = []
    shop.downloads.planned.connect(lambda _, plan: plans.append(plan))
    shop.downloads.look_up(parse(TINY))
    wait(qtbot, lambda: plans)
    asked = len(hub.log)
    dialog = shop.window.downloading.offer(plans[0])
    assert dialog.download.isEnabled()
    assert not dialog.name.isEnabled()
    assert dialog.parent_folder.text() == str(plans[0].folder)
    assert len(hub.log) == asked
    qtbot.mouseClick(dialog.download, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: shop.downloads.entries and shop.downloads.entries[0].stage is Stage.DONE)
    assert shop.downloads.entries[0].folder == plans[0].folder
