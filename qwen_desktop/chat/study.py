"""A memory study: what one checkpoint takes on one machine for prompts of growing length.

Frozen values: what is to be measured, what was measured, and the difference between the two.
Sizes are in bytes, times in seconds. Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Union

SHORTEST = 64  # tokens of the first prompt where no lengths are given
ANSWER = 8  # tokens written after each prompt
EAGER_ANSWER = 3  # the same where each of them takes a reading of everything
MAX_LENGTHS = 64  # of one study


class Way(str, Enum):
    """How the prompts are read."""

    APP = "app"  # as this program does: a growing conversation, in pieces, with a KV cache kept
    REREAD = "reread"  # all of it anew in every turn, in one piece; a cache for the answer only
    EAGER = "eager"  # eager attention, logits of every position, no cache at all


class Ending(str, Enum):
    """Why a way ended before the longest prompt."""

    LIMIT = "limit"  # it would not fit into what is free: not tried
    CONTEXT = "context"  # the model's context ends there
    MEMORY = "memory"  # memory ran out
    UNSUPPORTED = "unsupported"  # the architecture cannot compute in that way


@dataclass(frozen=True)
class StudySetup:
    """What is wanted. No `lengths`: 64, 128, 256 … as far as it fits. In tokens."""

    lengths: tuple[int, ...] = ()
    ways: tuple[Way, ...] = tuple(Way)
    answer: int = ANSWER


@dataclass(frozen=True)
class StudyMachine:
    """Where it was measured."""

    cpu: str = ""  # its name
    cores: int = 0  # physical
    threads: int = 0  # that computed
    ram: int = 0
    cards: tuple[tuple[str, int], ...] = ()  # name and memory of each card that was used
    driver: str = ""  # of the cards
    system: str = ""
    python: str = ""
    torch: str = ""
    transformers: str = ""
    app: str = ""


@dataclass(frozen=True)
class StudyHead:
    """What a study is of: what does not change while it goes on."""

    name: str  # of the checkpoint
    fingerprint: str
    precision: str
    kv_format: str
    rope_factor: float
    device: str
    on_card: bool  # measured by torch's allocator; else memory of the process
    weights: int
    context_length: int  # of the model, in tokens
    room: int  # for weights and all the rest, when it began
    setup: StudySetup
    machine: StudyMachine = field(default_factory=StudyMachine)
    started: float = 0.0  # seconds since 1970

    def differences(self, other: StudyHead) -> tuple[str, ...]:
        """Names of what makes figures of the two no figures of one study."""
        names = ["fingerprint", "precision", "kv_format", "rope_factor", "device", "setup"]
        found = [name for name in names if getattr(self, name) != getattr(other, name)]
        mine, theirs = self.machine, other.machine
        parts = ("cpu", "cards", "threads", "torch", "transformers")
        return (*found, *(part for part in parts if getattr(mine, part) != getattr(theirs, part)))


@dataclass(frozen=True)
class StudyPoint:
    """One prompt, measured. `peak`, `steady`, `kept` and `predicted` have the weights in them."""

    way: Way
    tokens: int  # of the prompt
    characters: int  # the same prompt as text
    read: int  # tokens of the prompt that were read in this turn
    peak: int  # the highest while prompt and answer were computed
    steady: int  # what is in use after the turn
    kept: int  # what the process keeps after the turn, freed memory that was not given back too
    predicted: int  # the peak as it was planned
    prefill_s: float
    first_token_s: float  # from the question to the first token
    decode_speed: float  # tokens per second after the first; 0 where there was only one
    answer: tuple[int, ...] = ()  # ids of what was written, always the likeliest token

    @property
    def error(self) -> float:
        """How far the prediction is off, as a share of the measured peak."""
        return abs(self.predicted - self.peak) / self.peak if self.peak else 0.0


@dataclass(frozen=True)
class SeriesEnd:
    """A way ends before `tokens`. `need` and `free` where that was told by the plan."""

    way: Way
    tokens: int
    why: Ending
    need: int = 0
    free: int = 0


StudyRecord = Union[StudyPoint, SeriesEnd]  # noqa: UP007


@dataclass(frozen=True)
class Study:
    """What has been measured so far."""

    head: StudyHead
    points: tuple[StudyPoint, ...] = ()
    ends: tuple[SeriesEnd, ...] = ()

    def with_record(self, record: StudyRecord) -> Study:
        """The study with one more record."""
        if isinstance(record, StudyPoint):
            return replace(self, points=(*self.points, record))
        return replace(self, ends=(*self.ends, record))

    def series(self, way: Way) -> tuple[StudyPoint, ...]:
        """The points of one way, by length."""
        return tuple(sorted((p for p in self.points if p.way is way), key=lambda p: p.tokens))

    def end_of(self, way: Way) -> SeriesEnd | None:
        """Where and why a way ended early."""
        return next((end for end in self.ends if end.way is way), None)

    def missing(self) -> Iterator[tuple[Way, int]]:
        """What is still to be measured, in the order of the study: way by way, ascending."""
        done = {(point.way, point.tokens) for point in self.points}
        for way in self.head.setup.ways:
            if self.end_of(way) is None:
                yield from ((way, n) for n in self.head.setup.lengths if (way, n) not in done)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return next(self.missing(), None) is None

    @property
    def agrees(self) -> bool:
        """Whether all ways wrote the same answer to each prompt, as far as each wrote one."""
        for tokens in {point.tokens for point in self.points}:
            answers = [point.answer for point in self.points if point.tokens == tokens]
            short = min(map(len, answers))
            if len({answer[:short] for answer in answers}) > 1:
                return False
        return True


@dataclass(frozen=True)
class StudyProgress:
    """How far it is: `part` of `total` tokens of the prompt under way, `done` of `points`."""

    way: Way
    tokens: int
    part: int = 0
    total: int = 0
    done: int = 0
    points: int = 0


@dataclass(frozen=True)
class WayOutlook:
    """What a way will take: up to which length it fits, memory there, and time in all."""

    way: Way
    longest: int  # 0 where not even the shortest fits
    need: int  # bytes at the longest one that fits, weights included
    seconds: tuple[float, ...]  # for each length that fits


@dataclass(frozen=True)
class StudyOutlook:
    """An estimate, before anything is measured. `head` has the lengths settled."""

    head: StudyHead
    free: int  # beside the weights
    ways: tuple[WayOutlook, ...]

    def seconds(self, study: Study | None = None) -> float:
        """How long it takes, or what is left of `study`, at the speed it had so far."""
        left = set(study.missing()) if study is not None else None
        total = was = took = 0.0
        for one in self.ways:
            for tokens, seconds in zip(self.head.setup.lengths, one.seconds, strict=False):
                if left is None or (one.way, tokens) in left:
                    total += seconds
        for point in study.points if study is not None else ():
            expected = self._of(point.way, point.tokens)
            if expected:
                was += expected
                took += point.first_token_s
                if point.decode_speed:
                    took += (len(point.answer) - 1) / point.decode_speed
        return total * (took / was) if was and took else total

    def _of(self, way: Way, tokens: int) -> float:
        for one in self.ways:
            pairs = zip(self.head.setup.lengths, one.seconds, strict=False)
            if one.way is way:
                return next((seconds for length, seconds in pairs if length == tokens), 0.0)
        return 0.0


def usual_lengths(longest: int) -> tuple[int, ...]:
    """64, 128, 256 … up to `longest` tokens; at least one."""
    found = [min(SHORTEST, max(1, longest))]
    while found[-1] * 2 <= longest:
        found.append(found[-1] * 2)
    return tuple(found)


def read_lengths(text: str) -> tuple[int, ...]:
    """The lengths in a list of numbers, ascending. Raises ValueError where it is none."""
    words = text.replace(";", " ").replace(",", " ").split()
    lengths = sorted({int(word) for word in words})
    if not lengths or lengths[0] < 2 or len(lengths) > MAX_LENGTHS:
        raise ValueError("no lengths")
    return tuple(lengths)


def read_ways(names: Sequence[str]) -> tuple[Way, ...]:
    """The ways of these names in their usual order. Raises ValueError for one there is not."""
    wanted = {Way(name) for name in names}
    if not wanted:
        raise ValueError("no ways")
    return tuple(way for way in Way if way in wanted)


COLUMNS = tuple(one.name for one in fields(StudyPoint))
