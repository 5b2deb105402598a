"""kill -9 at random moments of a streaming answer: what was said is there, and the app opens."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qwen_desktop.chat.messages import Role, Status
from qwen_desktop.storage.store import Store
from tests.e2e.conftest import ROOT, run_step

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX signal"),
]

KILLS = 20
MAY_BE_LOST_S = 1.0


def stream_until_killed(profile: Path, checkpoint: Path, after_s: float) -> list[tuple[float, int]]:
    """Kill the program `after_s` seconds into its answer; (time, characters) as it showed them."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.steps", "stream_for_ever", str(profile), str(checkpoint)],
        cwd=ROOT,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    shown: list[tuple[float, int]] = []
    kill_at = None
    for line in process.stdout:
        if not line.startswith("shown "):
            continue
        moment, characters = float(line.split()[1]), int(line.split()[2])
        shown.append((moment, characters))
        if kill_at is None and characters:
            kill_at = moment + after_s
        if kill_at is not None and time.monotonic() >= kill_at:
            break
    os.kill(process.pid, signal.SIGKILL)
    killed = time.monotonic()
    shown.extend(
        (float(line.split()[1]), int(line.split()[2]))
        for line in process.stdout
        if line.startswith("shown ")
    )
    process.wait()
    assert shown, "it ended before it streamed anything"
    return [*shown, (killed, shown[-1][1])]


def test_twenty_kills_lose_no_question_and_at_most_a_second_of_an_answer(profile, endless):
    chance = random.Random(20)

    for kill in range(KILLS):
        shown = stream_until_killed(profile, endless, chance.uniform(0.0, 2.5))
        killed = shown[-1][0]
        must_have = max((n for moment, n in shown if moment <= killed - MAY_BE_LOST_S), default=0)

        store = Store.open(profile / "conversations.db")
        rows = store.summaries()
        assert len(rows) == kill + 1
        talk = store.load(rows[0].id)
        store.close()
        question, answer = talk.tree.path()
        assert question.role is Role.USER
        assert question.text.startswith("question ")
        assert answer.status is Status.INTERRUPTED
        assert len(answer.text) >= must_have, f"kill {kill}: {len(answer.text)} of {must_have}"

    run_step("partial_answer_opens", profile)
