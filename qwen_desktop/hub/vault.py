"""The keyring of the system, where it has one: secrets by name, and nothing of them elsewhere.

Any call may wait for the user, who is asked by the system: never on the main thread.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

SERVICE = "Qwen Desktop"  # of the keyring's entries


def keyring_here() -> Any:
    """The keyring package where this system has a place that keeps secrets; else None."""
    try:
        import keyring
        from keyring.backends import fail, null

        backend = keyring.get_keyring()
    except Exception:  # noqa: BLE001 - a backend that cannot even be asked
        return None
    return None if isinstance(backend, (fail.Keyring, null.Keyring)) else keyring


def kept(name: str) -> str:
    """The secret called `name`; "" where there is none, or no keyring, or it refuses."""
    keyring = keyring_here()
    if keyring is None:
        return ""
    try:
        return keyring.get_password(SERVICE, name) or ""
    except Exception:  # noqa: BLE001 - a backend may raise anything; then there is none
        return ""


def keep(name: str, secret: str) -> bool:
    """Keep `secret` under `name`. False where there is no keyring, or it does not take it."""
    keyring = keyring_here()
    if keyring is None:
        return False
    try:
        keyring.set_password(SERVICE, name, secret)
        return bool(keyring.get_password(SERVICE, name) == secret)
    except Exception:  # noqa: BLE001 - whatever the backend of this system raises
        return False


def forget(name: str) -> None:
    """Take away what is kept under `name`, if anything is."""
    keyring = keyring_here()
    if keyring is not None:
        with suppress(Exception):
            keyring.delete_password(SERVICE, name)
