"""kill -9 at 200 random moments: what was told to be saved is there, the rest but for a second."""

from __future__ import annotations

import random
import sys

import pytest

from tests.crash.killing import MAY_BE_LOST_S
from tests.crash.kinds import SHARES, kill_often, makers
from tests.engine.checkpoints import chatty_checkpoint

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="SIGKILL and a server of forks are POSIX"
)


@pytest.fixture(scope="session")
def endless(tmp_path_factory):
    return chatty_checkpoint(tmp_path_factory.mktemp("endless") / "Endless-Chat")


@pytest.mark.parametrize("name", SHARES)
def test_nothing_is_lost_at_any_moment(tmp_path, endless, name):
    kind = makers(endless)[name](tmp_path / "profile", random.Random(name))
    kill_often(kind, SHARES[name])
    longest = max(kind.losses.draft_ms, kind.losses.answer_ms, kind.losses.other_ms)
    assert longest <= 1000 * MAY_BE_LOST_S


def test_there_are_two_hundred_of_them():
    assert sum(SHARES.values()) >= 200
    assert SHARES.keys() == makers(None).keys()
