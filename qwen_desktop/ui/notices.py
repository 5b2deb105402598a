"""What stays above the conversation while it holds: changes that wait for the disk, and what
happened when the conversations were opened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QLocale
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from qwen_desktop.bridge.saving import LASTING
from qwen_desktop.bridge.words import joined, translated
from qwen_desktop.ui.controls import COLUMN_LEFT, COLUMN_RIGHT, Button, IconButton, TintedLabel
from qwen_desktop.ui.problem import Card

if TYPE_CHECKING:
    from qwen_desktop.bridge.saving import SavingState

_CONTEXT = "Notices"


class Notice(Card):
    """An amber card with a sentence, at most one button, and a cross where it may be closed."""

    def __init__(self, name: str, close_name: str) -> None:
        super().__init__("warning")
        self.setObjectName(name)
        self._run: Callable[[], None] | None = None
        self.label = TintedLabel("", 13, tint="warning", wrap=True)
        self.label.setObjectName(f"{name}Text")
        self.action = Button("", kind="tinted", tint="warning", height=28)
        self.action.setObjectName(f"{name}Action")
        self.action.setAccessibleName(self.tr("What to do"))
        self.close_button = IconButton("close", close_name, height=28)
        self.close_button.setObjectName(f"{name}Close")
        self.close_button.tint = "warning"
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 8, 8, 8)
        row.setSpacing(8)
        row.addWidget(self.label, 1)
        row.addWidget(self.action)
        row.addWidget(self.close_button)
        self.action.clicked.connect(self._act)
        self.hide()

    @property
    def text(self) -> str:
        """What is shown; empty where nothing is."""
        return "" if self.isHidden() else self.label.text()

    def show_text(
        self,
        text: str,
        action: tuple[str, Callable[[], None]] | None = None,
        *,
        closable: bool = False,
    ) -> None:
        """Show `text`, with the words of a button and what it does."""
        words, self._run = action if action is not None else ("", None)
        self.action.setText(words)
        self.action.setAccessibleName(words or self.tr("What to do"))
        self.action.setVisible(bool(words))
        self.close_button.setVisible(closable)
        self.label.setText(text)
        self.label.setAccessibleName(text)
        self.show()

    def _act(self) -> None:
        if self._run is not None:
            self._run()


class Notices(QWidget):
    """The notices, one below the other; hidden while there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("notices")
        self.saving = Notice("saving", self.tr("Close message"))
        self.opening = Notice("opening", self.tr("Close message"))
        self.cards: tuple[Notice, ...] = (self.opening, self.saving)
        inner = self._inner = QVBoxLayout()
        inner.setSpacing(6)
        for card in self.cards:
            inner.addWidget(card)
        outer = QHBoxLayout(self)
        outer.setContentsMargins(COLUMN_LEFT, 12, COLUMN_RIGHT, 4)
        outer.addStretch(1)
        outer.addLayout(inner, 1000)
        outer.addStretch(1)
        self.opening.close_button.clicked.connect(self.hide_opening)
        self.hide()

    @property
    def controls(self) -> tuple[QWidget, ...]:
        """What takes the focus, from the top."""
        return tuple(w for card in self.cards for w in (card.action, card.close_button))

    def show_saving(self, state: SavingState, rescue: Callable[[], None]) -> None:
        """Changes wait for the disk, more or fewer of them do, or all are saved.

        `rescue` is to save them to a file elsewhere.
        """
        waited = not self.saving.isHidden()
        if state.all_saved:
            self.saving.hide()
            if waited:
                self._announce(self.tr("All changes are on disk."))
        else:
            text = saving_text(state, told=self.opening.text)
            self.saving.show_text(text, (self.tr("Save to a file…"), rescue))
            if not waited:
                self._announce(text)
        self._fit()

    def show_opening(
        self,
        text: str,
        action: tuple[str, Callable[[], None]] | None = None,
        *,
        closable: bool = False,
    ) -> None:
        """Something to know about how the conversations were opened."""
        self.opening.show_text(text, action, closable=closable)
        self._announce(text)
        self._fit()

    def hide_opening(self) -> None:
        """That has been read, or is over."""
        self.opening.hide()
        self._fit()

    def add(self, card: Notice) -> None:
        """Take a notice in that somebody else shows and hides, telling `fit` of it."""
        self.cards = (*self.cards, card)
        self._inner.addWidget(card)

    def fit(self) -> None:
        """A notice has come or gone."""
        self._fit()

    def _announce(self, text: str) -> None:
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))

    def _fit(self) -> None:
        self.setVisible(any(not card.isHidden() for card in self.cards))


def saving_text(state: SavingState, told: str = "") -> str:
    """How many changes are not on disk, why, and what to do. One or two sentences.

    `told` is what stands above it: the reason is not said twice.
    """
    report = state.report
    tr = QCoreApplication.translate
    if state.waiting == 1:
        count = tr(_CONTEXT, "1 change is not on disk yet")
    else:
        count = tr(_CONTEXT, "{count} changes are not on disk yet").format(
            count=QLocale().toString(state.waiting)
        )
    values = dict(report.values) if report is not None else {}
    file = values.get("file", "")
    code = report.code if report is not None else ""
    if code == "disk-full":
        text = tr(_CONTEXT, "{count}: the disk is full. Free some space; saving goes on by itself.")
    elif code == "locked":
        text = tr(
            _CONTEXT,
            "{count}: another program is using {file}. Close that program; saving goes on by "
            "itself.",
        )
    elif code == "io":
        text = tr(
            _CONTEXT,
            "{count}: the disk failed. Check it and its connection; saving goes on by itself.",
        )
    else:
        why = translated(report) if report is not None else ""
        lasts = report is not None and report.code in LASTING
        return joined(
            tr(_CONTEXT, "{count}.").format(count=count),
            "" if why == told else why,
            "" if lasts else tr(_CONTEXT, "Saving goes on by itself."),
        )
    return text.format(count=count, file=file)
