"""The frame of the window: its three columns and their widths, what is dropped on it.

Knows nothing of the bridge. Places its columns by hand, which is the cheapest way to show them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QSize, Qt, Signal
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QGuiApplication,
    QResizeEvent,
)
from PySide6.QtWidgets import QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from qwen_desktop.paths import demo_checkpoint
from qwen_desktop.ui import theme
from qwen_desktop.ui.composer import Composer
from qwen_desktop.ui.controls import Line, Surface
from qwen_desktop.ui.handle import THICKNESS, Handle
from qwen_desktop.ui.header import Header
from qwen_desktop.ui.places import CENTRE, PANEL, SIDEBAR, Places, allowed, in_view, shown_width
from qwen_desktop.ui.sidebar import Sidebar

if TYPE_CHECKING:
    from qwen_desktop.ui.alarms import AlarmBanner
    from qwen_desktop.ui.drop_overlay import Drop, DropOverlay
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


class Frame(QMainWindow):  # which assistive technology knows as a window
    """Sidebar | header, banner, conversation, composer | memory panel."""

    paths_dropped = Signal(object)  # tuple[Path, ...]: one folder, or files to import
    files_dropped = Signal(object)  # tuple[Path, ...]: for the draft, if they are no conversations

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
        self._sidebar_wanted = True
        self._widths = [0, 0]  # of sidebar and panel, px at 100 %; 0 for the usual ones
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
        self._right: QWidget = Surface("panel", self)  # the place of the memory panel
        self.left_handle = Handle(self.tr("Width of the chat list"), 1, self)
        self.left_handle.setObjectName("sidebarWidth")
        self.right_handle = Handle(self.tr("Width of the memory panel"), -1, self)
        self.right_handle.setObjectName("panelWidth")
        for number, handle in enumerate((self.left_handle, self.right_handle)):
            handle.moved.connect(lambda width, one=number: self._set_width(one, width))
            handle.reset_requested.connect(lambda one=number: self._set_width(one, 0))
        QWidget.setTabOrder(self.sidebar.settings_button, self.left_handle)

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
            self.empty.more,
            self.empty.open_button,
            self.empty.get_button,
            self.empty.demo_button,
            self.composer.edit,
            self.composer.attach,
            self.composer.prompts,
            self.composer.options,
            self.composer.thinking,
            self.composer.button,
            self.toast.undo_button,
            self.toast.action_button,
            self.toast.close_button,
            self.right_handle,
            self.panel.ledger.gauge,
            self.panel.ledger.fold,
            self.panel.card,
            self.panel.cancel,
        )
        for one, following in pairwise(order):
            QWidget.setTabOrder(one, following)

    # -- places ----------------------------------------------------------------------------

    def restore_state(
        self,
        geometry: str,
        panel_visible: bool,
        sidebar_visible: bool = True,
        sidebar_width: int = 0,
        panel_width: int = 0,
    ) -> None:
        """Place the window as `state()` said; an empty `geometry` keeps the default."""
        self._panel_wanted, self._sidebar_wanted = panel_visible, sidebar_visible
        self._widths = [sidebar_width, panel_width]
        if geometry:
            self.restoreGeometry(QByteArray.fromHex(geometry.encode("ascii", "ignore")))
            self._come_into_view()
        self._place()

    def _come_into_view(self) -> None:
        """The monitor it was on may have gone, or have become smaller."""
        filling = Qt.WindowState.WindowMaximized | Qt.WindowState.WindowFullScreen
        if self.windowState() & filling or QGuiApplication.platformName() == "offscreen":
            return  # the system sees to it; the screen of that platform is no limit
        first = QGuiApplication.primaryScreen()
        screens = sorted(QGuiApplication.screens(), key=lambda screen: screen is not first)
        seen = in_view(self.geometry(), [screen.availableGeometry() for screen in screens])
        if seen != self.geometry():
            self.setGeometry(seen)

    def state(self) -> Places:
        """How the window is, for the next start."""
        geometry = bytes(self.saveGeometry().toHex().data()).decode("ascii")
        return Places(geometry, self._panel_wanted, self._sidebar_wanted, *self._widths)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Place the three columns."""
        super().resizeEvent(event)
        self._place()

    @property
    def _left(self) -> int:
        """The width of the sidebar in px, 0 while it is hidden."""
        if not self._sidebar_wanted:
            return 0
        return shown_width(allowed(self._widths[0], SIDEBAR), self.width(), 0)

    @property
    def _narrow(self) -> bool:
        """Whether the memory panel would leave too little for the conversation."""
        panel = theme.px(allowed(self._widths[1], PANEL))
        return self.width() < self._left + panel + theme.px(CENTRE)

    def _place(self) -> None:
        width, height = self.width(), self.height()
        left, narrow = self._left, self._narrow
        if not narrow:
            self._panel_narrow = False
        panel = shown_width(allowed(self._widths[1], PANEL), width, left)
        shown = (self._panel_narrow if narrow else self._panel_wanted) and panel > 0
        right = width - panel if shown else width
        begin = left + 1 if left else 0
        self.sidebar.setGeometry(0, 0, left, height)
        self.centre.setGeometry(begin, 0, (right - 1 if shown else right) - begin, height)
        self._right.setGeometry(right, 0, panel, height)
        middle = THICKNESS // 2
        self.left_handle.setGeometry(left - middle, 0, THICKNESS, height)
        self.right_handle.setGeometry(right - 1 - middle, 0, THICKNESS, height)
        for widget, seen in (
            (self.sidebar, left > 0),
            (self.left_handle, left > 0),
            (self._right, shown),
            (self.right_handle, shown),
        ):
            widget.setVisible(seen)
        for handle, actual, limits, other in (
            (self.left_handle, left, SIDEBAR, 0),
            (self.right_handle, panel, PANEL, left),
        ):
            handle.raise_()
            most = shown_width(limits[2], width, other)
            handle.show_width(actual, min(theme.px(limits[0]), most), most)

    def _set_width(self, which: int, width: int) -> None:
        """A column is to be `width` px wide on the screen; 0 for the usual width."""
        self._widths[which] = round(width / theme.look().zoom)
        self._place()

    def toggle_panel(self) -> None:
        """Show or hide the memory panel. A narrow window forgets it again when it gets wide."""
        if self._narrow:
            self._panel_narrow = not self._panel_narrow
        else:
            self._panel_wanted = not self._panel_wanted
        self._place()

    def toggle_sidebar(self) -> None:
        """Show or hide the conversation list."""
        focused = self.focusWidget()
        self._sidebar_wanted = not self._sidebar_wanted
        if focused is not None and self.sidebar.isAncestorOf(focused):
            self.composer.focus_edit()  # hidden, it would hand the focus on to any part
        self._place()

    def show_sidebar(self) -> None:
        """Show the conversation list."""
        if not self._sidebar_wanted:
            self.toggle_sidebar()

    # -- what is dropped -------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Say what a drop would do. Dragged text is left to the message field."""
        if not event.mimeData().hasUrls():
            return
        self.overlay.show_for(self._drop(event))
        event.acceptProposedAction()  # a refusal has to hear of the leave, too

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Only what the overlay says may be dropped, which is another thing over the list."""
        self.overlay.show_for(self._drop(event))
        if self.overlay.accepts:
            event.acceptProposedAction()
        else:
            event.ignore()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Gone again."""
        self.overlay.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        """Tell of the files or the folder."""
        from qwen_desktop.ui.drop_overlay import local_paths

        self.overlay.hide()
        paths, drop = local_paths(event.mimeData()), self._drop(event)
        if not drop.welcome:
            event.ignore()
            return
        event.acceptProposedAction()
        (self.files_dropped if drop.attaches else self.paths_dropped).emit(paths)

    def _drop(self, event: QDropEvent) -> Drop:
        """What a drop where the pointer is would do."""
        from qwen_desktop.ui.drop_overlay import drop_of, local_paths

        over_chat = self.centre.geometry().contains(event.position().toPoint())
        return drop_of(local_paths(event.mimeData()), attach=over_chat)
