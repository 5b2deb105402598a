"""Conversations as PDF: drawn on any thread, whole, with text that can be found."""

import re
import shutil
import subprocess
import threading

import pytest
from PySide6.QtGui import QFontDatabase

from qwen_desktop.chat.exporting import ExportOptions
from qwen_desktop.errors import Cancelled
from qwen_desktop.export.words import Words
from qwen_desktop.ui import pdf
from tests.export.conversations import branched, said
from tests.export.test_documents import HOSTILE

ALL = ExportOptions(versions=True, reasoning=True, details=True)


def write(file, *records, step=lambda record, part: None):
    pdf.write(file, records, ALL, Words(), step)
    return file.read_bytes()


def text_of(file):
    program = shutil.which("pdftotext")
    if program is None:
        pytest.skip("poppler-utils is not installed")
    ran = subprocess.run([program, "-layout", str(file), "-"], capture_output=True, check=True)
    return ran.stdout.decode()


def pages(content):
    return content.count(b"/Type /Page\n")


def test_everything_that_was_said_is_on_the_pages(qapp, tmp_path):
    file = tmp_path / "a.pdf"
    assert write(file, branched(), said("Question 17", "**bold** `code`")).startswith(b"%PDF-")
    text = text_of(file)
    for words in ("Rain", "A haiku", "5-7-5", "Soft rain", "Version 1 of 2", "seed 42", "Wind"):
        assert words in text
    assert "Question 17" in text
    assert "bold code" in text
    assert "Page 2" in text  # each conversation begins on a page of its own
    assert text.rstrip().endswith("Page 2")


def test_no_line_is_lost_between_pages(qapp, tmp_path):
    lines = [f"line{number}" for number in range(400)]
    code = "```\n" + "\n".join(lines) + "\n```"
    paragraphs = "\n\n".join(f"par{number}" for number in range(200))
    file = tmp_path / "a.pdf"
    write(file, said("\n".join(lines), code, "again", paragraphs, title="T"))
    text = text_of(file).split()
    for line in lines:
        assert text.count(line) == 2
    assert [word for word in text if word.startswith("par")] == paragraphs.split()


def test_it_is_drawn_on_another_thread(qapp, tmp_path):
    caught = []

    def work():
        try:
            write(tmp_path / "a.pdf", branched())
        except BaseException as error:  # noqa: BLE001
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not caught
    assert "Wind" in text_of(tmp_path / "a.pdf")


def test_chinese_is_embedded(qapp, tmp_path):
    if not any("CJK" in family for family in QFontDatabase.families()):
        pytest.skip("no Chinese font is installed")
    write(tmp_path / "a.pdf", said("你好，世界"))
    assert "你好，世界" in text_of(tmp_path / "a.pdf")


@pytest.mark.parametrize("text", HOSTILE, ids=[ascii(text)[:24] for text in HOSTILE])
def test_hostile_text_makes_a_pdf_all_the_same(text, qapp, tmp_path):
    content = write(tmp_path / "a.pdf", said(text, text, title=text))
    assert content.rstrip().endswith(b"%%EOF")
    for word in (b"/JavaScript", b"/Launch", b"/EmbeddedFile"):
        assert word not in content
    for address in re.findall(rb"/URI \((.*?)\)", content):
        assert address.startswith((b"http", b"mailto:"))


def test_cancelling_ends_at_once(qapp, tmp_path):
    told = []

    def step(record, part):
        told.append(part)
        if len(told) == 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        write(tmp_path / "a.pdf", said(*["words"] * 40), step=step)
    assert len(told) == 5


def test_progress_grows_to_the_end(qapp, tmp_path):
    told = []
    write(tmp_path / "a.pdf", said("a", "b", "c"), step=lambda record, part: told.append(part))
    assert told == sorted(told)
    assert 0.6 < told[-1] < 1
