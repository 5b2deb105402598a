"""The connections that the user entered, in one JSON file. Keys are not in it. No sqlite3.

[{"id": …, "name": …, "address": …, "kind": …, "model": …, "timeouts": […], "titles": …,
"models": [[name, context length], …]}, …]. `models` are those that the last test found.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from qwen_desktop.chat.connection import Connection, RemoteModel, ServerKind, Timeouts
from qwen_desktop.storage import atomic

_log = logging.getLogger(__name__)

MOST_MODELS = 1000  # of one server that are kept
_MOST_SECONDS = 86_400.0
_MOST_TOKENS = 2**40


@dataclass(frozen=True)
class ConnectionEntry:
    """A connection as it is kept. `titles`: its models may be asked for titles of chats."""

    connection: Connection
    models: tuple[RemoteModel, ...] = ()
    titles: bool = False


class ConnectionFile:
    """Reads the file once, when it is made; what makes no sense in it is left out."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.entries: tuple[ConnectionEntry, ...] = self._read()

    def save(self, entries: Iterable[ConnectionEntry]) -> None:
        """Replace the file. Raises Known where the disk refuses."""
        atomic.write_json(self._file, [_value(entry) for entry in entries])

    def _read(self) -> tuple[ConnectionEntry, ...]:
        try:
            values = atomic.read_json(self._file)
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as error:
            _log.warning("%s cannot be read: %s", self._file.name, type(error).__name__)
            values = None
        if not isinstance(values, list):
            self._set_aside()
            return ()
        found: dict[str, ConnectionEntry] = {}
        for number, value in enumerate(values):
            entry = _entry(value)
            if entry is None or entry.connection.id in found:
                _log.warning("entry %d of %s is left out", number, self._file.name)
            else:
                found[entry.connection.id] = entry
        return tuple(found.values())

    def _set_aside(self) -> None:
        """Keep a file that the next save would replace."""
        try:
            self._file.replace(self._file.with_name(f"{self._file.name}.damaged"))
        except OSError as error:
            _log.warning("%s stays: %s", self._file.name, type(error).__name__)


def _value(entry: ConnectionEntry) -> dict[str, object]:
    one = entry.connection
    return {
        "id": one.id,
        "name": one.name,
        # As it is asked: user, password and query of what was typed may be secrets.
        "address": one.base,
        "kind": one.kind.value,
        "model": one.model,
        "timeouts": [
            one.timeouts.connect,
            one.timeouts.first_token,
            one.timeouts.between_tokens,
        ],
        "titles": entry.titles,
        "models": [[model.name, model.context_length] for model in entry.models[:MOST_MODELS]],
    }


def _entry(value: object) -> ConnectionEntry | None:
    if not isinstance(value, dict):
        return None
    texts = [value.get(name) for name in ("id", "name", "address")]
    if not all(isinstance(text, str) and text for text in texts):
        return None
    id_, name, address = map(str, texts)
    model, models = value.get("model"), value.get("models")
    connection = Connection(
        name,
        address,
        id_,
        next((kind for kind in ServerKind if kind.value == value.get("kind")), ServerKind.AUTO),
        model if isinstance(model, str) else "",
        _timeouts(value.get("timeouts")),
    )
    if not connection.base:
        return None
    good = [_model(one) for one in models] if isinstance(models, list) else []
    return ConnectionEntry(
        connection,
        tuple(one for one in good if one is not None)[:MOST_MODELS],
        value.get("titles") is True,
    )


def _timeouts(value: object) -> Timeouts:
    if not isinstance(value, list) or len(value) != 3:
        return Timeouts()
    for one in value:
        is_number = isinstance(one, (int, float)) and not isinstance(one, bool)
        if not is_number or not math.isfinite(one) or not 0 < one <= _MOST_SECONDS:
            return Timeouts()
    return Timeouts(*(float(one) for one in value))


def _model(value: object) -> RemoteModel | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    name, length = value
    if not isinstance(name, str) or not name or type(length) is not int:
        return None
    return RemoteModel(name, length if 0 <= length <= _MOST_TOKENS else 0)
