"""The line in the log about a damaged value. It names the row and never what was said."""

from __future__ import annotations

import logging

_log = logging.getLogger(__name__)


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
