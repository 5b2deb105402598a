"""What a user does to conversations that can be taken back: here and on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from qwen_desktop.chat.summary import Place, Summary, in_order

if TYPE_CHECKING:
    from qwen_desktop.storage.store import Store


class ChangeKind(str, Enum):
    """What was done to one or several conversations."""

    DELETED = "deleted"
    PINNED = "pinned"
    UNPINNED = "unpinned"
    ARCHIVED = "archived"
    UNARCHIVED = "unarchived"
    MOVED = "moved"  # into the folder `name`, or out of its folder where that is ""
    FOLDER_DELETED = "folder deleted"  # the folder `name`; its conversations stay
    TAG_REMOVED = "tag removed"  # the tag `name`
    BRANCHED = "branched"  # a part of another one became this one
    MESSAGES_DELETED = "messages deleted"  # `count` of them, in the one called `title`


@dataclass(frozen=True)
class Change:
    """Something that was done and can be taken back as one, by `undo` on the main thread. A
    second call of that does nothing.

    `count` is how many conversations it was asked for; of a single one `title` is the title,
    where it is known. `where` is the only conversation it is told in, "" for any.
    """

    kind: ChangeKind
    count: int
    title: str
    name: str
    undo: Callable[[], None]
    where: str = ""


@dataclass(frozen=True)
class Step:
    """How a change is made and taken back, of a row that is shown and of all rows on disk.

    Only what it changed goes back, and only where nothing else has changed it since.
    """

    kind: ChangeKind
    row: Callable[[Summary], Summary]
    row_back: Callable[[Summary, Summary], Summary]  # as it is now, as it was before
    disk: Callable[[Store, tuple[str, ...]], None]
    disk_back: Callable[[Store, tuple[Summary, ...]], None]  # the rows as they were before
    name: str = ""


def once(action: Callable[[], None]) -> Callable[[], None]:
    """`action`, which does nothing when it is called again."""
    left = [action]

    def call() -> None:
        if left:
            left.pop()()

    return call


def deleting() -> Step:
    """Into the bin."""
    return Step(
        ChangeKind.DELETED,
        lambda row: replace(row, place=Place.BIN),
        lambda now, before: _placed(now, before, Place.BIN),
        lambda store, ids: store.listing.delete(ids),
        lambda store, before: store.listing.restore(
            row.id for row in before if row.place is not Place.BIN
        ),
    )


def pinning(on: bool) -> Step:
    """First in the list, or no longer."""
    return Step(
        ChangeKind.PINNED if on else ChangeKind.UNPINNED,
        lambda row: replace(row, pinned=on),
        lambda now, before: replace(now, pinned=before.pinned),
        lambda store, ids: store.listing.set_pinned(ids, on),
        lambda store, before: store.listing.set_pinned(
            (row.id for row in before if row.pinned is not on), not on
        ),
    )


def archiving(on: bool) -> Step:
    """Into the archive, or back into the list. What is in the bin stays there as it is."""
    place = Place.ARCHIVE if on else Place.CHATS

    def disk_back(store: Store, before: Iterable[Summary]) -> None:
        others = [row.id for row in before if row.place not in (place, Place.BIN)]
        store.listing.set_archived(others, not on)

    return Step(
        ChangeKind.ARCHIVED if on else ChangeKind.UNARCHIVED,
        lambda row: row if row.place is Place.BIN else replace(row, place=place),
        lambda now, before: _placed(now, before, place),
        lambda store, ids: store.listing.set_archived(ids, on),
        disk_back,
    )


def moving(folder_id: str, name: str) -> Step:
    """Into a folder; "" out of any."""

    def disk_back(store: Store, before: tuple[Summary, ...]) -> None:
        for folder in {row.folder for row in before}:
            inside = [row.id for row in before if row.folder == folder]
            store.listing.set_folder(inside, folder)

    return Step(
        ChangeKind.MOVED,
        lambda row: replace(row, folder=folder_id),
        lambda now, before: replace(now, folder=before.folder),
        lambda store, ids: store.listing.set_folder(ids, folder_id),
        disk_back,
        name,
    )


def untagging(name: str) -> Step:
    """A tag off."""
    return Step(
        ChangeKind.TAG_REMOVED,
        lambda row: replace(row, tags=tuple(tag for tag in row.tags if tag != name)),
        lambda now, before: replace(now, tags=in_order({*now.tags, *({name} & {*before.tags})})),
        lambda store, ids: store.listing.remove_tag(ids, name),
        lambda store, before: store.listing.add_tag(
            (row.id for row in before if name in row.tags), name
        ),
        name,
    )


def _placed(now: Summary, before: Summary, place: Place) -> Summary:
    return replace(now, place=before.place) if now.place is place else now
