"""Where the window and its columns are: what is kept of that, and bringing it back into view.

No widgets. Lengths are px; those of columns are at 100 %, so that they keep up with the zoom.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from PySide6.QtCore import QPoint, QRect, QSize

from qwen_desktop.ui import theme

SIDEBAR = (200, theme.SIDEBAR_WIDTH, 480)  # narrowest, usual, widest
PANEL = (240, theme.PANEL_WIDTH, 520)
CENTRE = 628  # with less for the conversation the memory panel folds away
_NARROWEST_CENTRE = 420  # px on the screen, whatever the zoom
_GRIP = QSize(96, 32)  # px of the title bar that have to be seen to move a window by


class Places(NamedTuple):
    """How the window was left. A width of 0 is the usual one."""

    geometry: str = ""  # Qt's saveGeometry() in hexadecimal
    panel_visible: bool = True
    sidebar_visible: bool = True
    sidebar_width: int = 0
    panel_width: int = 0


def allowed(width: int, limits: tuple[int, int, int]) -> int:
    """`width` within its limits; the usual one for 0."""
    least, usual, most = limits
    return min(max(width, least), most) if width > 0 else usual


def shown_width(width: int, window: int, other: int) -> int:
    """What a column of `width` px at 100 % gets, beside `other` px, in a window of `window`."""
    return max(min(theme.px(width), window - other - _NARROWEST_CENTRE), 0)


def in_view(frame: QRect, screens: Sequence[QRect]) -> QRect:
    """`frame`, or where it has to go to be seen on one of `screens`, the first of them as a last
    resort; no larger than that.

    A window whose title bar can be taken hold of stays where it is.
    """
    if not screens:
        return frame
    bar = QRect(frame.topLeft(), QSize(frame.width(), _GRIP.height()))
    seen = [screen.intersected(bar) for screen in screens]
    home = max(screens, key=lambda screen: _area(screen.intersected(frame)))
    fits = frame.width() <= home.width() and frame.height() <= home.height()
    if fits and any(s.width() >= _GRIP.width() and s.height() >= _GRIP.height() for s in seen):
        return frame
    size = frame.size().boundedTo(home.size())
    x = min(max(frame.left(), home.left()), home.right() + 1 - size.width())
    y = min(max(frame.top(), home.top()), home.bottom() + 1 - size.height())
    if not _area(home.intersected(frame)):  # its monitor has gone: the middle of another one
        x = home.left() + (home.width() - size.width()) // 2
        y = home.top() + (home.height() - size.height()) // 2
    return QRect(QPoint(x, y), size)


def _area(rect: QRect) -> int:
    return rect.width() * rect.height() if rect.isValid() else 0
