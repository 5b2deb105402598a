"""Shares the tests out to several processes: which stay together, and which begin first.

`dev.py test` asks for it. A file goes to one worker as a whole, in its own order, so that what its
fixtures make is made once. Imports nothing of the product.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

MOST = 4  # windows of more programs than that at once wait for each other
# Files that share what takes seconds to make: a desktop, a server, compiled code, a vocabulary.
TOGETHER = (
    "tests/blackbox/",
    "tests/serve/",
    "tests/engine/test_compiled",
    "tests/engine/qwen1/",
    "tests/engine/remote/",
)
COMPILED = "tests/engine/qwen1/test_compiled.py"  # belongs to those of its name
# What takes longest, so that the workers end at about the same time: those that mostly wait are
# mixed with those that compute.
FIRST = (
    "tests/e2e/test_window.py",
    "tests/engine/test_mutations.py",
    "tests/crash/test_crash.py",
    "tests/engine/test_compiled",
    "tests/blackbox/",
    "tests/engine/test_oom.py",
    "tests/engine/qwen1/",
    "tests/e2e/test_answers.py",
    "tests/e2e/test_kill.py",
    "tests/serve/",
    "tests/engine/test_lean_card.py",
    "tests/engine/test_simulated_card.py",
    "tests/engine/test_reuse.py",
    "tests/engine/test_stop.py",
    "tests/engine/test_kv8.py",
    "tests/engine/test_lean.py",
    "tests/engine/remote/",
    "tests/engine/test_activations.py",
    "tests/engine/test_speculation.py",
)


def share_of(test: str) -> str:
    """What a test, by its node id, stays together with: its file, or several of them."""
    file = test.partition("::")[0]
    if file == COMPILED:
        return "tests/engine/test_compiled"
    return next((begin for begin in TOGETHER if file.startswith(begin)), file)


def rank_of(test: str) -> int:
    """Shares with a lower one begin earlier."""
    share = share_of(test)
    return FIRST.index(share) if share in FIRST else len(FIRST)


def are_of_one_file(arguments: list[str]) -> bool:
    """Whether paths or node ids, as pytest takes them, name one file and nothing else."""
    named = {one.partition("::")[0] for one in arguments}
    return len(named) == 1 and Path(min(named)).suffix == ".py"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """None for a single file, or where somebody looks on; else one for each processor."""
    if config.option.capture == "no" or are_of_one_file(config.args):
        return 0
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(here, MOST) if here > 1 else 0


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """One that keeps shares together and begins them in the order of the tests."""
    from xdist.scheduler import LoadScopeScheduling

    class Shares(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return share_of(nodeid)

    config.option.loadscopereorder = False  # by number of tests, which says little of their time
    return Shares(config, log)


def in_order_for_workers(items: list[pytest.Item]) -> None:
    """In a worker, put the tests that take longest first; all others keep their order."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: rank_of(item.nodeid))
