"""What is known of this installation and this machine, to be read by a person who helps.

No Qt, and nothing private: no word of a chat, no name of a file or checkpoint of the user, no key,
and of paths only those of the program, with "~" for the home folder. It is written in English in
every language of the interface, as it is read by others. It changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from qwen_desktop.redaction import without_home

FORMAT = 1
Value = str | int | float | bool | None


@dataclass(frozen=True)
class Row:
    """One fact. `key` is its name in JSON; `shown` and `label` are for a person, where they differ
    from the value and from the words of the key.
    """

    key: str
    value: Value
    shown: str = ""
    label: str = ""

    @property
    def name(self) -> str:
        """What a person reads before the value."""
        return self.label or self.key.replace("_", " ")

    @property
    def text(self) -> str:
        """The value for a person."""
        if self.shown:
            return self.shown
        if isinstance(self.value, bool):
            return "yes" if self.value else "no"
        return "none" if self.value in (None, "") else str(self.value)


@dataclass(frozen=True)
class Section:
    """Facts on one matter; `key` is its name in JSON."""

    key: str
    title: str
    rows: tuple[Row, ...]


def size(nbytes: int) -> str:
    """Bytes for a person: "1.5 GB"."""
    amount, units = float(nbytes), ("bytes", "kB", "MB", "GB", "TB")
    for unit in units:
        if amount < 1000 or unit == units[-1]:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError


def bytes_row(key: str, nbytes: int) -> Row:
    """A number of bytes."""
    return Row(key, nbytes, size(nbytes))


def as_text(sections: Sequence[Section]) -> str:
    """For a person: a heading for each section, a line for each fact."""
    blocks: list[str] = []
    for section in sections:
        width = max((len(row.name) for row in section.rows), default=0)
        lines = [f"  {row.name.ljust(width)}  {row.text}" for row in section.rows]
        blocks.append("\n".join([section.title, *lines]))
    return without_home("\n\n".join(blocks))


def as_json(sections: Sequence[Section]) -> str:
    """One JSON object: `format`, and an object for each section with the values of its rows."""
    content: dict[str, object] = {"format": FORMAT}
    for section in sections:
        content[section.key] = {
            row.key: without_home(row.value) if isinstance(row.value, str) else row.value
            for row in section.rows
        }
    return json.dumps(content, ensure_ascii=False, indent=2)
