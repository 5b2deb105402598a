"""Which server, and which of its models, somebody means."""

from __future__ import annotations

import threading

from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.storage.connections import ConnectionEntry
from qwen_desktop.talk.desk import Desk
from qwen_desktop.talk.servers import Servers
from qwen_desktop.talk.source import Source


def chosen(desk: Desk, typed: str, stop: threading.Event) -> tuple[ConnectionEntry, str]:
    """The connection and the model in `NAME [MODEL]`. Raises Known, Cancelled."""
    entry, model = _read(desk.servers, typed)
    return entry, model or usual_model(desk.source, entry, stop)


def usual_model(source: Source, entry: ConnectionEntry, stop: threading.Event) -> str:
    """The model of a connection that nobody named: the one chosen for it, else its first.

    The server is asked where none is known yet. Raises Known, Cancelled.
    """
    if entry.connection.model:
        return entry.connection.model
    models = entry.models or source.models(entry.connection, stop)
    if models:
        return models[0].name
    raise Known(
        QT_TRANSLATE_NOOP("errors", "{name} does not say which models it has."),
        QT_TRANSLATE_NOOP("errors", "Name one: --model NAME, or :server NAME MODEL."),
        name=entry.connection.name,
    )


def _read(servers: Servers, typed: str) -> tuple[ConnectionEntry, str]:
    """Names of connections may have spaces, those of models have none."""
    try:
        return servers.named(typed), ""
    except Known:
        name, _, model = typed.rpartition(" ")
        if not name.strip():
            raise
        return servers.named(name), model
