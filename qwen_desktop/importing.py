"""`qwen-desktop import`: conversations come into the profile without a window."""

from __future__ import annotations

import io
import sys
import unicodedata
from pathlib import Path

from qwen_desktop import log
from qwen_desktop.bridge import profile_lock
from qwen_desktop.chat.importing import Entry, Outcome, Refused, entry_found, entry_refused
from qwen_desktop.options import Options
from qwen_desktop.storage import merge
from qwen_desktop.storage.imports.files import Reader
from qwen_desktop.storage.store import Store

_WORDS = {
    Outcome.ADDED: "added",
    Outcome.MERGED: "merged",
    Outcome.SAME: "already here",
    Outcome.REJECTED: "not imported",
}


def run(options: Options) -> int:
    """Take in what is in the files, print what came in and what not; 0 where everything did.

    Raises Known where the profile is in use, or its disk refuses; what was printed is in it.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a console may know few characters
    profile_lock.make_folder(options.profile)
    lock = profile_lock.taken(options.profile)
    try:
        log.start(options.profile.log)
        store = Store.open(options.profile.database)
        try:
            counts = _take(store, options.files)
        finally:
            store.close()
    finally:
        lock.unlock()
    told = ", ".join(f"{counts[outcome]} {_WORDS[outcome]}" for outcome in Outcome)
    print(told, flush=True)
    taken = sum(counts[outcome] for outcome in Outcome if outcome is not Outcome.REJECTED)
    return 0 if taken and not counts[Outcome.REJECTED] else 1


def _take(store: Store, files: tuple[Path, ...]) -> dict[Outcome, int]:
    counts = dict.fromkeys(Outcome, 0)
    for piece in Reader(files):
        if isinstance(piece, Refused):
            entry = entry_refused(piece)
        else:
            added = merge.add(store, piece.record)
            entry = entry_found(piece, added.outcome, added.conversation_id)
        counts[entry.outcome] += 1
        _tell(entry)
    return counts


def _tell(entry: Entry) -> None:
    print(_printable(f"{_WORDS[entry.outcome]:12}  {entry.title or '-'}  ({entry.place})"))
    for report in (*((entry.report,) if entry.report else ()), *entry.notes):
        print(_printable(f"{'':12}  {report.text()}"))


def _printable(text: str) -> str:
    """`text` without the characters that would command a terminal."""
    return "".join(c if unicodedata.category(c) != "Cc" else "\ufffd" for c in text)
