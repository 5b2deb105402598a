"""The page of downloads: what runs, what waits, what is paused, what is here."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QDoubleSpinBox, QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from qwen_desktop.bridge.downloads import LIMIT, Downloads
from qwen_desktop.chat.downloads import DownloadEntry, Overview, Stage
from qwen_desktop.chat.settings import BY_NAME
from qwen_desktop.ui.controls import Button, Label, Line, ScrollBar
from qwen_desktop.ui.download_row import DownloadRow
from qwen_desktop.ui.download_words import overview_text
from qwen_desktop.ui.fields import Field


class DownloadsPage(QWidget):
    """A page, not a dialog. `get_requested()`: the user wants another checkpoint;
    `open_requested(Path)`: open this folder; `access_requested()`: the tokens of the hubs.
    """

    get_requested = Signal()
    open_requested = Signal(object)
    access_requested = Signal()

    def __init__(self, downloads: Downloads, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("downloadsPage")
        self._downloads = downloads
        self.rows: dict[str, DownloadRow] = {}
        self._lines: dict[str, Line] = {}
        self._build_top()
        self._build_list()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(24, 16, 24, 8)
        outer.setSpacing(10)
        outer.addLayout(self._top)
        outer.addWidget(Line())
        outer.addWidget(self.empty)
        outer.addWidget(self._area, 1)
        downloads.changed.connect(self._refresh)
        downloads.progressed.connect(self._on_progress)
        downloads.overview_changed.connect(self._on_overview)
        self._refresh()
        self._on_overview(downloads.overview)

    def _build_top(self) -> None:
        self.get = self._button(self.tr("Get a checkpoint…"), "getCheckpoint")
        self.get.clicked.connect(self.get_requested)
        self.access = self._button(self.tr("Hub access…"), "hubAccess")
        self.access.clicked.connect(self.access_requested)
        self.pause_all = self._button(self.tr("Pause all"), "pauseAll")
        self.pause_all.clicked.connect(self._downloads.pause_all)
        self.resume_all = self._button(self.tr("Resume all"), "resumeAll")
        self.resume_all.clicked.connect(self._downloads.resume_all)
        self._build_limit()
        self.summary = Label("", 13, dim=True)
        self.summary.setObjectName("downloadsSummary")
        self._top = QHBoxLayout()
        self._top.setSpacing(8)
        self._top.addWidget(self.get)
        self._top.addWidget(self.access)
        self._top.addWidget(self.pause_all)
        self._top.addWidget(self.resume_all)
        self._top.addStretch(1)
        self._top.addWidget(self.summary)
        self._top.addWidget(self._limit_name)
        self._top.addWidget(self.limit_field)

    def _build_limit(self) -> None:
        field = Field(BY_NAME[LIMIT], self._downloads.limit)
        box = field.control
        assert isinstance(box, QDoubleSpinBox)
        box.setDecimals(1)
        box.setSuffix(self.tr(" MiB/s"))
        box.setSpecialValueText(self.tr("No limit"))
        field.changed.connect(self._downloads.set_limit)
        self._downloads.limit_changed.connect(field.set_value)
        self.limit, self.limit_field = box, field
        self._limit_name = Label(self.tr("Limit"), 13, dim=True)
        self._limit_name.setBuddy(box)

    def _build_list(self) -> None:
        self.empty = Label(
            self.tr(
                "Nothing was downloaded yet. A hub is asked only when you say so; what is fetched "
                "can be paused, and goes on after a restart."
            ),
            13,
            dim=True,
            wrap=True,
        )
        self.empty.setObjectName("noDownloads")
        content = QWidget()
        self._column = QVBoxLayout(content)
        self._column.setContentsMargins(0, 0, 12, 0)
        self._column.setSpacing(0)
        self._column.addStretch(1)
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, self._area))
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setWidget(content)

    def _button(self, words: str, name: str) -> Button:
        button = Button(words, height=32)
        button.setObjectName(name)
        button.setAccessibleName(words)
        return button

    # -- what it shows ---------------------------------------------------------------------

    @Slot()
    def _refresh(self) -> None:
        entries = self._downloads.entries
        kept = {entry.id for entry in entries}
        for gone in [entry_id for entry_id in self.rows if entry_id not in kept]:
            for widget in (self.rows.pop(gone), self._lines.pop(gone)):
                self._column.removeWidget(widget)
                widget.hide()
                widget.deleteLater()
        for place, entry in enumerate(shown_order(entries)):
            row = self.rows.get(entry.id) or self._add(entry)
            row.set_entry(entry)
            if self._column.indexOf(row) != 2 * place:
                self._column.removeWidget(row)
                self._column.removeWidget(self._lines[entry.id])
                self._column.insertWidget(2 * place, row)
                self._column.insertWidget(2 * place + 1, self._lines[entry.id])
        self._show_order(entries)
        self.empty.setVisible(not entries)
        self._area.setVisible(bool(entries))

    def _add(self, entry: DownloadEntry) -> DownloadRow:
        row = DownloadRow(entry)
        row.pause.connect(self._downloads.pause)
        row.resume.connect(self._downloads.resume)
        row.cancel.connect(self._ask_cancel)
        row.forget.connect(self._downloads.forget)
        row.move_by.connect(self._downloads.move_waiting)
        row.open_folder.connect(self._on_open)
        self.rows[entry.id], self._lines[entry.id] = row, Line()
        return row

    def _show_order(self, entries: tuple[DownloadEntry, ...]) -> None:
        """Only what waits can change places, with others that wait."""
        waiting = [entry.id for entry in entries if entry.stage is Stage.QUEUED]
        for number, entry_id in enumerate(waiting):
            self.rows[entry_id].earlier.setEnabled(number > 0)
            self.rows[entry_id].later.setEnabled(number < len(waiting) - 1)

    @Slot(object)
    def _on_progress(self, entry: DownloadEntry) -> None:
        if entry.id in self.rows:
            self.rows[entry.id].set_entry(entry)

    @Slot(object)
    def _on_overview(self, overview: Overview) -> None:
        self.summary.setText(overview_text(overview) if overview.active else "")
        self.pause_all.setVisible(overview.active > 0)
        self.resume_all.setVisible(overview.paused > 0)

    # -- what the user does ----------------------------------------------------------------

    @Slot(str)
    def _on_open(self, entry_id: str) -> None:
        entry = self._downloads.entry(entry_id)
        if entry is not None:
            self.open_requested.emit(Path(entry.folder))

    @Slot(str)
    def _ask_cancel(self, entry_id: str) -> None:
        from qwen_desktop.ui.cancel_dialog import CancelDialog

        entry = self._downloads.entry(entry_id)
        if entry is not None:
            CancelDialog(
                entry, lambda delete: self._downloads.cancel(entry_id, delete=delete), self
            ).open()


def shown_order(entries: tuple[DownloadEntry, ...]) -> list[DownloadEntry]:
    """What runs and waits as it will run, then what needs the user, then what is here."""
    ranks = {Stage.RUNNING: 0, Stage.PAUSING: 0, Stage.QUEUED: 1, Stage.FAILED: 2, Stage.PAUSED: 3}
    order = sorted(enumerate(entries), key=lambda pair: (ranks.get(pair[1].stage, 4), pair[0]))
    done = [entry for _, entry in order if entry.stage is Stage.DONE]
    return [entry for _, entry in order if entry.stage is not Stage.DONE] + done[::-1]
