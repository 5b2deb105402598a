"""Every action and shortcut of the window, in one table. The dialog that lists them reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QWidget

from qwen_desktop.errors import QT_TRANSLATE_NOOP

CONTEXT = "actions"


class Scope(str, Enum):
    """Where a shortcut works."""

    WINDOW = "window"
    LIST = "list"  # the conversation list has the focus; the sidebar handles these
    MESSAGE = "message"  # the message field has the focus; the field handles these


@dataclass(frozen=True)
class Spec:
    """One action: its label (English, translated in context "actions") and its keys."""

    name: str
    label: str
    keys: tuple[str, ...]
    scope: Scope = Scope.WINDOW


SPECS: tuple[Spec, ...] = (
    Spec("new", QT_TRANSLATE_NOOP("actions", "New chat"), ("Ctrl+N",)),
    Spec("open", QT_TRANSLATE_NOOP("actions", "Open checkpoint folder"), ("Ctrl+O",)),
    Spec(
        "open_conversation",
        QT_TRANSLATE_NOOP("actions", "Open conversation file"),
        ("Ctrl+Shift+O",),
    ),
    Spec("import", QT_TRANSLATE_NOOP("actions", "Import conversations"), ("Ctrl+Shift+I",)),
    Spec("card", QT_TRANSLATE_NOOP("actions", "Model card"), ("Ctrl+I",)),
    Spec("search", QT_TRANSLATE_NOOP("actions", "Search conversations"), ("Ctrl+F", "Ctrl+K")),
    Spec("focus", QT_TRANSLATE_NOOP("actions", "Go to the message field"), ("Ctrl+L",)),
    Spec("regenerate", QT_TRANSLATE_NOOP("actions", "Answer again"), ("Ctrl+R",)),
    Spec("edit", QT_TRANSLATE_NOOP("actions", "Edit the last message"), ("Ctrl+E",)),
    Spec("thinking", QT_TRANSLATE_NOOP("actions", "Thinking on or off"), ("Ctrl+Shift+T",)),
    Spec("chat_settings", QT_TRANSLATE_NOOP("actions", "Chat settings"), ("Ctrl+Shift+P",)),
    Spec("stop", QT_TRANSLATE_NOOP("actions", "Stop the answer"), ("Esc",)),
    Spec("next_hit", QT_TRANSLATE_NOOP("actions", "Next search hit"), ("F3",)),
    Spec("previous_hit", QT_TRANSLATE_NOOP("actions", "Previous search hit"), ("Shift+F3",)),
    Spec(
        "undo_delete",
        QT_TRANSLATE_NOOP("actions", "Undo delete, archive or move"),
        ("Ctrl+Shift+Z",),
    ),
    Spec("panel", QT_TRANSLATE_NOOP("actions", "Show or hide the memory panel"), ("Ctrl+M",)),
    Spec("save_as", QT_TRANSLATE_NOOP("actions", "Save conversation as…"), ("Ctrl+Shift+S",)),
    Spec("export", QT_TRANSLATE_NOOP("actions", "Export…"), ("Ctrl+Shift+E",)),
    Spec("backups", QT_TRANSLATE_NOOP("actions", "Backups…"), ("Ctrl+Shift+B",)),
    Spec("settings", QT_TRANSLATE_NOOP("actions", "Settings"), ("Ctrl+,",)),
    Spec("shortcuts", QT_TRANSLATE_NOOP("actions", "Keyboard shortcuts"), ("F1",)),
    Spec("quit", QT_TRANSLATE_NOOP("actions", "Quit"), ("Ctrl+Q",)),
    Spec("send", QT_TRANSLATE_NOOP("actions", "Send message"), ("Enter",), Scope.MESSAGE),
    Spec("newline", QT_TRANSLATE_NOOP("actions", "New line"), ("Shift+Enter",), Scope.MESSAGE),
    Spec("row_open", QT_TRANSLATE_NOOP("actions", "Open conversation"), ("Enter",), Scope.LIST),
    Spec("rename", QT_TRANSLATE_NOOP("actions", "Rename conversation"), ("F2",), Scope.LIST),
    Spec(
        "delete",
        QT_TRANSLATE_NOOP("actions", "Delete conversation"),
        ("Ctrl+Del", "Ctrl+Backspace"),
        Scope.LIST,
    ),
    Spec("row_menu", QT_TRANSLATE_NOOP("actions", "Conversation menu"), ("Menu",), Scope.LIST),
    Spec("extend", QT_TRANSLATE_NOOP("actions", "Select several"), ("Shift+Down",), Scope.LIST),
    Spec("select_all", QT_TRANSLATE_NOOP("actions", "Select all"), ("Ctrl+A",), Scope.LIST),
)


def label(spec: Spec) -> str:
    """The label in the language of the interface."""
    return QCoreApplication.translate(CONTEXT, spec.label)


def add_to(window: QWidget, handlers: Mapping[str, Callable[[], object]]) -> dict[str, QAction]:
    """Make the window's actions so that their shortcuts work.

    Raises KeyError where an action of scope WINDOW has no handler.
    """
    made = {}
    for spec in SPECS:
        if spec.scope is not Scope.WINDOW:
            continue
        action = QAction(label(spec), window)
        action.setObjectName(f"action_{spec.name}")
        action.setShortcuts([QKeySequence(key) for key in spec.keys])
        handler = handlers[spec.name]
        action.triggered.connect(lambda _checked=False, call=handler: call())
        window.addAction(action)
        made[spec.name] = action
    return made
