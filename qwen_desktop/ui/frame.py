"""The frame of the window: its three columns, the memory panel that folds, what is dropped on it.

Knows nothing of the bridge. Places its columns by hand, which is the cheapest way to show them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QSize, Signal
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QGuiApplication,
    QResizeEvent,
)
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from qwen_desktop.paths import demo_checkpoint
from qwen_desktop.ui import theme
from qwen_desktop.ui.composer import Composer
from qwen_desktop.ui.controls import Line, Surface
from qwen_desktop.ui.header import Header
from qwen_desktop.ui.sidebar import Sidebar

if TYPE_CHECKING:
    from qwen_desktop.ui.alarms import AlarmBanner
    from qwen_desktop.ui.drop_overlay import DropOverlay
    from qwen_desktop.ui.empty_state import EmptyState
    from qwen_desktop.ui.memory_panel import MemoryPanel
    from qwen_desktop.ui.notices import Notices
    from qwen_desktop.ui.problem import Banner
    from qwen_desktop.ui.toast import Toast

SIZE = (1400, 900)
SMALLEST = (900, 600)
TITLE_BAR = 40  # px, at most; the true height is known only after the window is shown


def fitting(room: QSize) -> QSize:
    """The size of a first window on a screen with `room` for it and its title bar, in px."""
    width, height = (min(SIZE[0], room.width()), min(SIZE[1], room.height() - TITLE_BAR))
    return QSize(max(SMALLEST[0], width), max(SMALLEST[1], height))


class Frame(QWidget):
    """Sidebar | header, banner, conversation, composer | memory panel."""

    paths_dropped = Signal(object)  # tuple[Path, ...]: one folder, or files

    # Made by `build_rest()`.
    notices: Notices
    alarms: AlarmBanner
    banner: Banner
    empty: EmptyState
    toast: Toast
    panel: MemoryPanel
    overlay: DropOverlay

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._panel_wanted = True
        self._panel_narrow = False  # in a narrow window it is shown only when asked for
        self.setMinimumSize(*SMALLEST)
        self.setAcceptDrops(True)
        self._build()
        if QGuiApplication.platformName() != "offscreen":  # its screen is no limit
            self.resize(fitting(self.screen().availableGeometry().size()))
        else:
            self.resize(*SIZE)

    def _build(self) -> None:
        self.sidebar = Sidebar(self)
        self._left_line = Line(vertical=True, parent=self)
        self.centre = Surface("background", self)
        self.header = Header(demo_checkpoint())
        self.body = QStackedWidget()
        self.body.addWidget(QWidget())  # blank until it is known what to show
        self.composer = Composer()
        self._column = QVBoxLayout(self.centre)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._column.addWidget(self.header)
        self._column.addWidget(Line())
        self._column.addWidget(self.body, 1)
        self._column.addWidget(self.composer)
        self._right_line = Line(vertical=True, parent=self)
        self._right: QWidget = Surface("panel", self)  # the place of the memory panel

    def build_rest(self) -> None:
        """Make what the first paint does without."""
        from qwen_desktop.ui.alarms import AlarmBanner
        from qwen_desktop.ui.drop_overlay import DropOverlay
        from qwen_desktop.ui.empty_state import EmptyState
        from qwen_desktop.ui.memory_panel import MemoryPanel
        from qwen_desktop.ui.notices import Notices
        from qwen_desktop.ui.problem import Banner
        from qwen_desktop.ui.toast import Toast

        self.notices = Notices()
        self.alarms = AlarmBanner()
        self.banner = Banner()
        for card in (self.notices, self.alarms, self.banner):
            self._column.insertWidget(self._column.indexOf(self.body), card)
        self.empty = EmptyState()
        self.body.addWidget(self.empty)
        self.toast = Toast(self.centre, self.composer)
        self.overlay = DropOverlay(self)
        self._right.deleteLater()
        self.panel = self._right = MemoryPanel(self)
        self._place()
        order = (
            self.header.panel,
            *self.notices.controls,
            *(card.close_button for card in self.alarms.cards.values()),
            self.banner.action,
            self.banner.details,
            self.banner.close_button,
            self.empty.open_button,
            self.empty.more,
            self.composer.edit,
            self.composer.options,
            self.composer.thinking,
            self.composer.button,
            self.toast.undo_button,
            self.toast.action_button,
            self.toast.close_button,
            self.panel.card,
            self.panel.cancel,
        )
        for one, following in pairwise(order):
            QWidget.setTabOrder(one, following)

    def restore_state(self, geometry: str, panel_visible: bool) -> None:
        """Place the window as `state()` said; an empty `geometry` keeps the default."""
        self._panel_wanted = panel_visible
        if geometry:
            self.restoreGeometry(QByteArray.fromHex(geometry.encode("ascii", "ignore")))
        self._place()

    def state(self) -> tuple[str, bool]:
        """Geometry in hexadecimal, and whether the memory panel is wanted."""
        return bytes(self.saveGeometry().toHex().data()).decode("ascii"), self._panel_wanted

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Place the three columns."""
        super().resizeEvent(event)
        self._place()

    @property
    def _narrow(self) -> bool:
        return self.width() < theme.PANEL_COLLAPSES_BELOW

    def _place(self) -> None:
        width, height = self.width(), self.height()
        if not self._narrow:
            self._panel_narrow = False
        shown = self._panel_narrow if self._narrow else self._panel_wanted
        left = theme.SIDEBAR_WIDTH
        panel_left = width - theme.PANEL_WIDTH if shown else width
        right = panel_left - 1 if shown else width
        self.sidebar.setGeometry(0, 0, left, height)
        self._left_line.setGeometry(left, 0, 1, height)
        self.centre.setGeometry(left + 1, 0, right - left - 1, height)
        self._right.setGeometry(panel_left, 0, theme.PANEL_WIDTH, height)
        self._right_line.setGeometry(panel_left - 1, 0, 1, height)
        for widget in (self._right, self._right_line):
            widget.setVisible(shown)

    def toggle_panel(self) -> None:
        """Show or hide the memory panel. A narrow window forgets it again when it gets wide."""
        if self._narrow:
            self._panel_narrow = not self._panel_narrow
        else:
            self._panel_wanted = not self._panel_wanted
        self._place()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Say what a drop would do. Dragged text is left to the message field."""
        if not event.mimeData().hasUrls():
            return
        from qwen_desktop.ui.drop_overlay import drop_of, local_paths

        self.overlay.show_for(drop_of(local_paths(event.mimeData())))
        event.acceptProposedAction()  # a refusal has to hear of the leave, too

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Only what the overlay says may be dropped."""
        if self.overlay.accepts:
            event.acceptProposedAction()
        else:
            event.ignore()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Gone again."""
        self.overlay.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        """Tell of the files or the folder."""
        from qwen_desktop.ui.drop_overlay import drop_of, local_paths

        self.overlay.hide()
        paths = local_paths(event.mimeData())
        if not drop_of(paths).welcome:
            event.ignore()
            return
        event.acceptProposedAction()
        self.paths_dropped.emit(paths)
