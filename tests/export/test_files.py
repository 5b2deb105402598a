"""Exports as files: whole or not at all, never over another, with names good everywhere."""

import subprocess
import sys
import textwrap
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.exporting import ExportOptions, ExportRequest, Format
from qwen_desktop.chat.messages import AnswerTrace
from qwen_desktop.errors import Cancelled, Known
from qwen_desktop.export import job, names
from qwen_desktop.export.words import Words
from qwen_desktop.storage import conversation_json, merge
from qwen_desktop.storage.records import Records
from qwen_desktop.storage.store import Store

from .conversations import branched, said


def write_text_for_pdf(file, records, options, words, step):
    """Qt is not the matter here: tests/ui/test_pdf.py has it."""
    with file.open("w") as out:
        for record in records:
            step(record, 0.5)
            out.write(record.conversation.id)


@pytest.fixture
def records(tmp_path):
    store = Store.open(tmp_path / "profile" / "conversations.db")
    store.create(branched().conversation)
    store.create(said("Hello", "World", key="h").conversation)
    store.create(said("Hello", "Again", key="i").conversation)
    store.finish("h", store.load("h").tree.messages["h1"], AnswerTrace((1, 2, 3)))
    records = Records.open(store.database.file)
    yield records
    records.close()
    store.close()


def run(records, target, ids=None, told=None, cancelled=lambda: False, **options):
    told = [] if told is None else told
    tools = job.Tools(Words(), write_text_for_pdf, told.append, cancelled)
    request = ExportRequest(ids, target, ExportOptions(**options))
    return job.run(records, request, tools)


def files_in(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("form", list(Format))
def test_all_become_a_file_each_named_after_their_titles(form, records, tmp_path):
    result = run(records, tmp_path / "out", format=form)
    end = form.extension
    assert [file.name for file in result.files] == [
        f"Rain{end}",
        f"Hello{end}",
        f"Hello (2){end}",
    ]
    assert set(files_in(tmp_path / "out")) == {file.name for file in result.files}
    assert result.count == 3
    assert all(file.stat().st_size for file in result.files)


@pytest.mark.parametrize("form", list(Format))
def test_all_in_one_file(form, records, tmp_path):
    result = run(records, tmp_path / "all", format=form, one_file=True)
    assert (result.files, result.count) == ((tmp_path / "all",), 3)
    assert (tmp_path / "all").stat().st_size
    assert not list(tmp_path.glob(".qwen*"))


def test_what_is_exported_as_json_and_taken_in_elsewhere_is_equal(records, tmp_path):
    run(records, tmp_path / "all", format=Format.JSON, one_file=True)
    other = Store.open(tmp_path / "other.db")
    for value in conversation_json.entries(
        conversation_json.parse((tmp_path / "all").read_bytes())
    ):
        merge.add(other, conversation_json.from_value(value))
    again = Records.open(other.database.file)
    for one in records.ids():
        here, there = records.read(one), again.read(one)
        assert replace(here, traces={}) == replace(there, traces={})
        assert dict(here.traces) == dict(there.traces)
    assert records.read("h").traces["h1"] == AnswerTrace((1, 2, 3))
    again.close()
    other.close()


def test_no_file_that_is_there_is_replaced(records, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "RAIN.MD").write_text("mine")  # the same name for Windows
    (out / "Hello.md").write_text("mine")
    result = run(records, out)
    assert [file.name for file in result.files] == ["Rain (2).md", "Hello (2).md", "Hello (3).md"]
    assert (out / "RAIN.MD").read_text() == (out / "Hello.md").read_text() == "mine"


def test_the_file_that_was_named_is_replaced(records, tmp_path):
    (tmp_path / "a.md").write_text("old")
    run(records, tmp_path / "a.md", ids=("h",))
    assert (tmp_path / "a.md").read_text().startswith("# Hello")


@pytest.mark.parametrize("one_file", [False, True])
@pytest.mark.parametrize("form", list(Format))
def test_cancelling_leaves_nothing(form, one_file, records, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    target = out / "file" if one_file else out
    if one_file:
        target.write_text("old")
    before = files_in(out)
    looks = 0

    def cancelled():
        nonlocal looks
        looks += 1
        return looks > 4

    with pytest.raises(Cancelled):
        run(records, target, format=form, one_file=one_file, cancelled=cancelled)
    assert files_in(out) == before


def test_one_that_is_gone_is_told_and_the_others_are_written(records, tmp_path):
    result = run(records, tmp_path / "out", ids=("c", "gone", "h"))
    assert result.count == 2
    assert [one.conversation_id for one in result.failed] == ["gone"]
    with pytest.raises(Known, match="no longer there"):
        run(records, tmp_path / "x.md", ids=("gone",))
    assert not (tmp_path / "x.md").exists()


def test_nothing_to_export_is_a_sentence(tmp_path):
    Store.open(tmp_path / "empty.db").close()
    records = Records.open(tmp_path / "empty.db")
    with pytest.raises(Known, match="no chat to export"):
        run(records, tmp_path / "out")
    records.close()


def test_a_place_that_cannot_be_written_is_a_sentence(records, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Known, match="cannot be written"):
        run(records, tmp_path / "file" / "inside")


def test_progress_is_told_in_order(records, tmp_path):
    told = []
    run(records, tmp_path / "out", told=told)
    assert [(one.done, one.total, one.title) for one in told] == [
        (0, 3, "Rain"),
        (1, 3, "Hello"),
        (2, 3, "Hello"),
    ]


FULL = """
    import resource, signal, sys
    from pathlib import Path
    from qwen_desktop.chat.exporting import ExportOptions, ExportRequest, Format
    from qwen_desktop.errors import Known
    from qwen_desktop.export import job
    from qwen_desktop.export.words import Words
    from qwen_desktop.storage.records import Records
    import tests.export.test_files  # everything is imported before the limit
    from qwen_desktop.ui import pdf
    from qwen_desktop.export import html, markdown, plain
    from PySide6.QtGui import QGuiApplication
    application = QGuiApplication([])
    records = Records.open(Path(sys.argv[1]))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
    for form in Format:
        target = Path(sys.argv[2] + form.extension)
        tools = job.Tools(Words(), pdf.write, lambda _: None, lambda: False)
        try:
            job.run(records, ExportRequest(("big",), target, ExportOptions(form)), tools)
        except Known as known:
            print(form.value, target.read_text(), str(known).split(".")[0])
        else:
            print(form.value, "written")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file sizes")
def test_a_disk_that_takes_no_more_leaves_the_old_file(tmp_path):
    """A real limit of the system, in every format, Qt's writer included."""
    store = Store.open(tmp_path / "conversations.db")
    store.create(said(*["words and " * 500] * 60, key="big").conversation)
    store.close()
    for form in Format:
        (tmp_path / f"old{form.extension}").write_text("old")
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent(FULL),
            str(tmp_path / "conversations.db"),
            str(tmp_path / "old"),
            str(2**16),
        ],
        capture_output=True,
        text=True,
        env={**__import__("os").environ, "QT_QPA_PLATFORM": "offscreen"},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert [line.split(" ", 2)[:2] for line in ran.stdout.splitlines()] == [
        [form.value, "old"] for form in Format
    ], ran.stdout
    assert not list(tmp_path.glob(".qwen*"))


NASTY = [
    "",
    " . ",
    "CON",
    "com1.txt",
    'a/b\\c:d*e?f"g<h>i|j',
    "..",
    "../../etc/passwd",
    "x" * 500,
    "字" * 300,
    "trailing. . ",
    "\u202egpj.exe",
    "\x00\x1f\n\t",
    "half \ud800",
    "🙂" * 100,
    "~/-rf .hidden",
    "e\u0301" * 60,
]


@given(st.sampled_from(NASTY) | st.text(st.characters(), max_size=120))
def test_names_are_good_on_every_system(title):
    name = names.safe_name(title, "New chat")
    assert name
    assert len(name.encode()) <= 200
    assert not set(name) & set('<>:"/\\|?*')
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs"} for c in name)
    assert name[0] not in " .-~"
    assert name[-1] not in " ."
    assert name.split(".")[0].casefold() not in {"con", "prn", "aux", "nul", "com1", "lpt1"}
    assert name == unicodedata.normalize("NFC", name)
