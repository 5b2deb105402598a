"""Damaged values: what numbers cannot be, and the line in the log about a value.

That names the row and never what was said.
"""

from __future__ import annotations

import logging
from math import isfinite

_log = logging.getLogger(__name__)

MOST = 2**64  # of whole numbers, either sign: seeds are up to half of it
MOST_TOKENS = 2**31 - 1  # of one answer or prompt


def is_number(value: int | float, most: int = MOST) -> bool:
    """Whether it can be counted with: JSON knows numbers without end, and such that are none."""
    return isfinite(value) if isinstance(value, float) else abs(value) <= most


def note(row_id: str, what: str, of: str = "message") -> None:
    """Tell that `what` of the row `row_id` could not be read and has a value in its place."""
    _log.warning("damaged row: %s of %s %r", what, of, row_id[:40])


class Damage:
    """What of one message could not be read."""

    def __init__(self, message_id: str) -> None:
        self.message_id = message_id
        self.found = False

    def note(self, what: str) -> None:
        """Tell that `what` could not be read and has a value in its place."""
        self.found = True
        note(self.message_id, what)
