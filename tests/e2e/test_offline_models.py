"""No hub is asked by a start, a page, a dialog or a setting: the process could not ask one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from tests.e2e.conftest import PATIENCE_S, ROOT

UNDER_WAY = {
    "id": "1",
    "hub": "huggingface",
    "server": "https://huggingface.co",
    "endpoint": "",
    "repository": "Qwen/Tiny",
    "revision": "main",
    "commit": "0" * 40,
    "files": [["config.json", 2, None, None], ["model.safetensors", 9, "0" * 64, None]],
    "stage": "running",
    "done": 2,
}


def run(profile) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.e2e.models_steps", str(profile)],
        cwd=ROOT,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


@pytest.fixture
def left_behind(profile):
    """A profile as a program leaves it that was killed while something was downloaded."""
    profile.mkdir()
    entry = {**UNDER_WAY, "folder": str(profile / "models/Qwen/Tiny"), "added_at": time.time()}
    (profile / "downloads.json").write_text(json.dumps([entry]))
    return profile


def test_nothing_is_asked_of_a_network_that_nobody_asked_for(left_behind):
    ended = run(left_behind)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.splitlines()[-1] == "ok"


def test_what_goes_on_by_itself_is_caught_by_this(left_behind):
    """The proof can fail: with the setting that lets downloads go on, the network is used."""
    (left_behind / "settings.json").write_text(json.dumps({"resume_downloads": True}))
    ended = run(left_behind)
    assert ended.returncode != 0
    assert "the network was used" in ended.stderr
