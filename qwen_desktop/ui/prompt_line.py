"""The quiet line below the message field: tokens of the draft and of the whole prompt."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import ElidedLabel

if TYPE_CHECKING:
    from qwen_desktop.chat.events import PromptCount

NEARLY_FULL = 0.85  # of the budget


class PromptLine(ElidedLabel):
    """Dim; amber where the prompt is nearly full; a red sentence where something goes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("", 12, parent=parent)
        self.setObjectName("promptCount")
        self.tint = "dim"

    def set_count(self, count: PromptCount | None, gone: Collection[str] = ()) -> None:
        """Show what was counted; nothing where it is not known.

        `gone` are ids of messages that the last answer was not shown either.
        """
        going = len(set(count.unseen).difference(gone)) if count is not None else 0
        text = self._text(count, going) if count is not None else ""
        self._show(text, self._tint(count, going) if count is not None else "dim")

    def set_trouble(self, words: str) -> None:
        """Show why what is typed cannot be sent."""
        self._show(words, "error")

    def _show(self, text: str, tint: str) -> None:
        if (text, tint) == (self.text(), self.tint):
            return
        self.tint = tint
        self.setText(text)
        self.setAccessibleName(text)
        self.update()

    def _text(self, count: PromptCount, going: int) -> str:
        locale = self.locale()
        prompt, budget = locale.toString(count.prompt), locale.toString(count.budget)
        if count.estimated:  # only the server knows
            prompt = self.tr("about {count}").format(count=prompt)
        if count.overflows:
            return self.tr("Too long: {prompt} of {budget} tokens").format(
                prompt=prompt, budget=budget
            )
        text = self.tr("Prompt {prompt} of {budget} tokens").format(prompt=prompt, budget=budget)
        if not count.limit:
            text = self.tr("Prompt {prompt} tokens").format(prompt=prompt)
        elif (
            count.prompt > count.budget
        ):  # the last message alone: it may take of the answer's room
            text = self.tr("Prompt {prompt} of {limit} tokens, {left} left for the answer").format(
                prompt=prompt,
                limit=locale.toString(count.limit),
                left=locale.toString(count.limit - count.prompt),
            )
        if count.draft:
            draft = self.tr("Draft {draft}").format(draft=locale.toString(count.draft))
            text = f"{draft} · {text}"
        if going:
            goes = self.tr("%Ln messages will be left out", "", going)
            text = f"{text} · {goes}"
        return text

    def _tint(self, count: PromptCount, going: int) -> str:
        if count.overflows or going:
            return "error"
        return (
            "warning" if count.prompt > NEARLY_FULL * (count.budget or count.prompt * 2) else "dim"
        )

    def paintEvent(self, event: QPaintEvent) -> None:
        """What fits, in the colour the theme has now."""
        painter = QPainter(self)
        painter.setPen(QColor(getattr(theme.current(), self.tint)))
        shown = self.fontMetrics().elidedText(self.text(), self.elide, self.width())
        painter.drawText(self.rect(), self.alignment(), shown)
