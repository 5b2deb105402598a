"""Files named at a start, and those of a second start, are shown in the window of the first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE_S, ROOT

pytestmark = pytest.mark.e2e

FIXTURES = ROOT / "tests" / "storage" / "imports" / "fixtures"
FIRST = FIXTURES / "1755014461974.conversation.json"
SECOND = FIXTURES / "openai.json"

CHILD = """
import sys
from qwen_desktop import app, cli

qt = app.application()
built = app.App(cli.parse(sys.argv[1:]))
qt.aboutToQuit.connect(built.close)
built.show()

def opened(conversation):
    title = conversation.summary().title
    print("shown:", title, flush=True)
    if title == "Name a prime.":
        qt.quit()

built.built.connect(lambda: built.chats.opened.connect(opened))
qt.exec()
built.close()
"""


def test_files_named_at_a_start_are_shown_also_by_a_window_that_is_open(profile: Path):
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "LANG": "C.UTF-8"}
    shared = {"cwd": ROOT, "env": environment, "text": True, "encoding": "utf-8"}
    where = ["--profile", str(profile)]
    first = subprocess.Popen(
        [sys.executable, "-c", CHILD, *where, str(FIRST)], stdout=subprocess.PIPE, **shared
    )
    try:
        for line in first.stdout:
            if line.strip() == "shown: Tides":
                break
        else:
            pytest.fail("the file named at the start was not shown")
        second = subprocess.run(
            [sys.executable, "-m", "qwen_desktop", *where, str(SECOND)],
            timeout=PATIENCE_S,
            check=False,
            **shared,
        )
        assert second.returncode == 0
        told = first.stdout.read()
        assert "shown: Name a prime." in told
        assert first.wait(PATIENCE_S) == 0
    finally:
        first.kill()
        first.wait()
        first.stdout.close()
