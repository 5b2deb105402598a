"""Checkpoints and profiles of the end-to-end tests, and one start of the program per step."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.checkpoints import chatty_checkpoint

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 240


def run_step(step: str, profile: Path, *arguments: object) -> str:
    """One start of the program in a process of its own; gives what it printed."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.e2e.steps", step, str(profile), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert ended.returncode == 0, f"{step}:\n{ended.stdout}\n{ended.stderr}"
    assert ended.stdout.splitlines()[-1] == "ok"
    return ended.stdout


@pytest.fixture
def profile(tmp_path):
    return tmp_path / "profile"


@pytest.fixture(scope="session")
def endless(tmp_path_factory) -> Path:
    """A checkpoint with random weights that never ends an answer by itself."""
    return chatty_checkpoint(tmp_path_factory.mktemp("endless") / "Endless-Chat")


@pytest.fixture(scope="session")
def large(tmp_path_factory) -> Path:
    """A checkpoint large enough that its load can be caught in the middle."""
    return chatty_checkpoint(tmp_path_factory.mktemp("large") / "Large-Chat", megabytes=400)
