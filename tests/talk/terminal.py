"""The command in a process of its own, where PySide6 cannot be imported."""

import os
import subprocess
import sys
from pathlib import Path

from keyring.backend import KeyringBackend

ROOT = Path(__file__).resolve().parents[2]
_START = (
    "import sys; sys.modules['PySide6'] = sys.modules['shiboken6'] = None;"
    "from qwen_desktop.cli import main; sys.exit(main(sys.argv[1:]))"
)
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name != "DISPLAY"},
    "PROMPT_TOOLKIT_NO_CPR": "1",  # nothing here answers where its cursor is
    "TERM": "xterm",
    "PYTHON_KEYRING_BACKEND": "tests.talk.terminal.Vault",
    "PYTHONPATH": str(ROOT),
}


class Vault(KeyringBackend):
    """A keyring for the process: the key of every connection stands in its environment."""

    priority = 1

    def get_password(self, service, username):
        return os.environ.get("KEY_OF_TESTS") if username.startswith("connection lab ") else None

    def set_password(self, service, username, password):
        raise NotImplementedError  # the terminal keeps no keys


def arguments(folder: Path | None, profile: Path | None, *more: str) -> list[str]:
    what = [str(folder)] if folder is not None else []
    where = ["--profile", str(profile)] if profile is not None else []
    return ["-c", _START, "chat", *what, *where, "--device", "cpu", *more]


def run(
    folder: Path | None, profile: Path, *more: str, stdin: str | bytes = ""
) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [sys.executable, *arguments(folder, profile, *more)],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        env=ENVIRONMENT,
        timeout=120,
    )
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    return done
