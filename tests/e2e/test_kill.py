"""kill -9 at random moments of a streaming answer: what was said is there, and the app opens."""

from __future__ import annotations

import multiprocessing
import random
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from qwen_desktop.chat.messages import Role, Status
from qwen_desktop.storage.store import Store
from tests.e2e.conftest import run_step
from tests.listed import listed

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are POSIX"),
]

KILLS = 20
MAY_BE_LOST_S = 1.0


def stream(profile: Path, checkpoint: Path, told: Connection) -> None:
    """In a process of its own: the real window streams, telling how much text it has shown."""
    from tests.e2e.driver import Driver

    driver = Driver(profile, "--checkpoint", str(checkpoint), "--max-new-tokens", "100000")
    driver.app.chats.message_changed.connect(
        lambda message: told.send((time.monotonic(), len(message.text)))
    )
    driver.wait_ready()
    driver.click("New chat")
    driver.send(f"question {time.time_ns()}")
    driver.wait("the kill", lambda: False, 300)


def stream_until_killed(
    context: multiprocessing.context.BaseContext, profile: Path, checkpoint: Path, after_s: float
) -> list[tuple[float, int]]:
    """Kill the program `after_s` seconds into its answer; (time, characters) as it showed them."""
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=stream, args=(profile, checkpoint, there))  # type: ignore[attr-defined]
    process.start()
    there.close()
    shown: list[tuple[float, int]] = [here.recv()]
    kill_at = shown[0][0] + after_s
    while time.monotonic() < kill_at:
        if here.poll(max(0.0, kill_at - time.monotonic())):
            shown.append(here.recv())
    process.kill()
    killed = time.monotonic()
    process.join()
    try:
        while True:
            shown.append(here.recv())
    except (EOFError, OSError):
        here.close()
    return [*shown, (killed, shown[-1][1])]


def test_twenty_kills_lose_no_question_and_at_most_a_second_of_an_answer(profile, endless):
    chance = random.Random(20)
    # The processes are forked from one that has imported torch: each is new, but starts quickly.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["qwen_desktop.engine.engine"])

    for kill in range(KILLS):
        shown = stream_until_killed(context, profile, endless, chance.uniform(0.0, 2.5))
        killed = shown[-1][0]
        must_have = max((n for moment, n in shown if moment <= killed - MAY_BE_LOST_S), default=0)

        store = Store.open(profile / "conversations.db")
        rows = listed(store)
        assert len(rows) == kill + 1
        talk = store.load(rows[0].id)
        store.close()
        question, answer = talk.tree.path()
        assert question.role is Role.USER
        assert question.text.startswith("question ")
        assert answer.status is Status.INTERRUPTED
        assert len(answer.text) >= must_have, f"kill {kill}: {len(answer.text)} of {must_have}"

    run_step("partial_answer_opens", profile)
