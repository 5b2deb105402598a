"""`qwen-desktop import`: conversations come into the profile without a window."""

from __future__ import annotations

from pathlib import Path

from qwen_desktop.chat.importing import Entry, Outcome, Refused, entry_found, entry_refused
from qwen_desktop.options import Options
from qwen_desktop.storage import merge
from qwen_desktop.storage.imports.files import Reader
from qwen_desktop.storage.store import Store
from qwen_desktop.terminal import opened, say

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
    with opened(options.profile) as store:
        counts = _take(store, options.files)
    told = ", ".join(f"{counts[outcome]} {_WORDS[outcome]}" for outcome in Outcome)
    say(told)
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
    say(f"{_WORDS[entry.outcome]:12}  {entry.title or '-'}  ({entry.place})")
    for report in (*((entry.report,) if entry.report else ()), *entry.notes):
        say(f"{'':12}  {report.text()}")
