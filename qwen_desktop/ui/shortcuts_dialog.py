"""The table of actions and their keys, which can be changed by pressing others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QFont, QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from qwen_desktop.ui import keys, theme
from qwen_desktop.ui.actions import BY_NAME, GROUPS, SPECS, Scope, Spec, group_title, label
from qwen_desktop.ui.controls import Button, Label, ScrollBar
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.module_tree import ROW_HEIGHT, soften

if TYPE_CHECKING:
    from qwen_desktop.bridge.preferences import PreferencesModel

_NAME_ROLE = int(Qt.ItemDataRole.UserRole)


class KeyField(QLineEdit):
    """Tells which keys are pressed while it has the focus. Escape and Tab leave it."""

    pressed = Signal(str)
    left = Signal()

    def event(self, event: QEvent) -> bool:
        """Take every key before a shortcut does; Tab is an ordinary way on."""
        if event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """One combination is all it takes."""
        if event.key() == Qt.Key.Key_Escape and not event.modifiers():
            self.left.emit()
            return
        if text := keys.pressed(event.keyCombination()):
            self.setText(keys.native((text,)))
            self.pressed.emit(text)


class ShortcutsDialog(Dialog):
    """Grouped as the menu is; what works only in one place stands at the end."""

    def __init__(self, preferences: PreferencesModel, parent: QWidget | None = None) -> None:
        super().__init__("shortcutsDialog", self.tr("Keyboard shortcuts"), parent)
        self.resize(theme.px(600), theme.px(620))
        self._preferences = preferences
        self._adding = False  # another key, rather than one in place of all
        self._wanted = ""  # keys that another action has
        self._build()
        self._show_keys()
        self._on_row()
        preferences.shortcuts_changed.connect(self._show_keys)

    def _build(self) -> None:
        self.table = QTreeWidget()
        self.table.setObjectName("shortcuts")
        self.table.setAccessibleName(self.tr("Keyboard shortcuts"))
        self.table.setHeaderLabels([self.tr("Action"), self.tr("Keys")])
        self.table.setHeaderHidden(True)
        self.table.setRootIsDecorated(False)
        self.table.setIndentation(12)
        self.table.setFrameShape(QFrame.Shape.NoFrame)
        self.table.setUniformRowHeights(True)
        self.table.setFont(theme.body_font(13))
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, self.table))
        self.table.setTabKeyNavigation(False)
        self.table.setItemsExpandable(False)
        self._items: dict[str, QTreeWidgetItem] = {}
        for group, _ in GROUPS:
            self._add(
                group_title(group),
                [s for s in SPECS if s.scope is Scope.WINDOW and s.group is group],
            )
        for scope, title in (
            (Scope.MESSAGE, self.tr("In the message field")),
            (Scope.READING, self.tr("In the chat")),
            (Scope.LIST, self.tr("In the chat list")),
        ):
            self._add(title, [spec for spec in SPECS if spec.scope is scope])
        self.table.expandAll()
        self.table.setColumnWidth(0, theme.px(360))
        soften(self.table)
        self.table.currentItemChanged.connect(self._on_row)
        self.table.itemActivated.connect(lambda: self._begin(adding=False))
        self.said = Label("", 13, wrap=True)
        self.said.setObjectName("shortcutSaid")
        self.said.setMinimumHeight(theme.px(36))
        self.field = KeyField()
        self.field.setObjectName("newKeys")
        self.field.setAccessibleName(self.tr("New keys"))
        self.field.setPlaceholderText(self.tr("Press the new keys…"))
        self.field.setReadOnly(True)
        self.field.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)
        self.field.pressed.connect(self._on_keys)
        self.field.left.connect(self._end)
        self.take = self._button("takeKeys", self.tr("Use it here"), self._take)
        self.change = self._button("changeKeys", self.tr("Change…"), lambda: self._begin())
        self.add = self._button("addKeys", self.tr("Add…"), lambda: self._begin(adding=True))
        self.remove = self._button("removeKeys", self.tr("Remove"), self._remove)
        self.reset = self._button("resetKeys", self.tr("Reset"), self._reset)
        self.reset_all = self._button("resetAllKeys", self.tr("Reset all"), self._reset_all)
        edit = QHBoxLayout()
        edit.setSpacing(8)
        edit.addWidget(self.field, 1)
        edit.addWidget(self.take)
        row = QHBoxLayout()
        row.setSpacing(8)
        for button in (self.change, self.add, self.remove, self.reset):
            row.addWidget(button)
        row.addStretch(1)
        row.addWidget(self.reset_all)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 16, 20, 16)
        column.setSpacing(10)
        column.addWidget(self.table, 1)
        column.addWidget(self.said)
        column.addLayout(edit)
        column.addLayout(row)
        column.addWidget(self.close_box())
        self.field.hide()
        self.take.hide()

    def _button(self, name: str, text: str, run: object) -> Button:
        button = Button(text, height=30)
        button.setObjectName(name)
        button.setAccessibleName(text)
        button.clicked.connect(run)
        return button

    def _add(self, title: str, specs: list[Spec]) -> None:
        head = QTreeWidgetItem(self.table, [title])
        head.setFlags(Qt.ItemFlag.ItemIsEnabled)
        head.setFont(0, theme.body_font(13, QFont.Weight.DemiBold))
        head.setFirstColumnSpanned(True)
        head.setSizeHint(0, QSize(0, theme.px(ROW_HEIGHT)))
        for spec in specs:
            item = QTreeWidgetItem(head, [label(spec)])
            item.setData(0, _NAME_ROLE, spec.name)
            item.setSizeHint(0, QSize(0, theme.px(ROW_HEIGHT)))
            self._items[spec.name] = item

    # -- what is shown ---------------------------------------------------------------------

    def _show_keys(self) -> None:
        bound = keys.resolve(self._preferences.shortcuts)
        for name, item in self._items.items():
            item.setText(1, keys.native(bound[name]))
            own = name in self._preferences.shortcuts
            weight = QFont.Weight.DemiBold if own else QFont.Weight.Normal
            item.setFont(1, theme.body_font(13, weight))
        self._on_row()

    @property
    def _name(self) -> str:
        """The chosen action; empty for a heading."""
        item = self.table.currentItem()
        return str(item.data(0, _NAME_ROLE) or "") if item is not None else ""

    def _on_row(self, *_: object) -> None:
        if self.field.isVisible():
            self._end()
        name = self._name
        mine = bool(name) and BY_NAME[name].scope is Scope.WINDOW
        has = mine and bool(keys.resolve(self._preferences.shortcuts)[name])
        self.change.setEnabled(mine)
        self.add.setEnabled(has)
        self.remove.setEnabled(has)
        self.reset.setEnabled(name in self._preferences.shortcuts)
        self.reset_all.setEnabled(bool(self._preferences.shortcuts))
        fixed = self.tr("These keys cannot be changed.") if name and not mine else ""
        self._say(fixed)

    def _say(self, text: str) -> None:
        self.said.setText(text)
        self.said.setAccessibleName(text)

    # -- what the user does ----------------------------------------------------------------

    def _begin(self, adding: bool = False) -> None:
        if not self.change.isEnabled():
            return
        self._adding, self._wanted = adding, ""
        self.field.clear()
        self.take.hide()
        self.field.show()
        self.field.setFocus(Qt.FocusReason.OtherFocusReason)
        action = label(BY_NAME[self._name])
        self._say(self.tr("Press the keys for “{action}”, or Esc.").format(action=action))

    def _on_keys(self, pressed: str) -> None:
        self._wanted = ""
        self.take.hide()
        if why := keys.refused(pressed):
            self._say(why)
            return
        bound = keys.resolve(self._preferences.shortcuts)
        other = keys.user_of(pressed, bound, but=self._name)
        if other is None:
            self._set(pressed)
            return
        self._wanted = pressed
        self._say(keys.in_use(pressed, label(other)))
        self.take.show()

    def _take(self) -> None:
        if self._wanted:
            self._set(self._wanted)

    def _set(self, pressed: str) -> None:
        own, name = self._preferences.shortcuts, self._name
        before = keys.resolve(own)[name] if self._adding else ()
        self._end()
        self._preferences.set_shortcuts(keys.with_keys(own, name, (*before, pressed)))

    def _end(self) -> None:
        had = self.field.hasFocus() or self.take.hasFocus()
        self._wanted = ""
        self.field.hide()
        self.take.hide()
        self._say("")
        if had:
            self.table.setFocus(Qt.FocusReason.OtherFocusReason)

    def _remove(self) -> None:
        own = self._preferences.shortcuts
        self._preferences.set_shortcuts(keys.with_keys(own, self._name, ()))

    def _reset(self) -> None:
        self._preferences.set_shortcuts(keys.without(self._preferences.shortcuts, self._name))

    def _reset_all(self) -> None:
        self._preferences.set_shortcuts({})
