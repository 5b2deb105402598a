"""A key is in the keyring and in requests to its server, and in nothing that the program writes."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import zipfile

import pytest

from qwen_desktop import log
from qwen_desktop.chat.connection import Connection, RemoteModel
from qwen_desktop.chat.exporting import ExportOptions, ExportRequest, Format
from qwen_desktop.chat.messages import Status
from qwen_desktop.crash_report import CrashWatch, described
from qwen_desktop.engine.remote import RemoteEngine
from qwen_desktop.errors import report_of
from qwen_desktop.export import job
from qwen_desktop.export.words import Words
from qwen_desktop.paths import Profile
from qwen_desktop.storage import profile_archive
from qwen_desktop.storage.connections import ConnectionEntry, ConnectionFile
from qwen_desktop.storage.records import Records
from tests.bridge.test_remote import Lab, asked, key_told, says
from tests.bridge.vaults import vault  # noqa: F401 - a fixture
from tests.engine.remote.conftest import key_of, request_to
from tests.engine.remote.fakeserver import KEY, fake
from tests.talk.terminal import ENVIRONMENT, ROOT, arguments

PROXY_WORD = "hunter2-of-the-proxy"
SECRETS = (KEY, PROXY_WORD)


@pytest.fixture
def lab(qtbot, tmp_path, vault):  # noqa: F811
    made = Lab(qtbot, tmp_path / "profile")
    yield made
    made.close()


@pytest.fixture
def logged(lab):
    """All that we log goes to the file of the profile; libraries are told to log all, too."""
    root, names = logging.getLogger(), ("", "qwen_desktop", "openai", "httpx2", "httpcore2")
    levels = {name: logging.getLogger(name or None).level for name in names}
    before = list(root.handlers)
    lab.folder.mkdir(exist_ok=True)
    log.start(Profile(lab.folder).log, logging.DEBUG)
    for name in ("openai", "httpx2", "httpcore2"):  # as OPENAI_LOG=debug does
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield Profile(lab.folder).log
    for handler in root.handlers:
        if handler not in before:
            root.removeHandler(handler)
            handler.close()
    for name, level in levels.items():
        logging.getLogger(name or None).setLevel(level)


def repeats(exchange):
    """A server that says the key again, in headers and words, with a refusal."""
    exchange.json(
        {"error": {"message": f"Incorrect API key provided: {KEY}. {exchange.headers}"}},
        401,
        {"X-Key": KEY},
    )


def clean(content: bytes, where: object) -> None:
    for secret in SECRETS:
        assert secret.encode() not in content, where


def test_it_is_in_nothing_that_is_written(lab, logged, tmp_path):
    with fake(says("Hi"), repeats, says("Hi again")) as server:
        lab.know(server)
        lab.connections.on_setting("proxy", f"http://user:{PROXY_WORD}@127.0.0.1:9")
        lab.desk.engine.proxy = lambda: lab.connections.proxy
        key_told(lab, lambda: lab.connections.set_key("lab", KEY))
        lab.placing.use_server("lab", "m")
        lab.desk.ask_and_wait("Hello")
        lab.chats.ask("Refuse me")
        lab.desk.wait(lambda: len(lab.desk.saved) == 2)
        assert lab.desk.saved[1].status is Status.FAILED
        refusal = lab.chats.report_for(lab.desk.saved[1].id)
        assert refusal.code == "remote-key"
        lab.chats.retry(lab.desk.saved[1].id)
        lab.desk.wait(lambda: len(lab.desk.saved) == 3)
        assert KEY in asked(server)[0].headers["Authorization"]
    clean((repr(refusal) + refusal.text() + refusal.for_log()).encode(), "report")
    lab.desk.close()
    lab.files.close()
    said = logged.read_text("utf-8")
    assert "status 401" in said
    assert "Refuse me" not in said, "no word of a chat"
    exports = tmp_path / "exports"
    records = Records.open(lab.folder / "conversations.db")
    tools = job.Tools(Words(), lambda *_: None, lambda _: None, lambda: False)
    for form in Format:
        if form is not Format.PDF:  # drawn by Qt from the same
            options = ExportOptions(form, versions=True, reasoning=True, details=True)
            job.run(records, ExportRequest(None, exports / form.value, options), tools)
    records.close()
    moved = tmp_path / "all.qwenprofile"
    profile_archive.save(Profile(lab.folder), moved)
    with zipfile.ZipFile(moved) as archive:
        assert "connections.json" in archive.namelist()
        for name in archive.namelist():
            clean(archive.read(name), name)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) > 6
    for file in files:
        clean(file.read_bytes(), file)


def test_it_is_in_no_text_of_a_crash(tmp_path, monkeypatch):
    """Not even where a fault of ours ends a request, and its frames hold the key."""

    def fault(*_, **__):
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr("qwen_desktop.engine.remote.asking.body_of", fault)
    with fake() as server, pytest.raises(ZeroDivisionError) as caught:
        list(RemoteEngine(key_of).generate(request_to(server.address), threading.Event()))
    watch = CrashWatch(tmp_path / "crashes", "1.0")
    watch.start()
    file = watch.write_error(caught.value, "servers")
    watch.stop()
    report = report_of(caught.value)
    assert report.is_bug
    clean(file.read_bytes(), file)
    clean((described(caught.value) + repr(report) + report.text() + report.for_log()).encode(), 0)


def test_it_is_in_nothing_that_the_terminal_says(tmp_path):
    """One request that is answered and one that is refused, as events on lines of JSON."""
    profile = Profile(tmp_path / "profile")
    with fake(says("Hi"), repeats) as server:
        one = Connection("Lab", server.address, id="lab")
        entry = ConnectionEntry(one, (RemoteModel("m", 4096),))
        ConnectionFile(profile.connections).save([entry])
        line = json.dumps({"messages": [{"role": "user", "content": "Hello"}], "keep": True})
        done = subprocess.run(
            [
                sys.executable,
                *arguments(None, profile.root, "--connection", "Lab", "--json", "--yes"),
            ],
            input=f"{line}\n{line}\n".encode(),
            capture_output=True,
            env={
                **ENVIRONMENT,
                "PYTHON_KEYRING_BACKEND": "tests.bridge.env_vault.EnvVault",
                "PYTHONPATH": str(ROOT),
                "KEY_OF_TESTS": KEY,
                "OPENAI_LOG": "debug",
            },
            timeout=120,
        )
        assert [one.headers["Authorization"] for one in asked(server)] == [f"Bearer {KEY}"] * 2
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert events.count("finished") == events.count("error") == 1
    clean(done.stdout + done.stderr, "output")
    assert b"Hello" not in done.stderr
    for file in profile.root.rglob("*"):
        if file.is_file():
            clean(file.read_bytes(), file)
