"""Keys of the local server. Standard library only."""

from __future__ import annotations

import secrets


def new_key() -> str:
    """A key that nobody guesses."""
    return "qd-" + secrets.token_urlsafe(24)
