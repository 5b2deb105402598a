"""A hub on loopback, and an environment that names no other one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.hub.fakehub import FakeHub

_FOREIGN = ("HF_", "HUGGING", "MODELSCOPE_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No mirror, no token and no proxy of whoever runs the tests; no keyring either."""
    for name in list(os.environ):
        if name.upper().startswith(_FOREIGN):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """One that behaves."""
    with FakeHub() as hub:
        yield hub
