"""What commands without a window have in common: the profile they work on, and how they speak."""

from __future__ import annotations

import io
import signal
import sys
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, TextIO

from qwen_desktop import __version__, log
from qwen_desktop.crash_report import CrashWatch
from qwen_desktop.paths import Profile

if TYPE_CHECKING:
    from qwen_desktop.storage.store import Store

INTERRUPTED = 130  # exit status, as shells have it


@contextmanager
def opened(profile: Profile) -> Iterator[Store]:
    """The store of a profile that nobody else uses meanwhile. Raises Known where one does."""
    # Not every command has a profile.
    from qwen_desktop.bridge import profile_lock
    from qwen_desktop.storage import profile_restore
    from qwen_desktop.storage.store import Store

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a console may know few characters
    profile_lock.make_folder(profile)
    lock = profile_lock.taken(profile)
    watch = CrashWatch(profile.crashes, __version__)
    try:
        log.start(profile.log)
        profile_restore.finish(profile)
        watch.start()
        store = Store.open(profile.database)
        try:
            yield store
        finally:
            store.close()
    finally:
        watch.stop()
        lock.unlock()


def say(text: str, out: TextIO | None = None) -> None:
    """Print a line without the characters that would command a terminal."""
    plain = "".join(c if unicodedata.category(c) != "Cc" else "\ufffd" for c in text)
    print(plain, file=out or sys.stdout, flush=True)


@contextmanager
def interrupted_by(stop: threading.Event, word: str = "") -> Iterator[None]:
    """Within, Ctrl+C says `word` and sets `stop`; a second one ends the process as usual."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        if word:
            say(word, sys.stderr)
        stop.set()

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
