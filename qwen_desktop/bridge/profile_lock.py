"""The data folder of this start, and the lock that keeps other starts out of it. No Qt: the
terminal takes the same lock as the window.

The lock belongs to the open file, so that the system drops it where a process is killed. That is
a few lines; `filelock` would bring asyncio onto the way to the first paint.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.paths import Profile

TAKEN = "profile-taken"  # code of the trouble where another instance has the profile


class ProfileLock:
    """A lock that may be held. Made by `taken`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor = -1

    @property
    def held(self) -> bool:
        """Whether it keeps others out; False too where the folder takes no lock."""
        return self._descriptor >= 0

    def try_lock(self) -> bool:
        """Take it; False where another one has it. A folder that takes no lock counts as free."""
        while True:
            try:
                descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
            except OSError:
                return True
            if not _locked(descriptor):
                os.close(descriptor)
                return False
            if _is_of(descriptor, self._file):
                self._descriptor = descriptor
                return True
            os.close(descriptor)  # its owner removed it between opening and locking

    def unlock(self) -> None:
        """Let go of it. May be called again."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        if sys.platform == "win32":  # an open file cannot be removed there
            os.close(descriptor)
            _remove(self._file)
        else:
            _remove(self._file)
            os.close(descriptor)


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError:
        return  # empty, and no lock by itself


def _locked(descriptor: int) -> bool:
    """Lock an open file; False where another process has it locked."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True  # a file system without locks
    return True


def _is_of(descriptor: int, file: Path) -> bool:
    """Whether an open file is still the one at `file`."""
    same = True
    if sys.platform != "win32":  # there an open file cannot be removed
        try:
            same = os.path.samestat(os.fstat(descriptor), file.stat())
        except OSError:
            same = False
    return same


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


def is_taken(profile: Profile) -> bool:
    """Whether another process has the profile now. Makes nothing, and holds it for no time."""
    try:
        descriptor = os.open(profile.root / "lock", os.O_RDWR)
    except OSError:  # nobody has made one
        return False
    try:
        return not _locked(descriptor)
    finally:
        os.close(descriptor)


def taken(profile: Profile) -> ProfileLock:
    """The lock of the profile, taken. Raises Known where another instance has it.

    A second instance would take the first one's answers for dead.
    """
    lock = ProfileLock(profile.root / "lock")
    if lock.try_lock():
        return lock
    raise Known(
        QT_TRANSLATE_NOOP("errors", "Qwen Desktop is already open with the data in {folder}."),
        QT_TRANSLATE_NOOP(
            "errors",
            "Go on there or close it, or start with another --profile DIR or --temporary.",
        ),
        code=TAKEN,
        folder=profile.root,
    )
