"""The catalogue: Qwen's public chat checkpoints, what fits here, and any other repository."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent, QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.bridge.offers import Offers
from qwen_desktop.bridge.words import translated
from qwen_desktop.chat.catalogue import Catalogue, Outlook, Stored
from qwen_desktop.chat.hub import Hub, RepositoryName
from qwen_desktop.chat.hub_address import parse
from qwen_desktop.errors import Known, Report
from qwen_desktop.ui import theme
from qwen_desktop.ui.catalogue_words import SIZES, Row, columns, need_text, size_words
from qwen_desktop.ui.controls import Button, Label, Line, TintedLabel
from qwen_desktop.ui.plain_search import SearchField
from qwen_desktop.ui.sorted_table import SortedTable, labelled_box

_NEW_ROWS = 4  # of newer repositories that are seen at once


class CataloguePage(QWidget):
    """`get_requested(text, hub)`: a repository is wanted; the hub has not been asked yet."""

    get_requested = Signal(str, object)

    def __init__(self, offers: Offers, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("cataloguePage")
        self._offers = offers
        self._rows: tuple[Row, ...] = ()
        self._as_of = ""
        self._build_filters()
        self.table: SortedTable[Row] = SortedTable(
            columns(), lambda row: row.offer.key, order=Qt.SortOrder.DescendingOrder
        )
        self.table.setObjectName("catalogueTable")
        self.table.setAccessibleName(self.tr("Catalogue of checkpoints"))
        self.table.chosen_changed.connect(self._refresh)
        self.table.accepted.connect(self._get)
        self._build_newer()
        self._build_foot()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(24, 14, 24, 10)
        outer.setSpacing(10)
        outer.addLayout(self._filters)
        outer.addWidget(self.table, 1)
        outer.addWidget(self._newer)
        outer.addWidget(Line())
        outer.addLayout(self._foot)
        offers.judged.connect(self._on_judged)
        offers.newer.connect(self._on_newer)
        offers.not_newer.connect(self._on_not_newer)
        self._refresh()

    # -- building --------------------------------------------------------------------------

    def _build_filters(self) -> None:
        self.search = SearchField(self.tr("Search the catalogue"))
        self.search.setObjectName("catalogueSearch")
        self.search.textChanged.connect(self._filter)
        self.fitting = QCheckBox(self.tr("Fits this computer"))
        self.fitting.setObjectName("catalogueFits")
        self.fitting.setAccessibleName(self.tr("Fits this computer"))
        self.fitting.setChecked(True)
        self.fitting.toggled.connect(self._filter)
        every = (self.tr("All"), None)
        series_label, self.series = labelled_box(self.tr("Series"), "catalogueSeries", (every,))
        size_label, self.size_box = labelled_box(
            self.tr("Size"),
            "catalogueSize",
            (every, *((size_words(*size), number) for number, size in enumerate(SIZES))),
        )
        form_label, self.form = labelled_box(
            self.tr("Format"),
            "catalogueFormat",
            (every, *((stored.label, stored.value) for stored in Stored)),
        )
        for box in (self.series, self.size_box, self.form):
            box.currentIndexChanged.connect(self._filter)
        self._filters = QHBoxLayout()
        self._filters.setSpacing(8)
        self._filters.addWidget(self.search, 1)
        self._filters.addWidget(self.fitting)
        for widget in (
            series_label,
            self.series,
            size_label,
            self.size_box,
            form_label,
            self.form,
        ):
            self._filters.addWidget(widget)

    def _build_newer(self) -> None:
        """What the hub has and the table has not; seen after it was asked."""
        self._newer = QWidget()
        self.newer = QListWidget()
        self.newer.setObjectName("newerRepositories")
        self.newer.setAccessibleName(self.tr("Newer repositories"))
        self.newer.itemActivated.connect(lambda item: self._get_newer(item.text()))
        self.newer_label = Label("", 13, wrap=True)
        column = QVBoxLayout(self._newer)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.newer_label)
        column.addWidget(self.newer)
        self._newer.hide()

    def _build_foot(self) -> None:
        self.note = TintedLabel("", 13, tint="dim", wrap=True)
        self.note.setObjectName("catalogueNote")
        self.get = self._button("catalogueGet", self.tr("Get it…"), self._get)
        self.look = self._button("lookForNewer", self.tr("Look for newer"), self._look_for_newer)
        self.look.setToolTip(
            self.tr("Asks Hugging Face which checkpoints Qwen has published since.")
        )
        self.any = QLineEdit()
        self.any.setObjectName("anyRepository")
        self.any.setAccessibleName(self.tr("Any repository"))
        self.any.setPlaceholderText(self.tr("Any repository: its name, NAME@REVISION, or address"))
        self.any.setMinimumHeight(theme.px(32))
        self.any.textChanged.connect(self._on_any)
        self.any.returnPressed.connect(self._get_any)
        hub_label, self.hub = labelled_box(
            self.tr("Hub"), "catalogueHub", tuple((hub.label, hub.value) for hub in Hub)
        )
        self.hub.setCurrentIndex(self.hub.findData(self._offers.hub.value))
        self.get_any = self._button("getAny", self.tr("Get…"), self._get_any)
        self.get_any.setEnabled(False)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.get)
        row.addWidget(self.look)
        row.addSpacing(8)
        row.addWidget(self.any, 1)
        row.addWidget(hub_label)
        row.addWidget(self.hub)
        row.addWidget(self.get_any)
        self._foot = QVBoxLayout()
        self._foot.setSpacing(8)
        self._foot.addWidget(self.note)
        self._foot.addLayout(row)

    def _button(self, name: str, words: str, call: Callable[[], object]) -> Button:
        button = Button(words, height=32)
        button.setObjectName(name)
        button.setAccessibleName(words)
        button.clicked.connect(lambda: call())
        return button

    def showEvent(self, event: QShowEvent) -> None:
        """What is free may have changed."""
        super().showEvent(event)
        self._offers.judge()

    # -- the table -------------------------------------------------------------------------

    @Slot(object, object)
    def _on_judged(self, catalogue: Catalogue, outlooks: Mapping[str, Outlook]) -> None:
        self._as_of = catalogue.as_of
        self._rows = tuple(
            Row(offer, outlooks.get(offer.key, Outlook()), number)
            for number, offer in enumerate(catalogue.offers)
        )
        if self.series.count() == 1:
            _fill(self.series, dict.fromkeys(offer.series for offer in reversed(catalogue.offers)))
        self.table.sorted.set_rows(self._rows)
        self._filter()

    @Slot()
    def _filter(self) -> None:
        words = self.search.text().casefold().split()
        series, form = self.series.currentData(), self.form.currentData()
        size = self.size_box.currentData()
        first, last = SIZES[size] if size is not None else (0, 1e18)

        def passes(row: Row) -> bool:
            offer = row.offer
            text = f"{offer.key} {offer.series} {offer.licence} {offer.kind.value}".casefold()
            return (
                (row.fits or not self.fitting.isChecked())
                and series in (None, offer.series)
                and form in (None, offer.stored.value)
                and first <= offer.parameters < last
                and all(word in text for word in words)
            )

        self.table.sorted.set_filter(passes)
        self._refresh()

    @Slot()
    def _refresh(self) -> None:
        chosen = self.table.chosen
        self.get.setEnabled(chosen is not None)
        if not self._rows:
            self._say(self.tr("Computing what fits…"), "dim")
            return
        words = self.tr(
            "As of {day}; sizes and what fits are computed from the configurations."
        ).format(day=self._as_of)
        if not self.table.sorted.rows:
            words = self.tr("Nothing of the catalogue is like that. {about}").format(about=words)
        elif chosen is not None and (need := need_text(chosen)):
            words = f"{chosen.offer.key}: {need}. {words}"
        self._say(words, "dim")

    def _say(self, text: str, tint: str) -> None:
        self.note.tint = tint
        self.note.setText(text)
        self.note.setAccessibleName(text)
        self.note.update()

    # -- getting ---------------------------------------------------------------------------

    @Slot()
    def _get(self) -> None:
        chosen = self.table.chosen
        if chosen is not None:
            hub = Hub(self.hub.currentData())
            self.get_requested.emit(str(chosen.offer.repositories[hub]), hub)

    @Slot(str)
    def _on_any(self, text: str) -> None:
        self.get_any.setEnabled(bool(text.strip()))
        try:
            hub = parse(text).hub
        except Known:
            return
        if hub is not None:
            self.hub.setCurrentIndex(self.hub.findData(hub.value))

    @Slot()
    def _get_any(self) -> None:
        text = self.any.text().strip()
        if not text:
            return
        try:
            parse(text)
        except Known as known:
            self._say(translated(known.report()), "error")
            self._announce(self.note.text())
            return
        self.get_requested.emit(text, Hub(self.hub.currentData()))

    def _get_newer(self, text: str) -> None:
        self.get_requested.emit(text, Hub.HUGGING_FACE)

    # -- newer ones ------------------------------------------------------------------------

    @Slot()
    def _look_for_newer(self) -> None:
        if self._offers.is_asking:
            self._offers.leave()
        else:
            self._offers.look_for_newer()
        self._show_look()

    def _show_look(self) -> None:
        words = self.tr("Stop") if self._offers.is_asking else self.tr("Look for newer")
        self.look.setText(words)
        self.look.setAccessibleName(words)

    @Slot(object)
    def _on_newer(self, names: tuple[RepositoryName, ...]) -> None:
        self._show_look()
        self.newer.clear()
        self.newer.addItems([str(name) for name in names])
        words = (
            self.tr("On the hub and not in the table, newest first. Enter gets one.")
            if names
            else self.tr("The hub has no checkpoint that the table does not have.")
        )
        self.newer_label.setText(words)
        self.newer.setVisible(bool(names))
        row = max(self.newer.sizeHintForRow(0), theme.px(20))
        self.newer.setFixedHeight(row * min(_NEW_ROWS, max(len(names), 1)) + 8)
        if names:
            self.newer.setCurrentRow(0)
        self._newer.show()
        self._announce(words)

    @Slot(object)
    def _on_not_newer(self, report: Report) -> None:
        self._show_look()
        self._say(translated(report), "error")
        self._announce(self.note.text())

    def _announce(self, text: str) -> None:
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))


def _fill(box: QComboBox, texts: Mapping[str, None]) -> None:
    blocked = box.blockSignals(True)
    for text in texts:
        box.addItem(text, text)
    box.blockSignals(blocked)
