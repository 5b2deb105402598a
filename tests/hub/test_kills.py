"""A download that is killed again and again comes whole, and next to nothing comes twice."""

from __future__ import annotations

import os
import random
import signal
import threading

import pytest

from qwen_desktop.hub.planning import plan
from tests.hub.fakehub import FakeHub
from tests.hub.fetching import NAME, assert_whole, listed, shards
from tests.hub.nursery import Nursery

MIB = 2**20
SIZES = (40 * MIB, 24 * MIB + 12_345, 9 * MIB, 300_000)
KILLS = 50
MAY_COME_TWICE = 2 * 8 * MIB  # bytes for each kill; those on their way are among them
RATE = 80 * MIB  # bytes a second: kills find it at work
AT_START_S = 0.12  # some kills come so soon after a start, wherever it stands

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.mark.parametrize("seed", [1])
def test_killed_at_fifty_random_points_it_comes_whole(seed, tmp_path):
    chance = random.Random(seed)
    with FakeHub(rate=RATE, send_buffer=256 * 1024) as hub:
        repo = hub.add(NAME, shards(SIZES))
        names = [path for path in repo.files if path.endswith(".safetensors")]
        listing = listed(hub)

        def sent() -> int:
            return sum(hub.sent(name) for name in names)

        def here() -> int:
            files = plan(tmp_path, listing).files
            return sum(one.here for one in files if one.file.path in names)

        points = sorted(chance.randrange(sum(SIZES)) for _ in range(KILLS))
        wasted = kept = 0
        with Nursery(hub.endpoint, tmp_path) as nursery:
            for point in points:
                process = nursery.start()
                if chance.random() < 0.3:
                    threading.Event().wait(chance.uniform(0, AT_START_S))
                else:
                    hub.wait_for(lambda point=point: sent() >= point)
                os.kill(process, signal.SIGKILL)
                assert nursery.ended() == -signal.SIGKILL
                hub.wait_for(lambda: all(one.is_over for one in hub.log))
                assert here() >= kept, "what was here is lost"
                kept = here()
                assert sent() - kept - wasted <= MAY_COME_TWICE
                wasted = sent() - kept
            hub.pace.rate = None
            nursery.start()
            assert nursery.ended() == 0
        assert_whole(tmp_path, repo)
        assert sent() - sum(SIZES) <= wasted
        assert kept < sum(SIZES), "the last kill came too late"
