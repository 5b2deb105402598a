"""Chats of the store that may be opened: the recent ones, and those in which words stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from qwen_desktop.chat.summary import ListFilter
from qwen_desktop.storage.store import Store

RECENT = 20


@dataclass(frozen=True)
class Row:
    """A chat as it is listed."""

    id: str
    title: str
    changed: float  # seconds since the epoch


def recent(store: Store) -> tuple[Row, ...]:
    """The newest chats."""
    page = store.listing.page(ListFilter(), 0, RECENT)
    return tuple(Row(row.id, row.title, row.updated_at) for row in page)


def found(store: Store, words: str) -> tuple[Row, ...]:
    """Chats with `words` in them, the newest first. One whose title it is stands alone."""
    named = [row for row in recent(store) if row.title == words]
    return tuple(named) if len(named) == 1 else tuple(_with(store, words))


def _with(store: Store, words: str) -> Iterator[Row]:
    from qwen_desktop.storage.search import Searcher

    searcher = Searcher(store.database.file)
    try:
        hits = searcher.search(words).hits
    finally:
        searcher.close()
    by_id = {hit.conversation_id: hit for hit in reversed(hits)}
    for hit in sorted(by_id.values(), key=lambda hit: -hit.updated_at)[:RECENT]:
        yield Row(hit.conversation_id, hit.title.text, hit.updated_at)
