"""What was done to the list, in a few words for the notice that offers to undo it."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QLocale

from qwen_desktop.bridge.list_change import Change, ChangeKind
from qwen_desktop.errors import QT_TRANSLATE_NOOP

CONTEXT = "list_change"

_NEW_CHAT = QT_TRANSLATE_NOOP("list_change", "New chat")
_ONE = {
    ChangeKind.DELETED: QT_TRANSLATE_NOOP("list_change", "Deleted “{title}”"),
    ChangeKind.PINNED: QT_TRANSLATE_NOOP("list_change", "Pinned “{title}”"),
    ChangeKind.UNPINNED: QT_TRANSLATE_NOOP("list_change", "Unpinned “{title}”"),
    ChangeKind.ARCHIVED: QT_TRANSLATE_NOOP("list_change", "Archived “{title}”"),
    ChangeKind.UNARCHIVED: QT_TRANSLATE_NOOP("list_change", "Out of the archive: “{title}”"),
    ChangeKind.MOVED: QT_TRANSLATE_NOOP("list_change", "Moved “{title}” to {name}"),
    ChangeKind.TAG_REMOVED: QT_TRANSLATE_NOOP("list_change", "Tag “{name}” removed"),
    ChangeKind.BRANCHED: QT_TRANSLATE_NOOP("list_change", "Now in “{title}”"),
    ChangeKind.MESSAGES_DELETED: QT_TRANSLATE_NOOP("list_change", "Message deleted"),
}
_SEVERAL = {
    ChangeKind.DELETED: QT_TRANSLATE_NOOP("list_change", "Deleted {count} chats"),
    ChangeKind.PINNED: QT_TRANSLATE_NOOP("list_change", "Pinned {count} chats"),
    ChangeKind.UNPINNED: QT_TRANSLATE_NOOP("list_change", "Unpinned {count} chats"),
    ChangeKind.ARCHIVED: QT_TRANSLATE_NOOP("list_change", "Archived {count} chats"),
    ChangeKind.UNARCHIVED: QT_TRANSLATE_NOOP("list_change", "Out of the archive: {count} chats"),
    ChangeKind.MOVED: QT_TRANSLATE_NOOP("list_change", "Moved {count} chats to {name}"),
    ChangeKind.TAG_REMOVED: QT_TRANSLATE_NOOP("list_change", "Tag “{name}” removed"),
    ChangeKind.MESSAGES_DELETED: QT_TRANSLATE_NOOP("list_change", "{count} messages deleted"),
}
_OUT_ONE = QT_TRANSLATE_NOOP("list_change", "Took “{title}” out of its folder")
_OUT_SEVERAL = QT_TRANSLATE_NOOP("list_change", "Took {count} chats out of their folders")
_FOLDER_DELETED = QT_TRANSLATE_NOOP("list_change", "Deleted folder “{name}”. Its chats stay.")


def change_text(change: Change, locale: QLocale) -> str:
    """A sentence in the language of the interface."""
    one = change.count == 1
    if change.kind is ChangeKind.FOLDER_DELETED:
        words = _FOLDER_DELETED
    elif change.kind is ChangeKind.MOVED and not change.name:
        words = _OUT_ONE if one else _OUT_SEVERAL
    else:
        words = (_ONE if one else _SEVERAL)[change.kind]
    return QCoreApplication.translate(CONTEXT, words).format(
        title=change.title or QCoreApplication.translate(CONTEXT, _NEW_CHAT),
        count=locale.toString(change.count),
        name=change.name,
    )
