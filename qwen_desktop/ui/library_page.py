"""The library: the checkpoints of this machine, and what can be done with each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QLocale, QPoint, Qt, Signal, Slot
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent, QKeyEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QMenu, QVBoxLayout, QWidget

from qwen_desktop.bridge.library import Library, ScanState
from qwen_desktop.bridge.words import translated
from qwen_desktop.chat.hub import Comparison, Verification
from qwen_desktop.chat.library import Health, LibraryEntry
from qwen_desktop.errors import Report
from qwen_desktop.ui.controls import Bar, Button, Label, Line, TintedLabel
from qwen_desktop.ui.folder_picker import pick_folder
from qwen_desktop.ui.library_words import columns, verdict
from qwen_desktop.ui.plain_search import SearchField
from qwen_desktop.ui.sorted_table import SortedTable, labelled_box
from qwen_desktop.ui.texts import small_size_text

ALL, OPENS, WRONG = "all", "opens", "wrong"


class LibraryPage(QWidget):
    """Signals with a folder: `open_requested`, `details_requested`, `reveal_requested`,
    `delete_requested`, `adopt_requested`.
    """

    open_requested = Signal(object)
    details_requested = Signal(object)
    reveal_requested = Signal(object)
    delete_requested = Signal(object)
    adopt_requested = Signal(object)

    def __init__(self, library: Library, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("libraryPage")
        self._library = library
        self._open: Path | None = None  # the folder of the model that is open
        self._verifying = ""  # the folder whose bar is shown
        self._told_of: str | None = None  # the row that was chosen when something was told
        self._damaged: set[str] = set()  # folders in which verifying found other bytes
        self._build_top()
        self.table: SortedTable[LibraryEntry] = SortedTable(columns(), lambda e: str(e.folder))
        self.table.setObjectName("libraryTable")
        self.table.setAccessibleName(self.tr("Checkpoints of this computer"))
        self.table.chosen_changed.connect(self._refresh)
        self.table.accepted.connect(self._accept)
        self.table.menu_requested.connect(self._show_menu)
        self.empty = Label("", 13, dim=True, wrap=True)
        self.empty.setObjectName("libraryEmpty")
        self._build_foot()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(24, 14, 24, 10)
        outer.setSpacing(10)
        outer.addLayout(self._top)
        outer.addWidget(self.empty)
        outer.addWidget(self.table, 1)
        outer.addWidget(Line())
        outer.addLayout(self._foot)
        library.changed.connect(self._on_changed)
        library.scan_changed.connect(self._on_scan)
        library.verify_moved.connect(self._on_verify_moved)
        library.verified.connect(self._on_verified)
        library.left.connect(self._on_left)
        library.removed.connect(self._on_removed)
        library.failed.connect(self._on_failed)
        library.problem.connect(lambda report: self._say(translated(report), "error"))
        self._on_changed()
        self._on_scan(library.state)

    # -- building --------------------------------------------------------------------------

    def _build_top(self) -> None:
        self.search = SearchField(self.tr("Search the library"))
        self.search.setObjectName("librarySearch")
        self.search.textChanged.connect(self._filter)
        label, self.show_box = labelled_box(
            self.tr("Show"),
            "libraryShow",
            (
                (self.tr("All"), ALL),
                (self.tr("What opens"), OPENS),
                (self.tr("What does not open"), WRONG),
            ),
        )
        self.show_box.currentIndexChanged.connect(self._filter)
        self.add = self._button("libraryAdd", self.tr("Add folder…"), self._add)
        self.add.setToolTip(
            self.tr("A checkpoint, or a folder with checkpoints in it, which is watched from then.")
        )
        self.places = self._button("libraryWatched", self.tr("Watched folders"), self._show_places)
        self.again = self._button("librarySearchAgain", self.tr("Search again"), self._search_again)
        self._top = QHBoxLayout()
        self._top.setSpacing(8)
        self._top.addWidget(self.search, 1)
        for widget in (label, self.show_box, self.add, self.places, self.again):
            self._top.addWidget(widget)

    def _build_foot(self) -> None:
        self.open_button = self._button("libraryOpen", self.tr("Open"), self._accept)
        self.details = self._button("libraryDetails", self.tr("Details…"), self._ask("details"))
        self.verify = self._button("libraryVerify", self.tr("Verify"), self._verify)
        self.verify.setToolTip(
            self.tr("Compare every file with the hash that the hub gave for it.")
        )
        self.adopt = self._button(
            "libraryAdopt", self.tr("Get what is missing…"), self._ask("adopt")
        )
        self.more = self._button("libraryMore", self.tr("More"), self._show_more)
        self.note = TintedLabel("", 13, tint="dim", wrap=True)
        self.note.setObjectName("libraryNote")
        self.bar = Bar()
        self.bar.setAccessibleName(self.tr("Verifying"))
        self.bar.hide()
        row = QHBoxLayout()
        row.setSpacing(8)
        for button in (self.open_button, self.details, self.verify, self.adopt, self.more):
            row.addWidget(button)
        row.addStretch(1)
        self._foot = QVBoxLayout()
        self._foot.setSpacing(8)
        self._foot.addWidget(self.note)
        self._foot.addWidget(self.bar)
        self._foot.addLayout(row)

    def _button(self, name: str, words: str, call: Callable[[], object]) -> Button:
        button = Button(words, height=32)
        button.setObjectName(name)
        button.setAccessibleName(words)
        button.clicked.connect(lambda: call())
        return button

    def _ask(self, what: str) -> Callable[[], None]:
        """Tells that something is wanted of the chosen folder."""

        def tell() -> None:
            chosen = self.table.chosen
            if chosen is not None:
                getattr(self, f"{what}_requested").emit(chosen.folder)

        return tell

    def showEvent(self, event: QShowEvent) -> None:
        """Folders may have come and gone meanwhile."""
        super().showEvent(event)
        self._library.look()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Del takes the chosen folder off the list; its files stay."""
        if event.key() == Qt.Key.Key_Delete and self.table.hasFocus():
            self._forget()
            return
        super().keyPressEvent(event)

    # -- the list --------------------------------------------------------------------------

    def set_open(self, folder: Path | None) -> None:
        """Which folder is that of the open model: its files are not deleted."""
        self._open = folder
        self._refresh()

    @Slot()
    def _on_changed(self) -> None:
        self.table.sorted.set_rows(self._library.entries)
        self._filter()

    @Slot()
    def _filter(self) -> None:
        words = self.search.text().casefold().split()
        shown = self.show_box.currentData()

        def passes(entry: LibraryEntry) -> bool:
            if shown == OPENS and not entry.opens:
                return False
            if shown == WRONG and (entry.opens or entry.health is Health.UNKNOWN):
                return False
            text = f"{entry.name} {entry.family} {entry.stored} {entry.folder}".casefold()
            return all(word in text for word in words)

        self.table.sorted.set_filter(passes)
        self._refresh()

    @Slot()
    def _refresh(self) -> None:
        chosen = self.table.chosen
        has = chosen is not None
        self.open_button.setEnabled(chosen is not None and chosen.opens)
        self.details.setEnabled(has)
        is_verifying = chosen is not None and self._library.is_verifying(chosen.folder)
        words = self.tr("Stop verifying") if is_verifying else self.tr("Verify")
        self.verify.setText(words)
        self.verify.setAccessibleName(words)
        self.verify.setEnabled(chosen is not None and chosen.health is not Health.GONE)
        self.adopt.setEnabled(
            chosen is not None and (chosen.can_adopt or str(chosen.folder) in self._damaged)
        )
        self.more.setEnabled(has)
        rows = self.table.sorted.rows
        self.table.setVisible(bool(rows))
        self.empty.setVisible(not rows)
        self.empty.setText(self._nothing())
        # What came of something the user did stays, until another row is chosen.
        if not self._verifying and self._told_of != (str(chosen.folder) if chosen else ""):
            self._say_state()

    def _nothing(self) -> str:
        if self._library.entries:
            return self.tr("Nothing of the library is like that.")
        if self._library.state.running or not self._library.is_read:
            return self.tr("Looking for checkpoints…")
        return self.tr(
            "No checkpoint was found. Add a folder, or a folder with checkpoints in it; those in "
            "the caches of Hugging Face and ModelScope are found by themselves. The catalogue has "
            "what can be downloaded."
        )

    def _say_state(self) -> None:
        chosen = self.table.chosen
        if chosen is not None and chosen.verdict is not None:
            self._say(verdict(chosen), "dim", aloud=False)
            return
        entries, locale = self.table.sorted.rows, QLocale()
        size = small_size_text(sum(entry.size for entry in entries), locale)
        words = self.tr("Checkpoints: {count}, {size} on disk").format(
            count=locale.toString(len(entries)), size=size
        )
        self._say(words if entries else "", "dim", aloud=False)

    @Slot(object)
    def _on_scan(self, state: ScanState) -> None:
        words = self.tr("Stop searching") if state.running else self.tr("Search again")
        if state.running and state.waiting:
            self.again.setToolTip(
                self.tr("Folders to look into: {count}").format(
                    count=QLocale().toString(state.waiting)
                )
            )
        else:
            self.again.setToolTip("")
        self.again.setText(words)
        self.again.setAccessibleName(words)
        self._refresh()

    @Slot()
    def _search_again(self) -> None:
        if self._library.state.running:
            self._library.cancel()
        else:
            self._library.look()

    @Slot()
    def _add(self) -> None:
        chosen = self.table.chosen
        start = str(chosen.folder.parent) if chosen is not None else ""
        pick_folder(
            self,
            self.tr("Add a folder to the library"),
            start,
            lambda folder: self._library.take_in(Path(folder)),
        )

    @Slot()
    def _show_places(self) -> None:
        """The watched folders, each to be left."""
        menu = self._menu("watchedMenu", self.tr("Watched folders"))
        for folder in self._library.watched:
            words = self.tr("Stop looking in {folder}").format(folder=folder)
            menu.addAction(words, partial(self._library.unwatch, folder))
        if not self._library.watched:
            menu.addAction(self.tr("No folder is watched")).setEnabled(False)
        menu.popup(self.places.mapToGlobal(QPoint(0, self.places.height() + 2)))

    def _menu(self, name: str, title: str) -> QMenu:
        menu = QMenu(self)
        menu.setObjectName(name)
        menu.setAccessibleName(title)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        return menu

    # -- a folder --------------------------------------------------------------------------

    @Slot()
    def _accept(self) -> None:
        chosen = self.table.chosen
        if chosen is not None:
            (self.open_requested if chosen.opens else self.details_requested).emit(chosen.folder)

    @Slot()
    def _show_more(self) -> None:
        self._fill_more(self._menu("libraryMoreMenu", self.tr("More"))).popup(
            self.more.mapToGlobal(QPoint(0, self.more.height() + 2))
        )

    @Slot(object)
    def _show_menu(self, at: QPoint) -> None:
        menu = self._menu("libraryMenu", self.tr("Checkpoint menu"))
        for button, call in (
            (self.open_button, self._accept),
            (self.details, self._ask("details")),
            (self.verify, self._verify),
            (self.adopt, self._ask("adopt")),
        ):
            menu.addAction(button.text(), call).setEnabled(button.isEnabled())
        menu.addSeparator()
        self._fill_more(menu).popup(at)

    def _fill_more(self, menu: QMenu) -> QMenu:
        chosen = self.table.chosen
        is_there = chosen is not None and chosen.health is not Health.GONE
        menu.addAction(self.tr("Show folder"), self._ask("reveal")).setEnabled(is_there)
        menu.addAction(self.tr("Remove from list"), self._forget).setEnabled(chosen is not None)
        delete = menu.addAction(self.tr("Delete files…"), self._ask("delete"))
        delete.setEnabled(is_there and chosen is not None and chosen.folder != self._open)
        return menu

    @Slot()
    def _forget(self) -> None:
        chosen = self.table.chosen
        if chosen is not None:
            self._library.forget(chosen.folder)
            self._say(
                self.tr("{name} is off the list; its files are where they were.").format(
                    name=chosen.name
                ),
                "dim",
            )

    # -- verifying -------------------------------------------------------------------------

    @Slot()
    def _verify(self) -> None:
        chosen = self.table.chosen
        if chosen is None:
            return
        if self._library.is_verifying(chosen.folder):
            self._library.stop_verifying(chosen.folder)
            return
        self._verifying = str(chosen.folder)
        self.bar.set_share(0, 1)
        self.bar.show()
        self._library.verify(chosen.folder)
        self._say(self.tr("Verifying {name}…").format(name=chosen.name), "dim")
        self._refresh()

    @Slot(str, object, object)
    def _on_verify_moved(self, folder: str, done: int, total: int) -> None:
        if folder == self._verifying:
            self.bar.set_share(done, total)
            locale = QLocale()
            self._say(
                self.tr("Verifying {name}: {done} of {total}").format(
                    name=self._name(folder),
                    done=small_size_text(done, locale),
                    total=small_size_text(total, locale),
                ),
                "dim",
                aloud=False,
            )

    @Slot(str, object)
    def _on_verified(self, folder: str, found: Verification) -> None:
        self._end_verifying(folder)
        locale, name = QLocale(), self._name(folder)
        if found.damaged:
            words = self.tr(
                "{name}: damaged or missing: {files}. Get what is missing fetches them."
            )
            files = ", ".join(found.damaged[:3]) + (" …" if len(found.damaged) > 3 else "")
            self._damaged.add(folder)  # it may open all the same
            self._refresh()
            self._say(words.format(name=name, files=files), "error")
            return
        self._damaged.discard(folder)
        unknown = sum(comparison is Comparison.UNKNOWN for _, comparison in found.files)
        if not found.compared:
            words = self.tr("{name}: no hub gave a hash for these files, so nothing was compared.")
            self._say(words.format(name=name), "warning")
            return
        words = self.tr("{name} is whole: {count} files have the bytes that the hub has.").format(
            name=name, count=locale.toString(found.compared)
        )
        if unknown:
            rest = self.tr("For {count} others there is no hash.")
            words = f"{words} {rest.format(count=locale.toString(unknown))}"
        self._say(words, "activations")

    @Slot(str)
    def _on_left(self, folder: str) -> None:
        self._end_verifying(folder)
        self._say(self.tr("Verifying was stopped."), "dim")

    def _end_verifying(self, folder: str) -> None:
        if folder == self._verifying:
            self._verifying = ""
            self.bar.hide()
        self._refresh()

    @Slot(str, object)
    def _on_failed(self, folder: str, report: Report) -> None:
        self._end_verifying(folder)
        self._say(translated(report), "error")

    @Slot(str, object)
    def _on_removed(self, folder: str, freed: int) -> None:
        words = self.tr("Deleted: {folder}. {size} are free again.").format(
            folder=folder, size=small_size_text(freed, QLocale())
        )
        self._say(words, "dim")

    def _name(self, folder: str) -> str:
        entry = self._library.entry(folder)
        return entry.name if entry is not None else Path(folder).name

    def _say(self, text: str, tint: str, *, aloud: bool = True) -> None:
        chosen = self.table.chosen
        self._told_of = (str(chosen.folder) if chosen is not None else "") if aloud else None
        self.note.tint = tint
        self.note.setText(text)
        self.note.setAccessibleName(text)
        self.note.update()
        if aloud and text:
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))
