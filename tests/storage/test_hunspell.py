"""The library of the system with dictionaries of ours, and the words of a user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qwen_desktop.errors import Known
from qwen_desktop.storage import hunspell, own_words
from tests.dictionaries import LATIN_1, make, needs_hunspell, own_dictionaries  # noqa: F401


@pytest.fixture
def opened(tmp_path):
    made = []

    def use(*arguments, **options) -> hunspell.Dictionary:
        file = make(tmp_path / "words", *arguments, **options)
        made.append(hunspell.Dictionary(hunspell.library(), file))
        return made[-1]

    yield use
    for one in made:
        one.close()


@needs_hunspell
def test_words_are_known_with_their_endings(opened):
    dictionary = opened()
    for word in ("apple", "apples", "Apple", "don't", "don’t", "naïve", "nai\u0308ve", "Berlin"):
        assert dictionary.knows(word), word
    for word in ("aple", "applees", "berlin", "naive"):
        assert not dictionary.knows(word), word


@needs_hunspell
def test_words_that_may_be_meant_come_with_the_likeliest_first(opened):
    dictionary = opened()
    assert dictionary.suggest("appel")[0] == "apple"
    assert dictionary.suggest("") == ()
    assert dictionary.suggest("qqqqqqqqqq") == ()


@needs_hunspell
def test_what_an_encoding_cannot_write_is_not_wrong(opened):
    dictionary = opened("de_DE", ("schön", "gut"), LATIN_1, "latin-1")
    assert dictionary.knows("schön")
    assert dictionary.suggest("schon")[0] == "schön"
    assert not dictionary.knows("schoen")
    assert dictionary.knows("слово")
    assert dictionary.suggest("слово") == ()


@needs_hunspell
def test_a_dictionary_of_an_unknown_encoding_is_refused(tmp_path):
    file = make(tmp_path / "words", affixes="SET KLINGON-8\n")
    with pytest.raises(hunspell.Unusable):
        hunspell.Dictionary(hunspell.library(), file)
    file.unlink()
    with pytest.raises(hunspell.Unusable):
        hunspell.Dictionary(hunspell.library(), file)


@needs_hunspell
def test_hostile_files_end_in_an_answer(opened):
    for number, affixes in enumerate(("\0" * 100, "SFX S Y 99\n", "SET UTF-8\nREP 5\nREP a\n")):
        dictionary = opened(f"x{number}", ("a/ZZ", "\xff", "/"), affixes, "latin-1")
        dictionary.knows("word")
        dictionary.suggest("word")


@needs_hunspell
@pytest.mark.skipif(
    not Path("/usr/share/hunspell/en_US.dic").is_file(), reason="no English dictionary here"
)
def test_the_english_dictionary_of_this_system():
    dictionary = hunspell.Dictionary(hunspell.library(), hunspell.dictionaries()["en_US"])
    assert dictionary.knows("receive")
    assert not dictionary.knows("recieve")
    assert "receive" in dictionary.suggest("recieve")
    dictionary.close()


def test_dictionaries_are_found_in_their_order(own_dictionaries, tmp_path, monkeypatch):  # noqa: F811
    other = tmp_path / "data" / "hunspell"
    other.parent.mkdir()
    make(other, "en_US")
    make(other, "de_DE")
    make(other, "hyph_de_DE")
    make(other, "hi_IN")
    (other / "fr_FR.dic").write_text("0\n")  # without its affixes
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path / "data"))
    found = hunspell.dictionaries()
    assert list(found) == ["de_DE", "en_US"]
    assert found["en_US"].parent == own_dictionaries


def test_the_words_of_a_user_are_kept(tmp_path):
    file = tmp_path / "words.txt"
    assert own_words.read(file) == frozenset()
    own_words.save(file, {"zebra", "Äpfel", "abc"})
    assert file.read_text("utf-8") == "abc\nzebra\nÄpfel\n"
    assert own_words.read(file) == {"zebra", "Äpfel", "abc"}


def test_a_file_of_words_written_by_hand_is_read(tmp_path):
    file = tmp_path / "words.txt"
    file.write_bytes("\ufeffone\r\n\r\n  two \r\n".encode() + b"\xff\n" + b"x" * 500)
    assert own_words.read(file) >= {"one", "two"}
    assert not any(len(word) > 60 for word in own_words.read(file))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_disk_that_refuses_is_one_sentence(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(Known):
        own_words.save(tmp_path / "words.txt", {"a"})
