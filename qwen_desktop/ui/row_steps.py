"""How one list becomes another in few steps, where the rows of both are known only in part.

Pure, so that a model can tell its views of rows that come, go and move instead of starting over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Union

from qwen_desktop.chat.summary import Section

LIMIT = 64  # steps; beyond them starting over is cheaper

Key = Union[Section, str, None]  # a heading, a conversation's id, a row not read yet  # noqa: UP007


class Insert(NamedTuple):
    """`keys` come to stand before row `at`."""

    at: int
    keys: tuple[Key, ...]


class Remove(NamedTuple):
    """`size` rows go, from row `at` on."""

    at: int
    size: int


class Move(NamedTuple):
    """Row `source` becomes row `to`."""

    source: int
    to: int


Step = Union[Insert, Remove, Move]  # noqa: UP007


def apply(step: Step, keys: list[Key]) -> None:
    """Do one step to `keys`."""
    if isinstance(step, Insert):
        keys[step.at : step.at] = step.keys
    elif isinstance(step, Remove):
        del keys[step.at : step.at + step.size]
    else:
        keys.insert(step.to, keys.pop(step.source))


def is_heading(key: Key) -> bool:
    """Whether it is a heading; ids are plain strings."""
    return isinstance(key, Section)


def steps(old: Sequence[Key], new: Sequence[Key]) -> list[Step] | None:
    """What makes `old` agree with `new`; None where that takes too much.

    Rows not read yet agree with any row. An id stands once in each list.
    """
    begin = _alike(old, new)
    end = _alike(old[begin:][::-1], new[begin:][::-1])
    found = _Walk(old[begin : len(old) - end], new[begin : len(new) - end]).walk()
    if found is None or not begin:
        return found
    return [_shifted(step, begin) for step in found]


def _alike(one: Sequence[Key], other: Sequence[Key]) -> int:
    """How many keys at the beginning of both are the same; compared by the hundred."""
    at, size, most = 0, 512, min(len(one), len(other))
    while size:
        while at + size <= most and one[at : at + size] == other[at : at + size]:
            at += size
        size //= 2
    return at


def _shifted(step: Step, by: int) -> Step:
    if isinstance(step, Insert):
        return Insert(step.at + by, step.keys)
    if isinstance(step, Remove):
        return Remove(step.at + by, step.size)
    return Move(step.source + by, step.to + by)


class _Walk:
    def __init__(self, old: Sequence[Key], new: Sequence[Key]) -> None:
        self._now: list[Key] = list(old)
        self._new = new
        self._rows: dict[Key, int] = {key: row for row, key in enumerate(new) if key is not None}
        self._there = {key for key in old if key is not None}
        self._steps: list[Step] = []

    def walk(self) -> list[Step] | None:
        row = 0
        now, new = self._now, self._new
        while row < len(now) and row < len(new):
            if now[row] is new[row] or now[row] == new[row] or self._agree(row):
                row += 1
                continue
            if len(self._steps) == LIMIT:
                return None
            self._do(self._mend(row))
        if len(now) > row:
            self._do(Remove(row, len(now) - row))
        elif len(new) > row:
            self._do(Insert(row, tuple(self._free(key) for key in new[row:])))
        return self._steps

    def _free(self, key: Key) -> Key:
        """The key of a row that comes; an id that stands elsewhere still is left unsaid."""
        return None if key in self._there and not is_heading(key) else key

    def _agree(self, row: int) -> bool:
        """Whether what is there may be what is wanted, one of them unread."""
        have, want = self._now[row], self._new[row]
        if have is None:
            return want is None or (not is_heading(want) and want not in self._there)
        if want is None:
            return not is_heading(have) and have not in self._rows
        return False

    def _mend(self, row: int) -> Step:
        """The step that puts the right thing at `row`, where something else is."""
        have, want = self._now[row], self._new[row]
        after = self._now[row + 1] if row + 1 < len(self._now) else None
        if have is not None and have not in self._rows:
            there = self._now.index(want, row) if want in self._there else len(self._now)
            return Remove(row, self._run(row, there))
        stays = have is not None and self._rows[have] > row
        if stays and not is_heading(have) and after is not None and after == want:
            return Move(row, min(self._rows[have], len(self._now) - 1))
        if want is not None and want in self._there:
            there = self._now.index(want, row + 1)
            if not is_heading(want):
                return Move(there, row)
            return Remove(row, self._run(row, there))
        return Insert(row, (want,))

    def _run(self, row: int, end: int) -> int:
        """How many rows from `row` on are wanted nowhere; at least one."""
        last = row + 1
        while last < end and not (self._now[last] is not None and self._now[last] in self._rows):
            if self._now[last] is None and not is_heading(self._new[row]):
                break
            last += 1
        return last - row

    def _do(self, step: Step) -> None:
        if isinstance(step, Remove):
            self._there.difference_update(self._now[step.at : step.at + step.size])
        elif isinstance(step, Insert):
            self._there.update(key for key in step.keys if key is not None)
        apply(step, self._now)
        self._steps.append(step)
