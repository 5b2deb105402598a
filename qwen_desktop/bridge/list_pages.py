"""What is listed: how many conversations under which heading, and the pages of rows in memory.

Lives on the main thread. QtCore only. `ChatList` is this with all that a user can change.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

from qwen_desktop.bridge.list_rows import PAGE, ListRows
from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.chat.summary import (
    ListFilter,
    ListShape,
    Place,
    Section,
    Summary,
    day_starts,
    next_midnight,
    section_of,
)
from qwen_desktop.errors import Report

if TYPE_CHECKING:
    from qwen_desktop.storage.store import Store

TOP_ROWS = 60  # of the whole list, told for the next start
KNOWN_ROWS = 16  # conversations that were open, remembered without their page
MOVED_AT_ONCE = 8  # rows put at another place before they are read again
READ_AGAIN = 4  # pages; others that were held are asked for when they are looked at again
DAY_CHECK_MS = 60_000  # the timers of a sleeping machine stand still, so its clock is looked at

RowChange = tuple["Summary | None", "Summary | None"]  # before and after; None: no row


@dataclass(frozen=True)
class ListRead:
    """What one job has read: everything that is shown, as it stands on disk."""

    shape: ListShape
    pages: Mapping[int, tuple[Summary, ...]]
    top: tuple[Summary, ...]


class ListPages(QObject):
    """Owns what is known of the list. `now` gives the time in Unix seconds.

    Signals:
    `shape_changed(ListShape)`: rows came, went or moved, or a heading, folder or tag did; every
    row may be another one now. Follows each `set_filter`.
    `rows_changed(int, int)`: these row offsets, both included, have other values or were loaded.
    `top_changed(tuple[Summary, ...])`: the first rows of the whole list, as they stand on disk.
    """

    shape_changed = Signal(object)
    rows_changed = Signal(int, int)
    top_changed = Signal(object)

    def __init__(
        self,
        store: StoreClient,
        parent: QObject | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(parent)
        self._store = store
        self._now = now
        self._filter = ListFilter()  # asked for
        self._shown = ListFilter()  # that of shape and rows, while the other is read
        self._shape = ListShape()
        self._rows = ListRows()
        self._top: tuple[Summary, ...] | None = None
        self._known: dict[str, Summary] = {}  # rows of conversations that were open
        # What is read is dropped where something changed since it was asked for.
        self._generation = 0
        self._reading: int | None = None  # the generation of the read of everything on its way
        self._asked: dict[int, None] = {}  # pages on their way
        self._starts = day_starts(now())
        self._day_timer = QTimer(self)
        self._day_timer.setSingleShot(True)
        self._day_timer.setTimerType(Qt.TimerType.CoarseTimer)
        self._day_timer.timeout.connect(self._on_time)
        self._wait_for_midnight()

    # -- what is listed --------------------------------------------------------------------

    @property
    def filter(self) -> ListFilter:
        """What shape and rows are of; another one comes with `shape_changed`."""
        return self._shown

    @property
    def shape(self) -> ListShape:
        """Headings with their counts, folders and tags."""
        return self._shape

    def set_filter(self, which: ListFilter) -> None:
        """List these conversations: `shape_changed` follows once they are read."""
        if which != self._filter:
            self._filter = which
            self._generation += 1
            self._asked.clear()
            self._read()

    def row_at(self, offset: int) -> Summary | None:
        """The row with `offset` rows before it.

        None where it is not loaded: its page is then asked for, and `rows_changed` follows.
        """
        row = self._rows.at(offset)
        if row is None and 0 <= offset < self._shape.count and self._shown == self._filter:
            self._ask_for(offset // PAGE)
        return row

    def row(self, conversation_id: str) -> Summary | None:
        """The row of a conversation, where it is loaded or was open."""
        return self._rows.row(conversation_id) or self._known.get(conversation_id)

    def offset_of(self, conversation_id: str) -> int | None:
        """The offset of a row that is listed and loaded."""
        return self._rows.offset_of(conversation_id)

    def ids(self, then: Callable[[tuple[str, ...]], None]) -> None:
        """Find the ids of all that is listed, in order; `then` gets them.

        Where the list changes meanwhile, they are those after the change.
        """
        which, generation = self._shown, self._generation

        def found(ids: tuple[str, ...]) -> None:
            if generation == self._generation:
                then(ids)
            else:
                self.ids(then)

        self._store.submit(lambda store: store.listing.ids(which), found)

    def top(self, limit: int = PAGE) -> tuple[Summary, ...]:
        """The first rows, as far as they are loaded without a gap."""
        found: list[Summary] = []
        while len(found) < limit and (row := self._rows.at(len(found))) is not None:
            found.append(row)
        return tuple(found)

    def know(self, row: Summary) -> None:
        """Remember the row of a conversation that is open, wherever it is listed."""
        self._known.pop(row.id, None)
        self._known[row.id] = row
        while len(self._known) > KNOWN_ROWS:
            self._known.pop(next(iter(self._known)))

    # -- reading ---------------------------------------------------------------------------

    def reading(self) -> Callable[[Store], ListRead]:
        """The job that reads everything that is shown."""
        which, starts = self._filter, self._starts
        # What is looked at, and the first page, which is told for the next start.
        seen = (*reversed(self._asked), *self._rows.pages) if which == self._shown else ()
        wanted = sorted({0, *seen[:READ_AGAIN]})
        whole = ListFilter()

        def read(store: Store) -> ListRead:
            listing = store.listing
            shape = listing.shape(which, starts)
            found = {page: listing.page(which, page * PAGE, PAGE) for page in wanted}
            top = found[0] if which == whole else listing.page(whole, 0, TOP_ROWS)
            return ListRead(shape, found, top[:TOP_ROWS])

        return read

    def take(self, read: ListRead) -> None:
        """Show what was read."""
        shape_is_new = read.shape != self._shape or self._shown != self._filter
        if self._shown != self._filter:
            self._shown = self._filter
            self._rows = ListRows(self._filter.place)
        self._shape = read.shape
        self._asked.clear()
        self._rows.keep_only(read.pages)
        changed = [self._rows.put(page, rows) for page, rows in read.pages.items()]
        for row in [row for page in read.pages.values() for row in page if row.id in self._known]:
            self._known[row.id] = row
        if shape_is_new:
            self.shape_changed.emit(self._shape)
        for stretch in changed:
            if stretch is not None:
                self.rows_changed.emit(*stretch)
        if read.top != self._top:
            self._top = read.top
            self.top_changed.emit(read.top)

    def _read(self) -> None:
        """Read everything that is shown, once for all changes before it."""
        generation = self._generation
        if self._reading == generation:
            return
        self._reading = generation

        def done(read: ListRead) -> None:
            if self._reading == generation:
                self._reading = None
            if generation == self._generation:  # else it is read again
                self.take(read)

        def failed(report: Report) -> None:
            if self._reading == generation:
                self._reading = None
            self._asked.clear()
            self._store.problem.emit(report)

        self._store.submit(self.reading(), done, failed)

    def _ask_for(self, page: int) -> None:
        if page in self._asked:
            return
        self._asked[page] = None
        which, generation = self._shown, self._generation

        def done(rows: tuple[Summary, ...]) -> None:
            if generation != self._generation:
                return  # everything is read again, with this page
            self._asked.pop(page, None)
            changed = self._rows.put(page, rows)
            if changed is not None:
                self.rows_changed.emit(*changed)

        def failed(report: Report) -> None:
            self._asked.pop(page, None)
            self._store.problem.emit(report)

        self._store.submit(lambda store: store.listing.page(which, page * PAGE, PAGE), done, failed)

    # -- changes that show before they are read --------------------------------------------

    def _apply(self, changes: Iterable[RowChange]) -> None:
        """Show that rows have become others."""
        changes = tuple(changes)
        self._generation += 1
        more: Counter[Section] = Counter()
        leaving: list[Summary] = []
        coming: list[Summary] = []
        staying: list[Summary] = []
        for old, new in changes:
            if new is not None and new.id in self._known:
                self._known[new.id] = new
            was = old if old is not None and self._shown.takes(old) else None
            now = new if new is not None and self._shown.takes(new) else None
            has_room = len(coming) < MOVED_AT_ONCE
            if was and now and (self._rows.keeps_place(was, now) or not has_room):
                staying.append(now)
                continue
            if was:
                leaving.append(was)
                more[self._section_of_old(was)] -= 1
            if now and has_room:
                coming.append(now)
                more[self._section_of_new(now)] += 1
        before, count = self._shape, self._shape.count
        self._shape = before.with_changes(changes).with_rows(more)
        changed = [offset for row in staying if (offset := self._rows.replace(row)) is not None]
        self._rows.remove(leaving)
        count -= len(leaving)
        for row in coming:
            self._rows.insert(row, count)
            count += 1
        if leaving or coming or self._shape != before:
            self.shape_changed.emit(self._shape)
        if changed:
            self.rows_changed.emit(min(changed), max(changed))

    def _section_of_old(self, row: Summary) -> Section:
        offset = self._rows.offset_of(row.id)
        section = None if offset is None else self._shape.section_at(offset)
        return section or section_of(row, self._starts)

    def _section_of_new(self, row: Summary) -> Section:
        return Section.TODAY if row.place is Place.BIN else section_of(row, self._starts)

    # -- days ------------------------------------------------------------------------------

    def _wait_for_midnight(self) -> None:
        now = self._now()
        left = (next_midnight(now) - now) * 1000
        self._day_timer.start(int(min(DAY_CHECK_MS, max(0.0, left))) + 1)

    @Slot()
    def _on_time(self) -> None:
        """Count again where another day has begun."""
        starts = day_starts(self._now())
        if starts != self._starts:
            self._starts = starts
            self._generation += 1
            self._read()
        self._wait_for_midnight()
