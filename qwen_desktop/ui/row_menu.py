"""The menus of the conversation list: of one or several conversations, and parts of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QWidget

from qwen_desktop.chat.summary import Place
from qwen_desktop.ui.list_actions import ListActions

_LONGEST = 40  # characters of a name in a menu


def menu_text(name: str) -> str:
    """A name as the text of a menu entry: short, and no letter of it a key."""
    short = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
    return short.replace("&", "&&")


class ListMenu(QMenu):
    """A menu that is deleted when it is closed. `do` names what an entry does."""

    def __init__(self, name: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)

    def entry(
        self,
        text: str,
        do: Callable[[], object],
        *,
        checked: bool | None = None,
        key: str = "",
        menu: QMenu | None = None,
    ) -> QAction:
        """Add an entry, checkable where `checked` is given, shown with `key`, perhaps to `menu`."""
        action = (menu or self).addAction(text)
        if checked is not None:
            action.setCheckable(True)
            action.setChecked(checked)
        if key:
            action.setShortcut(QKeySequence(key))
        action.triggered.connect(lambda: do())
        return action


class FolderMenu(ListMenu):
    """Into which folder."""

    def __init__(self, ids: Sequence[str], acts: ListActions, parent: QWidget) -> None:
        super().__init__("folderMenu", parent)
        self.setTitle(self.tr("Move to folder"))
        self.setAccessibleName(self.title())
        rows = acts.rows(ids)
        of_all = {row.folder for row in rows}
        for folder in acts.shape.folders:
            self.entry(
                menu_text(folder.name),
                lambda folder=folder: acts.set_folder(ids, folder.id),  # type: ignore[misc]
                checked=of_all == {folder.id},
            )
        if acts.shape.folders:
            self.addSeparator()
            none = self.entry(self.tr("No folder"), lambda: acts.set_folder(ids, ""))
            none.setEnabled(of_all != {""})
        self.entry(self.tr("New folder…"), lambda: acts.ask_for_folder(ids))


class TagMenu(ListMenu):
    """Which tags."""

    def __init__(self, ids: Sequence[str], acts: ListActions, parent: QWidget) -> None:
        super().__init__("tagMenu", parent)
        self.setTitle(self.tr("Tags"))
        self.setAccessibleName(self.title())
        for tag, _ in acts.shape.tags:
            has = acts.has_tag(ids, tag)
            self.entry(
                menu_text(tag),
                lambda tag=tag, has=has: acts.set_tag(ids, tag, not has),  # type: ignore[misc]
                checked=has,
            )
        if acts.shape.tags:
            self.addSeparator()
        self.entry(self.tr("New tag…"), lambda: acts.ask_for_tag(ids))


class RowMenu(ListMenu):
    """What can be done with the conversations `ids`, which are all in one place."""

    def __init__(self, ids: Sequence[str], acts: ListActions, parent: QWidget) -> None:
        super().__init__("rowMenu", parent)
        self.setAccessibleName(self.tr("Chat menu"))
        one = len(ids) == 1
        in_bin = acts.place is Place.BIN
        if one:
            self.entry(self.tr("Open"), lambda: acts.open_requested.emit(ids[0]), key="Return")
        if one and not in_bin:
            self.entry(self.tr("Rename"), lambda: acts.rename_requested.emit(ids[0]), key="F2")
        if one:
            self.addSeparator()
        if in_bin:
            self.entry(self.tr("Restore"), lambda: acts.restore(ids))
        else:
            self._add_order(ids, acts)
        self.addSeparator()
        self.entry(self.tr("Export…"), lambda: acts.export_requested.emit(tuple(ids)))
        if one:
            self.entry(self.tr("Copy as Markdown"), lambda: acts.copy_requested.emit(ids[0]))
        self.addSeparator()
        delete = self.tr("Delete for good…") if in_bin else self.tr("Delete")
        self.entry(delete, lambda: acts.delete(ids), key="Ctrl+Del")

    def _add_order(self, ids: Sequence[str], acts: ListActions) -> None:
        pinned = acts.all_pinned(ids)
        self.entry(self.tr("Unpin") if pinned else self.tr("Pin"), lambda: acts.toggle_pinned(ids))
        self.addMenu(FolderMenu(ids, acts, self))
        self.addMenu(TagMenu(ids, acts, self))
        archived = acts.place is Place.ARCHIVE
        self.entry(
            self.tr("Unarchive") if archived else self.tr("Archive"),
            lambda: acts.set_archived(ids, not archived),
        )


def show_below(menu: QMenu, widget: QWidget) -> None:
    """Open `menu` under a button."""
    menu.popup(widget.mapToGlobal(QPoint(0, widget.height() + 2)))


def show_above(menu: QMenu, widget: QWidget) -> None:
    """Open `menu` over a button."""
    menu.popup(widget.mapToGlobal(QPoint(0, -menu.sizeHint().height() - 2)))
