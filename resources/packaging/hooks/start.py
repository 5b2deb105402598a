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


def _help_multiprocessing() -> None:
    """multiprocessing starts its helpers as if this program were a Python, with `-c` and a line.

    PyInstaller's own hook for that imports multiprocessing at every start, for 30 ms.
    """
    import sys

    if "-c" in sys.argv[1:-1]:
        code = sys.argv[sys.argv.index("-c") + 1]
        if code.startswith(("from multiprocessing.", "import sys; from multiprocessing.")):
            exec(code, {})
            sys.exit()


_restore()
_help_multiprocessing()
del _restore, _help_multiprocessing
