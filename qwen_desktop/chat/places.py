"""Where one reads in conversations, to go on there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MOST_PLACES = 100


@dataclass(frozen=True)
class ReadingPlace:
    """In a conversation: a message, and how many px of it are above what is seen."""

    conversation_id: str
    message_id: str
    above: int


class ReadingPlaces:
    """One for each of the conversations that were read last."""

    def __init__(self) -> None:
        self._places: dict[str, ReadingPlace] = {}

    @property
    def all(self) -> tuple[ReadingPlace, ...]:
        """The newest last."""
        return tuple(self._places.values())

    def fill(self, places: Iterable[ReadingPlace]) -> None:
        """Take what an earlier run of the program kept, the newest last."""
        self._places = {place.conversation_id: place for place in places} | self._places

    def of(self, conversation_id: str) -> ReadingPlace | None:
        """The place in a conversation; None where it is read from its end."""
        return self._places.get(conversation_id)

    def keep(self, conversation_id: str, place: tuple[str, int] | None) -> None:
        """Remember the message and the px above; None forgets."""
        self._places.pop(conversation_id, None)
        if place is not None:
            self._places[conversation_id] = ReadingPlace(conversation_id, *place)
        for key in list(self._places)[:-MOST_PLACES]:
            del self._places[key]
