"""Checkpoints and profiles of the end-to-end tests, and one start of the program per step."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.checkpoints import THINKING_OPEN, chatty_checkpoint, edit_json

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
def narrow(tmp_path_factory) -> Path:
    """The same with a context that a few short messages fill."""
    folder = chatty_checkpoint(tmp_path_factory.mktemp("narrow") / "Narrow-Chat")
    edit_json(folder / "config.json", max_position_embeddings=320)
    return folder


@pytest.fixture(scope="session")
def thinking(tmp_path_factory) -> Path:
    """The same with a template that lets it think."""
    folder = chatty_checkpoint(tmp_path_factory.mktemp("thinking") / "Thinking-Chat")
    (folder / "chat_template.jinja").write_text(THINKING_OPEN, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def large(tmp_path_factory) -> Path:
    """A checkpoint large enough that its load can be caught in the middle."""
    return chatty_checkpoint(tmp_path_factory.mktemp("large") / "Large-Chat", megabytes=400)
