"""The prompt inspector: what the model is given, token by token, in a window beside the chat.

What it shows was written by strangers: it is painted as tokens, or plain text.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QLocale, Qt, QTimer, Slot
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QCloseEvent,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QShortcut,
)
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from qwen_desktop.bridge.inspecting import Look, Wait
from qwen_desktop.bridge.words import translated
from qwen_desktop.chat import inspected_forms
from qwen_desktop.chat.inspected import Inspected
from qwen_desktop.chat.sent import SentRequest
from qwen_desktop.errors import Report
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Button, ElidedLabel, IconButton, Label, Line
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.find_bar import FindField
from qwen_desktop.ui.inspector_segments import SegmentBar, SegmentTable
from qwen_desktop.ui.inspector_sent import SentView, sent_facts, sent_notes
from qwen_desktop.ui.inspector_words import COLOURS, facts, notes, place_text, wait_text
from qwen_desktop.ui.token_text import Mode, Span, TokenText

SIZE = (1040, 720)
COPIED_MS = 2000
SEARCH_MS = 120


class Inspector(Dialog):
    """Shows what `look` tells, until it is closed."""

    def __init__(self, look: Look, title: str, about: str, parent: QWidget | None = None) -> None:
        super().__init__("promptInspector", self.tr("Prompt inspector"), parent)
        self.setModal(False)
        self.resize(*(theme.px(side) for side in SIZE))
        self.setMinimumSize(theme.px(560), theme.px(400))
        self.found: Inspected | None = None
        self.sent: SentRequest | None = None  # in its place where a server makes the prompt
        self._last: Inspected | None = None  # what the tokens are of, also while it is hidden
        self._look = look
        self._chosen = Mode.TEXT
        self.title = ElidedLabel(title, 16, bold=True)
        self.about = ElidedLabel(about, 12, dim=True)
        self._build_top()
        self._build_middle()
        self._build_bottom()
        self._lay_out()
        for keys, act in (
            (QKeySequence(QKeySequence.StandardKey.Find), self._focus_search),
            (QKeySequence(Qt.Key.Key_F3), self.view.step),
            (QKeySequence("Shift+F3"), lambda: self.view.step(False)),
        ):
            QShortcut(keys, self).activated.connect(act)
        look.inspected.connect(self._show)
        look.sent.connect(self._show_sent)
        look.waits.connect(self._wait)
        look.failed.connect(self._fail)
        look.start()
        self.view.setFocus()

    # -- building --------------------------------------------------------------------------

    def _build_top(self) -> None:
        self._search_timer = QTimer(self)
        self._search_timer.setSingleShot(True)
        self._search_timer.setInterval(SEARCH_MS)
        self._search_timer.timeout.connect(self._search)
        self.modes: dict[Mode, Button] = {}
        for mode, words in (
            (Mode.TEXT, self.tr("Text")),
            (Mode.IDS, self.tr("Ids")),
            (Mode.BOTH, self.tr("Both")),
        ):
            button = self.modes[mode] = Button(words, height=30)
            button.setCheckable(True)
            button.setAutoExclusive(True)
            button.tint = "accent"
            button.setAccessibleName(self.tr("Show: {what}").format(what=words))
            button.toggled.connect(lambda on, mode=mode: self._set_mode(mode, on))
        self.search = FindField(self.tr("Find text or ids"))
        self.search.setMaximumWidth(theme.px(280))
        self.search.textChanged.connect(lambda _text: self._search_timer.start())
        self.search.installEventFilter(self)
        self.matches = Label("", 12, dim=True)
        self.previous = IconButton("up", self.tr("Previous occurrence"), height=30)
        self.next = IconButton("down", self.tr("Next occurrence"), height=30)
        self.previous.clicked.connect(lambda: self._step(False))
        self.next.clicked.connect(lambda: self._step(True))

    def _build_middle(self) -> None:
        self.bar = SegmentBar()
        self.table = SegmentTable()
        self.view = TokenText(self.tr("Tokens of the prompt"))
        self.view.describe = self._describe
        self.view.current_changed.connect(self._on_current)
        self.view.found_changed.connect(self._show_matches)
        self.bar.chosen.connect(self._go)
        self.table.chosen.connect(self._go)
        self.parts = QSplitter(Qt.Orientation.Horizontal)
        self.parts.setChildrenCollapsible(False)
        self.parts.addWidget(self.table)
        self.parts.addWidget(self.view)
        self.parts.setStretchFactor(0, 2)
        self.parts.setStretchFactor(1, 3)
        self.parts.setSizes([theme.px(400), theme.px(600)])
        self.note = Label("", 13, dim=True, wrap=True)
        self.note.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.messages = SentView()
        self.pages = QStackedWidget()
        self.pages.addWidget(self.note)
        self.pages.addWidget(self.parts)
        self.pages.addWidget(self.messages)

    def _build_bottom(self) -> None:
        self.facts = Label("", 13, wrap=True)
        self.notes = Label("", 12, dim=True, wrap=True)
        for label in (self.facts, self.notes):
            label.setTextInteractionFlags(
                Qt.TextInteractionFlag.TextSelectableByMouse
                | Qt.TextInteractionFlag.TextSelectableByKeyboard
            )
            label.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self._copies: dict[Button, tuple[str, Callable[[Inspected], str]]] = {}
        self.copy_text = self._copy_button(self.tr("Copy text"), inspected_forms.as_text)
        self.copy_ids = self._copy_button(self.tr("Copy ids"), inspected_forms.as_ids)
        self.copy_json = self._copy_button(self.tr("Copy JSON"), inspected_forms.as_json)
        self.copy_python = self._copy_button(
            self.tr("Copy transformers call"), inspected_forms.as_python
        )
        self.copy_python.setToolTip(
            self.tr("A Python program that makes the same ids from the checkpoint's files")
        )
        self._back = QTimer(self)
        self._back.setSingleShot(True)
        self._back.setInterval(COPIED_MS)
        self._back.timeout.connect(self._reset_copies)

    def _copy_button(self, words: str, form: Callable[[Inspected], str]) -> Button:
        button = Button(words, height=32)
        button.setAccessibleName(words)
        button.clicked.connect(lambda: self._copy(button))
        self._copies[button] = (words, form)
        return button

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(6)
        for button in self.modes.values():
            top.addWidget(button)
        top.addStretch(1)
        top.addWidget(self.matches)
        top.addWidget(self.search, 2)
        top.addWidget(self.previous)
        top.addWidget(self.next)
        head = QVBoxLayout()
        head.setContentsMargins(24, 16, 24, 8)
        head.setSpacing(2)
        head.addWidget(self.title)
        head.addWidget(self.about)
        head.addSpacing(8)
        head.addLayout(top)
        head.addSpacing(8)
        head.addWidget(self.bar)
        middle = QVBoxLayout()
        middle.setContentsMargins(16, 0, 12, 0)
        middle.addWidget(self.pages)
        copies = QHBoxLayout()
        copies.setSpacing(8)
        for button in self._copies:
            copies.addWidget(button)
        copies.addStretch(1)
        copies.addWidget(self.close_box())
        foot = QVBoxLayout()
        foot.setContentsMargins(24, 10, 24, 14)
        foot.setSpacing(4)
        foot.addWidget(self.facts)
        foot.addWidget(self.notes)
        foot.addSpacing(6)
        foot.addLayout(copies)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addLayout(middle, 1)
        column.addWidget(Line())
        column.addLayout(foot)
        self.modes[Mode.TEXT].setChecked(True)
        self._wait(Wait.READING)

    # -- what is shown ---------------------------------------------------------------------

    @Slot(object)
    def _show(self, found: Inspected) -> None:
        """What changed is mostly the end: what is looked at stays where it is."""
        before, top, current = self._last, self.view.first_visible(), self.view.current
        self.found = self._last = found
        self.sent = None
        self._offer()
        self.bar.set_inspected(found)
        self.table.set_inspected(found)
        self.view.set_tokens(found.tokens)
        self.view.set_spans(
            [
                Span(segment.start, segment.end, COLOURS[segment.kind])
                for segment in found.segments
                if segment.kind in COLOURS
            ]
        )
        self.view.set_cached(found.reused or 0)
        self.view.set_lookalikes(found.lookalikes)
        if before is not None and before.conversation_id == found.conversation_id:
            if current >= 0:
                self.view.set_current(current)
            self.view.scroll_to(min(top, len(found.tokens) - 1))
        self.facts.setText(facts(found))
        self.notes.setText(notes(found))
        self.notes.setVisible(bool(self.notes.text()))
        self.pages.setCurrentWidget(self.parts)

    @Slot(object)
    def _show_sent(self, sent: SentRequest) -> None:
        self._nothing("")
        self.sent = sent
        self._offer()
        self.messages.show_sent(sent)
        self.facts.setText(sent_facts(sent))
        self.notes.setText(sent_notes(sent))
        self.notes.show()
        self.pages.setCurrentWidget(self.messages)

    def _offer(self) -> None:
        """What can be done with what there is: without texts only ids can be shown."""
        found, is_sent = self.found, self.sent is not None
        for widget in (*self.modes.values(), self.search, self.previous, self.next, self.bar):
            widget.setHidden(is_sent)
        self.copy_ids.setHidden(is_sent)
        self.copy_python.setHidden(is_sent)
        has_text = found is not None and found.has_text
        for mode, button in self.modes.items():
            button.setEnabled(has_text or mode is Mode.IDS)
        self.modes[self._chosen if has_text or found is None else Mode.IDS].setChecked(True)
        self.copy_text.setEnabled(has_text or is_sent)
        self.copy_ids.setEnabled(found is not None)
        self.copy_json.setEnabled(found is not None or is_sent)
        self.copy_python.setEnabled(found is not None and found.recipe is not None)

    @Slot(object)
    def _wait(self, why: Wait) -> None:
        self._nothing(wait_text(why))

    @Slot(object)
    def _fail(self, report: Report) -> None:
        self._nothing(translated(report))

    def _nothing(self, words: str) -> None:
        self.found = self.sent = None
        self._offer()
        self.note.setText(words)
        self.note.setAccessibleName(words)
        self.pages.setCurrentWidget(self.note)
        self.bar.set_inspected(None)
        self.table.set_inspected(None)
        self.facts.setText("")
        self.notes.hide()

    def _set_mode(self, mode: Mode, on: bool) -> None:
        self.modes[mode].kind = "tinted" if on else "outline"
        self.modes[mode].update()
        if on:
            if self.found is None or self.found.has_text:
                self._chosen = mode
            self.view.set_mode(mode)

    # -- going around ----------------------------------------------------------------------

    @Slot(int)
    def _go(self, token: int) -> None:
        self.view.scroll_to(token)
        self.view.set_current(token)

    @Slot(int)
    def _on_current(self, index: int) -> None:
        if self.found is not None and (at := self.found.segment_at(index)) >= 0:
            self.table.follow(self.found.segments[at])

    def _describe(self, index: int) -> str:
        return place_text(self.found, index) if self.found is not None else ""

    @Slot()
    def _focus_search(self) -> None:
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    @Slot()
    def _search(self) -> None:
        self._search_timer.stop()
        if self.view.search(self.search.text()):
            self.view.step()

    def _step(self, forward: bool) -> None:
        if self._search_timer.isActive():
            self._search()
        else:
            self.view.step(forward)

    @Slot(int, int)
    def _show_matches(self, at: int, count: int) -> None:
        words = ""
        if self.search.text():
            locale = QLocale()
            words = self.tr("{at} of {count}").format(
                at=locale.toString(at), count=locale.toString(count)
            )
        self.matches.setText(words)
        for button in (self.previous, self.next):
            button.setEnabled(count > 0)
        if words and at and QAccessible.isActive():
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self.search, words))

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        """Keys of the search field, which leaves them to whoever has it."""
        if (
            watched is self.search
            and event.type() == QEvent.Type.KeyPress
            and isinstance(event, QKeyEvent)
        ):
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_F3):
                self._step(not event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
                return True
            if event.key() == Qt.Key.Key_Escape and self.search.text():
                self.search.clear()
                self._search()
                return True
        return super().eventFilter(watched, event)  # type: ignore[arg-type]

    # -- copying ---------------------------------------------------------------------------

    def _copy(self, button: Button) -> None:
        if self.sent is not None:
            text = self.sent.body if button is self.copy_json else self.sent.text
        elif self.found is not None:
            text = self._copies[button][1](self.found)
        else:
            return
        self._reset_copies()
        QGuiApplication.clipboard().setText(text)
        button.setText(self.tr("Copied"))
        self._back.start()

    @Slot()
    def _reset_copies(self) -> None:
        for button, (words, _) in self._copies.items():
            button.setText(words)

    # -- the end ---------------------------------------------------------------------------

    def done(self, result: int) -> None:
        """Nobody looks any more."""
        self._look.close()
        super().done(result)

    def closeEvent(self, event: QCloseEvent) -> None:
        """However it is closed."""
        self._look.close()
        super().closeEvent(event)
