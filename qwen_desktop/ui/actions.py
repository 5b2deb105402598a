"""Every action and shortcut of the window, in one table.

It feeds the menu, the tooltips, the list of shortcuts, the command palette and the keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from PySide6.QtCore import QCoreApplication

from qwen_desktop.errors import QT_TRANSLATE_NOOP

CONTEXT = "actions"


class Scope(str, Enum):
    """Where a shortcut works."""

    WINDOW = "window"
    LIST = "list"  # the conversation list has the focus; the sidebar handles these
    MESSAGE = "message"  # the message field has the focus; the field handles these
    READING = "reading"  # the messages have the focus; the timeline handles these


class Group(str, Enum):
    """What an action is about: a part of the menu."""

    CHAT = "chat"
    ANSWER = "answer"
    SEARCH = "search"
    VIEW = "view"
    MODEL = "model"
    TOOLS = "tools"
    DATA = "data"
    HELP = "help"
    PROGRAM = "program"


GROUPS: tuple[tuple[Group, str], ...] = (
    (Group.CHAT, QT_TRANSLATE_NOOP("actions", "Chat")),
    (Group.ANSWER, QT_TRANSLATE_NOOP("actions", "Answer")),
    (Group.SEARCH, QT_TRANSLATE_NOOP("actions", "Search")),
    (Group.VIEW, QT_TRANSLATE_NOOP("actions", "View")),
    (Group.MODEL, QT_TRANSLATE_NOOP("actions", "Model")),
    (Group.TOOLS, QT_TRANSLATE_NOOP("actions", "Tools")),
    (Group.DATA, QT_TRANSLATE_NOOP("actions", "Import, export, backups")),
    (Group.HELP, QT_TRANSLATE_NOOP("actions", "Help")),
    (Group.PROGRAM, QT_TRANSLATE_NOOP("actions", "Program")),
)


@dataclass(frozen=True)
class Spec:
    """One action: its label (English, translated in context "actions") and its usual keys.

    `tip` says more than the label, where there is more to say.
    """

    name: str
    label: str
    keys: tuple[str, ...]
    group: Group
    scope: Scope = Scope.WINDOW
    tip: str = ""


SPECS: tuple[Spec, ...] = (
    Spec("new", QT_TRANSLATE_NOOP("actions", "New chat"), ("Ctrl+N",), Group.CHAT),
    Spec(
        "next_conversation",
        QT_TRANSLATE_NOOP("actions", "Chat used before"),
        ("Ctrl+Tab",),
        Group.CHAT,
        tip=QT_TRANSLATE_NOOP(
            "actions", "Hold Ctrl and press Tab again to go further back in the order of use."
        ),
    ),
    Spec(
        "previous_conversation",
        QT_TRANSLATE_NOOP("actions", "Chat used longest ago"),
        ("Ctrl+Shift+Tab",),
        Group.CHAT,
    ),
    Spec("focus", QT_TRANSLATE_NOOP("actions", "Go to the message field"), ("Ctrl+L",), Group.CHAT),
    Spec("attach", QT_TRANSLATE_NOOP("actions", "Attach files"), ("Ctrl+U",), Group.CHAT),
    Spec("prompts", QT_TRANSLATE_NOOP("actions", "Prompt library"), ("Ctrl+Shift+L",), Group.CHAT),
    Spec("chat_settings", QT_TRANSLATE_NOOP("actions", "Chat settings"), ("Ctrl+G",), Group.CHAT),
    Spec(
        "undo_delete",
        QT_TRANSLATE_NOOP("actions", "Undo delete, archive or move"),
        ("Ctrl+Shift+Z",),
        Group.CHAT,
    ),
    Spec("stop", QT_TRANSLATE_NOOP("actions", "Stop the answer"), ("Esc",), Group.ANSWER),
    Spec("regenerate", QT_TRANSLATE_NOOP("actions", "Answer again"), ("Ctrl+R",), Group.ANSWER),
    Spec("edit", QT_TRANSLATE_NOOP("actions", "Edit the last message"), ("Ctrl+E",), Group.ANSWER),
    Spec(
        "thinking",
        QT_TRANSLATE_NOOP("actions", "Thinking on or off"),
        ("Ctrl+Shift+T",),
        Group.ANSWER,
    ),
    Spec(
        "search",
        QT_TRANSLATE_NOOP("actions", "Search chats"),
        ("Ctrl+K", "Ctrl+Shift+F"),
        Group.SEARCH,
    ),
    Spec(
        "find",
        QT_TRANSLATE_NOOP("actions", "Find in this chat"),
        ("Ctrl+F",),
        Group.SEARCH,
    ),
    Spec("next_hit", QT_TRANSLATE_NOOP("actions", "Next search hit"), ("F3",), Group.SEARCH),
    Spec(
        "previous_hit",
        QT_TRANSLATE_NOOP("actions", "Previous search hit"),
        ("Shift+F3",),
        Group.SEARCH,
    ),
    Spec(
        "sidebar",
        QT_TRANSLATE_NOOP("actions", "Show or hide the chat list"),
        ("Ctrl+B",),
        Group.VIEW,
    ),
    Spec(
        "panel",
        QT_TRANSLATE_NOOP("actions", "Show or hide the memory panel"),
        ("Ctrl+J", "Ctrl+M"),
        Group.VIEW,
    ),
    Spec("zoom_in", QT_TRANSLATE_NOOP("actions", "Larger"), ("Ctrl++", "Ctrl+="), Group.VIEW),
    Spec("zoom_out", QT_TRANSLATE_NOOP("actions", "Smaller"), ("Ctrl+-",), Group.VIEW),
    Spec("zoom_reset", QT_TRANSLATE_NOOP("actions", "Usual size"), ("Ctrl+0",), Group.VIEW),
    Spec("open", QT_TRANSLATE_NOOP("actions", "Open checkpoint folder"), ("Ctrl+O",), Group.MODEL),
    Spec(
        "models",
        QT_TRANSLATE_NOOP("actions", "Models…"),
        ("Ctrl+Shift+G",),
        Group.MODEL,
        tip=QT_TRANSLATE_NOOP(
            "actions", "Checkpoints of this computer, what there is to download, and downloads."
        ),
    ),
    Spec(
        "get",
        QT_TRANSLATE_NOOP("actions", "Get a checkpoint…"),
        ("Ctrl+Shift+K",),
        Group.MODEL,
        tip=QT_TRANSLATE_NOOP(
            "actions", "Download one from Hugging Face or ModelScope. No hub is asked before."
        ),
    ),
    Spec("downloads", QT_TRANSLATE_NOOP("actions", "Downloads"), ("Ctrl+Shift+J",), Group.MODEL),
    Spec(
        "hub_access",
        QT_TRANSLATE_NOOP("actions", "Hub access…"),
        ("Ctrl+Shift+A",),
        Group.MODEL,
        tip=QT_TRANSLATE_NOOP("actions", "Tokens for what a hub shows only to some."),
    ),
    Spec("card", QT_TRANSLATE_NOOP("actions", "Model card"), ("Ctrl+Shift+D",), Group.MODEL),
    Spec(
        "memory_chart",
        QT_TRANSLATE_NOOP("actions", "Memory and context…"),
        ("Ctrl+Shift+M",),
        Group.TOOLS,
        tip=QT_TRANSLATE_NOOP(
            "actions", "What this chat has taken as it grew: memory, and how fast it was."
        ),
    ),
    Spec(
        "study",
        QT_TRANSLATE_NOOP("actions", "Memory study…"),
        ("Ctrl+Shift+Y",),
        Group.TOOLS,
        tip=QT_TRANSLATE_NOOP(
            "actions", "Measure what prompts of growing length take, in three ways."
        ),
    ),
    Spec(
        "connections",
        QT_TRANSLATE_NOOP("actions", "Connections…"),
        ("Ctrl+Shift+N",),
        Group.TOOLS,
        tip=QT_TRANSLATE_NOOP(
            "actions", "Servers that may answer chats in place of the checkpoint here."
        ),
    ),
    Spec(
        "server",
        QT_TRANSLATE_NOOP("actions", "Local server…"),
        ("Ctrl+Shift+X",),
        Group.TOOLS,
        tip=QT_TRANSLATE_NOOP("actions", "Let other programs of this computer ask the open model."),
    ),
    Spec(
        "inspect",
        QT_TRANSLATE_NOOP("actions", "Inspect prompt…"),
        ("Ctrl+I",),
        Group.TOOLS,
        tip=QT_TRANSLATE_NOOP("actions", "What the model would be sent now, token by token."),
    ),
    Spec(
        "turn_steps",
        QT_TRANSLATE_NOOP("actions", "How a turn works…"),
        ("Ctrl+Shift+H",),
        Group.TOOLS,
        tip=QT_TRANSLATE_NOOP("actions", "The newest answer step by step, with its real values."),
    ),
    Spec(
        "open_conversation",
        QT_TRANSLATE_NOOP("actions", "Open chat file…"),
        ("Ctrl+Shift+O",),
        Group.DATA,
    ),
    Spec(
        "import",
        QT_TRANSLATE_NOOP("actions", "Import chats…"),
        ("Ctrl+Shift+I",),
        Group.DATA,
    ),
    Spec(
        "save_as",
        QT_TRANSLATE_NOOP("actions", "Save chat as…"),
        ("Ctrl+Shift+S",),
        Group.DATA,
    ),
    Spec("export", QT_TRANSLATE_NOOP("actions", "Export…"), ("Ctrl+Shift+E",), Group.DATA),
    Spec("backups", QT_TRANSLATE_NOOP("actions", "Backups…"), ("Ctrl+Shift+B",), Group.DATA),
    Spec(
        "diagnostics",
        QT_TRANSLATE_NOOP("actions", "Diagnostics…"),
        ("Ctrl+F1",),
        Group.HELP,
        tip=QT_TRANSLATE_NOOP(
            "actions", "Versions, devices, paths and the database: what helps to find a fault."
        ),
    ),
    Spec(
        "about",
        QT_TRANSLATE_NOOP("actions", "About Qwen Desktop…"),
        ("Shift+F1",),
        Group.HELP,
        tip=QT_TRANSLATE_NOOP("actions", "The version, licences, and a look for updates."),
    ),
    Spec(
        "palette",
        QT_TRANSLATE_NOOP("actions", "Command palette"),
        ("Ctrl+Shift+P",),
        Group.PROGRAM,
    ),
    Spec("settings", QT_TRANSLATE_NOOP("actions", "Settings"), ("Ctrl+,",), Group.PROGRAM),
    Spec(
        "shortcuts",
        QT_TRANSLATE_NOOP("actions", "Keyboard shortcuts"),
        ("F1", "Ctrl+?"),
        Group.PROGRAM,
    ),
    Spec("menu", QT_TRANSLATE_NOOP("actions", "Main menu"), ("F10",), Group.PROGRAM),
    Spec("quit", QT_TRANSLATE_NOOP("actions", "Quit"), ("Ctrl+Q",), Group.PROGRAM),
    Spec(
        "send",
        QT_TRANSLATE_NOOP("actions", "Send message"),
        ("Enter",),
        Group.CHAT,
        Scope.MESSAGE,
    ),
    Spec(
        "newline",
        QT_TRANSLATE_NOOP("actions", "New line"),
        ("Shift+Enter",),
        Group.CHAT,
        Scope.MESSAGE,
    ),
    Spec(
        "paste_text",
        QT_TRANSLATE_NOOP("actions", "Paste long text as it is"),
        ("Ctrl+Shift+V",),
        Group.CHAT,
        Scope.MESSAGE,
    ),
    Spec(
        "earlier",
        QT_TRANSLATE_NOOP("actions", "Earlier messages, in an empty field"),
        ("Up",),
        Group.CHAT,
        Scope.MESSAGE,
    ),
    Spec(
        "go_by_message",
        QT_TRANSLATE_NOOP("actions", "Next or previous message"),
        ("Ctrl+Down", "Ctrl+Up"),
        Group.CHAT,
        Scope.READING,
    ),
    Spec(
        "select_text",
        QT_TRANSLATE_NOOP("actions", "Select text"),
        ("Shift+Right", "Shift+Down"),
        Group.CHAT,
        Scope.READING,
    ),
    Spec(
        "select_messages",
        QT_TRANSLATE_NOOP("actions", "Select whole messages"),
        ("Ctrl+Shift+Down", "Ctrl+Shift+Up"),
        Group.CHAT,
        Scope.READING,
    ),
    Spec(
        "undo_reading",
        QT_TRANSLATE_NOOP("actions", "Undo delete"),
        ("Ctrl+Z",),
        Group.CHAT,
        Scope.READING,
    ),
    Spec(
        "row_open",
        QT_TRANSLATE_NOOP("actions", "Open chat"),
        ("Enter",),
        Group.CHAT,
        Scope.LIST,
    ),
    Spec(
        "rename",
        QT_TRANSLATE_NOOP("actions", "Rename chat"),
        ("F2",),
        Group.CHAT,
        Scope.LIST,
    ),
    Spec(
        "delete",
        QT_TRANSLATE_NOOP("actions", "Delete chat"),
        ("Ctrl+Del", "Ctrl+Backspace"),
        Group.CHAT,
        Scope.LIST,
    ),
    Spec(
        "row_undo",
        QT_TRANSLATE_NOOP("actions", "Undo the last change of the list"),
        ("Ctrl+Z",),
        Group.CHAT,
        Scope.LIST,
    ),
    Spec(
        "row_menu",
        QT_TRANSLATE_NOOP("actions", "Chat menu"),
        ("Menu",),
        Group.CHAT,
        Scope.LIST,
    ),
    Spec(
        "extend",
        QT_TRANSLATE_NOOP("actions", "Select several"),
        ("Shift+Down",),
        Group.CHAT,
        Scope.LIST,
    ),
    Spec(
        "select_all",
        QT_TRANSLATE_NOOP("actions", "Select all"),
        ("Ctrl+A",),
        Group.CHAT,
        Scope.LIST,
    ),
)

BY_NAME = {spec.name: spec for spec in SPECS}


def label(spec: Spec) -> str:
    """The label in the language of the interface."""
    return QCoreApplication.translate(CONTEXT, spec.label)


def tip(spec: Spec) -> str:
    """What a tooltip says of it, without its keys."""
    return QCoreApplication.translate(CONTEXT, spec.tip) if spec.tip else label(spec)


def group_title(group: Group) -> str:
    """The name of a group in the language of the interface."""
    return QCoreApplication.translate(CONTEXT, dict(GROUPS)[group])
