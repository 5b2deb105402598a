"""Dictionaries of a few words, for tests of spelling."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwen_desktop.storage import hunspell

needs_hunspell = pytest.mark.skipif(
    hunspell.library() is None, reason="the library Hunspell is not installed on this system"
)

AFFIXES = """SET UTF-8
TRY esianrtolcdugmphbyfvkwz'
WORDCHARS '
SFX S Y 1
SFX S 0 s .
"""
WORDS = ("apple/S", "banana/S", "the", "is", "good", "don't", "red", "naïve", "Berlin")
LATIN_1 = "SET ISO8859-1\nTRY esianrt\n"


def make(folder: Path, name: str = "en_US", words=WORDS, affixes: str = AFFIXES, code="utf-8"):
    """Write a dictionary; the path of its words."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.aff").write_bytes(affixes.encode(code))
    file = folder / f"{name}.dic"
    file.write_bytes("\n".join([str(len(words)), *words, ""]).encode(code))
    return file


@pytest.fixture
def own_dictionaries(tmp_path, monkeypatch) -> Path:
    """A folder of dictionaries that is all this system has."""
    folder = tmp_path / "dictionaries"
    make(folder)
    monkeypatch.setenv("DICPATH", str(folder))
    for name in ("XDG_DATA_HOME", "XDG_DATA_DIRS"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    return folder
