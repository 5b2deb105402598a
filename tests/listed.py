"""The conversations of a store as the window lists them."""

from __future__ import annotations

from qwen_desktop.chat.summary import ListFilter, Summary
from qwen_desktop.storage.store import Store


def listed(store: Store) -> tuple[Summary, ...]:
    """All rows of the list, in their order."""
    return store.listing.page(ListFilter(), 0, -1)
