"""The generated profile is what it says it is, and the same every time."""

import random
import time

from qwen_desktop.chat.messages import Role
from qwen_desktop.storage.store import Store
from tests import profiles

SMALL = profiles.Wanted(conversations=30, messages=300)
NOW = 1_790_000_000.0


def made(wanted):
    return list(profiles.conversations(wanted, profiles.Words(random.Random(wanted.seed)), NOW))


def test_the_same_seed_gives_the_same_conversations_and_another_one_others():
    assert made(SMALL) == made(SMALL)
    assert made(SMALL) != made(profiles.Wanted(30, 300, seed=6))


def test_counts_are_exact_and_trees_hold_branches():
    found = [one.conversation for one in made(SMALL)]
    assert len(found) == 30
    assert sum(len(c.tree.messages) for c in found) == 300
    assert len(found[-1].tree.messages) == SMALL.long_messages
    assert any(len(c.tree.path()) < len(c.tree.messages) for c in found)
    assert all(c.tree.path()[0].role is Role.USER for c in found)


def test_what_is_written_is_read_back(tmp_path):
    wanted = profiles.Wanted(20, 200, as_written=True)
    now = time.time()
    about = profiles.write(tmp_path / "conversations.db", wanted, now)
    store = Store.open(tmp_path / "conversations.db")
    try:
        long = store.load(about.long_id)
        assert (about.conversations, about.messages) == (20, 200)
        answer = long.tree.path()[1]
        assert answer.stats.answer_tokens == len(answer.token_ids)
        assert len(store.trace(answer.id).prompt_ids) == answer.stats.prompt_tokens
    finally:
        store.close()
