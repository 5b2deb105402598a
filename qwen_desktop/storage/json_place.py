"""A value of foreign JSON that knows where it stands: each question about it is answered or refused
with a sentence that names the place, "messages[12].parts[0].text is not text". No SQL here.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from math import isfinite
from typing import Any, TypeVar

from qwen_desktop.chat.text import whole
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.storage.state import MAX_SECONDS

MAX_TEXT = 2**27  # characters of what was said; SQLite takes no more than a gigabyte in a row
MAX_NAME = 2**16  # characters of anything else
MAX_LIST = 2**22  # values of one list
MAX_TOKEN = 2**32 - 1
MAX_COUNT = 2**64  # of whole numbers, either sign

CODE = "conversation-json"  # of every Known about such a file
DAMAGED = QT_TRANSLATE_NOOP("errors", "The file may be damaged, or changed by another program.")

_AnyEnum = TypeVar("_AnyEnum", bound=Enum)

TOO_LONG = QT_TRANSLATE_NOOP("errors", "{place} is too long.")
_MISSING = object()


class Place:
    """A value with the words for where it stands, for sentences about it."""

    def __init__(self, path: str, value: Any) -> None:
        self.path = path
        self.value = value

    def wrong(self, template: str, **values: Any) -> Known:
        """The error that says what is wrong here."""
        place = self.path or QT_TRANSLATE_NOOP("errors", "The file")
        return Known(template, DAMAGED, code=CODE, place=place, **values)

    def mapping(self) -> dict[str, Any]:
        """The object that this is."""
        if not isinstance(self.value, dict):
            raise self.wrong(QT_TRANSLATE_NOOP("errors", "{place} is not an object."))
        return self.value

    def field(self, name: str, default: object = _MISSING) -> Place:
        """A field of an object; without a default it has to be there."""
        path = f"{self.path}.{name}" if self.path else name
        found = Place(path, self.mapping().get(name, default))
        if found.value is _MISSING:
            raise found.wrong(QT_TRANSLATE_NOOP("errors", "{place} is missing."))
        return found

    def fields(self) -> Iterator[tuple[str, Place]]:
        """All fields of an object by name."""
        return ((name, self.field(name)) for name in self.mapping())

    def items(self) -> Iterator[Place]:
        """All values of a list."""
        if not isinstance(self.value, list):
            raise self.wrong(QT_TRANSLATE_NOOP("errors", "{place} is not a list."))
        if len(self.value) > MAX_LIST:
            raise self.wrong(TOO_LONG)
        return (Place(f"{self.path}[{at}]", one) for at, one in enumerate(self.value))

    def items_of(self, count: int) -> list[Place]:
        """All values of a list of just so many."""
        found = list(self.items())
        if len(found) != count:
            raise self.wrong(
                QT_TRANSLATE_NOOP("errors", "{place} is not a list of {count} values."),
                count=count,
            )
        return found

    def text(self, longest: int = MAX_NAME) -> str:
        """Text of at most so many characters, as UTF-8 can hold it."""
        if not isinstance(self.value, str):
            raise self.wrong(QT_TRANSLATE_NOOP("errors", "{place} is not text."))
        if len(self.value) > longest:
            raise self.wrong(TOO_LONG)
        return whole(self.value)

    def name(self) -> str:
        """Text that is not empty."""
        found = self.text()
        if not found:
            raise self.wrong(QT_TRANSLATE_NOOP("errors", "{place} is empty."))
        return found

    def truth(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            raise self.wrong(QT_TRANSLATE_NOOP("errors", "{place} is neither true nor false."))
        return self.value

    def whole_number(self, low: int, high: int) -> int:
        """A whole number, limits included."""
        if type(self.value) is not int:
            raise self.wrong(QT_TRANSLATE_NOOP("errors", "{place} is not a whole number."))
        if not low <= self.value <= high:
            raise self.wrong(
                QT_TRANSLATE_NOOP("errors", "{place} is not between {low} and {high}."),
                low=low,
                high=high,
            )
        return self.value

    def number(self) -> float:
        """A finite number."""
        # A whole number that no float can hold is refused by its size.
        if type(self.value) is int and abs(self.value) <= MAX_COUNT:
            return float(self.value)
        if type(self.value) is float and isfinite(self.value):
            return self.value
        raise self.wrong(QT_TRANSLATE_NOOP("errors", "{place} is not a number."))

    def moment(self) -> float:
        """Unix seconds of a time that has a date."""
        found = self.number()
        if not abs(found) < MAX_SECONDS:
            raise self.wrong(QT_TRANSLATE_NOOP("errors", "{place} is not a time that has a date."))
        return found

    def tokens(self) -> tuple[int, ...]:
        """A list of token ids."""
        if self._are_tokens():
            return tuple(self.value)
        return tuple(place.whole_number(0, MAX_TOKEN) for place in self.items())

    def _are_tokens(self) -> bool:
        # Long lists of good ones are checked without a place for each.
        value = self.value
        return (
            isinstance(value, list)
            and len(value) <= MAX_LIST
            and set(map(type, value)) <= {int}
            and (not value or (min(value) >= 0 and max(value) <= MAX_TOKEN))
        )

    def one_of(self, kind: type[_AnyEnum]) -> _AnyEnum:
        """The member of an enumeration that has this text."""
        try:
            return kind(self.text())
        except ValueError as error:
            raise self.wrong(
                QT_TRANSLATE_NOOP(
                    "errors", "{place} is {value}, which this version does not know."
                ),
                value=repr(self.value)[:60],
            ) from error
