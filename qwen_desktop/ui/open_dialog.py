"""Choosing a checkpoint folder and how to open it, with what is known of it before loading."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QLocale, QSize, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QDialogButtonBox,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.bridge.doctor import Doctor
from qwen_desktop.bridge.recents import Recents
from qwen_desktop.bridge.words import translated
from qwen_desktop.chat.checkpoint import Fit, FolderReport, model_name
from qwen_desktop.chat.library import ADOPTABLE
from qwen_desktop.errors import Report
from qwen_desktop.ui.choices_view import ChoicesView
from qwen_desktop.ui.controls import (
    Button,
    ElidedLabel,
    Label,
    Line,
    ScrollBar,
    Surface,
    TintedLabel,
)
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.folder_view import FactsView, FindingsView, clear_layout
from qwen_desktop.ui.recent_list import RecentList, RecentView
from qwen_desktop.ui.texts import precision_text, size_text

SIZE = (940, 680)
SMALLEST = (820, 520)
_MARGIN = 24


class OpenDialog(Dialog):
    """Recent folders on the left, the folder looked at on the right.

    `chosen(LoadRequest)` when the user opens it; `picker_requested()` for the folder picker,
    `models_requested()` for the library, `adopt_requested(Path)` for files that a folder lacks.
    """

    chosen = Signal(object)
    picker_requested = Signal()
    models_requested = Signal()
    adopt_requested = Signal(object)

    def __init__(self, recents: Recents, doctor: Doctor, parent: QWidget | None = None) -> None:
        super().__init__("openDialog", self.tr("Open checkpoint"), parent)
        self._recents = recents
        self._doctor = doctor
        self._folder: Path | None = None
        self._request_id = ""  # of the examination under way
        self._report: FolderReport | None = None
        self._open_when_ready = False
        self.setMinimumSize(*SMALLEST)
        room = self.screen().availableGeometry().size() - QSize(40, 60)
        self.resize(QSize(*SIZE).boundedTo(room).expandedTo(QSize(*SMALLEST)))
        self._build_left()
        self._build_right()
        self._build_foot()
        body = QHBoxLayout()
        body.setSpacing(0)
        body.addWidget(self._left)
        body.addWidget(Line(vertical=True))
        body.addWidget(self._right, 1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addLayout(body, 1)
        outer.addWidget(Line())
        outer.addWidget(self._foot)
        doctor.examined.connect(self._on_examined)
        doctor.found.connect(self._on_found)
        doctor.failed.connect(self._on_failed)
        doctor.missing.connect(self.rows.set_missing)
        recents.changed.connect(self._show_recents)
        self._show_recents()
        self._refresh()
        self.recent.setFocus()

    # -- building --------------------------------------------------------------------------

    def _build_left(self) -> None:
        self._left = Surface("sidebar")
        self._left.setFixedWidth(264)
        self.rows = RecentList(self)
        self.recent = RecentView()
        self.recent.setObjectName("recentCheckpoints")
        self.recent.setAccessibleName(self.tr("Recent checkpoints"))
        self.recent.setModel(self.rows)
        self.recent.picked.connect(lambda folder: self.show_folder(Path(folder)))
        self.recent.accepted.connect(self._open_or_wait)
        self.recent.delete_requested.connect(self._recents.forget)
        self.no_recents = Label(
            self.tr("Checkpoints you open are listed here."), 12, dim=True, wrap=True
        )
        self.choose = Button(self.tr("Choose folder…"), icon="folder", align_left=True)
        self.choose.setObjectName("chooseFolder")
        self.choose.setAccessibleName(self.tr("Choose folder"))
        self.choose.clicked.connect(self.picker_requested)
        self.models = Button(self.tr("Library and catalogue…"), icon="book", align_left=True)
        self.models.setObjectName("showModels")
        self.models.setAccessibleName(self.tr("Library and catalogue"))
        self.models.clicked.connect(self.models_requested)
        column = QVBoxLayout(self._left)
        column.setContentsMargins(12, 14, 12, 12)
        column.setSpacing(8)
        heading = Label(self.tr("Recent"), 12, dim=True, bold=True)
        heading.setContentsMargins(10, 0, 0, 0)
        self.no_recents.setContentsMargins(10, 0, 0, 0)
        column.addWidget(heading)
        column.addWidget(self.no_recents)
        column.addWidget(self.recent, 1)
        column.addWidget(self.choose)
        column.addWidget(self.models)

    def _build_right(self) -> None:
        self._right = QWidget()
        self.name = ElidedLabel("", 16, bold=True)
        self.name.setObjectName("folderName")
        self.place = ElidedLabel("", 12, dim=True)
        self.place.elide = Qt.TextElideMode.ElideMiddle
        self.facts = FactsView()
        self.findings = FindingsView()
        self.choices = ChoicesView()
        self.choices.changed.connect(self._refresh)
        self.adopt = Button(self.tr("Get what is missing…"), height=32)
        self.adopt.setObjectName("adoptFolder")
        self.adopt.setAccessibleName(self.tr("Get what is missing"))
        self.adopt.clicked.connect(lambda: self.adopt_requested.emit(self._folder))
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(_MARGIN, 12, _MARGIN, 20)
        column.setSpacing(16)
        column.addWidget(self.findings)
        column.addWidget(self.adopt, 0, Qt.AlignmentFlag.AlignLeft)
        for part in (self.facts, self.choices):
            column.addWidget(part)
        column.addStretch(1)
        self.pages = QStackedWidget()
        self._blank = self._page_of(Label("", 13, dim=True))
        self.waiting = Label(self.tr("Looking into the folder…"), 13, dim=True)
        self.waiting.setObjectName("examining")
        self._busy = self._page_of(self.waiting)
        self._content = self._scrolled(content)
        nested = QWidget()
        self._nested_column = QVBoxLayout()
        self._nested_column.setSpacing(8)
        outer = QVBoxLayout(nested)
        outer.setContentsMargins(_MARGIN, 12, _MARGIN, 20)
        outer.setSpacing(12)
        outer.addWidget(
            Label(self.tr("This folder is no checkpoint itself, but holds these:"), 13, wrap=True)
        )
        outer.addLayout(self._nested_column)
        outer.addStretch(1)
        self._nested = self._scrolled(nested)
        for page in (self._blank, self._busy, self._content, self._nested):
            self.pages.addWidget(page)
        whole = QVBoxLayout(self._right)
        whole.setContentsMargins(0, 16, 0, 0)
        whole.setSpacing(2)
        titles = QVBoxLayout()
        titles.setContentsMargins(_MARGIN, 0, _MARGIN, 0)
        titles.setSpacing(2)
        titles.addWidget(self.name)
        titles.addWidget(self.place)
        whole.addLayout(titles)
        whole.addWidget(self.pages, 1)

    def _page_of(self, label: Label) -> QWidget:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(_MARGIN, 12, _MARGIN, 12)
        column.addWidget(label)
        column.addStretch(1)
        return page

    def _scrolled(self, content: QWidget) -> QScrollArea:
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # what it holds takes the focus
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, area))
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidget(content)
        return area

    def _build_foot(self) -> None:
        self._foot = QWidget()
        self.reason = TintedLabel("", 13, tint="dim", wrap=True)
        self.reason.setObjectName("openReason")
        self.open_button = QPushButton(self.tr("Open"))
        self.open_button.setObjectName("openFolder")
        self.open_button.setAccessibleName(self.tr("Open"))
        self.open_button.setDefault(True)
        self.open_button.clicked.connect(self._open)
        cancel = QPushButton(self.tr("Cancel"))
        cancel.setObjectName("cancelOpen")
        cancel.setAccessibleName(self.tr("Cancel"))
        cancel.setAutoDefault(False)
        cancel.clicked.connect(self.reject)
        buttons = QDialogButtonBox()
        buttons.addButton(self.open_button, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.addButton(cancel, QDialogButtonBox.ButtonRole.RejectRole)
        row = QHBoxLayout(self._foot)
        row.setContentsMargins(_MARGIN, 12, _MARGIN, 14)
        row.setSpacing(16)
        row.addWidget(self.reason, 1)
        row.addWidget(buttons)

    # -- the folder looked at --------------------------------------------------------------

    def _show_recents(self) -> None:
        entries = self._recents.entries
        self.rows.set_entries(entries)
        self.no_recents.setVisible(not entries)
        self._doctor.look_for(entry.folder for entry in entries)
        if entries and self._folder is None:
            self.recent.setCurrentIndex(self.rows.index(0))
        elif self._folder is not None:
            self.recent.setCurrentIndex(self.rows.index_of(str(self._folder)))

    def show_folder(self, folder: Path) -> None:
        """Look into `folder`; what comes of an earlier one is not shown any more."""
        self._folder = folder
        self._report = None
        self._open_when_ready = False
        self._request_id = self._doctor.examine(folder)
        index = self.rows.index_of(str(folder))
        if index != self.recent.currentIndex():
            blocked = self.recent.blockSignals(True)
            self.recent.setCurrentIndex(index)
            self.recent.blockSignals(blocked)
        self.name.setText(model_name(folder) or str(folder))
        self.place.setText(str(folder))
        self.pages.setCurrentWidget(self._busy)
        self._refresh()

    @Slot(str, object)
    def _on_examined(self, request_id: str, report: FolderReport) -> None:
        if request_id != self._request_id:
            return
        self._request_id = ""
        self._report = report
        self.findings.set_findings(report.findings)
        self.adopt.setVisible(bool(ADOPTABLE.intersection(f.code for f in report.findings)))
        self.facts.set_facts(report.facts)
        self.facts.setVisible(report.facts is not None)
        self.choices.setVisible(bool(report.plans))
        if report.plans:
            self.choices.set_report(report, self._recents.request_for(report.folder))
        self.pages.setCurrentWidget(self._content)
        self._content.verticalScrollBar().setValue(0)
        self._frame()
        self._refresh()
        if report.plans:
            self._leave_choose(self.choices.precision)
        if self._open_when_ready and self.open_button.isEnabled():
            self._open()
        self._open_when_ready = False

    @Slot(str, object)
    def _on_found(self, request_id: str, folders: Sequence[Path]) -> None:
        if request_id != self._request_id:
            return
        self._request_id = ""
        clear_layout(self._nested_column)
        names = [model_name(folder) for folder in folders]
        for folder, name in zip(folders, names, strict=True):
            if names.count(name) > 1:  # several versions of one model
                name = f"{name} ({folder.name[:8]})"
            button = Button(name, icon="folder", align_left=True)
            button.setObjectName("nestedFolder")
            button.setAccessibleName(name)
            button.clicked.connect(lambda _=False, one=folder: self.show_folder(one))
            self._nested_column.addWidget(button)
        self.pages.setCurrentWidget(self._nested)
        self._refresh()
        first = self._nested_column.itemAt(0)
        self._leave_choose(first.widget() if first is not None else None)

    def _leave_choose(self, target: QWidget | None) -> None:
        """Go on in what was picked, so that Enter does not call the picker again."""
        if target is not None and self.focusWidget() is self.choose:
            target.setFocus(Qt.FocusReason.TabFocusReason)

    @Slot(str, object)
    def _on_failed(self, request_id: str, report: Report) -> None:
        if request_id != self._request_id:
            return
        self._request_id = ""
        self.pages.setCurrentWidget(self._blank)
        self._refresh()
        self._say(translated(report), "error")

    # -- opening ---------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Whether it can be opened, and why not."""
        reason, tint = self._why_not()
        self.open_button.setEnabled(not reason)
        if not reason and self.choices.plan is not None and self.choices.plan.fit is Fit.TIGHT:
            reason, tint = self.tr("This will be tight: little memory is left over."), "warning"
        self._say(reason, tint)

    def _why_not(self) -> tuple[str, str]:
        report = self._report
        if report is None:
            if self._request_id:
                return self.tr("Looking into the folder…"), "dim"
            if self.pages.currentWidget() is self._nested:
                return self.tr("Choose one of them."), "dim"
            return self.tr("Choose a folder."), "dim"
        if not report.opens:
            return self.tr("This folder cannot be opened."), "error"
        plan = self.choices.plan if report.plans else None
        if plan is None or plan.fit is not Fit.NO:
            return "", "dim"
        locale = QLocale()
        need = sum(share.need for share in plan.shares)
        free = sum(share.device.free for share in plan.shares)
        text = self.tr("Does not fit: {need} needed, {free} free.").format(
            need=size_text(need, locale), free=size_text(free, locale)
        )
        better = self.choices.better()
        if better is not None:
            words = self.tr("{precision} would fit.").format(precision=precision_text(better))
            text = f"{text} {words}"
        return text, "error"

    def _say(self, text: str, tint: str) -> None:
        self.reason.tint = tint
        self.reason.setText(text)
        self.reason.setAccessibleName(text)
        self.open_button.setAccessibleDescription(text if not self.open_button.isEnabled() else "")
        self.reason.update()

    def _open_or_wait(self) -> None:
        """Enter or a double click: open now, or as soon as the folder was looked into."""
        if self.open_button.isEnabled():
            self._open()
        elif self._request_id:
            self._open_when_ready = True

    def _open(self) -> None:
        report = self._report
        if report is None:
            return
        remembered = self._recents.request_for(report.folder)
        request = self.choices.request(report.folder) if report.plans else remembered
        self.accept()
        self.chosen.emit(request)
