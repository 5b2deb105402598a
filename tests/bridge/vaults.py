"""A keyring of the keyring package's own kind, in memory, in place of the system's."""

from __future__ import annotations

import threading

import keyring
import pytest
from keyring.backend import KeyringBackend


class Vault(KeyringBackend):
    """A keyring in memory that knows on which threads it was asked."""

    priority = 1

    def __init__(self):
        super().__init__()
        self.kept, self.threads = {}, set()

    def get_password(self, service, username):
        self.threads.add(threading.current_thread())
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.threads.add(threading.current_thread())
        self.kept[service, username] = password

    def delete_password(self, service, username):
        del self.kept[service, username]


@pytest.fixture
def vault():
    before, made = keyring.get_keyring(), Vault()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)
