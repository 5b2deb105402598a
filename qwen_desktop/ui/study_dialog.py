"""The memory study: what is measured, how far it is, and its charts as they grow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QLocale, Signal
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent, QCloseEvent, QGuiApplication
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QTabWidget, QVBoxLayout, QWidget

from qwen_desktop.bridge.study import StudyState, text_of
from qwen_desktop.bridge.words import translated
from qwen_desktop.chat.study import Study, StudySetup
from qwen_desktop.errors import Report
from qwen_desktop.ui import chart_paint, study_chart, theme
from qwen_desktop.ui.chart import Chart
from qwen_desktop.ui.chart_paint import Pages
from qwen_desktop.ui.chart_saving import ChartSaving
from qwen_desktop.ui.controls import Bar, Button, Label, Line, TintedLabel, plain_tip
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.study_choices import StudyChoices, left_text
from qwen_desktop.ui.study_table import StudyTable

SIZE = (1040, 700)
CHOICES_WIDTH = 270  # px at 100 %
_TABLE = 3  # the page with the numbers


class StudyDialog(Dialog):
    """Not modal: what was said can be read while it runs, which may take hours.

    Signals: `outline_wanted(StudySetup)`, `start_requested(StudySetup)`, `stop_requested()`,
    `resume_requested()`, `open_requested()`; `left()`: it closes, and what runs is to be stopped.
    """

    outline_wanted = Signal(object)
    start_requested = Signal(object)
    stop_requested = Signal()
    resume_requested = Signal()
    open_requested = Signal()
    left = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("studyDialog", self.tr("Memory study"), parent)
        self.resize(theme.px(SIZE[0]), theme.px(SIZE[1]))
        self.setMinimumSize(640, 460)
        self._state = StudyState()
        self._refusal: Report | None = None
        self._shown: Study | None = None  # in the charts
        self.choices = StudyChoices()
        self.choices.changed.connect(self._on_choice)
        self.choices.entered.connect(self._on_entered)
        self.saving = ChartSaving(self, self.pages, self._numbers)
        self.saving.saved.connect(self._on_saved)
        self.saving.failed.connect(self.say_trouble)
        self._build_controls()
        self._build_tabs()
        row = QHBoxLayout(self)
        row.setContentsMargins(24, 16, 24, 14)
        row.setSpacing(20)
        side = QWidget()
        side.setFixedWidth(theme.px(CHOICES_WIDTH))
        left = QVBoxLayout(side)
        left.setContentsMargins(0, 0, 0, 0)
        left.setSpacing(8)
        left.addWidget(self.choices, 1)
        for widget in self._controls:
            left.addWidget(widget)
        row.addWidget(side)
        row.addWidget(Line(vertical=True))
        right = QVBoxLayout()
        right.setSpacing(8)
        right.addLayout(self._top())
        right.addWidget(self.tabs, 1)
        right.addWidget(self.notes)
        right.addLayout(self._bottom())
        row.addLayout(right, 1)
        self._show()
        self.choices.lengths.setFocus()

    # -- its parts -------------------------------------------------------------------------

    def _build_controls(self) -> None:
        self.words = Label("", 13, wrap=True)
        self.words.setObjectName("studyWords")
        self.bar = Bar()
        self.bar.setObjectName("studyProgress")
        self.bar.setAccessibleName(self.tr("Progress of the study"))
        self.go = self._button(self.tr("Start"), "studyGo", self._on_go, kind="primary")
        self.resume = self._button(self.tr("Resume"), "studyResume", self.resume_requested.emit)
        self.resume.setToolTip(self.tr("Go on with the study that is shown"))
        self.earlier = self._button(self.tr("Open study…"), "studyOpen", self.open_requested.emit)
        self._controls = (self.words, self.bar, self.go, self.resume, self.earlier)

    def _build_tabs(self) -> None:
        self.charts = (
            Chart(self.tr("Memory against context")),
            Chart(self.tr("Time to the first token")),
            Chart(self.tr("Speed of the answer")),
        )
        self.table = StudyTable()
        self.tabs = QTabWidget()
        self.tabs.setObjectName("studyTabs")
        self.tabs.setAccessibleName(self.tr("Memory, times, table"))
        self.tabs.setDocumentMode(True)
        names = (self.tr("Memory"), self.tr("First token"), self.tr("Speed"), self.tr("Table"))
        for page, name in zip((*self.charts, self.table), names, strict=True):
            holder = QWidget()
            inside = QVBoxLayout(holder)
            inside.setContentsMargins(0, 12, 0, 4)
            inside.addWidget(page)
            self.tabs.addTab(holder, name)
        self.tabs.currentChanged.connect(self._on_page)
        self.notes = TintedLabel("", 12, tint="dim", wrap=True)
        self.notes.setObjectName("studyNotes")

    def _top(self) -> QHBoxLayout:
        self.title = Label("", 16, bold=True)
        self.title.setObjectName("studyTitle")
        self.across = QComboBox()
        self.across.setObjectName("studyAcross")
        self.across.setAccessibleName(self.tr("Across"))
        self.across.addItems([self.tr("Tokens"), self.tr("Characters")])
        self.across.currentIndexChanged.connect(self._draw)
        line = QHBoxLayout()
        line.setSpacing(10)
        line.addWidget(self.title, 1)
        name = Label(self.tr("Across"), 13, dim=True)
        name.setBuddy(self.across)  # which names a list to choose from on Linux
        line.addWidget(name)
        line.addWidget(self.across)
        return line

    def _bottom(self) -> QHBoxLayout:
        self.copy = self._button(self.tr("Copy image"), "studyCopy", self._copy)
        self.save = self._button(self.tr("Save…"), "studySave", self._save)
        self.save.setToolTip(self.tr("As a picture (PNG, SVG), or its numbers (CSV)"))
        self.said = TintedLabel("", 12, tint="dim")
        self.said.setObjectName("studySaid")
        line = QHBoxLayout()
        line.setSpacing(8)
        line.addWidget(self.copy)
        line.addWidget(self.save)
        line.addWidget(self.said, 1)
        line.addWidget(self.close_box())
        return line

    def _button(
        self, words: str, name: str, call: Callable[[], object], kind: str = "outline"
    ) -> Button:
        button = Button(words, kind=kind, height=32)
        button.setObjectName(name)
        button.setAccessibleName(words)
        button.clicked.connect(call)
        return button

    # -- what it shows ---------------------------------------------------------------------

    def set_state(self, state: StudyState) -> None:
        """How far it is."""
        before, self._state = self._state, state
        if state.study is not None and (
            before.study is None or before.study.head != state.study.head
        ):
            self.choices.show_setup(state.study.head.setup)
            self.ask_for_outlook()  # where nothing runs: one that was opened
        self._show()
        if before.running and not state.running:
            for question in self.findChildren(Dialog, "confirmDialog"):
                question.reject()  # there is nothing left to stop
            self._announce(self.words.text())

    @property
    def refusal(self) -> Report | None:
        """Why no study can begin now."""
        return self._refusal

    def set_refusal(self, refusal: Report | None) -> None:
        """Why no study can begin now, or None."""
        self._refusal = refusal
        self._show()

    def ask_for_outlook(self) -> None:
        """Find out anew what the chosen study would take."""
        setup = self.choices.setup()
        if setup is not None and self._refusal is None and not self._state.running:
            self.outline_wanted.emit(setup)

    def _on_choice(self) -> None:
        self.ask_for_outlook()
        self._show()

    def _show(self) -> None:
        state, refusal = self._state, self._refusal
        running = state.running
        self.choices.set_running(running)
        waiting = ""
        if not running and refusal is None and state.outlining:
            waiting = self.tr("Looking at how quick the model is…")
        self.choices.show_outlook(None if running else state.outlook, waiting)
        self.go.setText(self._go_words())
        self.go.setAccessibleName(self.go.text())
        valid = self.choices.setup() is not None
        self.go.setEnabled(not state.stopping if running else refusal is None and valid)
        self.resume.setVisible(state.can_resume)
        self.resume.setEnabled(refusal is None)
        self.earlier.setVisible(not running)
        self.bar.setVisible(running)
        self._show_words()
        self._draw()

    def _go_words(self) -> str:
        if self._state.running:
            return self.tr("Stopping…") if self._state.stopping else self.tr("Stop")
        return self.tr("Start") if self._state.study is None else self.tr("Start a new one")

    def _show_words(self) -> None:
        state, locale = self._state, QLocale()
        progress = state.progress
        if not state.running:
            why = translated(self._refusal) if self._refusal is not None else ""
            if not why and state.can_resume and state.study is not None:
                missing = sum(1 for _ in state.study.missing())
                why = self.tr("Stopped. %Ln prompts are left.", "", missing)
            self.words.setText(why)
            self.words.setVisible(bool(why))
            return
        self.words.show()
        if progress is None:
            self.words.setText(self.tr("Getting ready…"))
            self.bar.setValue(0)
            return
        words = self.tr("{way}, {tokens} tokens ({number} of {all})").format(
            way=study_chart.way_text(progress.way),
            tokens=locale.toString(progress.tokens),
            number=locale.toString(progress.done + 1),
            all=locale.toString(progress.points),
        )
        if left := left_text(state.outlook, state.study):
            words += "\n" + self.tr("About {time} left").format(time=left)
        self.words.setText(words)
        part = progress.part / progress.total if progress.total else 0.0
        self.bar.set_share(progress.done + part, progress.points)

    def _draw(self) -> None:
        study, characters = self._state.study, self.across.currentIndex() == 1
        for widget in (self.copy, self.save, self.across):
            widget.setEnabled(study is not None and bool(study.points))
        plots = (study_chart.memory_plot, study_chart.waiting_plot, study_chart.speed_plot)
        for chart, plot in zip(self.charts, plots, strict=True):
            chart.set_plot(plot(study, characters=characters))
        if study is self._shown:
            return
        self._shown = study
        self.table.points.set_study(study)
        self.title.setText(study_chart.heading(study) if study is not None else "")
        tip = study_chart.machine_text(study) if study is not None else ""
        self.title.setToolTip(plain_tip(tip))
        notes = [study_chart.ending_text(end) for end in study.ends] if study is not None else []
        if study is not None and study.is_complete and len(study.head.setup.ways) > 1:
            notes.append(
                self.tr("All ways wrote the same answers.")
                if study.agrees
                else self.tr("The ways did not write the same answers: rounding tipped a choice.")
            )
        self.notes.setText("\n".join(notes))
        self.notes.setVisible(bool(notes))

    def _on_page(self, index: int) -> None:
        self.copy.setText(self.tr("Copy table") if index == _TABLE else self.tr("Copy image"))
        self.copy.setAccessibleName(self.copy.text())

    # -- what the user does ----------------------------------------------------------------

    def _on_go(self) -> None:
        if self._state.running:
            self.stop_requested.emit()
            return
        setup = self.choices.setup()
        if setup is not None:
            self.start_requested.emit(StudySetup(setup.lengths, setup.ways, setup.answer))

    def _on_entered(self) -> None:
        if not self._state.running and self.go.isEnabled():
            self._on_go()

    def pages(self) -> Pages:
        """What is looked at, to be drawn elsewhere; all charts beside the table."""
        study, index = self._state.study, self.tabs.currentIndex()
        if index == _TABLE and study is not None:
            return study_chart.picture(study)
        return [self.charts[min(index, _TABLE - 1)].page()]

    def _numbers(self) -> str:
        return text_of(self._state.study) if self._state.study is not None else ""

    def _copy(self) -> None:
        if self.tabs.currentIndex() == _TABLE:
            self.table.copy()
            self._say(self.tr("The table is on the clipboard."))
            return
        QGuiApplication.clipboard().setImage(chart_paint.image(self.pages()))
        self._say(self.tr("The picture is on the clipboard."))

    def _save(self) -> None:
        name = self._state.file.stem if self._state.file is not None else "study"
        self.saving.ask(name, ".csv" if self.tabs.currentIndex() == _TABLE else ".png")

    def _on_saved(self, file: Path) -> None:
        self._say(self.tr("Saved “{name}”").format(name=file.name))

    def say_trouble(self, report: Report) -> None:
        """Tell what went wrong."""
        self._say(translated(report), "error")

    def _say(self, text: str, tint: str = "dim") -> None:
        self.said.tint = tint
        self.said.setText(text)
        self.said.setToolTip(plain_tip(text))
        self._announce(text)

    def _announce(self, text: str) -> None:
        if text and QAccessible.isActive():
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))

    # -- leaving ---------------------------------------------------------------------------

    def accept(self) -> None:
        """Close was pressed."""
        self.reject()

    def reject(self) -> None:
        """Close; ask first where something is being measured."""
        if not self._state.running:
            self._go_away()
            return
        from qwen_desktop.ui.small_dialogs import ConfirmDialog

        ConfirmDialog(
            self.tr("Stop the study?"),
            self.tr("What was measured so far is kept. The study can be resumed later."),
            self.tr("Stop and close"),
            self._go_away,
            self,
        ).open()

    def _go_away(self) -> None:
        self.left.emit()
        super().reject()

    def closeEvent(self, event: QCloseEvent) -> None:
        """The same as Close."""
        if self._state.running and self.isVisible():
            event.ignore()
            self.reject()
        else:
            super().closeEvent(event)
