"""The rows of a long list that are in memory: a few pages of it, moved as rows come and go.

Not of Qt. A row is known by its id and stands at an offset, the number of rows before it in the
whole list. Where a change is made before the store has told the new order, what is loaded moves
as far as it is certain; the rest is read again.
"""

from __future__ import annotations

from bisect import bisect
from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from qwen_desktop.chat.summary import Place, Summary

PAGE = 100  # rows read at once
PAGES = 8  # held at once: more than the tallest screen shows, before and behind it


class ListRows:
    """Rows by offset. Where they are more than `PAGES` pages, those used longest ago go."""

    def __init__(self, place: Place = Place.CHATS) -> None:
        self.place = place
        self._rows: dict[int, Summary] = {}
        self._offsets: dict[str, int] | None = {}  # None: to be made
        self._pages: OrderedDict[int, None] = OrderedDict()  # used last at the end

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def pages(self) -> tuple[int, ...]:
        """The pages of which something is held, used last first."""
        return tuple(reversed(self._pages))

    def recent(self) -> Iterator[Summary]:
        """The rows that are loaded, of the page used last first."""
        for page in self.pages:
            offsets = range(page * PAGE, (page + 1) * PAGE)
            yield from (row for o in offsets if (row := self._rows.get(o)) is not None)

    def at(self, offset: int) -> Summary | None:
        """The row at `offset` if it is loaded."""
        page = offset // PAGE
        if page in self._pages:
            self._pages.move_to_end(page)
        return self._rows.get(offset)

    def offset_of(self, conversation_id: str) -> int | None:
        """Where a row stands, if it is loaded."""
        if self._offsets is None:
            self._offsets = {row.id: offset for offset, row in self._rows.items()}
        return self._offsets.get(conversation_id)

    def row(self, conversation_id: str) -> Summary | None:
        """The row of a conversation, if it is loaded."""
        offset = self.offset_of(conversation_id)
        return None if offset is None else self._rows[offset]

    def keeps_place(self, old: Summary, new: Summary) -> bool:
        """Whether a changed row stands where it stood."""
        if self.place is Place.CHATS and old.pinned != new.pinned:
            return False
        return self.place is Place.BIN or old.updated_at == new.updated_at

    def put(self, page: int, rows: Sequence[Summary]) -> tuple[int, int] | None:
        """Take what the store has of a page; the first and last offset that are new or other."""
        begin = page * PAGE
        now = dict(enumerate(rows, begin))
        before = {o: self._rows.pop(o) for o in range(begin, begin + PAGE) if o in self._rows}
        self._rows.update(now)
        self._offsets = None
        if rows:
            self._use((page,))
        else:
            self._pages.pop(page, None)
        changed = [o for o in before.keys() | now.keys() if before.get(o) != now.get(o)]
        return (min(changed), max(changed)) if changed else None

    def keep_only(self, pages: Container[int]) -> None:
        """Drop all rows but those of `pages`."""
        for page in [page for page in self._pages if page not in pages]:
            self._drop(page)

    def replace(self, row: Summary) -> int | None:
        """Exchange the row of the same id, which keeps its place: its offset."""
        offset = self.offset_of(row.id)
        if offset is not None:
            self._rows[offset] = row
        return offset

    def remove(self, rows: Iterable[Summary]) -> None:
        """Take rows of the list off it. They need not be loaded; in the bin they have to be."""
        rows = tuple(rows)
        if self.place is not Place.BIN:
            for row in rows:
                if self.offset_of(row.id) is None:
                    self._move({offset: offset - 1 for offset in self._behind(row)})
        gone = sorted(o for o in (self.offset_of(row.id) for row in rows) if o is not None)
        for offset in gone:
            del self._rows[offset]
        self._move({offset: offset - bisect(gone, offset) for offset in self._rows})

    def insert(self, row: Summary, count: int) -> None:
        """Put a row where it belongs in a list that had `count` rows; the newest of its equals."""
        behind = self._behind(row)
        last = max(self._rows.keys() - set(behind), default=-1)
        following = min(behind, default=count)
        self._move({offset: offset + 1 for offset in behind})
        if last + 1 == following:  # else it stands among rows that are not loaded
            self._rows[following] = row
            self._use((following // PAGE,))

    def _behind(self, row: Summary) -> list[int]:
        """The loaded offsets that `row` stands before."""
        return [offset for offset, other in self._rows.items() if self._stands_before(row, other)]

    def _stands_before(self, row: Summary, other: Summary) -> bool:
        if self.place is Place.BIN:  # it was deleted just now
            return True
        if self.place is Place.ARCHIVE:
            return row.updated_at >= other.updated_at
        return (row.pinned, row.updated_at) >= (other.pinned, other.updated_at)

    def _move(self, offsets: Mapping[int, int]) -> None:
        """Let rows stand at other offsets, given by those they stand at."""
        moved = {new: self._rows.pop(old) for old, new in offsets.items()}
        self._rows.update(moved)
        self._offsets = None
        self._use(sorted({offset // PAGE for offset in moved} - self._pages.keys()))

    def _use(self, pages: Iterable[int]) -> None:
        for page in pages:
            self._pages[page] = None
            self._pages.move_to_end(page)
        while len(self._rows) > PAGES * PAGE:
            self._drop(next(iter(self._pages)))

    def _drop(self, page: int) -> None:
        del self._pages[page]
        for offset in range(page * PAGE, (page + 1) * PAGE):
            self._rows.pop(offset, None)
        self._offsets = None
