"""Exports beside a running store: begun, told of, cancelled; the whole profile as well."""

import threading

import pytest

from qwen_desktop.bridge.exporting import Exporting
from qwen_desktop.bridge.profile_files import ProfileFiles, finish_restore
from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.chat.exporting import ExportOptions, ExportRequest, Format
from qwen_desktop.paths import Profile
from qwen_desktop.storage.store import Store
from tests.export.conversations import branched, said


class Desk:
    """A store with conversations, and what exporting said."""

    def __init__(self, qtbot, root):
        self.qtbot = qtbot
        self.profile = Profile(root)
        self.store = StoreClient(self.profile.database)
        self.pdf = threading.Event()  # lets the drawing go on
        self.exporting = Exporting(self.store, self.draw)
        self.files = ProfileFiles(self.profile, self.store)
        self.said = []
        for source, names in (
            (self.exporting, ("finished", "failed", "cancelled", "copied")),
            (self.files, ("saved", "looked", "prepared", "failed", "cancelled")),
        ):
            for name in names:
                getattr(source, name).connect(lambda *v, n=name: self.said.append((n, *v)))
        self.store.start()
        self.store.submit(lambda store: store.create(branched().conversation))
        self.store.submit(lambda store: store.create(said("Hello", "World").conversation))

    def draw(self, file, records, options, words, step):
        """In place of Qt's pages: waits until the test lets it go on."""
        for record in records:
            while not self.pdf.wait(0.01):
                step(record, 0.5)
        file.write_text("drawn")

    def wait(self, count=1):
        self.qtbot.waitUntil(lambda: len(self.said) == count, timeout=20_000)
        return self.said[-1]

    def close(self):
        self.exporting.close()
        self.files.close()
        self.store.close()


@pytest.fixture
def desk(qtbot, tmp_path):
    made = Desk(qtbot, tmp_path / "profile")
    yield made
    made.close()


def test_what_was_said_a_moment_before_is_in_the_export(desk, tmp_path):
    desk.store.submit(lambda store: store.rename("s", "Renamed just now"))
    assert desk.exporting.export(ExportRequest(None, tmp_path / "out"))
    assert desk.exporting.busy
    name, result = desk.wait()
    assert name == "finished"
    assert [file.name for file in result.files] == ["Rain.md", "Renamed just now.md"]
    assert not desk.exporting.busy


def test_one_at_a_time_and_the_store_goes_on_meanwhile(desk, tmp_path):
    request = ExportRequest(None, tmp_path / "out", ExportOptions(Format.PDF))
    assert desk.exporting.export(request)
    assert not desk.exporting.export(request)
    saved = []
    desk.store.submit(lambda store: store.rename("c", "Meanwhile"), saved.append)
    desk.qtbot.waitUntil(lambda: bool(saved), timeout=20_000)
    assert not desk.said
    desk.pdf.set()
    assert desk.wait()[0] == "finished"


def test_cancelling_leaves_nothing_and_another_may_begin(desk, tmp_path):
    out = tmp_path / "out"
    assert desk.exporting.export(ExportRequest(None, out, ExportOptions(Format.PDF)))
    desk.exporting.cancel()
    assert desk.wait() == ("cancelled",)
    assert list(out.iterdir()) == []
    desk.pdf.set()
    assert desk.exporting.export(ExportRequest(None, out, ExportOptions(Format.PDF)))
    assert desk.wait(2)[0] == "finished"


def test_the_end_of_the_program_cancels_and_tidies_up(desk, tmp_path):
    out = tmp_path / "out"
    told = []
    desk.exporting.progressed.connect(told.append)
    assert desk.exporting.export(ExportRequest(None, out, ExportOptions(Format.PDF)))
    desk.qtbot.waitUntil(lambda: bool(told), timeout=20_000)
    desk.exporting.close()
    assert list(out.iterdir()) == []


def test_trouble_is_a_report(desk, tmp_path):
    assert desk.exporting.export(ExportRequest(("gone",), tmp_path / "x.md"))
    name, report = desk.wait()
    assert name == "failed"
    assert "no longer there" in report.text()


def test_a_conversation_is_copied_from_the_disk_or_as_it_is_shown(desk):
    desk.exporting.copy("c")
    assert desk.wait() == ("copied", "## You\n\nA haiku\n\n## Assistant (Qwen3-8B)\n\nWind\n")
    desk.exporting.copy(said("unsaved", key="u").conversation)
    assert desk.wait(2) == ("copied", "## You\n\nunsaved\n")


def test_the_profile_is_saved_while_it_is_used_and_replaces_another_at_its_start(desk, tmp_path):
    file = tmp_path / "all.qwenprofile"
    desk.store.submit(lambda store: store.rename("c", "Renamed just now"))
    assert desk.files.save(file)
    name, contents = desk.wait()
    assert (name, contents.conversations) == ("saved", 2)
    assert desk.files.look(file)
    assert desk.wait(2)[1].messages == contents.messages
    other = Profile(tmp_path / "other")
    store = Store.open(other.database)
    store.create(said("before", key="b").conversation)
    store.close()
    files = ProfileFiles(other, desk.store)
    files.prepared.connect(lambda contents: desk.said.append(("prepared", contents)))
    assert files.prepare(file)
    assert desk.wait(3)[0] == "prepared"
    finish_restore(other)
    store = Store.open(other.database)
    assert store.load("c").title == "Renamed just now"
    store.close()
    assert len(list(other.root.glob("before restore *"))) == 1


def test_a_damaged_file_is_a_report_and_nothing_waits_for_the_next_start(desk, tmp_path):
    (tmp_path / "bad.qwenprofile").write_bytes(b"PK nothing")
    assert desk.files.prepare(tmp_path / "bad.qwenprofile")
    name, report = desk.wait()
    assert name == "failed"
    assert "nothing of it was used" in report.text()
    assert not desk.profile.restore_mark.exists()
