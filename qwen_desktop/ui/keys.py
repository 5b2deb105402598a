"""Which keys an action has: the usual ones, or those a user chose. QtGui only, no widgets.

Keys are written as Qt's portable text, "Ctrl+Shift+P".
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from PySide6.QtCore import QCoreApplication, QKeyCombination, Qt
from PySide6.QtGui import QKeySequence

from qwen_desktop.errors import QT_TRANSLATE_NOOP
from qwen_desktop.ui.actions import BY_NAME, SPECS, Scope, Spec

_log = logging.getLogger(__name__)

_CONTEXT = "keys"
Keys = tuple[str, ...]

# What text fields, lists and dialogs do with these has to go on.
_TAKEN = (
    *(f"Ctrl+{key}" for key in ("A", "C", "V", "X", "Z", "Y", "Backspace", "Del", "Ins")),
    *(f"Ctrl+{key}" for key in ("Left", "Right", "Up", "Down", "Home", "End")),
    *("Shift+Ins", "Shift+Del", "Shift+F10", "F2", "Alt+F4"),
)
_ALONE = frozenset(range(Qt.Key.Key_F1.value, Qt.Key.Key_F35.value + 1)) | {
    Qt.Key.Key_Escape.value,
    Qt.Key.Key_Pause.value,
    Qt.Key.Key_ScrollLock.value,
}
_MODIFIERS = (
    Qt.Key.Key_Control,
    Qt.Key.Key_Shift,
    Qt.Key.Key_Alt,
    Qt.Key.Key_AltGr,
    Qt.Key.Key_Meta,
    Qt.Key.Key_CapsLock,
    Qt.Key.Key_NumLock,
)

NOT_ALONE = QT_TRANSLATE_NOOP(
    "keys", "{keys} types a character: add Ctrl or Alt, or use F1 to F12."
)
FOR_EDITING = QT_TRANSLATE_NOOP("keys", "{keys} is used for editing and moving, so it stays free.")
IN_USE = QT_TRANSLATE_NOOP("keys", "{keys} is used by “{action}”.")


def normal(keys: str) -> str:
    """Keys in Qt's portable text; empty where they are none, or several one after the other."""
    sequence = QKeySequence.fromString(keys, QKeySequence.SequenceFormat.PortableText)
    if sequence.count() != 1 or _first(sequence).key() in (Qt.Key.Key_unknown, *_MODIFIERS):
        return ""
    return sequence.toString(QKeySequence.SequenceFormat.PortableText)


def native(keys: Sequence[str]) -> str:
    """Keys as this platform writes them, with commas between."""
    form = QKeySequence.SequenceFormat.NativeText
    return ", ".join(QKeySequence(key).toString(form) for key in keys)


def _first(sequence: QKeySequence) -> QKeyCombination:
    found: QKeyCombination = sequence[0]  # type: ignore[index]  # the stubs know no []
    return found


def pressed(combination: QKeyCombination) -> str:
    """What was pressed; empty while only modifiers are down."""
    if combination.key() in _MODIFIERS:
        return ""
    key, modifiers = combination.key(), combination.keyboardModifiers()
    if key is Qt.Key.Key_Backtab:
        key = Qt.Key.Key_Tab
    # The numbers' own pad is no other key to a person, nor is Shift part of a sign it has made.
    modifiers &= ~Qt.KeyboardModifier.KeypadModifier
    if 0x20 < key.value < 0x7F and not chr(key.value).isalnum():
        modifiers &= ~Qt.KeyboardModifier.ShiftModifier
    return normal(QKeySequence(QKeyCombination(modifiers, key)).toString())


def refused(keys: str) -> str:
    """Why `keys` cannot be those of an action, in one sentence; empty where they can."""
    combination = _first(QKeySequence(keys))
    held = combination.keyboardModifiers() & ~Qt.KeyboardModifier.ShiftModifier
    why = ""
    if keys in _TAKEN:
        why = FOR_EDITING
    elif held == Qt.KeyboardModifier.NoModifier and combination.key().value not in _ALONE:
        why = NOT_ALONE
    return _said(why, keys=native((keys,))) if why else ""


def user_of(keys: str, bound: Mapping[str, Keys], but: str = "") -> Spec | None:
    """The action that has `keys` now, other than the one named `but`."""
    for spec in SPECS:
        if spec.name != but and keys in bound[spec.name]:
            return spec
    return None


def in_use(keys: str, action: str) -> str:
    """That `keys` are another action's, which is called `action`."""
    return _said(IN_USE, keys=native((keys,)), action=action)


def resolve(own: Mapping[str, Sequence[str]]) -> dict[str, Keys]:
    """The keys of every action, by its name, where `own` are those a user chose.

    Each key has one action, and the user's choice goes before the usual. What makes no sense is
    passed over with a line in the log.
    """
    for name in own.keys() - BY_NAME.keys():
        _log.warning("there is no action %r to give a shortcut", name)
    bound: dict[str, Keys] = {}
    taken: set[str] = set()
    fixed = [spec for spec in SPECS if spec.scope is not Scope.WINDOW]
    chosen = [spec for spec in SPECS if spec.scope is Scope.WINDOW and spec.name in own]
    for spec in fixed:
        bound[spec.name] = tuple(map(normal, spec.keys))
    for spec in chosen:
        good = [key for key in map(normal, own[spec.name]) if key and not refused(key)]
        free = tuple(key for key in dict.fromkeys(good) if key not in taken)
        if len(free) != len(own[spec.name]):
            _log.warning("shortcuts of %s that cannot be used are left out", spec.name)
        bound[spec.name] = free
        taken.update(free)
    for spec in SPECS:
        if spec.name not in bound:
            usual = (normal(key) for key in spec.keys)
            bound[spec.name] = tuple(key for key in usual if key not in taken)
    return bound


def with_keys(own: Mapping[str, Sequence[str]], name: str, keys: Sequence[str]) -> dict[str, Keys]:
    """What a user has chosen once the action `name` has `keys`, and nobody else has them."""
    wanted = tuple(dict.fromkeys(keys))
    bound = resolve(own)
    changed = {one: bound.get(one, tuple(of)) for one, of in own.items()}
    for spec in SPECS:
        if spec.scope is Scope.WINDOW and spec.name != name:
            left = tuple(key for key in bound[spec.name] if key not in wanted)
            if left != bound[spec.name]:
                changed[spec.name] = left
    changed[name] = wanted
    return _without_usual(changed)


def without(own: Mapping[str, Sequence[str]], name: str) -> dict[str, Keys]:
    """What a user has chosen once the action `name` has its usual keys again, whoever had them."""
    return with_keys(own, name, tuple(map(normal, BY_NAME[name].keys)))


def _without_usual(own: Mapping[str, Keys]) -> dict[str, Keys]:
    return {
        name: keys
        for name, keys in own.items()
        if name not in BY_NAME or keys != tuple(map(normal, BY_NAME[name].keys))
    }


def _said(template: str, **values: str) -> str:
    return QCoreApplication.translate(_CONTEXT, template).format(**values)
