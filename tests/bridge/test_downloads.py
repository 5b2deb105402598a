"""Downloads of the window: queue, pause, restart, cancel, limit, against a real hub on loopback."""

from __future__ import annotations

import json
import threading

import pytest
from PySide6.QtCore import QCoreApplication, QEvent

from qwen_desktop.bridge.doctor import Doctor
from qwen_desktop.bridge.downloads import Downloads
from qwen_desktop.bridge.file_jobs import FileJobs
from qwen_desktop.bridge.hub_access import HubAccess
from qwen_desktop.bridge.preferences import PreferencesModel
from qwen_desktop.chat.downloads import Stage, TokenPlace
from qwen_desktop.chat.hub import Hub, Standing
from qwen_desktop.chat.hub_address import parse
from qwen_desktop.storage.downloads import DownloadsFile
from qwen_desktop.storage.preferences import Preferences
from tests.engine.checkpoints import make_checkpoint
from tests.hub.conftest import bare, hub  # noqa: F401 - fixtures
from tests.hub.contents import noise
from tests.hub.fakehub import FakeHub

TINY, LARGE = "Qwen/Tiny", "Qwen/Large"
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("tiny") / "Tiny")


class Shop:
    """Downloads over a profile, and all they said."""

    def __init__(self, qtbot, root, **settings) -> None:
        self.qtbot, self.root = qtbot, root
        self.files = FileJobs()
        self.preferences = PreferencesModel(Preferences(root / "settings.json"), self.files, {})
        for name, value in settings.items():
            self.preferences.set(name, value)
        self.doctor = Doctor()
        self.access = HubAccess(self.preferences)
        self.downloads = Downloads(
            DownloadsFile(root / "downloads.json"),
            self.files,
            self.preferences,
            self.doctor,
            root / "models",
            self.access.token,
        )
        self.plans, self.refused, self.arrived, self.failed = {}, {}, [], []
        self.problems = []
        self.downloads.planned.connect(self.plans.__setitem__)
        self.downloads.unplanned.connect(self.refused.__setitem__)
        self.downloads.arrived.connect(lambda entry, report: self.arrived.append((entry, report)))
        self.downloads.failed.connect(self.failed.append)
        self.downloads.problem.connect(self.problems.append)
        self.downloads.start_reading()
        self.is_closed = False

    def wait(self, is_so) -> None:
        self.qtbot.waitUntil(lambda: bool(is_so()), timeout=PATIENCE_MS)

    def plan(self, name: str, **values):
        question = self.downloads.look_up(parse(name), **values)
        self.wait(lambda: question in self.plans or question in self.refused)
        assert question not in self.refused, self.refused[question].text()
        return self.plans[question]

    def start(self, name: str) -> str:
        return self.downloads.start(self.plan(name))

    def stage(self, entry_id: str) -> Stage:
        return self.downloads.entry(entry_id).stage

    def wait_for(self, entry_id: str, stage: Stage) -> None:
        self.wait(lambda: self.stage(entry_id) is stage)

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.downloads.close()
            self.access.close()
            self.doctor.close()
            self.files.close()
            for made in (self.downloads, self.access, self.doctor, self.preferences):
                made.deleteLater()
                QCoreApplication.sendPostedEvents(made, QEvent.Type.DeferredDelete.value)


@pytest.fixture
def shops(qtbot, tmp_path):
    """Makes shops over one profile, one after the other."""
    made = []

    def make(**settings) -> Shop:
        made.append(Shop(qtbot, tmp_path, **settings))
        return made[-1]

    yield make
    for shop in made:
        shop.close()


@pytest.fixture
def shop(shops, hub: FakeHub, checkpoint):  # noqa: F811
    hub.add(TINY, {file.name: file for file in checkpoint.iterdir() if file.is_file()})
    hub.add(LARGE, {"config.json": b"{}", "model.safetensors": noise(2_000_000)})
    return shops(huggingface_address=hub.endpoint, modelscope_address=hub.endpoint)


def settings_of(hub: FakeHub):  # noqa: F811
    return {"huggingface_address": hub.endpoint, "modelscope_address": hub.endpoint}


@pytest.mark.parametrize("kind", list(Hub))
def test_a_checkpoint_is_looked_up_fetched_and_found_good(shop, kind):
    plan = shop.plan(TINY, hub=kind)
    assert plan.folder == shop.root / "models" / "Qwen" / "Tiny"
    assert plan.missing == plan.total > 0
    entry_id = shop.downloads.start(plan)
    shop.wait(lambda: shop.arrived)
    entry, report = shop.arrived[0]
    assert entry.id == entry_id
    assert entry.stage is Stage.DONE
    assert report.opens
    assert entry.opens is True
    assert shop.downloads.overview.active == 0
    # Once more: everything is here.
    again = shop.plan(TINY, hub=kind)
    assert {one.standing for one in again.files} == {Standing.CHECKED}


def test_a_download_whose_files_were_deleted_is_off_the_list(shop):
    entry_id = shop.downloads.start(shop.plan(TINY))
    shop.wait(lambda: shop.arrived)
    folder = shop.downloads.entry(entry_id).folder
    shop.downloads.on_deleted(str(folder.parent), 0)
    assert shop.downloads.entry(entry_id) is not None
    shop.downloads.on_deleted(str(folder), 0)
    assert shop.downloads.entries == ()


def test_what_is_asked_for_waits_for_its_turn_and_can_change_places(shop, hub):  # noqa: F811
    fault = hub.misbehave("hold", file="*.safetensors", at=100_000)
    first = shop.start(LARGE)
    hub.add("Qwen/Other", {"config.json": b"{}", "model.safetensors": noise(1000)})
    second, third = shop.start(TINY), shop.start("Qwen/Other")
    shop.wait_for(first, Stage.RUNNING)
    assert shop.stage(second) is shop.stage(third) is Stage.QUEUED
    shop.downloads.move_waiting(third, -1)
    assert [entry.id for entry in shop.downloads.entries] == [first, third, second]
    shop.preferences.set("downloads_at_once", 2)
    shop.wait(lambda: shop.stage(third) is Stage.DONE)
    assert fault is not None
    hub.heal()
    shop.wait(lambda: all(entry.stage is Stage.DONE for entry in shop.downloads.entries))


def test_paused_resumed_and_nothing_is_fetched_twice(shop, hub):  # noqa: F811
    hub.misbehave("hold", file="*.safetensors", at=1_200_000)
    entry_id = shop.start(LARGE)
    shop.wait(lambda: shop.downloads.entry(entry_id).done > 1_000_000)
    assert shop.downloads.overview.percent >= 50
    shop.downloads.pause(entry_id)
    assert shop.stage(entry_id) is Stage.PAUSING
    shop.wait_for(entry_id, Stage.PAUSED)
    hub.heal()
    before = len(hub.asked("bytes"))
    shop.downloads.resume(entry_id)
    shop.wait_for(entry_id, Stage.DONE)
    assert sum(served.sent for served in hub.asked("bytes")[before:]) < 1_100_000
    file = shop.root / "models" / "Qwen" / "Large" / "model.safetensors"
    assert file.read_bytes() == noise(2_000_000)


def test_after_a_restart_it_is_paused_and_no_hub_is_asked_until_the_user_says_so(
    shop,
    shops,
    hub,  # noqa: F811
):
    hub.misbehave("hold", file="*.safetensors", at=1_200_000)
    entry_id = shop.start(LARGE)
    shop.wait(lambda: shop.downloads.entry(entry_id).done > 1_000_000)
    waiting = shop.start(TINY)
    shop.close()
    hub.heal()
    asked = len(hub.log)
    again = shops(**settings_of(hub))
    again.wait(lambda: len(again.downloads.entries) == 2)
    assert again.stage(entry_id) is again.stage(waiting) is Stage.PAUSED
    assert len(hub.log) == asked
    assert again.downloads.overview.paused == 2
    again.downloads.resume_all()
    again.wait(lambda: all(e.stage is Stage.DONE for e in again.downloads.entries))


def test_after_a_kill_the_list_says_what_is_there(shop, shops, hub):  # noqa: F811
    hub.misbehave("hold", file="*.safetensors", at=1_200_000)
    entry_id = shop.start(LARGE)
    shop.wait(lambda: shop.downloads.entry(entry_id).done > 1_000_000)
    kept = shop.root / "downloads.json"  # written when a stage changes
    shop.wait(lambda: b"running" in kept.read_bytes())
    at_kill = kept.read_bytes()
    shop.close()
    kept.write_bytes(at_kill)
    again = shops(**settings_of(hub))
    again.wait(lambda: again.downloads.entries)
    assert again.stage(entry_id) is Stage.PAUSED
    assert again.downloads.entry(entry_id).done > 1_000_000


def test_it_goes_on_by_itself_where_the_settings_say_so(shop, shops, hub):  # noqa: F811
    hub.misbehave("hold", file="*.safetensors", at=100_000)
    entry_id = shop.start(LARGE)
    shop.wait_for(entry_id, Stage.RUNNING)
    paused = shop.start(TINY)
    shop.downloads.pause(paused)
    shop.close()
    hub.heal()
    again = shops(resume_downloads=True, **settings_of(hub))
    again.wait(lambda: again.downloads.entries and again.stage(entry_id) is Stage.DONE)
    assert again.stage(paused) is Stage.PAUSED  # by the user


@pytest.mark.parametrize("delete", [True, False])
def test_cancel_keeps_or_deletes_what_came_and_never_what_was_there(shop, hub, delete):  # noqa: F811
    folder = shop.root / "models" / "Qwen" / "Large"
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(b"{}")
    (folder / "notes.txt").write_text("mine")
    hub.misbehave("hold", file="*.safetensors", at=1_200_000)
    entry_id = shop.start(LARGE)
    shop.wait(lambda: shop.downloads.entry(entry_id).done > 1_000_000)
    shop.downloads.cancel(entry_id, delete=delete)
    shop.wait(lambda: shop.downloads.entry(entry_id) is None)
    if delete:
        shop.wait(lambda: not list(folder.glob("*.part*")))
    left = {path.name for path in folder.iterdir() if path.name.count(".part")}
    assert bool(left) is not delete
    assert (folder / "config.json").read_bytes() == b"{}"
    assert (folder / "notes.txt").read_text() == "mine"
    assert not shop.problems


def test_deleting_all_of_it_leaves_no_folder(shop, hub):  # noqa: F811
    entry_id = shop.start(TINY)
    shop.wait(lambda: shop.arrived)
    shop.downloads.cancel(entry_id, delete=True)
    shop.wait(lambda: not (shop.root / "models" / "Qwen").exists())


def test_trouble_is_a_sentence_and_can_be_retried(shop, hub):  # noqa: F811
    plan = shop.plan(TINY)
    hub.misbehave("status", on="resolve", status=404, times=0)
    entry_id = shop.downloads.start(plan)
    shop.wait_for(entry_id, Stage.FAILED)
    entry = shop.failed[0]
    assert not entry.trouble.is_bug
    assert entry.trouble.remedy
    hub.heal()
    shop.downloads.resume(entry_id)
    shop.wait_for(entry_id, Stage.DONE)


def test_the_limit_holds_at_once(shop, hub):  # noqa: F811
    shop.preferences.set("download_limit", 0.01)
    entry_id = shop.start(LARGE)
    shop.wait(lambda: shop.downloads.entry(entry_id).done > 0)
    assert shop.stage(entry_id) is Stage.RUNNING  # minutes at this rate
    shop.preferences.set("download_limit", 0.0)
    shop.wait_for(entry_id, Stage.DONE)


def test_a_look_up_that_nobody_waits_for_is_left(shop, hub):  # noqa: F811
    hub.misbehave("silent", on="tree")
    question = shop.downloads.look_up(parse(TINY))
    hub.wait_for(lambda: hub.log)
    shop.downloads.leave(question)
    hub.heal()
    assert shop.plan(LARGE).total > 0
    assert question not in shop.plans


def test_an_address_that_is_none_is_told(shop):
    shop.preferences.set("huggingface_address", "no address")
    question = shop.downloads.look_up(parse(TINY))
    shop.wait(lambda: question in shop.refused)
    assert "not the address" in shop.refused[question].text()


def test_a_mirror_that_was_set_meanwhile_serves_the_rest(shop, hub):  # noqa: F811
    hub.misbehave("hold", file="*.safetensors", at=1_200_000)
    entry_id = shop.start(LARGE)
    shop.wait(lambda: shop.downloads.entry(entry_id).done > 1_000_000)
    shop.downloads.pause(entry_id)
    shop.wait_for(entry_id, Stage.PAUSED)
    with FakeHub() as mirror:
        mirror.repos = hub.repos
        shop.preferences.set("huggingface_address", mirror.endpoint)
        shop.downloads.resume(entry_id)
        shop.wait_for(entry_id, Stage.DONE)
        assert 0 < mirror.sent("model.safetensors") < 1_100_000


def test_the_file_holds_no_secret_and_survives_damage(shop, shops, tmp_path):
    shop.preferences.set("proxy", "")
    plan = shop.plan(TINY)
    entry_id = shop.downloads.start(plan, "http://me:hushhush@127.0.0.1:9")
    shop.wait(lambda: shop.stage(entry_id) is Stage.FAILED)  # such an address is refused
    shop.close()
    file = tmp_path / "downloads.json"
    assert "hushhush" not in file.read_text()
    entries = json.loads(file.read_text())
    hostile = {**entries[0], "id": "x", "files": [["../../x", 1, None, None]]}
    file.write_text(json.dumps([*entries, hostile, 7, {"id": "y"}]))
    again = shops()
    again.wait(lambda: again.downloads.entries)
    assert [entry.id for entry in again.downloads.entries] == [entry_id]
    again.close()
    file.write_text("{")
    third = shops()
    third.wait(lambda: third.problems)
    assert third.downloads.entries == ()
    assert file.with_name("downloads.json.damaged").read_text() == "{"


# --- Tokens --------------------------------------------------------------------------------------


def wait_for_access(shop, ask):
    told = []
    shop.access.changed.connect(lambda hub, access: told.append(access))  # noqa: F811
    ask()
    shop.wait(lambda: told)
    return told[-1]


def test_a_token_lies_in_the_keyring_and_nowhere_else(shop, vault, hub, tmp_path, monkeypatch):  # noqa: F811
    kind = Hub.HUGGING_FACE
    access = wait_for_access(shop, lambda: shop.access.save(kind, " hf_secret\n"))
    assert access.place is TokenPlace.KEYRING
    assert list(vault.kept.values()) == ["hf_secret"]
    assert threading.main_thread() not in vault.threads
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    shop.preferences.set("huggingface_address", "")
    hub.add("Qwen/Gated", {"config.json": b"{}", "model.safetensors": noise(9)}, gated=True,
            tokens=("hf_secret",))  # fmt: skip
    entry_id = shop.start("Qwen/Gated")
    shop.wait_for(entry_id, Stage.DONE)
    access = wait_for_access(shop, lambda: shop.access.forget(kind))
    assert access.place is TokenPlace.NONE
    assert vault.kept == {}
    shop.close()
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or b"hf_secret" not in file.read_bytes()


def test_without_a_keyring_a_token_lasts_as_long_as_the_run(shop, hub, monkeypatch):  # noqa: F811
    import keyring
    from keyring.backends import null

    before = keyring.get_keyring()
    keyring.set_keyring(null.Keyring())
    try:
        kind = Hub.MODELSCOPE
        access = wait_for_access(shop, lambda: shop.access.save(kind, "ms-1"))
        assert access.place is TokenPlace.RUN
        assert not access.has_keyring
        assert access.variable == "MODELSCOPE_API_TOKEN"
        assert shop.access.token(kind) == "ms-1"
        monkeypatch.setenv("MODELSCOPE_DOMAIN", hub.endpoint)
        shop.preferences.set("modelscope_address", "")
        hub.add("Qwen/Own", {"config.json": b"{}", "model.safetensors": noise(9)}, private=True,
                tokens=("ms-1",))  # fmt: skip
        assert shop.plan("Qwen/Own", hub=kind).total == 11
    finally:
        keyring.set_keyring(before)
