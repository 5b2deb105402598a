"""Logging to one rotating file in the profile. Standard library only.

Rule for every caller: never log what a user or a model wrote.
"""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

_FORMAT = "%(asctime)s %(levelname)-7s %(threadName)s %(name)s: %(message)s"


def start(file: Path, level: int = logging.INFO) -> None:
    """Send records of this package (warnings of all others) to `file`, at most 4 MiB in all."""
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    logging.getLogger("qwen_desktop").setLevel(level)
    try:
        handler: logging.Handler = RotatingFileHandler(
            file, maxBytes=2 * 2**20, backupCount=1, encoding="utf-8", delay=True
        )
    except OSError:  # a read-only profile still has to open
        handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(_FORMAT))
    root.addHandler(handler)
