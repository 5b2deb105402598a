"""A keyring for a process: the key of every connection stands in its environment."""

import os

from keyring.backend import KeyringBackend


class EnvVault(KeyringBackend):
    """Gives the same key for whatever is asked, and takes none."""

    priority = 1

    def get_password(self, service, username):
        return os.environ.get("KEY_OF_TESTS")

    def set_password(self, service, username, password):
        raise NotImplementedError
