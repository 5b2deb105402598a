"""What the engine does while nobody waits for it, step by step. No Qt, no torch: a queue."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass


@dataclass
class _Job:
    work: Iterator[None]
    stop: threading.Event
    conversation_id: str


class IdleWork:
    """Jobs in the order they came; each is an iterator whose steps are short.

    A job whose `stop` is set ends before its next step. Used by one thread; only the events are
    set by others.
    """

    def __init__(self) -> None:
        self._jobs: deque[_Job] = deque()

    @property
    def waits(self) -> bool:
        """Whether there is another step to take."""
        return bool(self._jobs)

    def add(self, work: Iterator[None], stop: threading.Event, conversation_id: str = "") -> None:
        """Do `work` after what there is; it belongs to a conversation, or to none ("")."""
        self._jobs.append(_Job(work, stop, conversation_id))

    def step(self) -> None:
        """Take the next step. What the work raises passes through, and the job is over."""
        while self._jobs:
            job = self._jobs.popleft()
            if job.stop.is_set():
                _end(job)
                continue
            for _ in job.work:  # one step, if there is one
                self._jobs.appendleft(job)
                return

    def drop(self, conversation_id: str | None = None) -> None:
        """End all jobs, or those of one conversation and those of none."""
        jobs, self._jobs = self._jobs, deque()
        for job in jobs:
            if conversation_id is None or job.conversation_id in ("", conversation_id):
                _end(job)
            else:
                self._jobs.append(job)


def _end(job: _Job) -> None:
    """Let the work put in order what it holds, now."""
    if isinstance(job.work, Generator):
        job.work.close()
