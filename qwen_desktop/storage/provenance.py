"""Where an answer came from, as JSON. No SQL here.

Only what differs from the defaults is written. `unseen` may name thousands of messages in every
answer of a long conversation, but they are whole stretches of the path: each stretch is kept as
its first and last id, and the parents give the ids between.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any, TypeAlias

from qwen_desktop.chat.messages import Provenance
from qwen_desktop.chat.text import whole
from qwen_desktop.storage.damage import Damage, is_number, note

# The parent of a message by id; None above the first one, and for messages nobody knows.
Parents: TypeAlias = Callable[[str], "str | None"]

_DEFAULT = Provenance()
_FIELDS = {f.name: getattr(_DEFAULT, f.name) for f in fields(Provenance)}


def provenance_json(provenance: Provenance | None, parent_of: Parents) -> str | None:
    """As kept in the `provenance` column."""
    if provenance is None:
        return None
    kept: dict[str, object] = {
        name: getattr(provenance, name)
        for name, default in _FIELDS.items()
        if getattr(provenance, name) != default
    }
    if provenance.unseen:
        kept["unseen"] = _stretches(provenance.unseen, parent_of)
    return whole(json.dumps(kept, ensure_ascii=False, separators=(",", ":")))


def _stretches(ids: tuple[str, ...], parent_of: Parents) -> list[list[str]]:
    found: list[list[str]] = []
    for before, message_id in zip((None, *ids), ids, strict=False):
        if before is not None and parent_of(message_id) == before:
            found[-1][1:] = [message_id]
        else:
            found.append([message_id])
    return found


class ProvenanceReader:
    """Reads the provenance of the messages of one conversation, parents before their children.

    Stretches that several answers share are made once.
    """

    def __init__(self) -> None:
        self._parents: dict[str, str | None] = {}
        self._stretches: dict[tuple[str, str], tuple[str, ...]] = {}

    def met(self, message_id: str, parent_id: str | None) -> None:
        """Remember where a message hangs."""
        self._parents[message_id] = parent_id

    def read(self, raw: object, damage: Damage) -> Provenance | None:
        """The value of a `provenance` column; None where there is none or it is damaged.

        `damage` is of the message it belongs to.
        """
        if raw is None:
            return None
        try:
            value = json.loads(raw) if isinstance(raw, (str, bytes)) else None
            if not isinstance(value, dict):
                raise ValueError("not an object")
            known = {name: value[name] for name in _FIELDS if name in value}
            for name in known:
                if not _fits(name, known[name]):
                    raise ValueError(f"bad {name}")
            for name in ("sampling", "stop_strings"):
                if name in known:
                    known[name] = _tuples(known[name])
            if "unseen" in known:
                known["unseen"] = self._unseen(known["unseen"], damage)
            return Provenance(**known)
        except (ValueError, RecursionError):
            damage.note("provenance")
            return None

    def _unseen(self, stretches: list[list[str]], damage: Damage) -> tuple[str, ...]:
        found = [self._stretch(stretch[0], stretch[-1], damage) for stretch in stretches]
        return found[0] if len(found) == 1 else tuple(one for ids in found for one in ids)

    def _stretch(self, first: str, last: str, damage: Damage) -> tuple[str, ...]:
        upwards: list[str] = []
        before: tuple[str, ...] = ()
        for step in self._upwards(last):
            # What is unseen mostly grows at its end: an earlier stretch is most of this one.
            if (known := self._stretches.get((first, step))) is not None:
                before = known
                break
            upwards.append(step)
            if step == first:
                break
        else:
            # A row between is lost: nothing of this one is damaged.
            note(damage.message_id, "unseen messages")
            before = (first,)
        if upwards:
            before = (*before, *reversed(upwards))
            self._stretches[first, last] = before
        return before

    def _upwards(self, last: str) -> Iterator[str]:
        step: str | None = last
        for _ in range(len(self._parents) + 1):  # damaged parents may form a ring
            if step is None:
                return
            yield step
            step = self._parents.get(step)


def _fits(name: str, value: Any) -> bool:
    if name == "thinking_budget":
        return value is None or (type(value) is int and is_number(value))
    if name == "sampling":
        return isinstance(value, list) and all(
            isinstance(pair, list)
            and len(pair) == 2
            and type(pair[0]) is str
            and type(pair[1]) in (float, int)
            and is_number(pair[1])
            for pair in value
        )
    if name == "stop_strings":
        return isinstance(value, list) and all(type(text) is str for text in value)
    if name == "unseen":
        return isinstance(value, list) and all(
            isinstance(stretch, list)
            and len(stretch) in (1, 2)
            and all(type(one) is str for one in stretch)
            for stretch in value
        )
    return type(value) is type(_FIELDS[name]) and (type(value) is not int or is_number(value))


def _tuples(value: list[Any]) -> tuple[Any, ...]:
    return tuple(tuple(one) if isinstance(one, list) else one for one in value)
