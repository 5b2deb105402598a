"""`qwen-desktop export` and `qwen-desktop profile`: what leaves the profile, and comes back as a
whole, without a window.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from qwen_desktop.bridge import profile_lock
from qwen_desktop.chat.exporting import (
    ExportOptions,
    ExportProgress,
    ExportRequest,
    ProfileContents,
)
from qwen_desktop.chat.record import Record
from qwen_desktop.export import job
from qwen_desktop.export.words import Words
from qwen_desktop.paths import Profile
from qwen_desktop.storage import merge, profile_archive, profile_restore
from qwen_desktop.storage.records import Records
from qwen_desktop.terminal import opened, say


def export(profile: Profile, request: ExportRequest) -> int:
    """Write conversations into files; 0 where all were. Raises Known."""
    with opened(profile) as store:
        records = Records.open(store.database.file)
        try:
            tools = job.Tools(Words(), _write_pdf, _show, lambda: False)
            result = job.run(records, request, tools)
        finally:
            records.close()
    for file in result.files:
        say(str(file))
    for one in result.failed:
        say(f"{one.conversation_id}: {one.report.text()}", sys.stderr)
    say(_number(result.count, "chat"), sys.stderr)
    return 1 if result.failed else 0


def save_profile(profile: Profile, target: Path) -> int:
    """Write the whole profile into one file. Raises Known."""
    with opened(profile):
        contents = profile_archive.save(profile, target)
    say(f"{target}: {_counted(contents)}")
    return 0


def restore_profile(profile: Profile, file: Path, *, replace: bool | None) -> int:
    """Bring a saved profile back: in place of what is there, or (False) beside it.

    None: it is not said; then only a profile without conversations is replaced. Raises Known.
    """
    if replace is None and profile.database.exists():
        say("There are chats in this profile: say --merge or --replace.", sys.stderr)
        return 2
    if replace is False:
        return _merge(profile, file)
    profile_lock.make_folder(profile)
    lock = profile_lock.taken(profile)
    try:
        contents = profile_restore.prepare(file, profile)
        aside = profile_restore.finish(profile)
    finally:
        lock.unlock()
    say(_counted(contents))
    if aside is not None and any(aside.iterdir()):
        say(f"What was there before: {aside}")
    elif aside is not None:
        aside.rmdir()
    return 0


def _merge(profile: Profile, file: Path) -> int:
    counts: dict[str, int] = {}
    with opened(profile) as store, profile_archive.records_in(file, profile.root) as records:
        for record in records:
            outcome = merge.add(store, record).outcome.value
            counts[outcome] = counts.get(outcome, 0) + 1
    say(", ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "nothing in it")
    return 0


def _write_pdf(
    file: Path,
    records: Iterable[Record],
    options: ExportOptions,
    words: Words,
    step: Callable[[Record, float], None],
) -> None:
    """Draw conversations; Qt is started where the first one is drawn."""
    global _application
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from PySide6.QtGui import QGuiApplication

    from qwen_desktop.ui import pdf

    if QGuiApplication.instance() is None:
        _application = QGuiApplication(["qwen-desktop"])
    pdf.write(file, records, options, words, step)


_application: object = None  # Qt's, kept as long as the process


def _show(progress: ExportProgress) -> None:
    if sys.stderr.isatty():
        say(f"{progress.done + 1}/{progress.total} {progress.title}", sys.stderr)


def _counted(contents: ProfileContents) -> str:
    return f"{_number(contents.conversations, 'chat')}, {_number(contents.messages, 'message')}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
