"""Logging to one file in the profile. Standard library only.

Rule for every caller: never log what a user or a model wrote.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

MAX_BYTES = 2 * 2**20
_FORMAT = "%(asctime)s %(levelname)-7s %(threadName)s %(name)s: %(message)s"


def start(file: Path, level: int = logging.INFO) -> None:
    """Send records of this package (warnings of all others) to `file`.

    A file over 2 MiB becomes `<file>.1` first. It happens once a start, which spares the import
    of logging.handlers on the way to the first paint.
    """
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    logging.getLogger("qwen_desktop").setLevel(level)
    try:
        if file.exists() and file.stat().st_size > MAX_BYTES:
            with suppress(PermissionError):  # on Windows, while another program reads it
                file.replace(file.with_name(file.name + ".1"))
        # Opened here, where a refusal is met, and not by the first record.
        handler: logging.Handler = logging.FileHandler(file, encoding="utf-8")
    except OSError:  # a read-only profile still has to open
        handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(_FORMAT))
    root.addHandler(handler)
