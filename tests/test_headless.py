"""Runs without a window: what reaches the terminal, and the status they end with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from qwen_desktop.paths import demo_checkpoint
from qwen_desktop.storage.preferences import Preferences
from qwen_desktop.storage.state import LoadMark, StateFile, WindowState

PATIENCE_S = 180


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "qwen_desktop", *arguments],
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext, 中文 and 🙂", "plain\n\ttext, 中文 and 🙂"),
        ("\x1b]52;c;AAAA\x07 copies", "\ufffd]52;c;AAAA\ufffd copies"),
        ("\x9b31m\rback", "\ufffd31m\ufffdback"),
    ],
)
def test_a_model_cannot_command_the_terminal(text, shown):
    from qwen_desktop.headless import printable

    assert printable(text) == shown


def test_a_console_that_knows_few_characters_gets_the_answer_in_the_precision_asked_for(tmp_path):
    wanted = ("--precision", "int8", "--device", "cpu")
    run = start("--profile", str(tmp_path), "--ask", "你好", *wanted, PYTHONIOENCODING="ascii")
    said, told = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 0, told
    assert "> ??" in said
    assert "on CPU, INT8" in told


def test_a_question_that_does_not_fit_is_told_with_both_numbers(tmp_path):
    """Under this policy a window would ask what is to be left out."""
    Preferences(tmp_path / "settings.json").set("context_policy", "ask")
    run = start("--profile", str(tmp_path), "--ask", "too long " * 5_000)
    _, told = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 1
    assert "fit beside an answer" in told


def test_a_question_is_answered_also_after_a_crash_in_a_load(tmp_path):
    """A window would wait for somebody who says whether to try again."""
    state = WindowState(checkpoint=str(demo_checkpoint()))
    StateFile(tmp_path / "state.json").save(state)
    LoadMark(tmp_path / "loading.json").set(state.checkpoint)
    run = start("--profile", str(tmp_path), "--ask", "hello")
    said, told = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 0, told
    assert "> hello" in said
    assert not (tmp_path / "loading.json").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="a process there gets no SIGINT of its own")
def test_an_interrupted_run_does_not_end_as_a_good_one(tmp_path):
    run = start("--profile", str(tmp_path), "--ask", "hello")
    assert run.stderr is not None
    assert any("importing" in line for line in run.stderr)
    run.send_signal(signal.SIGINT)  # in the middle of an import, which cannot be ended
    run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 1
