"""Reading files aside: every job ends with one signal, or with none where it is cancelled."""

from __future__ import annotations

import threading

import pytest

from qwen_desktop.bridge.attaching import Attaching
from qwen_desktop.chat.attached import attached
from qwen_desktop.chat.record import Record
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.storage import attaching as files
from qwen_desktop.storage import conversation_json, pdf_text
from tests.storage.pdfs import pdf


class Told:
    def __init__(self, attaching):
        self.all = []
        self.threads = set()
        attaching.read.connect(lambda job, file, note: self.add(job, file, note))
        attaching.failed.connect(lambda job, report: self.add(job, report))
        attaching.is_conversation.connect(lambda job, path: self.add(job, path))

    def add(self, *values):
        self.all.append(values)


@pytest.fixture
def attaching(qtbot):
    made = Attaching()
    yield made
    made.close()


@pytest.fixture
def told(attaching):
    return Told(attaching)


def test_files_are_read_in_their_order(qtbot, attaching, told, tmp_path):
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.pdf").write_bytes(pdf("two"))
    (tmp_path / "c.png").write_bytes(b"\x89PNG\0")
    jobs = [attaching.start(tmp_path / name) for name in ("a.txt", "b.pdf", "c.png")]
    qtbot.waitUntil(lambda: len(told.all) == 3, timeout=20_000)
    assert [values[0] for values in told.all] == jobs
    assert told.all[0][1] == attached("a.txt", "one")
    assert told.all[1][1] == attached("b.pdf", "two")
    assert "is no text" in told.all[2][1].text()


def test_only_what_can_be_imported_is_a_conversation(qtbot, attaching, told, tmp_path):
    talk = tmp_path / "talk.json"
    talk.write_bytes(conversation_json.encoded(Record(Conversation("c", tree=Tree()))))
    table = tmp_path / "table.json"
    table.write_text('{"rows": [1, 2, 3]}')
    for file in (talk, table):
        attaching.start(file, may_be_conversation=True)
    attaching.start(talk)
    qtbot.waitUntil(lambda: len(told.all) == 3, timeout=20_000)
    assert told.all[0][1] == talk
    assert told.all[1][1] == attached("table.json", '{"rows": [1, 2, 3]}')
    assert told.all[2][1].name == "talk.json"


def test_a_cancelled_file_is_never_told(qtbot, attaching, told, tmp_path, monkeypatch):
    begun, go = threading.Event(), threading.Event()
    real = files.read

    def slow(path, check):
        if path.name == "slow.txt":
            begun.set()
            go.wait()
            check()
        return real(path, check)

    monkeypatch.setattr(files, "read", slow)
    for name in ("slow.txt", "quick.txt"):
        (tmp_path / name).write_text(name)
    slow_job = attaching.start(tmp_path / "slow.txt")
    quick_job = attaching.start(tmp_path / "quick.txt")
    assert begun.wait(20)
    attaching.cancel(slow_job)
    go.set()
    qtbot.waitUntil(lambda: bool(told.all), timeout=20_000)
    assert [values[0] for values in told.all] == [quick_job]


def test_a_pdf_that_takes_too_long_is_given_up(qtbot, attaching, told, tmp_path, monkeypatch):
    (tmp_path / "a.pdf").write_bytes(pdf("one"))
    monkeypatch.setattr(pdf_text, "SECONDS", 0.0)
    attaching.start(tmp_path / "a.pdf")
    qtbot.waitUntil(lambda: bool(told.all), timeout=20_000)
    assert "takes too long" in told.all[0][1].text()
