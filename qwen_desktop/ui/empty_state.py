"""What an empty conversation shows: a question, or how to open a checkpoint."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from qwen_desktop.chat.model import ModelInfo
from qwen_desktop.ui.controls import COLUMN_LEFT, COLUMN_RIGHT, Button, Column, Label, plain_tip

if TYPE_CHECKING:
    from qwen_desktop.bridge.models import ModelState

SHOWN = 6  # suggestions at a time
_TWO_COLUMNS_FROM = 560  # px


class EmptyState(QWidget):
    """Title, one dim line, suggestions of the demo checkpoint or the open button."""

    asked = Signal(str)
    open_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("emptyState")
        self._questions: tuple[str, ...] = ()
        self._first = 0
        self.title = Label("", 22, bold=True, wrap=True)
        self.title.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.line = Label("", 14, dim=True, wrap=True)
        self.line.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.demo_line = Label("", 13, dim=True, wrap=True)
        self.demo_line.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.demo_line.setObjectName("demoLine")
        self.open_button = Button(
            self.tr("Open checkpoint folder…"), icon="folder", kind="primary", height=40
        )
        self.open_button.setObjectName("openCheckpoint")
        self.open_button.setAccessibleName(self.tr("Open checkpoint folder"))
        self.open_button.clicked.connect(self.open_requested)
        self.more = Button(self.tr("More"), kind="plain", tint="dim", height=30)
        self.more.setObjectName("moreSuggestions")
        self.more.setAccessibleName(self.tr("More suggestions"))
        self.more.clicked.connect(self._next)
        self._grid = QGridLayout()
        self._grid.setSpacing(8)
        self.buttons: list[Button] = []
        self._arrange()
        self._show_questions()
        self.set_model(None)

    def _arrange(self) -> None:
        column = QVBoxLayout()
        column.setSpacing(8)
        column.addStretch(4)
        column.addWidget(self.title)
        column.addWidget(self.line)
        column.addWidget(self.demo_line)
        column.addSpacing(16)
        column.addLayout(self._grid)
        for button in (self.open_button, self.more):
            column.addWidget(button, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(5)
        content = Column()
        content.setLayout(column)
        column.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout(self)
        row.setContentsMargins(COLUMN_LEFT, 16, COLUMN_RIGHT, 16)
        row.addStretch(1)
        row.addWidget(content, 1000)
        row.addStretch(1)

    def set_model(self, state: ModelState | None) -> None:
        """Show what fits the model: suggestions, nothing more, or the open button."""
        info = state.info if state is not None else None
        loading = state is None or state.busy
        nothing = info is None and not loading
        title = self.tr("What would you like to ask?")
        line = self.tr("Everything stays on this computer.")
        if nothing:
            title = self.tr("Open a Qwen checkpoint to start")
            line = self.tr("Choose the folder as you downloaded it, or drop it onto this window.")
        elif info is not None and not info.has_chat_template:
            title = self.tr("What should be continued?")
            line = self.tr("Base model: it continues text; there are no turns.")
        self.title.setText(title)
        self.line.setText(line)
        self.open_button.setVisible(nothing)
        self._show_demo(info if not loading else None)

    def _show_demo(self, info: ModelInfo | None) -> None:
        demo = info.demo if info is not None else None
        questions: tuple[str, ...] = ()
        if info is not None and demo is not None:
            language = "zh" if self.locale().language() == self.locale().Language.Chinese else "en"
            questions = demo.questions.get(language) or demo.questions.get("en", ())
            millions = self.locale().toString(max(round(info.parameters / 1e6), 1))
            self.demo_line.setText(
                self.tr(
                    "Demo checkpoint of about {millions} million parameters. "
                    "It only knows this application."
                ).format(millions=millions)
            )
        self.demo_line.setVisible(demo is not None)
        if questions != self._questions:
            self._questions, self._first = questions, 0
            self._show_questions()

    def _next(self) -> None:
        self._first = (self._first + SHOWN) % max(len(self._questions), 1)
        self._show_questions()

    def _show_questions(self) -> None:
        for button in self.buttons:
            self._grid.removeWidget(button)
            button.deleteLater()
        # The last page starts over, so that there are always as many as fit.
        count = min(SHOWN, len(self._questions))
        shown = [self._questions[(self._first + i) % len(self._questions)] for i in range(count)]
        self.buttons = [self._question_button(question) for question in shown]
        self._place()
        for one, following in pairwise([self.open_button, *self.buttons, self.more]):
            QWidget.setTabOrder(one, following)
        self.more.setVisible(len(self._questions) > SHOWN)

    def _question_button(self, question: str) -> Button:
        button = Button(question, height=40, align_left=True)
        button.setObjectName("suggestion")
        button.setAccessibleName(question)
        button.setToolTip(plain_tip(question))
        button.clicked.connect(lambda: self.asked.emit(question))
        return button

    def _place(self) -> None:
        columns = 2 if self.width() >= _TWO_COLUMNS_FROM else 1
        for i, button in enumerate(self.buttons):
            self._grid.addWidget(button, i // columns, i % columns)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """One or two columns."""
        super().resizeEvent(event)
        if (event.oldSize().width() >= _TWO_COLUMNS_FROM) != (self.width() >= _TWO_COLUMNS_FROM):
            self._place()
