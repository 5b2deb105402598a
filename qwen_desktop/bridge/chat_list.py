"""The list of conversations and what a user does to it. Lives on the main thread. QtCore only.

A change shows at once where it is loaded, goes to the store by `keep`, and is read again from
there. What can be taken back is told with the way back; that too goes by `keep`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Signal

from qwen_desktop.bridge import list_change
from qwen_desktop.bridge.list_change import Change, ChangeKind, Step, once
from qwen_desktop.bridge.list_pages import ListPages
from qwen_desktop.bridge.store_client import Job
from qwen_desktop.chat.messages import new_id
from qwen_desktop.chat.summary import (
    FOLDER_LENGTH,
    TAG_LENGTH,
    Folder,
    Place,
    Summary,
    by_name,
    in_order,
    one_name,
)
from qwen_desktop.chat.tree import Conversation
from qwen_desktop.errors import Report

if TYPE_CHECKING:
    from qwen_desktop.storage.store import Store

REMOVED_AT_ONCE = 20  # conversations in one step: an answer may wait to be journalled

PATCHED_AT_ONCE = 60  # rows, more than a screen shows; many would be felt

Ids = Iterable[str]


@dataclass
class _Before:
    """How things stood on disk before a change. Written and read on the store thread alone."""

    rows: tuple[Summary, ...] = ()
    ids: tuple[str, ...] = ()


def _delete_for_good(ids: tuple[str, ...], store: Store) -> None:
    store.listing.delete_for_good(ids)


def _nothing(_: Any) -> None:
    """Do nothing with a result."""


class ChatList(ListPages):
    """What is listed, and all that can be done to it. Made by `Chats`, found as `chats.list`.

    Signals besides those of `ListPages`:
    `undoable(Change)`: the user did something that can be taken back.
    `deleted(tuple of ids, title)`: they went into the bin; the title of a single one, else "".
    `restored(tuple of ids)`: they came back from it.
    `removed(tuple of ids)`: they are gone for good; those that were loaded or open.
    `renamed(id, title)`.

    Ids that are not there are passed over. Nothing is done where `ids` is empty.
    """

    undoable = Signal(object)
    deleted = Signal(object, str)
    restored = Signal(object)
    removed = Signal(object)
    renamed = Signal(str, str)

    def is_deleted(self, conversation_id: str) -> bool:
        """Whether a conversation that is open is in the bin."""
        row = self.row(conversation_id)
        return row is not None and row.place is Place.BIN

    # -- what is said in conversations -----------------------------------------------------

    def update(self, conversation: Conversation, *, is_new: bool = False) -> None:
        """Something was said in `conversation`, or read in it; it is on disk already."""
        row, old = conversation.summary(), self.row(conversation.id)
        if old is not None:
            row = replace(row, pinned=old.pinned, place=old.place, folder=old.folder, tags=old.tags)
        elif not is_new:
            self.refresh()
            return
        self.know(row)
        self._apply([(old, row)])
        self._read()

    def refresh(self) -> None:
        """Read again what is shown: the store has changed by other hands."""
        self._generation += 1
        self._read()

    def rename(self, conversation_id: str, title: str) -> None:
        """Give a conversation a title of the user's own; nothing where it is blank."""
        title = " ".join(title.split())
        if not title:
            return
        self._patch((conversation_id,), lambda row: replace(row, title=title))
        self.renamed.emit(conversation_id, title)
        self._keep(lambda store: store.rename(conversation_id, title))

    def mark_remote(self, conversation_id: str, on: bool) -> None:
        """Show that a server answers a conversation from now on, or no longer; it is kept already.

        What was asked of the store before is read again.
        """
        if self._patch((conversation_id,), lambda row: replace(row, remote=on)):
            self.refresh()

    def suggest_title(
        self, conversation_id: str, title: str, then: Callable[[bool], None] = _nothing
    ) -> None:
        """Give a title to a conversation that has none but the one made of its first question.

        `then` is told whether it took it.
        """
        title = " ".join(title.split())

        def done(taken: bool) -> None:
            if taken:
                self._patch((conversation_id,), lambda row: replace(row, title=title))
                self.renamed.emit(conversation_id, title)
                self._read()
            then(taken)

        if title:
            self._store.submit(lambda store: store.suggest_title(conversation_id, title), done)

    # -- pins, archive, tags ---------------------------------------------------------------

    def set_pinned(self, ids: Ids, on: bool) -> None:
        """Let conversations stand first in the list, or no longer. Can be undone."""
        self._take_step(ids, list_change.pinning(on))

    def set_archived(self, ids: Ids, on: bool) -> None:
        """Put conversations into the archive, or back into the list. Can be undone."""
        self._take_step(ids, list_change.archiving(on))

    def add_tag(self, ids: Ids, name: str) -> None:
        """Give conversations a tag; one that differs only in case is the same."""
        ids, name = tuple(ids), one_name(name, TAG_LENGTH)
        if not name:
            return
        folded = name.casefold()
        name = next((tag for tag, _ in self._shape.tags if tag.casefold() == folded), name)
        self._patch(ids, lambda row: replace(row, tags=in_order({*row.tags, name})))
        self._keep(lambda store: store.listing.add_tag(ids, name))

    def remove_tag(self, ids: Ids, name: str) -> None:
        """Take a tag off conversations. Can be undone."""
        self._take_step(ids, list_change.untagging(name))

    # -- folders ---------------------------------------------------------------------------

    def set_folder(self, ids: Ids, folder_id: str) -> None:
        """Put conversations into a folder; "" takes them out. Can be undone."""
        name = next((folder.name for folder in self._shape.folders if folder.id == folder_id), "")
        self._take_step(ids, list_change.moving(folder_id, name))

    def make_folder(self, name: str, then: Callable[[Folder], None] = _nothing) -> None:
        """Make a folder; `then` gets it at once, or the one there is of this name.

        Nothing where the name is blank.
        """
        folder = Folder(new_id(), one_name(name, FOLDER_LENGTH))
        if not folder.name:
            return
        if (known := self._folder_named(folder.name)) is not None:
            then(known)
            return
        self._set_folders((*self._shape.folders, folder))
        self._keep(lambda store: store.listing.make_folder(folder.name, folder.id))
        then(folder)

    def rename_folder(self, folder_id: str, name: str) -> bool:
        """Give a folder another name. False, and nothing, where it is blank or another's."""
        name = one_name(name, FOLDER_LENGTH)
        known = self._folder_named(name)
        if not name or (known is not None and known.id != folder_id):
            return False
        self._set_folders(
            replace(folder, name=name) if folder.id == folder_id else folder
            for folder in self._shape.folders
        )
        self._keep(lambda store: store.listing.rename_folder(folder_id, name))
        return True

    def delete_folder(self, folder_id: str) -> None:
        """Remove a folder; its conversations stay, without one. Can be undone."""
        folder = next((f for f in self._shape.folders if f.id == folder_id), None)
        if folder is None:
            return
        before = _Before()
        if self._filter.folder == folder_id:
            self.set_filter(replace(self._filter, folder=""))
        self._patch(self._loaded_in(folder_id), lambda row: replace(row, folder=""))
        self._set_folders(f for f in self._shape.folders if f.id != folder_id)

        def change(store: Store) -> None:
            before.ids = store.listing.delete_folder(folder_id)

        def bring_back(store: Store) -> None:
            store.listing.set_folder(
                before.ids, store.listing.make_folder(folder.name, folder_id).id
            )

        def undo() -> None:
            if self._folder_named(folder.name) is None:
                self._set_folders((*self._shape.folders, folder))
            self._keep(bring_back)

        self._keep(change)
        self.undoable.emit(
            Change(ChangeKind.FOLDER_DELETED, folder.count, "", folder.name, once(undo))
        )

    def _folder_named(self, name: str) -> Folder | None:
        folded = name.casefold()
        return next((f for f in self._shape.folders if f.name.casefold() == folded), None)

    def _set_folders(self, folders: Iterable[Folder]) -> None:
        self._generation += 1
        self._shape = replace(self._shape, folders=by_name(folders))
        self.shape_changed.emit(self._shape)

    # -- the bin ---------------------------------------------------------------------------

    def delete(self, ids: Ids) -> None:
        """Put conversations into the bin. Can be undone."""
        ids = tuple(ids)
        title = self._title(ids)
        self._take_step(
            ids,
            list_change.deleting(),
            made=lambda: self.deleted.emit(ids, title),
            undone=lambda: self.restored.emit(ids),
        )

    def restore(self, ids: Ids) -> None:
        """Bring conversations back from the bin, to where they were."""
        ids = tuple(ids)
        if not ids:
            return
        # Those that were in the archive are shown there once they are read again.
        self._patch(
            ids, lambda row: replace(row, place=Place.CHATS) if row.place is Place.BIN else row
        )
        self._keep(lambda store: store.listing.restore(ids))
        self.restored.emit(ids)

    def delete_for_good(self, ids: Ids) -> None:
        """Remove conversations that are in the bin. There is no way back: ask before."""
        ids = tuple(ids)
        self._forget(ids)
        for begin in range(0, len(ids), REMOVED_AT_ONCE):
            some = ids[begin : begin + REMOVED_AT_ONCE]
            self._keep(partial(_delete_for_good, some))

    def empty_bin(self) -> None:
        """Remove everything that is in the bin. There is no way back: ask before."""
        self._forget(tuple(row.id for row in self._loaded()))
        sections = () if self._shown.place is Place.BIN else self._shape.sections
        self._shape = replace(self._shape, deleted=0, sections=sections)
        self.shape_changed.emit(self._shape)
        self._empty_bin()

    def _empty_bin(self) -> None:
        def done(count: int) -> None:
            if count == REMOVED_AT_ONCE:
                self._empty_bin()
            else:
                self.refresh()

        self._generation += 1
        self._store.keep(lambda store: store.listing.empty_bin(REMOVED_AT_ONCE), done)

    def _forget(self, ids: tuple[str, ...]) -> None:
        """Show that rows of the bin are no more."""
        rows = [row for row in map(self.row, ids) if row is not None and row.place is Place.BIN]
        if not rows:
            return
        self._apply((row, None) for row in rows)
        for row in rows:
            self._known.pop(row.id, None)
        self.removed.emit(tuple(row.id for row in rows))

    def remove_old(self) -> None:
        """Remove, a few at a time, what has been in the bin for 30 days."""

        def done(count: int) -> None:
            if count == REMOVED_AT_ONCE:
                self.remove_old()
            if count:
                self.refresh()

        self._store.submit(lambda store: store.listing.remove_old(REMOVED_AT_ONCE), done, _nothing)

    # -- how a change is made --------------------------------------------------------------

    def _take_step(
        self,
        ids: Ids,
        step: Step,
        made: Callable[[], None] = lambda: None,
        undone: Callable[[], None] = lambda: None,
    ) -> None:
        """Change rows, here and on disk, and tell how it is undone.

        `made` and `undone` are called here after either.
        """
        ids, before = tuple(ids), _Before()
        if not ids:
            return
        title = self._title(ids)
        patched = self._patch(ids, step.row)

        def write(store: Store) -> None:
            before.rows = store.listing.rows(ids)
            step.disk(store, ids)

        def undo() -> None:
            rows = [(self.row(new.id) or new, old) for old, new in patched]
            self._apply((now, step.row_back(now, old)) for now, old in rows)
            self._keep(lambda store: step.disk_back(store, before.rows))
            undone()

        self._keep(write)
        made()
        self.undoable.emit(Change(step.kind, len(ids), title, step.name, once(undo)))

    def _patch(
        self, ids: Ids, changed: Callable[[Summary], Summary]
    ) -> tuple[tuple[Summary, Summary], ...]:
        """Show a change of the rows that are known: each as it was and as it is.

        Of very many only those that are looked at; the others are there with the next read.
        """
        ids = tuple(ids)
        if len(ids) <= PATCHED_AT_ONCE:
            known = [row for row in map(self.row, ids) if row is not None]
        else:
            wanted = set(ids)
            loaded = (row for row in self._loaded() if row.id in wanted)
            known = [*islice(loaded, PATCHED_AT_ONCE)]
        changes = tuple((row, new) for row in known if (new := changed(row)) != row)
        if changes:
            self._apply(changes)
        return changes

    def _title(self, ids: tuple[str, ...]) -> str:
        row = self.row(ids[0]) if len(ids) == 1 else None
        return row.title if row is not None else ""

    def _loaded(self) -> Iterable[Summary]:
        """The rows that are known: of open conversations, then what is looked at, then others."""
        return {row.id: row for row in (*self._known.values(), *self._rows.recent())}.values()

    def _loaded_in(self, folder_id: str) -> tuple[str, ...]:
        return tuple(row.id for row in self._loaded() if row.folder == folder_id)

    def _keep(self, job: Job) -> None:
        """Let the store make a change that must not be lost, then read what is shown."""
        self._generation += 1

        def failed(report: Report) -> None:
            self._store.problem.emit(report)
            self._read()

        self._store.keep(job, lambda _: self._read(), on_failed=failed)
