"""The menu of places: all chats, folders, tags, archive and bin; and that of one folder."""

from __future__ import annotations

from PySide6.QtGui import QActionGroup
from PySide6.QtWidgets import QWidget

from qwen_desktop.chat.summary import Folder, ListFilter, Place
from qwen_desktop.ui.list_actions import ListActions
from qwen_desktop.ui.place_bar import PlaceBar
from qwen_desktop.ui.row_menu import ListMenu, menu_text


class PlaceMenu(ListMenu):
    """Choosing an entry lists what it names; the one that is listed is checked."""

    def __init__(self, now: ListFilter, acts: ListActions, parent: QWidget) -> None:
        super().__init__("placeMenu", parent)
        self.setAccessibleName(self.tr("What the list shows"))
        self._now = now
        self._acts = acts
        self._group = QActionGroup(self)  # one of them is listed
        shape = acts.shape
        self._place(self.tr("All chats"), ListFilter())
        self.addSection(self.tr("Folders"))
        for folder in shape.folders:
            self._place(menu_text(folder.name), ListFilter(folder=folder.id), folder.count)
        self.entry(self.tr("New folder…"), acts.ask_for_folder)
        if shape.tags:
            self.addSection(self.tr("Tags"))
        for tag, count in shape.tags:
            self._place(menu_text(tag), ListFilter(tag=tag), count)
        self.addSeparator()
        self._place(self.tr("Archive"), ListFilter(place=Place.ARCHIVE), shape.archived)
        self._place(self.tr("Bin"), ListFilter(place=Place.BIN), shape.deleted)

    def _place(self, name: str, which: ListFilter, count: int | None = None) -> None:
        text = name if count is None else f"{name} ({self.locale().toString(count)})"
        entry = self.entry(text, lambda: self._acts.go_to(which), checked=which == self._now)
        self._group.addAction(entry)


class OneFolderMenu(ListMenu):
    """What can be done with the folder that is listed."""

    def __init__(self, folder: Folder, acts: ListActions, bar: PlaceBar) -> None:
        super().__init__("oneFolderMenu", bar)
        self.setAccessibleName(self.tr("Folder menu"))
        self.entry(self.tr("Rename folder"), lambda: bar.rename_folder(folder.name))
        self.entry(self.tr("Delete folder"), lambda: acts.delete_folder(folder.id))
