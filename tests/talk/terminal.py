"""The command in a process of its own, where PySide6 cannot be imported."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_START = (
    "import sys; sys.modules['PySide6'] = sys.modules['shiboken6'] = None;"
    "from qwen_desktop.cli import main; sys.exit(main(sys.argv[1:]))"
)
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name != "DISPLAY"},
    "PROMPT_TOOLKIT_NO_CPR": "1",  # nothing here answers where its cursor is
    "TERM": "xterm",
    "PYTHONPATH": str(ROOT),
}


def arguments(folder: Path, profile: Path, *more: str) -> list[str]:
    return ["-c", _START, "chat", str(folder), "--profile", str(profile), "--device", "cpu", *more]


def run(folder: Path, profile: Path, *more: str, stdin: str = "") -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments(folder, profile, *more)],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        env=ENVIRONMENT,
        timeout=120,
    )
