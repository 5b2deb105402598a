"""Guessing ahead as it would be where it always pays, for tests of what it must not change."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from qwen_desktop.engine.runner import Runner
from qwen_desktop.engine.session import Session
from qwen_desktop.engine.speculation.costs import Costs
from qwen_desktop.engine.speculation.feeding import Speculating
from tests.engine.helpers import NEVER, relief_of


class Free(Costs):
    """A machine on which a row more takes nothing: something is tried at every token."""

    step = 1.0
    is_stale = False

    def of(self, rows: int) -> float:
        return 1.0


def guessing(
    session: Session,
    runner: Runner[Any],
    ids: Sequence[int],
    *,
    end_ids: frozenset[int] = frozenset(),
    cancel: threading.Event = NEVER,
    **options: Any,
) -> Speculating:
    """What feeds `session` the answer to the prompt `ids`, with drafts wherever there are any."""
    values = {"costs": Free(), "is_clear": lambda _: True, "end_ids": end_ids} | options
    return Speculating(session, cancel, relief_of(runner), runner.expect, ids=ids, **values)
