"""Rows of a damaged database file, read from its pages without SQLite.

Every page is looked at for itself, so a damaged page costs the rows on it and no others: which
table a row belongs to shows in the row. Where the pages above are whole, rows that they do not
lead to are left out, for these were deleted.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from qwen_desktop.storage.pages import (
    INNER_INDEX,
    LEAF_INDEX,
    LEAF_TABLE,
    Pages,
    is_sound,
)
from qwen_desktop.storage.shapes import COLUMNS, table_of

Value: TypeAlias = "int | float | str | bytes | None"

_ENOUGH = 8  # entries without a meaning
_LONGEST = 2**31  # bytes of a row; longer ones are none


@dataclass(frozen=True)
class Carved:
    """One row. `is_cut`: some of its bytes are lost, and what stands behind them."""

    table: str
    values: dict[str, Value]  # by column; the number of the row as `number` or `message`
    is_cut: bool = False
    is_old: bool = False  # of an earlier state of a page that is damaged now


@dataclass
class _Walk:
    """What the pages above lead to."""

    reached: set[int] = field(default_factory=set)
    is_whole: bool = True


def carve(pages: Pages) -> Iterator[Carved]:
    """Every row there is, of the tables that are known, in no order. One may come twice."""
    reader = Reader(pages)
    walk = reader.walk()
    free = reader.free()
    for number in range(1, pages.count + 1):
        if number in free or (walk.is_whole and number not in walk.reached):
            continue
        page = pages.page(number)
        at = 100 if number == 1 else 0
        yield from reader.rows(page, at)
        if not is_sound(page, at) and not walk.is_whole:
            yield from reader.scanned(page)
            for older in pages.older(number):
                for row in reader.rows(older, at):
                    yield Carved(row.table, row.values, row.is_cut, is_old=True)


class Reader:
    """Reads rows from pages, each with its further pages."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        # Bytes of a page that are used: an extension may reserve some at the end; ours never does.
        self._usable = pages.page_bytes

    def walk(self) -> _Walk:
        """Follow every tree from the table of tables."""
        walk = _Walk()
        first = self._pages.page(1)
        if not is_sound(first, 100):
            walk.is_whole = False
            return walk
        roots = [1]
        for page in self._leaves(1, walk):
            at = 100 if page == 1 else 0
            for values, _ in self._records(self._pages.page(page), at):
                root = values[3] if len(values) > 3 else None
                if isinstance(root, int) and root > 0:
                    roots.append(root)
        for root in roots[1:]:
            for _ in self._leaves(root, walk):
                pass
        return walk

    def _leaves(self, root: int, walk: _Walk) -> Iterator[int]:
        waiting = [root]
        while waiting:
            number = waiting.pop()
            page = self._pages.page(number)
            at = 100 if number == 1 else 0
            if number in walk.reached or not is_sound(page, at):
                walk.is_whole = False
                continue
            walk.reached.add(number)
            if page[at] in (LEAF_TABLE, LEAF_INDEX):
                yield number
                continue
            waiting += _children(page, at)

    def free(self) -> set[int]:
        """The pages that nothing uses, as far as their list can be followed."""
        found: set[int] = set()
        first = self._pages.page(1)
        trunk = int.from_bytes(first[32:36], "big") if len(first) >= 100 else 0
        while 0 < trunk <= self._pages.count and trunk not in found:
            page = self._pages.page(trunk)
            if len(page) < self._usable or is_sound(page, 0):  # a tree: the list is damaged
                break
            found.add(trunk)
            trunk, count = struct.unpack(">II", page[:8])
            count = min(count, self._usable // 4 - 2)
            found.update(struct.unpack(f">{count}I", page[8 : 8 + 4 * count]))
        return found

    def rows(self, page: bytes, at: int) -> Iterator[Carved]:
        """The rows of known tables on a page, as far as its header leads to them."""
        if len(page) < at + 8 or page[at] not in (LEAF_TABLE, LEAF_INDEX, INNER_INDEX):
            return
        others = 0
        for (values, is_cut), row in self._cells(page, at):
            table = table_of(values, row is not None)
            if table is not None:
                yield Carved(table, _named(table, values, row), is_cut)
            elif row is None:
                others += 1
                if others == _ENOUGH:  # a page of an index, of which there are many
                    return

    def _records(self, page: bytes, at: int) -> Iterator[tuple[list[Value], bool]]:
        return (record for record, _ in self._cells(page, at))

    def _cells(self, page: bytes, at: int) -> Iterator[tuple[tuple[list[Value], bool], int | None]]:
        kind = page[at]
        count = int.from_bytes(page[at + 3 : at + 5], "big")
        array = at + (12 if kind == INNER_INDEX else 8)
        for place in range(array, min(array + 2 * count, len(page) - 1), 2):
            pointer = int.from_bytes(page[place : place + 2], "big")
            if not array <= pointer < len(page) - 3:
                continue
            try:
                pointer += 4 * (kind == INNER_INDEX)
                size, pointer = _varint(page, pointer)
                row = None
                if kind == LEAF_TABLE:
                    row, pointer = _varint(page, pointer)
                    row = row - 2**64 if row >= 2**63 else row
                payload = self._payload(page, pointer, size, kind == LEAF_TABLE)
                yield _record(payload, size), row
            except (IndexError, ValueError, struct.error):
                continue

    def _payload(self, page: bytes, begin: int, size: int, in_table: bool) -> bytes:
        """The bytes of a row, collected from its further pages; cut where one is lost."""
        if not 2 <= size <= _LONGEST:
            raise ValueError("no row")
        local = self._local(size, in_table)
        if begin + local > len(page):
            raise ValueError("no row")
        payload = bytearray(page[begin : begin + local])
        if local < size:
            further = int.from_bytes(page[begin + local : begin + local + 4], "big")
            seen = set()
            while len(payload) < size and 0 < further <= self._pages.count:
                if further in seen:
                    break
                seen.add(further)
                more = self._pages.page(further)
                if not any(more):
                    break
                payload += more[4 : self._usable]
                further = int.from_bytes(more[:4], "big")
        return bytes(payload[:size])

    def _local(self, size: int, in_table: bool) -> int:
        """How many bytes of a row of `size` lie on its own page."""
        usable = self._usable
        most = usable - 35 if in_table else (usable - 12) * 64 // 255 - 23
        if size <= most:
            return size
        least = (usable - 12) * 32 // 255 - 23
        fits = least + (size - least) % (usable - 4)
        return fits if fits <= most else least

    def scanned(self, page: bytes) -> Iterator[Carved]:
        """Rows on a page whose header or pointers are damaged, found by how a row begins.

        The head of a row of a table says how long it is, and the bytes before it say the same.
        """
        end = 0
        for match in _HEAD.finditer(page):
            if match.start() < end:
                continue
            try:
                types, body = _types(page, match.start())
                size = body - match.start() + sum(_width(kind) for kind in types)
                row = _number_before(page, match.start(), size)
                if row is None:
                    continue
                payload = self._payload(page, match.start(), size, in_table=True)
                values, is_cut = _record(payload, size)
            except (IndexError, ValueError):
                continue
            table = table_of(values, in_table=True)
            if table is not None:
                yield Carved(table, _named(table, values, row), is_cut)
                end = match.start() + self._local(size, in_table=True)


# The head of a row of ours: how long it is itself, and NULL for the column that is its number.
_HEAD = re.compile(rb"[\x03-\x30]\x00")


def _number_before(page: bytes, at: int, size: int) -> int | None:
    """The number of a row whose head is at `at`, where its size stands before it as it must."""
    for width in range(1, 6):
        begin = at - width - len(_as_varint(size))
        if begin < 0:
            return None
        try:
            said, place = _varint(page, begin)
            row, place = _varint(page, place)
        except IndexError:
            continue
        if said == size and place == at:
            return row
    return None


def _children(page: bytes, at: int) -> list[int]:
    count = int.from_bytes(page[at + 3 : at + 5], "big")
    pointers = struct.unpack(f">{count}H", page[at + 12 : at + 12 + 2 * count])
    last = int.from_bytes(page[at + 8 : at + 12], "big")
    return [*(int.from_bytes(page[pointer : pointer + 4], "big") for pointer in pointers), last]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(at, at + 8):
        byte = data[place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + 1
    return value << 8 | data[at + 8], at + 9


def _as_varint(value: int) -> bytes:
    found = [value & 0x7F]
    while value := value >> 7:
        found.append(value & 0x7F | 0x80)
    return bytes(reversed(found))


def _types(payload: bytes, begin: int = 0) -> tuple[list[int], int]:
    """The kinds of values a row has, and where the values begin."""
    size, at = _varint(payload, begin)
    end = begin + size
    if not at <= end <= len(payload):
        raise ValueError("no row")
    types = []
    while at < end:
        kind, at = _varint(payload, at)
        if kind in (10, 11) or kind > 2 * _LONGEST:
            raise ValueError("no row")
        types.append(kind)
    if at != end:
        raise ValueError("no row")
    return types, end


def _width(kind: int) -> int:
    return (kind - 12) // 2 if kind >= 12 else (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[kind]


def _record(payload: bytes, size: int) -> tuple[list[Value], bool]:
    """The values of a row, and whether some are cut or lost."""
    types, at = _types(payload)
    if at + sum(_width(kind) for kind in types) != size:
        raise ValueError("no row")
    values: list[Value] = []
    for kind in types:
        width = _width(kind)
        raw = payload[at : at + width]
        at += width
        if len(raw) < width and (kind < 12 or not raw):
            break
        values.append(_value(kind, raw))
    return values, len(payload) < size


def _value(kind: int, raw: bytes) -> Value:
    if kind == 0:
        return None
    if kind < 7:
        return int.from_bytes(raw, "big", signed=True)
    if kind == 7:
        return float(struct.unpack(">d", raw)[0])
    if kind < 10:
        return kind - 8
    if kind % 2 == 0:
        return raw
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw  # kept byte by byte


def _named(table: str, values: list[Value], row: int | None) -> dict[str, Value]:
    named = dict(zip(COLUMNS[table], values, strict=False))
    if row is not None:
        named[COLUMNS[table][0]] = row
    return named
