"""Runs before the program does: other programs started from here get the system's environment."""


def _restore() -> None:
    import os
    import sys

    if not sys.platform.startswith("linux"):
        return
    # The loader of the application folder points these at our libraries, which were found by then.
    for name in ("LD_LIBRARY_PATH",):
        before = os.environ.pop(f"{name}_ORIG", None)
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


_restore()
del _restore
