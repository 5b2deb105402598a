"""Servers are asked without torch, and importing the package brings no client either."""

from __future__ import annotations

import subprocess
import sys

LOOK = """
import sys
from qwen_desktop.engine.remote import RemoteEngine
from qwen_desktop.chat.connection import Connection
heavy = {"torch", "transformers", "PySide6", "openai", "httpx2", "pydantic"} & set(sys.modules)
assert not heavy, heavy
RemoteEngine(lambda _: None).state(Connection("Lab", "http://127.0.0.1:9/v1"))
assert "openai" in sys.modules
assert not {"torch", "transformers", "PySide6"} & set(sys.modules)
"""


def test_nothing_heavy_is_imported() -> None:
    subprocess.run([sys.executable, "-c", LOOK], check=True, timeout=120)
