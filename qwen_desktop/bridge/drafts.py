"""Unsent text per conversation, on disk within a second of typing. QtCore only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Slot

from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.chat.draft import joined

if TYPE_CHECKING:
    from qwen_desktop.storage.store import Store

SAVE_MS = 400  # after the composer has told of it, 300 ms after a key


class Drafts(QObject):
    """Main-thread owner of the drafts, as `chat.draft` writes them.

    The key "" is the draft of a new conversation.
    """

    def __init__(self, store: StoreClient, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self._texts: dict[str, str] = {}
        self._dirty: set[str] = set()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SAVE_MS)
        self._timer.timeout.connect(self.save_now)

    def fill(self, texts: Mapping[str, str]) -> None:
        """Take what the store kept; text typed meanwhile goes below it."""
        typed = {key: self._texts.get(key, "") for key in self._dirty}
        self._texts = dict(texts)
        for key, text in typed.items():
            kept = texts.get(key, "")
            self._texts[key] = joined(kept, text) if kept != text else kept
        if self._dirty and not self._timer.isActive():
            self._timer.start()

    def keep_all(self) -> None:
        """Count every draft as not written, until `fill` has joined them with others."""
        self._timer.stop()
        self._dirty.update(key for key, text in self._texts.items() if text)

    def text(self, key: str) -> str:
        """The draft of one conversation, empty where there is none."""
        return self._texts.get(key, "")

    def set(self, key: str, text: str) -> None:
        """Keep `text`; an empty one removes the draft."""
        if self._texts.get(key, "") == text:
            return
        self._texts[key] = text
        self._dirty.add(key)
        if not self._timer.isActive():
            self._timer.start()

    def forget(self, keys: Iterable[str]) -> None:
        """Write no more of these, as what they belong to is gone; the store removes them itself."""
        for key in keys:
            self._texts.pop(key, None)
            self._dirty.discard(key)

    @Slot()
    def save_now(self) -> None:
        """Write what has changed. Of a draft that waits for the disk only the newest text does."""
        self._timer.stop()
        for key in sorted(self._dirty):
            self._store.keep(_saving(key, self._texts.get(key, "")), key=f"draft {key}")
        self._dirty.clear()

    @property
    def all(self) -> Mapping[str, str]:
        """Every draft there is, by conversation."""
        return {key: text for key, text in self._texts.items() if text}


def _saving(key: str, text: str) -> Callable[[Store], None]:
    return lambda store: store.save_draft(key, text)
