"""What a conversation took as it grew, and what it is expected to take. Pure values.

Sizes in bytes on the main device, times in seconds, speeds in tokens per second.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from qwen_desktop.chat.messages import Message, Provenance, Role, Status


@dataclass(frozen=True)
class Measured:
    """One answer: what was in the context when it ended, and what that took.

    Memory is what the checkpoint and this conversation held, without other conversations; 0 where
    it is not known, as for answers of earlier versions.
    """

    message_id: str
    turn: int  # from 1, along the path
    tokens: int  # of the prompt and the answer
    characters: int  # of all that the model was shown and said
    peak: int = 0
    steady: int = 0  # once the answer had ended
    planned: int = 0  # the peak that was predicted for it
    others: int = 0  # caches of other conversations, which are in none of the above
    used: int = 0  # all that was in use on the device, by whatever program
    device_bytes: int = 0
    first_token_seconds: float = 0.0
    prefill_speed: float = 0.0
    decode_speed: float = 0.0
    new_tokens: int = 0  # of the prompt, that had to be read
    model: str = ""
    fingerprint: str = ""
    precision: str = ""
    kv_format: str = ""
    device: str = ""
    served: bool = False  # by a server, whose memory is not known here

    @property
    def origin(self) -> tuple[str, str, str, str]:
        """What computed it. Points of one origin can be compared."""
        return (self.fingerprint or self.model, self.precision, self.kv_format, self.device)


@dataclass(frozen=True)
class Predicted:
    """What the open checkpoint takes with one conversation, for growing numbers of tokens."""

    name: str
    fingerprint: str
    precision: str
    kv_format: str
    device: str
    points: tuple[tuple[int, int, int], ...]  # (tokens, steady bytes, bytes at the peak)
    weights: int
    context_length: int  # of the model
    limit_tokens: int  # that model and memory allow
    limit_bytes: int  # that may be taken, the reserve left alone
    device_bytes: int

    @property
    def origin(self) -> tuple[str, str, str, str]:
        """What it is true of; see `Measured`."""
        return (self.fingerprint or self.name, self.precision, self.kv_format, self.device)

    def at(self, tokens: float) -> tuple[float, float]:
        """Steady bytes and bytes at the peak with `tokens`, between the points on a line.

        Beyond the ends, what stands there.
        """
        if not self.points:
            return (0.0, 0.0)
        place = bisect_left(self.points, tokens, key=lambda point: point[0])
        if place == 0 or place == len(self.points):
            _, steady, peak = self.points[min(place, len(self.points) - 1)]
            return (float(steady), float(peak))
        (x, steady, peak), (x2, steady2, peak2) = self.points[place - 1 : place + 1]
        share = (tokens - x) / (x2 - x)
        return (steady + share * (steady2 - steady), peak + share * (peak2 - peak))


def measured(path: Iterable[Message]) -> tuple[Measured, ...]:
    """A point for each answer on `path` whose prompt was counted, in their order."""
    return Measurer().points_of(tuple(path))


class Measurer:
    """Makes the points of a path that mostly is the last one with a turn more: only that is new."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._path: tuple[Message, ...] = ()
        self._points: list[Measured] = []
        self._sizes: dict[str, int] = {}  # characters by message: what later turns are shown of it
        self._said = 0
        self._unseen: tuple[str, ...] = ()
        self._hidden = 0  # characters of those
        self._turn = 0

    def points_of(self, path: tuple[Message, ...]) -> tuple[Measured, ...]:
        """As `measured`."""
        if path[: len(self._path)] != self._path:
            self._begin()
        for message in path[len(self._path) :]:
            self._take(message)
        self._path = path
        return tuple(self._points)

    def _take(self, message: Message) -> None:
        shown = sum(len(part.text) for part in message.parts)
        # Reasoning is shown to no later turn.
        self._sizes[message.id] = shown - len(message.reasoning)
        if message.role is Role.ASSISTANT:
            self._turn += 1
            origin, stats = message.provenance, message.stats
            left_out = origin.unseen if origin is not None else ()
            if left_out is not self._unseen:
                self._hidden = _hidden(self._unseen, left_out, self._hidden, self._sizes)
                self._unseen = left_out
            if stats is not None and stats.prompt_tokens and message.status is not Status.STREAMING:
                characters = self._said + shown - self._hidden
                self._points.append(_point(message, self._turn, characters))
        self._said += self._sizes[message.id]


def _hidden(
    before: tuple[str, ...], now: tuple[str, ...], hidden: int, sizes: dict[str, int]
) -> int:
    """Characters of the messages `now`, `hidden` being those of the messages `before`.

    What is left out mostly grows at its end, and may be long: then only what is new is added.
    """
    known = len(before)
    if known and len(now) >= known and (now[0], now[known - 1]) == (before[0], before[-1]):
        return hidden + sum(sizes.get(one, 0) for one in now[known:])
    return sum(sizes.get(one, 0) for one in now)


_UNKNOWN = Provenance()


def _point(message: Message, turn: int, characters: int) -> Measured:
    stats, origin = message.stats, message.provenance or _UNKNOWN
    assert stats is not None
    tokens = stats.prompt_tokens + stats.new_tokens
    return Measured(
        message_id=message.id,
        turn=turn,
        tokens=min(tokens, origin.context_limit or tokens),
        characters=characters,
        peak=max(0, origin.peak_bytes - origin.others_bytes),
        steady=max(0, origin.held_bytes - origin.others_bytes),
        planned=origin.planned_bytes,
        others=origin.others_bytes,
        used=origin.used_bytes,
        device_bytes=origin.device_bytes,
        first_token_seconds=stats.first_token_seconds,
        prefill_speed=stats.prefill_speed,
        decode_speed=stats.decode_speed,
        new_tokens=max(0, stats.prompt_tokens - stats.reused_tokens),
        model=stats.model,
        fingerprint=origin.fingerprint,
        precision=origin.precision,
        kv_format=origin.kv_format,
        device=origin.device,
        served=bool(origin.address),
    )
