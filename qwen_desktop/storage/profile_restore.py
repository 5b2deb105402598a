"""A saved profile takes the place of the present one: verified and laid ready while that is used,
moved at the next start. What was there is moved aside, never deleted. Synchronous.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from qwen_desktop.chat.exporting import ProfileContents
from qwen_desktop.paths import Profile
from qwen_desktop.storage import atomic, trouble
from qwen_desktop.storage.profile_archive import (
    CONNECTIONS,
    DATABASE,
    FORMAT,
    Step,
    forget_agreements,
    no_step,
    unpack,
)


def prepare(file: Path, profile: Profile, step: Step = no_step) -> ProfileContents:
    """Verify `file` and lay it ready to take the place of `profile` at the next start.

    Nothing of the present profile is touched. Raises Known.
    """
    waiting = profile.restore_mark.parent
    try:
        forget(profile)
        waiting.mkdir(parents=True)
    except OSError as error:
        raise trouble.from_os(error, waiting) from error
    try:
        contents = unpack(file, waiting, step)
        forget_agreements(waiting / DATABASE)
        atomic.write_json(profile.restore_mark, {"format": FORMAT, "at": time.time()})
    except BaseException:
        shutil.rmtree(waiting, ignore_errors=True)
        raise
    return contents


def is_prepared(profile: Profile) -> bool:
    """Whether something waits to take the place of this profile. One look at the disk."""
    return profile.restore_mark.is_file()


def forget(profile: Profile) -> None:
    """Let go of what was prepared. Raises OSError."""
    waiting = profile.restore_mark.parent
    profile.restore_mark.unlink(missing_ok=True)
    if waiting.exists():
        shutil.rmtree(waiting)


def finish(profile: Profile) -> Path | None:
    """Put what was prepared in its place, before anything of the profile is read.

    Tells the folder that holds the profile as it was before; None where nothing was prepared. Only
    for whoever has the lock of the profile. It moves files inside one folder and may be done again
    after a crash at any point. Raises Known where the disk refuses.
    """
    waiting = profile.restore_mark.parent
    if not is_prepared(profile):
        return None
    try:
        aside = _aside(profile, waiting)
        present = {
            DATABASE: profile.database,
            "settings.json": profile.preferences,
            "presets.json": profile.presets,
            "prompts.json": profile.prompts,
            "words.txt": profile.words,
            CONNECTIONS: profile.connections,
        }
        for name, file in present.items():
            if not (waiting / name).exists():
                continue  # moved before a crash, or not in the file: what is there stays
            ends = ("", "-wal", "-shm") if name == DATABASE else ("",)
            for end in ends:
                old = file.with_name(file.name + end)
                if old.exists():
                    old.replace(aside / old.name)
            (waiting / name).replace(file)
        # The copy of the list would show what is no longer there.
        profile.sidebar_cache.unlink(missing_ok=True)
        profile.restore_mark.unlink()
        shutil.rmtree(waiting, ignore_errors=True)
    except OSError as error:
        raise trouble.from_os(error, profile.database) from error
    return aside


def _aside(profile: Profile, waiting: Path) -> Path:
    """The folder for what was there; the same one when this is done again after a crash."""
    note = waiting / "aside.json"
    try:
        name = atomic.read_json(note)
    except (OSError, ValueError):
        name = None
    if not isinstance(name, str) or Path(name).name != name:
        name = time.strftime("before restore %Y-%m-%d %H-%M-%S")
        atomic.write_json(note, name)
    folder = profile.root / name
    folder.mkdir(exist_ok=True)
    return folder
