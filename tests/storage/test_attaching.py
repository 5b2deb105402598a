"""Files as text: decoded by the rule that is told, bounded, refused with a sentence."""

from __future__ import annotations

import codecs
import io
import sys

import psutil
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qwen_desktop.errors import Cancelled, Known
from qwen_desktop.storage import attaching, pdf_text
from qwen_desktop.storage.attaching import decoded, read

from .pdfs import pdf

PLAIN = st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\t"))
HAN = st.text(st.characters(codec="gb2312", categories=["Lo"]), min_size=4)


def written(tmp_path, content, name="file.txt"):
    file = tmp_path / name
    file.write_bytes(content)
    return file


@given(PLAIN)
def test_utf8_is_read_as_it_is(text):
    assert decoded(text.encode()) == (text.removeprefix("\ufeff"), "")


@given(PLAIN, st.sampled_from(["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-8"]))
def test_a_byte_order_mark_decides(text, encoding):
    assert decoded(f"\ufeff{text}".encode(encoding)) == (text, "")


@given(HAN)
def test_chinese_of_older_programs_is_read(text):
    content = f"姓名,年龄\n{text}".encode("gb18030")
    assert decoded(content) == (f"姓名,年龄\n{text}", "GB18030")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Grüße aus München, schöne Straße", "latin-1"),
        ("Une forêt, l'été, là-bas, ça", "latin-1"),
        ("“Quoted” — for €5", "cp1252"),
    ],
)
def test_european_text_of_older_programs_is_read(text, encoding):
    assert decoded(text.encode(encoding)) == (text, "Latin-1")


def test_lines_end_with_line_feeds():
    assert decoded(b"a\r\nb\rc\n") == ("a\nb\nc\n", "")


@given(st.binary(max_size=300))
@example(b"\xff\xfe\x00")
@example(codecs.BOM_UTF32_LE + b"abc")
@settings(max_examples=300)
def test_any_bytes_are_text_or_refused(content):
    text, _ = decoded(content)
    if text is not None:
        text.encode()
        assert "\r" not in text


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
        b"\x7fELF\x02\x01\x01\x00\x00",
        b"PK\x03\x04\x14\x00\x00\x00",
        bytes(range(1, 256)) * 4,
    ],
)
def test_binary_files_are_refused_with_a_sentence(tmp_path, content):
    with pytest.raises(Known, match=r"picture\.png is no text\..*Markdown"):
        read(written(tmp_path, content, "picture.png"))


def test_a_log_with_colours_is_text(tmp_path):
    line = b"\x1b[31mERROR\x1b[0m disk is full\n"
    assert read(written(tmp_path, line * 50)).file.text == line.decode() * 50


def test_a_file_has_its_name_and_a_guess_is_told(tmp_path):
    found = read(written(tmp_path, b"a,b\n", "table.csv"))
    assert (found.file.name, found.file.text, found.note) == ("table.csv", "a,b\n", None)
    guessed = read(written(tmp_path, "schön".encode("latin-1"), "old.txt"))
    assert guessed.note.text() == "old.txt is not in UTF-8; it was read as Latin-1."


def test_sizes_are_bounded_with_both_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(attaching, "MAX_CHARACTERS", 10)
    with pytest.raises(Known, match=r"has 11 characters; 10 can"):
        read(written(tmp_path, b"x" * 11))
    monkeypatch.setattr(attaching, "MAX_BYTES", 2**20)
    with pytest.raises(Known, match=r"has 1\.5 MB; 1 MB can"):
        read(written(tmp_path, b"x" * (2**20 * 3 // 2)))


def test_what_is_no_file_is_one_sentence(tmp_path):
    with pytest.raises(Known):
        read(tmp_path)
    with pytest.raises(Known):
        read(tmp_path / "gone.txt")
    with pytest.raises(Known, match="is empty"):
        read(written(tmp_path, b" \n"))


def test_text_of_a_pdf_is_read_page_by_page(tmp_path):
    found = read(written(tmp_path, pdf("First page\nsecond line", "Other page"), "a.pdf"))
    assert found.file.text == "First page\nsecond line\n\nOther page"
    assert found.note is None
    some = read(written(tmp_path, b"junk\n" + pdf("One", "", ""), "b.pdf"))
    assert some.file.text == "One"
    assert some.note.text() == "2 of the 3 pages of b.pdf have no text."


def test_a_pdf_of_pictures_says_so(tmp_path):
    with pytest.raises(Known, match=r"a\.pdf has no text: its pages are pictures\."):
        read(written(tmp_path, pdf("", ""), "a.pdf"))


def test_a_pdf_with_a_password_says_so(tmp_path):
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf("Secret"))))
    writer.encrypt("password", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    with pytest.raises(Known, match="protected by a password"):
        read(written(tmp_path, out.getvalue(), "a.pdf"))


@pytest.mark.parametrize(
    ("name", "most", "text"),
    [
        ("MAX_PAGES", 2, "One\n\nTwo"),
        ("MAX_CHARACTERS", 6, "One\n\nT"),
    ],
)
def test_of_a_long_pdf_the_beginning_is_read(monkeypatch, name, most, text):
    monkeypatch.setattr(pdf_text, name, most)
    found = pdf_text.extract(pdf("One", "Two", "Three"))
    assert found.text == text
    assert found.is_cut


def test_a_long_pdf_says_that_it_is_cut(tmp_path):
    found = read(written(tmp_path, pdf(*["One"] * (pdf_text.MAX_PAGES + 1)), "a.pdf"))
    assert found.file.text.startswith("One\n\nOne")
    assert "only its beginning" in found.note.text()


def _damaged(data) -> bytes:
    content = bytearray(pdf("First page", "Other page"))
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    return bytes(content[: data.draw(st.integers(10, len(content)))])


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_of_damaged_pdfs_something_is_told(data):
    found = pdf_text.extract(_damaged(data))
    assert bool(found.trouble) or found.count >= found.read + found.unread


def test_a_damaged_pdf_is_one_sentence(tmp_path):
    with pytest.raises(Known, match=r"a\.pdf is a damaged PDF\."):
        read(written(tmp_path, b"%PDF-1.4\nnothing", "a.pdf"))


@pytest.mark.parametrize(("name", "most"), [("SECONDS", 0.0), ("MAX_MEMORY", 1)])
def test_a_pdf_that_takes_too_much_is_given_up_and_nothing_runs_on(
    tmp_path, monkeypatch, name, most
):
    monkeypatch.setattr(pdf_text, name, most)
    before = set(psutil.Process().children())  # other tests may keep some
    with pytest.raises(Known, match="takes too long"):
        read(written(tmp_path, pdf("One"), "a.pdf"))
    assert set(psutil.Process().children()) <= before


def test_memory_that_this_process_takes_meanwhile_does_not_count(tmp_path, monkeypatch):
    """A model that is loaded meanwhile takes more than any PDF may."""
    monkeypatch.setattr(pdf_text, "MAX_MEMORY", 200 * 2**20)
    taken = []

    def check():
        if len(taken) < 3:
            taken.append(bytearray(b"x" * (100 * 2**20)))

    assert read(written(tmp_path, pdf("One"), "a.pdf"), check).file.text == "One"
    assert taken


def test_a_reader_that_crashes_is_a_damaged_file(tmp_path, monkeypatch):
    monkeypatch.setattr(
        pdf_text, "this_program", lambda: (sys.executable, "-c", "raise SystemExit(3)")
    )
    with pytest.raises(Known, match="damaged PDF") as caught:
        read(written(tmp_path, pdf("One"), "a.pdf"))
    assert "3" in caught.value.details


def test_reading_can_be_left(tmp_path):
    def check():
        raise Cancelled

    with pytest.raises(Cancelled):
        read(written(tmp_path, pdf("One"), "a.pdf"), check)
