"""When a conversation meets its limit, and what each remedy would give.

All by the functions that plan a request (budget.py), with other costs, other room or another
context put in: there is no second formula that could disagree with the first.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from qwen_desktop.chat.checkpoint import KvFormat, Precision
from qwen_desktop.chat.ledger import Bound, Forecast, Way, WayKind
from qwen_desktop.engine import placement
from qwen_desktop.engine.architecture import architecture
from qwen_desktop.engine.budget import Room, context_limit, prompt_budget
from qwen_desktop.engine.loaded import Loaded
from qwen_desktop.engine.planning import Planner
from qwen_desktop.engine.precision import ITEM_BYTES
from qwen_desktop.engine.stretch import rope_factors, stretched_config

LATEST = 5  # turns whose median is what the next ones are taken to be
SHORT_ANSWER = 256  # tokens; room for fewer is not worth offering
ANSWERS = 4  # shorter answers are so many times shorter
WORTH = 1.05  # a remedy that gives less than 5 % more is none
SMALLER = 0.9  # weights of another precision take at most so much of what they take now


@dataclass(frozen=True)
class Now:
    """A conversation as it was just counted. `turns` are tokens; the last is being typed.

    `held` and `others` are bytes of caches: its own, and those of other conversations.
    """

    prompt: int
    turns: Sequence[int]
    limit: int
    max_new_tokens: int
    held: int
    others: int
    met: bool = False


class Forecasts:
    """Makes forecasts for one loaded checkpoint. Used on the engine's thread."""

    def __init__(self, loaded: Loaded, planner: Planner) -> None:
        self._loaded = loaded
        self._planner = planner
        self._window = loaded.tokenizer.prompt_window

    def of(self, now: Now) -> Forecast:
        """The forecast for a conversation, with what would move its limit."""
        budget = prompt_budget(now.limit, now.max_new_tokens, self._window)
        asked = now.turns[-1] if now.turns else 0
        turn = int(statistics.median(now.turns[:-1][-LATEST:])) if len(now.turns) > 1 else 0
        used = max(0, now.prompt - asked)
        # The message that is typed begins one; each further one comes after a whole turn.
        fits = now.prompt <= budget and not now.met
        turns = 1 + (budget - now.prompt) // turn if turn and fits else 0
        bound = self._bound(now, budget)
        ways = sorted(self._ways(now, budget, bound), key=lambda way: -way.tokens)
        return Forecast(
            used=used,
            limit=budget,
            context=now.limit,
            bound=bound,
            turn=turn,
            turns=turns,
            met=not fits,
            ways=tuple(way for way in ways if way.tokens >= WORTH * budget),
        )

    def _bound(self, now: Now, budget: int) -> Bound:
        if budget < prompt_budget(now.limit, now.max_new_tokens):
            return Bound.TOKENIZER
        whole = now.limit >= self._planner.context_length
        return Bound.MODEL if whole else Bound.MEMORY

    def _ways(self, now: Now, budget: int, bound: Bound) -> Iterator[Way]:
        kept = now.limit - prompt_budget(now.limit, now.max_new_tokens)
        shorter = max(SHORT_ANSWER, kept // ANSWERS)
        if shorter < kept:
            tokens = prompt_budget(now.limit, shorter, self._window)
            yield Way(WayKind.SHORTER, tokens, str(shorter))
        if bound is Bound.TOKENIZER:
            return
        rooms = self._planner.rooms(now.held, now.others)
        if bound is Bound.MODEL:
            yield from self._stretched(now, rooms)
            return
        made = rooms[0].costs.made
        if KvFormat.INT8 in made.kv_formats and rooms[0].costs.kv is KvFormat.MODEL:
            coded = [replace(r, costs=replace(r.costs, kv=KvFormat.INT8)) for r in rooms]
            yield Way(WayKind.KV8, self._budget(now, coded))
        for precision, share in self._freed.items():
            item = min(rooms[0].costs.item, ITEM_BYTES.get(precision, 2))
            lighter = [
                replace(room, free=room.free + freed, costs=replace(room.costs, item=item))
                for room, freed in zip(rooms, self._by_room(share), strict=True)
            ]
            yield Way(WayKind.PRECISION, self._budget(now, lighter), precision.value)

    def _stretched(self, now: Now, rooms: Sequence[Room]) -> Iterator[Way]:
        config = self._loaded.checkpoint.config
        for factor in rope_factors(config)[1:2]:  # the least one: it costs short texts something
            longer = architecture(stretched_config(config, factor)).context_length
            limit = context_limit(rooms, longer, self._planner.chunk)
            tokens = prompt_budget(limit, now.max_new_tokens, self._window)
            yield Way(WayKind.STRETCH, tokens, f"{factor:g}")

    def _budget(self, now: Now, rooms: Sequence[Room]) -> int:
        limit = context_limit(rooms, self._planner.context_length, self._planner.chunk)
        return prompt_budget(limit, now.max_new_tokens, self._window)

    @cached_property
    def _freed(self) -> Mapping[Precision, float]:
        """The share of its weights' memory that each smaller precision would give back."""
        how = self._loaded.checkpoint.quantisation
        if how is not None and how.extra:  # only its own package reads it
            return {}
        model = placement.model_of(self._loaded.checkpoint)
        now = max(1, self._loaded.info.weight_bytes)
        half = Precision.FP16 if self._loaded.info.dtype == "FP16" else Precision.BF16
        on_cpu = set(self._loaded.bytes_by_device) == {"cpu"}
        sizes = {
            p: model.weights.nbytes(p, tables=placement.packs_tables(model, p, on_cpu=on_cpu)) / now
            for p in (half, Precision.INT8, Precision.INT4)
        }
        return {precision: 1 - size for precision, size in sizes.items() if size <= SMALLER}

    def _by_room(self, share: float) -> list[int]:
        """Bytes that each room gains where `share` of the weights go."""
        weights = self._loaded.bytes_by_device
        return [int(share * weights.get(str(device), 0)) for device in self._planner.devices]
