"""What a server says of itself: its models, what program it is, in which version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from qwen_desktop.chat.connection import RemoteModel, ServerKind, is_of_dashscope
from qwen_desktop.engine.remote import trouble
from qwen_desktop.engine.remote.link import Link
from qwen_desktop.errors import Known

SECONDS = 15.0
SHORT_SECONDS = 3.0
MOST_MODELS = 1000  # of a list
NAMED = 500  # characters of a name

# By who owns a model, as the lists of these programs say.
_OWNERS = {
    "vllm": ServerKind.VLLM,
    "sglang": ServerKind.SGLANG,
    "llamacpp": ServerKind.LLAMA_SERVER,
    "library": ServerKind.OLLAMA,
    "qwen-desktop": ServerKind.QWEN_DESKTOP,
}
# Where each tells its version, the newest path first, and under which name.
_VERSIONS: Mapping[ServerKind, tuple[tuple[str, ...], str]] = {
    ServerKind.VLLM: (("/version",), "version"),
    ServerKind.SGLANG: (("/server_info", "/get_server_info"), "version"),
    ServerKind.OLLAMA: (("/api/version",), "version"),
    ServerKind.TGI: (("/info",), "version"),
    ServerKind.LLAMA_SERVER: (("/props",), "build_info"),
}
_LENGTHS = ("max_model_len", "context_length", "context_window", "max_context_length", "n_ctx")


def models_of(link: Link, seconds: float = SECONDS) -> tuple[RemoteModel, ...]:
    """The server's models in its order. Raises Known."""
    connection = link.connection
    status, body, kind = link.get("/models", seconds)
    if status != 200:
        said = trouble.said_by(body, link.key)
        raise trouble.of_status(connection, status, said, key=bool(link.key))
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        if "html" in kind or body.lstrip()[:1] == b"<":
            raise trouble.page(connection.host, "GET /models") from None
        raise trouble.nonsense(connection.host, "GET /models") from None
    rows = told.get("data", told.get("models")) if isinstance(told, dict) else told
    if rows is None:
        rows = []  # Ollama without a model
    if not isinstance(rows, list):
        raise trouble.nonsense(connection.host, "GET /models: no list")
    found = (_model(row) for row in rows if isinstance(row, dict))
    return tuple(islice((model for model in found if model is not None), MOST_MODELS))


def _model(row: Mapping[str, Any]) -> RemoteModel | None:
    name = row.get("id") or row.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= NAMED or not name.isprintable():
        return None
    meta = row.get("meta")
    places = [row, meta] if isinstance(meta, dict) else [row]
    lengths = (place.get(field) for field in _LENGTHS for place in places)
    length = next(filter(None, map(_length, lengths)), 0)
    owner = row.get("owned_by")
    if owner == "local" and "has_chat_template" in row:
        owner = ServerKind.QWEN_DESKTOP.value
    return RemoteModel(name, length, owner if isinstance(owner, str) else "")


def _length(told: object) -> int:
    """Tokens of a context; 0 where `told` is no such number."""
    return told if isinstance(told, int) and type(told) is int and 0 < told < 1 << 40 else 0


def with_lengths(
    link: Link, kind: ServerKind, models: tuple[RemoteModel, ...]
) -> tuple[RemoteModel, ...]:
    """`models` with the lengths of their contexts where the server tells them beside its list.

    Ollama knows that of a model once it is loaded. Raises Cancelled.
    """
    if all(model.context_length for model in models):
        return models
    told: dict[str, object] = {}
    if kind is ServerKind.TGI:
        told[""] = _json(link, "/info").get("max_total_tokens")
    elif kind is ServerKind.LLAMA_SERVER:
        settings = _json(link, "/props").get("default_generation_settings")
        told[""] = settings.get("n_ctx") if isinstance(settings, dict) else None
    elif kind is ServerKind.OLLAMA:
        rows = _json(link, "/api/ps").get("models")
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict):
                told[str(row.get("model") or row.get("name"))] = row.get("context_length")
    return tuple(
        model
        if model.context_length
        else replace(model, context_length=_length(told.get(model.name, told.get(""))))
        for model in models
    )


def kind_of(link: Link, models: tuple[RemoteModel, ...]) -> ServerKind:
    """What program the server is, as chosen or guessed. Raises Cancelled."""
    connection = link.connection
    if connection.kind is not ServerKind.AUTO:
        return connection.kind
    if is_of_dashscope(connection):
        return ServerKind.DASHSCOPE
    for model in models:
        if model.owner in _OWNERS:
            return _OWNERS[model.owner]
    if not models or connection.is_near:  # a public service is not probed
        if isinstance(_json(link, "/api/version").get("version"), str):
            return ServerKind.OLLAMA
        if "max_total_tokens" in _json(link, "/info"):
            return ServerKind.TGI
    return ServerKind.OPENAI


def version_of(link: Link, kind: ServerKind) -> str:
    """The server's version; "" where it tells none. Raises Cancelled."""
    if kind not in _VERSIONS:
        return ""
    paths, name = _VERSIONS[kind]
    for path in paths:
        if isinstance(told := _json(link, path).get(name), str):
            return told[:60]
    return ""


def _json(link: Link, path: str) -> Mapping[str, Any]:
    try:
        status, body, _ = link.get(path, SHORT_SECONDS, root=True)
        told = json.loads(body) if status == 200 else None
    except (Known, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
