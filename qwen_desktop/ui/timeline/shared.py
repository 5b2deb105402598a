"""What all parts of one timeline share: the theme, style sheets and signals upwards."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol, runtime_checkable

from PySide6.QtCore import QObject, QPoint, QUrl, Signal
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QWidget

from qwen_desktop.chat.matching import Matcher
from qwen_desktop.chat.messages import Message
from qwen_desktop.ui.theme import CODE_FAMILIES, Look, Theme, line_height, look, px
from qwen_desktop.ui.timeline.maths import Maths
from qwen_desktop.ui.timeline.offers import ASKING, SETTLED, Act

GAP = 12  # px between blocks
RADIUS = 8  # px, code
CARD_RADIUS = 12  # px, messages


class Shared(QObject):
    """Handed to every block, so that none needs to know the timeline."""

    link_activated = Signal(QUrl)
    acted = Signal(object, object)  # Act, Message; all but EDIT and COPY, which stay inside
    edit_requested = Signal(str, str)  # message id, new text
    edit_typed = Signal(str, str)  # message id, what its editor holds; "" where it is left
    edit_begun = Signal()  # an editor opened and has the focus
    edit_ended = Signal()  # it is gone, and nothing has the focus
    version_requested = Signal(str, int)  # message id, -1 or 1
    menu_requested = Signal(str, QPoint)  # message id, where in global coordinates
    policy_requested = Signal()
    resized = Signal()  # a part changed its height by a click
    settled = Signal()  # parts changed their heights by themselves
    save_requested = Signal(str, str)  # file name, code
    note_requested = Signal(object, str)  # the text that refers to a footnote, its name
    note_left = Signal(object, str)  # the button beside a footnote, its name

    def __init__(self, theme: Theme, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.theme = theme
        self.maths = Maths(self)
        self.maths.settled.connect(self.settled)
        self.can_answer = True  # there is a model, and it is free
        self.streaming = False  # one of the answers shown is being written
        self.collapse_reasoning = True  # when the answer begins
        self.matcher = Matcher(())  # what is marked

    def allows(self, act: Act) -> bool:
        """Whether `act` can be done now."""
        if act in SETTLED and self.streaming:
            return False
        return act not in ASKING or self.can_answer

    def perform(self, act: Act, message: Message) -> None:
        """Ask for `act`."""
        self.acted.emit(act, message)


@runtime_checkable
class Holder(Protocol):
    """A widget that places others by their heights."""

    def part_resized(self, part: QWidget) -> None:
        """`part` wants another height."""


def tell_resized(part: QWidget) -> None:
    """Let whatever holds `part` know that it wants another height."""
    holder: object = part.parentWidget()
    if isinstance(holder, Holder):
        holder.part_resized(part)


def style_sheet(theme: Theme) -> str:
    """The style sheet of rendered Markdown, in the look that is in use."""
    return _style_sheet(theme, look())


@lru_cache(maxsize=8)
def _style_sheet(theme: Theme, _look: Look) -> str:
    # Only what QTextDocument knows: a rule that it cannot parse drops all rules after it.
    code = ", ".join(f"'{family}'" for family in CODE_FAMILIES)
    line = f"line-height:{line_height()}px"
    return f"""
p {{ margin:0; {line} }}
li {{ {line} }}
li p {{ margin-bottom:6px }}
ul, ol {{ margin-top:0; margin-bottom:0 }}
blockquote {{ margin:0 0 0 16px }}
h1, h2, h3, h4, h5, h6 {{ margin:0; font-weight:600 }}
h1 {{ font-size:{px(20)}px; line-height:{px(28)}px }}
h2 {{ font-size:{px(17)}px; line-height:{px(26)}px }}
h3 {{ font-size:{px(15)}px; line-height:{px(24)}px }}
h4, h5, h6 {{ font-size:{px(14)}px; {line} }}
a {{ color:{theme.accent} }}
code {{ font-family:{code}; font-size:{px(13)}px; background-color:{theme.code} }}
pre {{ font-family:{code}; font-size:{px(13)}px; background-color:{theme.code}; margin:0 }}
table {{ border-collapse:collapse; margin:0 }}
td, th {{ padding:6px 12px; border:1px solid {theme.line} }}
th {{ background-color:{theme.code}; font-weight:600 }}
"""


def rounded(
    painter: QPainter, widget: QWidget, fill: str, border: str | None, radius: float = RADIUS
) -> None:
    """Fill `widget` as a rounded box."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(QColor(fill))
    painter.setPen(QColor(border or fill))
    rect = widget.rect().toRectF().adjusted(0.5, 0.5, -0.5, -0.5)
    painter.drawRoundedRect(rect, radius, radius)
