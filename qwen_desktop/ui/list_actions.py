"""What can be done with conversations of the list: one place for menus, keys and buttons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from qwen_desktop.bridge.list_change import ChangeKind
from qwen_desktop.bridge.words import joined
from qwen_desktop.chat.summary import (
    FOLDER_LENGTH,
    TAG_LENGTH,
    Folder,
    ListFilter,
    ListShape,
    Place,
    Summary,
)

if TYPE_CHECKING:
    from qwen_desktop.bridge.chat_list import ChatList
    from qwen_desktop.bridge.list_change import Change

_REMEMBERED = 20  # changes of the list
_OF_MESSAGES = (ChangeKind.BRANCHED, ChangeKind.MESSAGES_DELETED)  # these are not of the list

Ids = Sequence[str]


class ListActions(QObject):
    """Asks the bridge, after asking the user where something would be gone for good.

    `open_requested(id)`, `rename_requested(id)`, `export_requested(ids)`, `copy_requested(id)` are
    for others to do. `said(text)`: why something was not done.
    """

    open_requested = Signal(str)
    rename_requested = Signal(str)
    export_requested = Signal(object)
    copy_requested = Signal(str)
    said = Signal(str)

    def __init__(self, chats: ChatList, window: QWidget) -> None:
        """Dialogs belong to `window`."""
        super().__init__(window)
        self._chats = chats
        self._window = window
        self._done: list[Change] = []  # what can be taken back, the newest last

    @property
    def shape(self) -> ListShape:
        """Folders and tags to choose from."""
        return self._chats.shape

    @property
    def place(self) -> Place:
        """Where the listed conversations are."""
        return self._chats.filter.place

    def rows(self, ids: Ids) -> tuple[Summary, ...]:
        """What is known of conversations."""
        rows = (self._chats.row(conversation_id) for conversation_id in ids)
        return tuple(row for row in rows if row is not None)

    # -- taken back ------------------------------------------------------------------------

    def undo_of(self, change: Change) -> Callable[[], None]:
        """What takes a change back; it is remembered for `undo_last` until then."""

        def undo() -> None:
            if change in self._done:
                self._done.remove(change)
            change.undo()

        if change.kind not in _OF_MESSAGES:
            self._done = [*self._done, change][-_REMEMBERED:]
        return undo

    def undo_last(self) -> None:
        """Take back the newest change of the list that still stands."""
        if self._done:
            self._done.pop().undo()

    def go_to(self, which: ListFilter) -> None:
        """List other conversations."""
        self._chats.set_filter(which)

    # -- with conversations ----------------------------------------------------------------

    def all_pinned(self, ids: Ids) -> bool:
        """Whether pinning again would change nothing."""
        rows = self.rows(ids)
        return bool(rows) and all(row.pinned for row in rows)

    def toggle_pinned(self, ids: Ids) -> None:
        """Pin, or unpin where all are pinned."""
        self._chats.set_pinned(ids, not self.all_pinned(ids))

    def set_archived(self, ids: Ids, on: bool) -> None:
        """Into the archive or back."""
        self._chats.set_archived(ids, on)

    def set_folder(self, ids: Ids, folder_id: str) -> None:
        """Into a folder; "" for none."""
        self._chats.set_folder(ids, folder_id)

    def ask_for_folder(self, ids: Ids = ()) -> None:
        """Make a folder and put conversations into it."""
        from qwen_desktop.ui.small_dialogs import NameDialog

        def made(folder: Folder) -> None:
            if ids:
                self._chats.set_folder(ids, folder.id)

        NameDialog(
            self.tr("New folder"),
            self.tr("Name of the folder"),
            FOLDER_LENGTH,
            lambda name: self._chats.make_folder(name, made),
            self._window,
        ).open()

    def has_tag(self, ids: Ids, tag: str) -> bool:
        """Whether all have a tag."""
        rows = self.rows(ids)
        return bool(rows) and all(tag in row.tags for row in rows)

    def set_tag(self, ids: Ids, tag: str, on: bool) -> None:
        """Give or take a tag."""
        (self._chats.add_tag if on else self._chats.remove_tag)(ids, tag)

    def ask_for_tag(self, ids: Ids) -> None:
        """Give conversations a tag that is typed."""
        from qwen_desktop.ui.small_dialogs import NameDialog

        NameDialog(
            self.tr("New tag"),
            self.tr("Name of the tag"),
            TAG_LENGTH,
            lambda name: self._chats.add_tag(ids, name),
            self._window,
        ).open()

    def delete(self, ids: Ids) -> None:
        """Into the bin; from the bin for good, after a question."""
        if not ids:
            return
        if self.place is Place.BIN:
            self.ask_to_delete_for_good(ids)
        else:
            self._chats.delete(ids)

    def restore(self, ids: Ids) -> None:
        """Out of the bin."""
        self._chats.restore(ids)

    def ask_to_delete_for_good(self, ids: Ids) -> None:
        """Remove conversations of the bin, if the user means it."""
        rows = self.rows(ids)
        if len(ids) == 1 and rows:
            name = rows[0].title or self.tr("New chat")
            words = self.tr("“{title}” will be gone for good.").format(title=name)
        else:
            words = self.tr("{count} chats will be gone for good.").format(count=len(ids))
        self._confirm(self.tr("Delete for good?"), words, lambda: self._chats.delete_for_good(ids))

    def ask_to_empty_bin(self) -> None:
        """Remove everything in the bin, if the user means it."""
        count = self._chats.shape.deleted
        if not count:
            return
        if count == 1:
            words = self.tr("One chat will be gone for good.")
        else:
            words = self.tr("{count} chats will be gone for good.").format(count=count)
        self._confirm(self.tr("Empty the bin?"), words, self._chats.empty_bin)

    def _confirm(self, title: str, words: str, confirmed: object) -> None:
        from qwen_desktop.ui.small_dialogs import ConfirmDialog

        assert callable(confirmed)
        kept = self.tr("Backups that were made before keep it until they are removed.")
        words = joined(words, kept)
        ConfirmDialog(title, words, self.tr("Delete for good"), confirmed, self._window).open()

    # -- with folders ----------------------------------------------------------------------

    def rename_folder(self, folder_id: str, name: str) -> bool:
        """Another name for a folder; False for one that another folder has."""
        done = self._chats.rename_folder(folder_id, name)
        if not done:
            self.said.emit(self.tr("Another folder has the name “{name}”").format(name=name))
        return done

    def delete_folder(self, folder_id: str) -> None:
        """Remove a folder; its conversations stay."""
        self._chats.delete_folder(folder_id)
