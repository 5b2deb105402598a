"""What a server refuses, and what of a request is changed before it is asked once more."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from qwen_desktop.chat.connection import RemoteTarget
from qwen_desktop.engine.remote import trouble
from qwen_desktop.engine.remote.fields import refused
from qwen_desktop.engine.remote.link import retry_after
from qwen_desktop.errors import Cancelled, Known

FIELDS = 4  # times that refused fields are left out
SHORTER = 5  # times that a chat is cut to what the server says, or to a quarter less
BUSY_SECONDS = 180.0  # of pauses that a busy server may ask for in all
BUSY_PAUSE = 2.0  # seconds where it does not say how long; twice as long with each
BUSY_LEAST = 0.1  # seconds where it says none at all; twice as long with each

_LONGEST = re.compile(
    r"(?:context (?:length|size|window)|max_model_len|model length|input length|must be <=)"
    r"[^\d\[]{0,40}(?:\[\d+,\s*)?(\d[\d,]*)",
    re.I,
)
_QUOTA = re.compile(r"quota|billing|balance|arrear|credit", re.I)


class Again(Exception):  # noqa: N818 - names what it is
    """Ask again after a pause of so many seconds; `busy`: as the server wants."""

    def __init__(self, seconds: float = 0.0, *, busy: bool = False) -> None:
        super().__init__(seconds)
        self.seconds = seconds
        self.busy = busy


class Changes:
    """What is changed of a request by what was refused of it.

    `without` are fields the server does not know, `once` those that only this request does without.
    `limit` is the length of the context by the server's word, 0 where it said none; `scale` is what
    an estimate of tokens is multiplied by.
    """

    def __init__(self, without: frozenset[str]) -> None:
        self.without = without
        self.once: frozenset[str] = frozenset()
        self.limit = 0
        self.scale = 1.0
        self._fields = self._shorter = self._busy = 0
        self._paused = 0.0

    def leave_out(self, said: str, status: int, body: Mapping[str, Any]) -> bool:
        """Leave out fields that are refused; False where that is not why, or often enough."""
        names = refused(said, status, body)
        if not names or self._fields >= FIELDS:
            return False
        self._fields += 1
        if trouble.is_too_long(said) or "too large" in said.lower():
            # Another prompt leaves more room; and its newer name would not fit either.
            self.once |= frozenset((*names, "max_completion_tokens"))
        else:
            self.without |= frozenset(names)
        return True

    def shorten(self, said: str, known: int) -> bool:
        """Take the context to be as long as the server says, or the estimate to be too low.

        `known` is its length as it was taken to be; False where nothing is known, or often enough.
        """
        told = longest(said)
        if self._shorter >= SHORTER or not (told or known):
            return False
        self._shorter += 1
        if told and told != known:
            self.limit = told
        else:
            self.scale *= 1.3
        return True

    def pause(self, status: int, headers: Any) -> Again | None:
        """How long a busy server wants to be left alone; None: too long, or it does not say."""
        asked = retry_after(headers)
        least, usual = BUSY_LEAST * 2**self._busy, BUSY_PAUSE * 2**self._busy
        pause = max(asked, least) if asked is not None else usual
        if (asked is None and status != 429) or self._paused + pause > BUSY_SECONDS:
            return None
        self._busy += 1
        self._paused += pause
        return Again(pause, busy=True)


def longest(said: str) -> int:
    """The length of the context that a refusal names; 0 where it names none."""
    match = _LONGEST.search(said)
    told = int(match[1].replace(",", "")) if match else 0
    return told if 64 <= told < 1 << 40 else 0


def understood(
    error: Any,
    target: RemoteTarget,
    body: Mapping[str, Any],
    key: str | None,
    *,
    changes: Changes,
    shorten: Callable[[str], bool],
    names: Callable[[], tuple[str, ...]],
) -> Known | Again | Cancelled:
    """What to raise for a status of the server: the trouble, or `Again` where that may help.

    `shorten` makes the chat shorter after what the server said, and says whether it could. `names`
    asks for the models.
    """
    connection, status = target.connection, int(error.status_code)
    host = connection.host
    raw = error.body if error.body is not None else error.response.text
    said = trouble.said_by(raw, key)
    if status == 429 and _QUOTA.search(said):
        return trouble.no_quota(host, said)
    if status in (429, 503) and (again := changes.pause(status, error.response.headers)):
        return again
    spared = refused(said, status, body)
    if "continue_final_message" in spared or "add_generation_prompt" in spared:
        return trouble.cannot_continue(host)
    if changes.leave_out(said, status, body):
        return Again()
    if status in (400, 413, 422) and trouble.is_too_long(said):
        return Again() if shorten(said) else trouble.too_long(host, said)
    if status in (400, 404) and (status == 404 or "model" in said.lower()):
        try:
            known = names()
        except (Known, Cancelled):
            known = ()
        if known and target.model not in known:
            return trouble.no_model(host, target.model, known)
    return trouble.of_status(connection, status, said, key=bool(key))
