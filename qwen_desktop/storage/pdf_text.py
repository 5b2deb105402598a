"""The text of a PDF, which is a program of a stranger in all but name, read in another process.

That process is this program, started with `FLAG` and a path; what it finds it prints as JSON. It
is ended when it takes too long or too much memory: its own, whatever a model takes here. No Qt.
"""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qwen_desktop.paths import this_program

if TYPE_CHECKING:
    from pypdf import PdfReader

FLAG = "--read-pdf"
MAX_BYTES = 64 * 2**20  # of a file
MAX_CHARACTERS = 2_000_000
MAX_PAGES = 2_000
MAX_MEMORY = 2**30  # bytes of the process that reads
SECONDS = 20.0
LOCKED, DAMAGED = "locked", "damaged"
_LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class PdfText:
    """What was found. `trouble` is LOCKED or DAMAGED where nothing was, with the kind of error."""

    text: str = ""
    count: int = 0  # pages
    read: int = 0  # pages with text
    unread: int = 0  # pages that are damaged
    is_cut: bool = False
    trouble: str = ""
    details: str = ""


class GivenUp(Exception):  # noqa: N818 - reads as what happened
    """Reading took too long, or too much memory."""


# -- here --------------------------------------------------------------------------------------


def read(path: Path, check: Callable[[], None]) -> PdfText:
    """The text of a file. Raises OSError, GivenUp, and whatever `check` raises, which is called
    now and then.
    """
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [*this_program(), FLAG, str(path.absolute())],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).parents[2],  # where a source tree finds itself
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        try:
            _wait(process, check)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        out.seek(0)
        try:
            return PdfText(**json.loads(out.read()))
        except (ValueError, TypeError):  # it crashed over the file
            return PdfText(trouble=DAMAGED, details=f"exit status {process.returncode}")


def _wait(process: subprocess.Popen[bytes], check: Callable[[], None]) -> None:
    import psutil

    end = time.monotonic() + SECONDS
    watched = psutil.Process(process.pid)
    while True:
        try:
            process.wait(_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        else:
            return
        check()
        try:
            taken = watched.memory_info().rss
        except psutil.Error:  # it has just ended
            continue
        if time.monotonic() > end or taken > MAX_MEMORY:
            raise GivenUp


# -- in the other process ----------------------------------------------------------------------


def main(path: str) -> int:
    """Print what the file holds."""
    with Path(path).open("rb") as opened:
        content = opened.read(MAX_BYTES)
    written = json.dumps(asdict(extract(content)))
    sys.stdout.buffer.write(written.encode("ascii"))
    sys.stdout.flush()
    os._exit(0)  # nothing is left to do, and taking a large file apart again may take seconds


def extract(content: bytes) -> PdfText:
    """What a file with this content holds."""
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it quotes what stands in the file
    try:
        reader = pypdf.PdfReader(io.BytesIO(content), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            return PdfText(trouble=LOCKED)
        count = len(reader.pages)
    except pypdf.errors.DependencyError:  # a cipher that is not at hand
        return PdfText(trouble=LOCKED)
    except Exception as error:  # noqa: BLE001 - whoever wrote the file, it may be anything
        # Messages of the library quote the file: only the kind of error is kept.
        return PdfText(trouble=DAMAGED, details=type(error).__name__)
    return _pages(reader, count)


def _pages(reader: PdfReader, count: int) -> PdfText:
    pages: list[str] = []
    unread = length = 0
    most = min(count, MAX_PAGES)
    for number in range(most):
        try:
            text = flat(reader.pages[number].extract_text()).strip()
        except Exception:  # noqa: BLE001 - a page that is broken in whatever way; others are not
            unread += 1
            continue
        if text:
            pages.append(text)
            length += len(text) + 2
        if length > MAX_CHARACTERS:
            break
    text = "\n\n".join(pages)[:MAX_CHARACTERS]
    if unread and not text:
        return PdfText(trouble=DAMAGED)
    is_cut = length > MAX_CHARACTERS or most < count
    return PdfText(text, count, len(pages), unread, is_cut)


def flat(text: str) -> str:
    """With line feeds only."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
