"""The main job in the real window with the real demo checkpoint, restarting the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE_S, ROOT, run_step
from tests.engine.checkpoints import chatty_checkpoint

pytestmark = pytest.mark.e2e


def test_the_demo_answers_twice_and_the_talk_is_there_after_a_restart(profile):
    run_step("ask_twice", profile)
    run_step("conversation_is_there", profile)


def test_stop_keeps_the_text_and_the_next_message_works(profile, endless):
    run_step("stop_and_go_on", profile, endless)


def test_closing_in_the_middle_keeps_the_partial_answer(profile, endless):
    printed = run_step("close_in_the_middle", profile, endless)
    had = printed.split("had ")[1].split()[0]

    run_step("partial_answer_is_there", profile, had)


def test_folders_open_by_dialog_and_by_dropping_and_a_broken_one_changes_nothing(
    profile, endless, tmp_path
):
    broken = tmp_path / "broken"
    broken.mkdir()

    other = chatty_checkpoint(tmp_path / "Other-Chat")

    run_step("open_folders", profile, other, endless, broken)


def test_a_load_can_be_cancelled(profile, large):
    run_step("cancel_a_load", profile, large)


def test_a_checkpoint_that_ends_a_start_is_not_reopened_by_itself(profile, large):
    run_step("open_and_close", profile, large)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.steps", "load_until_killed", str(profile)],
        cwd=ROOT,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    process.kill()
    process.wait()
    process.stdout.close()

    run_step("not_reopened", profile, large)
    run_step("opened_by_hand", profile, large)
    run_step("reopened", profile, large)


def test_rename_delete_and_undo_in_the_list(profile):
    run_step("list_by_hand", profile)


def test_an_empty_and_a_huge_message_are_refused_and_the_text_stays(profile):
    run_step("refusals", profile)


def test_without_a_display_it_asks_streams_keeps_and_takes_a_picture(profile):
    ended = subprocess.run(
        [sys.executable, "-m", "qwen_desktop", "--headless", "--profile", str(profile)],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )

    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    database = Path(next(line for line in lines if line.startswith("conversation:"))[13:].strip())
    picture = Path(next(line for line in lines if line.startswith("screenshot:"))[11:].strip())
    assert database.is_file()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert len(ended.stdout) > 200


def test_a_question_in_the_terminal_to_a_folder_that_is_not_there(profile, tmp_path):
    arguments = ["--ask", "hello", "--checkpoint", str(tmp_path / "nowhere")]

    ended = subprocess.run(
        [sys.executable, "-m", "qwen_desktop", "--profile", str(profile), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )

    assert ended.returncode == 1
    assert "nowhere" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_second_start_on_the_same_data_hands_over_and_one_without_a_window_is_refused(
    profile, endless
):
    first = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.steps", "stream_for_ever", str(profile), str(endless)],
        cwd=ROOT,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert first.stdout is not None
        first.stdout.readline()
        second, third = (
            subprocess.run(
                [sys.executable, "-m", "qwen_desktop", "--profile", str(profile), *more],
                cwd=ROOT,
                env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
            )
            for more in ([], ["--ask", "Is anybody there?"])
        )
    finally:
        first.kill()
        first.wait()

    assert second.returncode == 0
    assert third.returncode == 1
    assert "already open" in third.stderr
