"""What an empty conversation shows: a question with suggestions, or how to begin."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from qwen_desktop.chat.model import ModelInfo
from qwen_desktop.ui import icons, theme
from qwen_desktop.ui.controls import (
    COLUMN_LEFT,
    COLUMN_RIGHT,
    RADIUS,
    Button,
    Column,
    Label,
    focus_ring,
    plain_tip,
)

if TYPE_CHECKING:
    from qwen_desktop.bridge.models import ModelState

SHOWN = 3  # suggestions at a time
_TWO_COLUMNS_FROM = 560  # px, for the entries


class Entry(Button):
    """A large button: an icon, what it does, and a dim line about it."""

    def __init__(self, text: str, line: str, icon: str, parent: QWidget | None = None) -> None:
        super().__init__(text, icon=icon, height=64, parent=parent)
        self._line = line
        self.setAccessibleDescription(line)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """Room for the longer of both."""
        small = QFontMetrics(theme.body_font(12)).horizontalAdvance(self._line)
        width = max(self.fontMetrics().horizontalAdvance(self.text()), small)
        return QSize(width + theme.px(72), theme.px(self._height))

    def paintEvent(self, event: QPaintEvent) -> None:
        """A card."""
        t = theme.current()
        hover = self.underMouse() or self.isDown()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.setPen(QPen(QColor(t.accent if hover else t.field_border), 1))
        painter.setBrush(QColor(t.selected if self.isDown() else t.panel))
        painter.drawRoundedRect(box, 12, 12)
        side = theme.px(24)
        left = theme.px(16)
        icons.draw(
            painter, self._icon, QRectF(left, (self.height() - side) / 2, side, side), t.accent
        )
        left += side + theme.px(14)
        room = self.width() - left - theme.px(12)
        small = theme.body_font(12)
        middle = self.height() // 2
        for font, colour, words, top, flag in (
            (self.font(), t.text, self.text(), 0, Qt.AlignmentFlag.AlignBottom),
            (small, t.dim, self._line, middle + 2, Qt.AlignmentFlag.AlignTop),
        ):
            painter.setFont(font)
            painter.setPen(QColor(colour))
            shown = QFontMetrics(font).elidedText(words, Qt.TextElideMode.ElideRight, room)
            painter.drawText(QRectF(left, top, room, middle - 2), flag, shown)
        if self.hasFocus() and self._ring:
            focus_ring(painter, QRectF(self.rect()), RADIUS + 4)


class EmptyState(QWidget):
    """Title, one dim line, suggestions, and the ways to a checkpoint for who has none yet."""

    asked = Signal(str)
    open_requested = Signal()
    get_requested = Signal()
    demo_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("emptyState")
        self._questions: tuple[str, ...] = ()
        self._first = 0
        self.knows_others: Callable[[], bool] = lambda: True  # checkpoints besides the demo
        self.has_demo: Callable[[], bool] = lambda: False
        self._model: ModelState | None = None
        self._host = ""  # of the server that answers the shown chat
        self.title = Label("", 22, bold=True, wrap=True)
        self.title.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.line = Label("", 14, dim=True, wrap=True)
        self.line.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.demo_line = Label("", 13, dim=True, wrap=True)
        self.demo_line.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.demo_line.setObjectName("demoLine")
        self.open_button = Entry(
            self.tr("Open a folder"),
            self.tr("A Qwen checkpoint as you downloaded it"),
            "folder",
        )
        self.open_button.setObjectName("openCheckpoint")
        self.open_button.setAccessibleName(self.tr("Open checkpoint folder"))
        self.open_button.clicked.connect(self.open_requested)
        self.get_button = Entry(
            self.tr("Get a checkpoint"),
            self.tr("From Hugging Face or ModelScope"),
            "download",
        )
        self.get_button.setObjectName("getFirst")
        self.get_button.setAccessibleName(self.tr("Get a checkpoint"))
        self.get_button.clicked.connect(self.get_requested)
        self.demo_button = Entry(
            self.tr("Try the demo"),
            self.tr("A small one that knows this application"),
            "bulb",
        )
        self.demo_button.setObjectName("tryDemo")
        self.demo_button.setAccessibleName(self.tr("Try the demo"))
        self.demo_button.clicked.connect(self.demo_requested)
        self.more = Button(self.tr("More"), kind="plain", tint="dim", height=30)
        self.more.setObjectName("moreSuggestions")
        self.more.setAccessibleName(self.tr("More suggestions"))
        self.more.clicked.connect(self._next)
        self._suggestions = QVBoxLayout()
        self._suggestions.setSpacing(8)
        self._entries = QGridLayout()
        self._entries.setSpacing(12)
        self.buttons: list[Button] = []
        self._arrange()
        self._place()
        self._show_questions()
        self.set_model(None)

    def _arrange(self) -> None:
        content = Column()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addStretch(4)
        column.addWidget(self.title)
        column.addWidget(self.line)
        column.addWidget(self.demo_line)
        column.addSpacing(16)
        column.addLayout(self._suggestions)
        column.addWidget(self.more, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addSpacing(8)
        column.addLayout(self._entries)
        column.addStretch(5)
        row = QHBoxLayout(self)
        row.setContentsMargins(COLUMN_LEFT, 16, COLUMN_RIGHT, 16)
        row.addStretch(1)
        row.addWidget(content, 1000)
        row.addStretch(1)

    def set_model(self, state: ModelState | None) -> None:
        """Show what fits the model: suggestions, nothing more, or the ways to one."""
        self._model = state
        self._show()

    def set_server(self, host: str) -> None:
        """The server `host` answers the shown chat; "" for the open checkpoint."""
        self._host = host
        self._show()

    def _show(self) -> None:
        if self._host:
            self._show_server()
            return
        state = self._model
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
        is_demo = info is not None and info.demo is not None
        begins = is_demo and not loading and not self.knows_others()
        self.open_button.setVisible(nothing or begins)
        self.get_button.setVisible(nothing or begins)
        self.demo_button.setVisible(nothing and self.has_demo())
        self._place()
        self._show_suggestions(info if not loading else None)

    def _show_server(self) -> None:
        self.title.setText(self.tr("What would you like to ask?"))
        self.line.setText(self.tr("What you send goes to {host}.").format(host=self._host))
        for button in (self.open_button, self.get_button, self.demo_button):
            button.hide()
        self._place()
        self._show_suggestions(None)

    def _show_suggestions(self, info: ModelInfo | None) -> None:
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
        elif info is not None and info.has_chat_template:
            questions = self._general_questions()
        self.demo_line.setVisible(demo is not None)
        if questions != self._questions:
            self._questions, self._first = questions, 0
            self._show_questions()

    def _general_questions(self) -> tuple[str, ...]:
        """For any model that can chat."""
        return (
            self.tr("Explain how a language model writes an answer, in five sentences."),
            self.tr("Write a friendly e-mail that moves a meeting to next week."),
            self.tr("Write a Python function that finds duplicate files in a folder."),
            self.tr("Suggest three dinners with rice and vegetables, ready in half an hour."),
            self.tr("What are good questions to ask in a job interview?"),
            self.tr("Translate “Everything stays on this computer” into four languages."),
        )

    def _next(self) -> None:
        self._first = (self._first + SHOWN) % max(len(self._questions), 1)
        self._show_questions()

    def _show_questions(self) -> None:
        for button in self.buttons:
            self._suggestions.removeWidget(button)
            button.hide()
            button.deleteLater()
        # The last page starts over, so that there are always as many as fit.
        count = min(SHOWN, len(self._questions))
        shown = [self._questions[(self._first + i) % len(self._questions)] for i in range(count)]
        self.buttons = [self._question_button(question) for question in shown]
        for button in self.buttons:
            self._suggestions.addWidget(button)
        for one, following in pairwise(
            [*self.buttons, self.more, self.open_button, self.get_button, self.demo_button]
        ):
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
        beside = self.width() >= theme.px(_TWO_COLUMNS_FROM)
        entries = (self.open_button, self.get_button, self.demo_button)
        for entry in entries:
            self._entries.removeWidget(entry)
        ordered = sorted(entries, key=QWidget.isHidden)
        count = sum(not entry.isHidden() for entry in entries)
        for number, entry in enumerate(ordered):  # hidden ones too, which take no room
            last_alone = number == count - 1 and number % 2 == 0
            wide = 2 if last_alone or not beside else 1
            at = divmod(number, 2) if beside else (number, 0)
            self._entries.addWidget(entry, *at, 1, wide)

    def follow_look(self) -> None:
        """Other sizes."""
        self._place()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The entries beside or below each other."""
        super().resizeEvent(event)
        self._place()
