"""Settings of a chat as they are typed."""

from __future__ import annotations

from collections.abc import Iterator

from qwen_desktop.chat.commands import value_of
from qwen_desktop.chat.settings import Setting, Value
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.talk.desk import SETTINGS


def read(argument: str) -> tuple[tuple[str, Value], ...]:
    """The names and values in `a=1 b=2`. Raises Known where one makes no sense."""
    found = []
    for pair in _pairs(argument):
        name, equals, words = pair.partition("=")
        if not equals:
            raise Known(
                QT_TRANSLATE_NOOP("errors", "“{pair}” has no value."),
                QT_TRANSLATE_NOOP("errors", "Say :conf name=value."),
                pair=pair,
            )
        found.append(value(name.strip(), words))
    return tuple(found)


def value(name: str, words: str) -> tuple[str, Value]:
    """A setting by its name, and its value. Raises Known."""
    name = name.replace("-", "_")
    setting = SETTINGS.get(name)
    if setting is None:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "There is no setting “{name}”."),
            QT_TRANSLATE_NOOP("errors", ":conf lists them."),
            name=name,
        )
    try:
        return name, value_of(setting, words)
    except (ValueError, OverflowError):
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{name} cannot be “{words}”: {help}"),
            _remedy(setting),
            name=name,
            words=words,
            help=setting.help,
            choices=", ".join(key for key, _ in setting.choices),
            low=_number(setting.minimum),
            high=_number(setting.maximum),
        ) from None


def _remedy(setting: Setting) -> str:
    if setting.kind is bool:
        return QT_TRANSLATE_NOOP("errors", "Say on or off.")
    if setting.choices:
        return QT_TRANSLATE_NOOP("errors", "Say one of {choices}.")
    if setting.minimum is None or setting.maximum is None:
        return ""
    return QT_TRANSLATE_NOOP("errors", "Say a number from {low} to {high}.")


def _number(bound: float | None) -> str:
    return "" if bound is None else f"{bound:.12g}"


def _pairs(argument: str) -> Iterator[str]:
    """`a=1 b=2` as pairs; words that are no pair belong to the value before them."""
    pair = ""
    for word in argument.split(" "):
        name = word.partition("=")[0].replace("-", "_")
        if pair and not ("=" in word and name in SETTINGS):
            pair += f" {word}"
            continue
        if pair:
            yield pair
        pair = word
    if pair:
        yield pair
