"""Runs before the program does: programs that are started from here find the system as it was."""


def _restore() -> None:
    import os
    import sys

    # A program that was frozen as well, this one among them, is to prepare itself as at any start.
    os.environ["PYINSTALLER_RESET_ENVIRONMENT"] = "1"
    if sys.platform.startswith("linux"):
        # The loader has pointed this at our libraries, which are found by now.
        before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
        if before is None:
            os.environ.pop("LD_LIBRARY_PATH", None)
        else:
            os.environ["LD_LIBRARY_PATH"] = before


_restore()
del _restore
