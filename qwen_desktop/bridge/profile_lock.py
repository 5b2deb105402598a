"""The data folder of this start, and the lock that keeps other starts out of it. QtCore only."""

from __future__ import annotations

from PySide6.QtCore import QLockFile

from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.paths import Profile

TAKEN = "profile-taken"  # code of the trouble where another instance has the profile


def make_folder(profile: Profile) -> None:
    """Make the data folder where there is none. Raises Known where that is impossible."""
    try:
        profile.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "The data folder {folder} cannot be made: {reason}."),
            QT_TRANSLATE_NOOP("errors", "Choose another with --profile DIR."),
            folder=profile.root,
            reason=error.strerror,
        ) from error


def taken(profile: Profile) -> QLockFile:
    """The lock of the profile, taken. Raises Known where another instance has it.

    A second instance would take the first one's answers for dead.
    """
    lock = QLockFile(str(profile.root / "lock"))
    lock.setStaleLockTime(0)  # only a dead owner makes it stale
    if lock.tryLock(100) or lock.error() is not QLockFile.LockError.LockFailedError:
        return lock
    raise Known(
        QT_TRANSLATE_NOOP("errors", "Qwen Desktop is already open with the data in {folder}."),
        QT_TRANSLATE_NOOP("errors", "Use its window, or start with another --profile DIR."),
        code=TAKEN,
        folder=profile.root,
    )
