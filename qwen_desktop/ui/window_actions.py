"""The actions of the window, made from their table: keys, which a user may change, tooltips and
the menu.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Slot
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QWidget

from qwen_desktop.ui import keys
from qwen_desktop.ui.actions import BY_NAME, GROUPS, SPECS, Group, Scope, group_title, label, tip

if TYPE_CHECKING:
    from qwen_desktop.bridge.preferences import PreferencesModel

_AT_THE_TOP = ("new", "search")  # of the menu, and not below a heading of it
_AT_THE_END = ("palette", "settings", "shortcuts", "quit")
_HIDDEN = frozenset({"menu", *_AT_THE_TOP, *_AT_THE_END})


class WindowActions(QObject):
    """Belongs to the window. `by_name` has the QAction of every action of scope WINDOW."""

    def __init__(
        self,
        window: QWidget,
        handlers: Mapping[str, Callable[[], object]],
        preferences: PreferencesModel,
    ) -> None:
        """Raises KeyError where an action of scope WINDOW has no handler."""
        super().__init__(window)
        self._preferences = preferences
        self._described: list[tuple[QWidget, str]] = []
        self.by_name: dict[str, QAction] = {}
        for spec in SPECS:
            if spec.scope is not Scope.WINDOW:
                continue
            action = QAction(label(spec), window)
            action.setObjectName(f"action_{spec.name}")
            action.setToolTip(tip(spec))
            handler = handlers[spec.name]
            action.triggered.connect(lambda _checked=False, call=handler: call())
            window.addAction(action)
            self.by_name[spec.name] = action
        preferences.shortcuts_changed.connect(self._bind)
        self._bind()

    @Slot()
    def _bind(self) -> None:
        bound = keys.resolve(self._preferences.shortcuts)
        for name, action in self.by_name.items():
            # In the portable form "+" and "," are parts of keys: one string for each.
            action.setShortcuts([QKeySequence(key) for key in bound[name]])
        for widget, name in self._described:
            self._describe(widget, name)

    def describe(self, widget: QWidget, name: str) -> None:
        """Let the tooltip of a control tell what the action `name` does, and its keys."""
        self._described.append((widget, name))
        self._describe(widget, name)

    def _describe(self, widget: QWidget, name: str) -> None:
        words = tip(BY_NAME[name])
        shortcut = self.shortcut_text(name)
        widget.setToolTip(f"{words} ({shortcut})" if shortcut else words)

    def shortcut_text(self, name: str) -> str:
        """The first keys of an action as this platform writes them; empty for none."""
        return self.by_name[name].shortcut().toString(QKeySequence.SequenceFormat.NativeText)

    def menu(self, parent: QWidget) -> QMenu:
        """Everything there is to do, by groups. Deletes itself once it is closed."""
        menu = QMenu(parent)
        menu.setObjectName("mainMenu")
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setAccessibleName(label(BY_NAME["menu"]))
        menu.addActions([self.by_name[name] for name in _AT_THE_TOP])
        menu.addSeparator()
        for group, _ in GROUPS:
            actions = self._of(group)
            if actions:
                part = menu.addMenu(group_title(group))
                part.setObjectName(f"menu_{group.value}")
                part.setAccessibleName(part.title())
                part.addActions(actions)
        menu.addSeparator()
        menu.addActions([self.by_name[name] for name in _AT_THE_END])
        return menu

    def _of(self, group: Group) -> list[QAction]:
        return [
            self.by_name[spec.name]
            for spec in SPECS
            if spec.group is group and spec.scope is Scope.WINDOW and spec.name not in _HIDDEN
        ]
