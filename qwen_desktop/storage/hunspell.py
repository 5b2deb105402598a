"""Hunspell of the system by its C interface. No Qt. For one thread.

Neither the library nor its dictionaries come with this program: docs/adr tells why.
"""

from __future__ import annotations

import codecs
import ctypes
import os
import sys
from pathlib import Path
from typing import Any

from qwen_desktop.chat.spelling import looked_up, supported

# Newest first. The interface used here is the same in all of them.
_LIBRARIES = (
    *(f"libhunspell-1.{minor}.so.0" for minor in range(9, 2, -1)),
    "libhunspell.so.0",
    "libhunspell.so",
)
_MOST_BYTES = 64 * 2**20  # of the two files of a dictionary
_SUGGESTIONS = 5


def library() -> ctypes.CDLL | None:
    """The library, if the system has it."""
    if sys.platform != "win32":  # there nothing installs it for all programs
        for name in _LIBRARIES:
            try:
                found = ctypes.CDLL(name)
            except OSError:
                continue
            return _declared(found)
    return None


def _declared(found: ctypes.CDLL) -> ctypes.CDLL | None:
    """With the types of its functions; None where it is something else."""
    text, handle = ctypes.c_char_p, ctypes.c_void_p
    texts = ctypes.POINTER(ctypes.POINTER(text))
    types: dict[str, tuple[Any, list[Any]]] = {
        "Hunspell_create": (handle, [text, text]),
        "Hunspell_destroy": (None, [handle]),
        "Hunspell_get_dic_encoding": (text, [handle]),
        "Hunspell_spell": (ctypes.c_int, [handle, text]),
        "Hunspell_suggest": (ctypes.c_int, [handle, texts, text]),
        "Hunspell_free_list": (None, [handle, texts, ctypes.c_int]),
    }
    try:
        for name, (result, arguments) in types.items():
            function = getattr(found, name)
            function.restype, function.argtypes = result, arguments
    except AttributeError:
        return None
    return found


def folders() -> list[Path]:
    """Where dictionaries lie: as `DICPATH` says, for this user, for all."""
    own = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    for_all = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    found = [Path(one) for one in os.environ.get("DICPATH", "").split(os.pathsep) if one]
    for data in (own, *for_all.split(":")):
        if data:
            found += [Path(data) / "hunspell", Path(data) / "myspell", Path(data) / "myspell/dicts"]
    return found


def dictionaries() -> dict[str, Path]:
    """The `.dic` file of each language that has its `.aff` beside it, by names like en_US."""
    found: dict[str, Path] = {}
    for folder in folders():
        try:
            files = sorted(folder.glob("*.dic"))
        except OSError:
            continue
        for file in files:
            # Beside dictionaries of spelling there are some of hyphenation.
            if not file.stem.startswith("hyph_") and file.with_suffix(".aff").is_file():
                found.setdefault(file.stem, file)
    return {name: found[name] for name in supported(found)}


class Unusable(Exception):  # noqa: N818 - reads as what it is
    """A dictionary that cannot be read."""


class Dictionary:
    """One language, held in the memory of the library until `close`."""

    def __init__(self, found: ctypes.CDLL, file: Path) -> None:
        """Read a dictionary. Raises Unusable."""
        affixes = file.with_suffix(".aff")
        try:
            for one in (file, affixes):
                with one.open("rb"):
                    pass  # the library would only write that it cannot into a terminal
            if file.stat().st_size + affixes.stat().st_size > _MOST_BYTES:
                raise ValueError("too large")
            self._library = found
            self._handle = found.Hunspell_create(os.fsencode(affixes), os.fsencode(file))
            if not self._handle:
                raise ValueError("refused by the library")
            try:
                self._encoding = _encoding(found.Hunspell_get_dic_encoding(self._handle))
            except LookupError:
                self.close()
                raise
        except (OSError, ValueError, LookupError) as error:
            raise Unusable(f"{file.name}: {error}") from error

    def knows(self, word: str) -> bool:
        """Whether a word is right; so is what the dictionary's encoding cannot write."""
        written = self._written(word)
        return written is None or bool(self._library.Hunspell_spell(self._handle, written))

    def suggest(self, word: str) -> tuple[str, ...]:
        """Words that may be meant, the likeliest first. May take a tenth of a second."""
        written = self._written(word)
        if written is None:
            return ()
        listed = ctypes.POINTER(ctypes.c_char_p)()
        count = self._library.Hunspell_suggest(self._handle, ctypes.byref(listed), written)
        try:
            raw = [listed[number] or b"" for number in range(min(count, _SUGGESTIONS))]
        finally:
            self._library.Hunspell_free_list(self._handle, ctypes.byref(listed), count)
        texts = (one.decode(self._encoding, "replace") for one in raw)
        return tuple(dict.fromkeys(one for one in texts if one))

    def close(self) -> None:
        """Let go of it. Nothing else may be called afterwards."""
        self._library.Hunspell_destroy(self._handle)
        self._handle = None

    def _written(self, word: str) -> bytes | None:
        try:
            written = looked_up(word).encode(self._encoding)
        except UnicodeEncodeError:
            return None
        return None if b"\0" in written else written


def _encoding(told: bytes | None) -> str:
    """Python's name of an encoding as dictionaries write it. Raises LookupError."""
    name = (told or b"ISO8859-1").decode("ascii", "replace").lower()
    return codecs.lookup(name.removeprefix("microsoft-")).name
