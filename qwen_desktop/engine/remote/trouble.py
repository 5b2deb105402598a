"""What goes wrong between here and a server, as sentences. The border to the client's exceptions.

What the server says may repeat what was sent: it stands in `values`, which stay out of the log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from qwen_desktop.chat.connection import Connection
from qwen_desktop.chat.text import whole
from qwen_desktop.engine.remote import network
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

SAID = 400  # characters of what a server said
NAMED = 8  # models in a sentence
_DEEP = 20  # objects in objects that are looked into for what a server says

CHECK = QT_TRANSLATE_NOOP("errors", "Check the address of the connection.")

_TOO_LONG = re.compile(
    r"context_length_exceeded|context (?:length|size|window)|max_model_len|too many tokens"
    r"|prompt is too long|exceeds? the (?:available|maximum)|inputs? (?:length|tokens?) .*exceed"
    r"|range of input length|`?inputs`? tokens \+|longer than the model",
    re.I,
)


def bad_address(connection: Connection) -> Known:
    """The address is none that could be asked."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "“{address}” is not the address of a server."),
        QT_TRANSLATE_NOOP("errors", "Write it as http://host:port/v1."),
        code="remote-address",
        address=connection.address.strip()[:200],
    )


def of_status(
    connection: Connection, status: int, said: str, *, key: bool, models: Sequence[str] = ()
) -> Known:
    """The sentence for an answer that is a refusal. `key`: one was sent."""
    host = connection.host
    details = f"status {status}"
    if status == 401:
        return _unauthorised(host, details, key=key)
    if status == 403:
        return Known(
            QT_TRANSLATE_NOOP("errors", "{host} refuses access with this key."),
            QT_TRANSLATE_NOOP("errors", "Use the key of an account that may use this model."),
            details=details,
            code="remote-forbidden",
            host=host,
        )
    if status == 407:
        return network.proxy_login(details)
    if 300 <= status < 400:
        return Known(
            QT_TRANSLATE_NOOP("errors", "{host} sends on to another address."),
            QT_TRANSLATE_NOOP(
                "errors", "A chat goes only where you sent it: enter the other address instead."
            ),
            details=details,
            code="remote-redirect",
            host=host,
        )
    if status in (404, 405, 410):
        return Known(
            QT_TRANSLATE_NOOP("errors", "{host} has nothing to chat with at {address}."),
            QT_TRANSLATE_NOOP("errors", "Most addresses end in /v1. Check it in Connections."),
            details=details,
            code="remote-not-found",
            host=host,
            address=connection.base,
        )
    if status == 429:
        return Known(
            QT_TRANSLATE_NOOP("errors", "{host} was asked too often and wants a pause."),
            QT_TRANSLATE_NOOP("errors", "Try again later, or check the limits of your account."),
            details=details,
            code="remote-busy",
            host=host,
        )
    if status >= 500:
        return failed(host, str(status), said)
    return Known(
        QT_TRANSLATE_NOOP("errors", "{host} refused the request (status {status}): {said}"),
        QT_TRANSLATE_NOOP("errors", "Check the settings of this chat and the connection."),
        details=details,
        code="remote-refused-request",
        host=host,
        status=status,
        said=said or "-",
    )


def failed(host: str, status: str, said: str) -> Known:
    """The server has trouble of its own, before or amid an answer."""
    if not said:
        return Known(
            QT_TRANSLATE_NOOP("errors", "{host} has trouble of its own (status {status})."),
            network.KEPT,
            code="remote-failed",
            host=host,
            status=status,
        )
    return Known(
        QT_TRANSLATE_NOOP("errors", "{host} has trouble of its own (status {status}): {said}"),
        network.KEPT,
        details=f"status {status}",
        code="remote-failed",
        host=host,
        status=status,
        said=said,
    )


def _unauthorised(host: str, details: str, *, key: bool) -> Known:
    if key:
        template = QT_TRANSLATE_NOOP("errors", "{host} does not accept the key.")
    else:
        template = QT_TRANSLATE_NOOP("errors", "{host} wants a key.")
    return Known(
        template,
        QT_TRANSLATE_NOOP("errors", "Enter it in Tools, Connections."),
        details=details,
        code="remote-key",
        host=host,
    )


def no_model(host: str, model: str, names: Sequence[str]) -> Known:
    """The server has no such model. `names` are those it has."""
    if not names:
        return Known(
            QT_TRANSLATE_NOOP("errors", "{host} has no model {model}."),
            QT_TRANSLATE_NOOP("errors", "Choose another at the name of the model above the chat."),
            code="remote-model",
            host=host,
            model=model,
        )
    shown = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
    return Known(
        QT_TRANSLATE_NOOP("errors", "{host} has no model {model}. It has: {models}."),
        QT_TRANSLATE_NOOP("errors", "Choose another at the name of the model above the chat."),
        code="remote-model",
        host=host,
        model=model,
        models=shown,
    )


def too_long(host: str, said: str) -> Known:
    """More than the server's model takes."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "The chat is longer than the context on {host}: {said}"),
        QT_TRANSLATE_NOOP("errors", "Edit an earlier message, or start a new chat."),
        details="context length",
        code="remote-context",
        host=host,
        said=said,
    )


def overflow(have: int, budget: int) -> Known:
    """Nothing may be left out, and by an estimate it does not fit."""
    return Known(
        QT_TRANSLATE_NOOP(
            "errors", "The chat has about {have} tokens; {budget} fit beside an answer."
        ),
        QT_TRANSLATE_NOOP("errors", "Choose what to leave out, or start a new chat."),
        code="context-overflow",
        have=f"{have:,}",
        budget=f"{budget:,}",
    )


def page(host: str, details: str = "") -> Known:
    """A web page came in place of an answer."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "A web page came in place of an answer of {host}."),
        QT_TRANSLATE_NOOP(
            "errors",
            "Where the network wants a login, open a browser and log in. "
            "Otherwise check the address of the connection: most end in /v1.",
        ),
        details=details,
        code="remote-page",
        host=host,
    )


def nonsense(host: str, details: str = "") -> Known:
    """An answer that makes no sense in the protocol. `details` quote nothing of it."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "The answer of {host} makes no sense."),
        QT_TRANSLATE_NOOP(
            "errors", "Check that its address is that of an OpenAI-compatible server."
        ),
        details=details,
        code="remote-nonsense",
        host=host,
    )


def silent(host: str, seconds: float) -> Known:
    """Nothing came for as long as the connection allows."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "Nothing came from {host} for {seconds} seconds."),
        QT_TRANSLATE_NOOP("errors", "Try again, or set a longer wait in Tools, Connections."),
        code="remote-silent",
        host=host,
        seconds=f"{seconds:g}",
    )


def no_quota(host: str, said: str) -> Known:
    """The account has nothing left: waiting would not help."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "The account on {host} has nothing left: {said}"),
        QT_TRANSLATE_NOOP("errors", "Look at its limits, or choose another server."),
        details="status 429",
        code="remote-quota",
        host=host,
        said=said or "-",
    )


def held_back(host: str) -> Known:
    """The server cut the answer by a filter."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "{host} held back the rest of this answer by a filter."),
        QT_TRANSLATE_NOOP("errors", "Ask in other words, or let another model answer."),
        code="remote-filtered",
        host=host,
    )


def wants_tool(host: str) -> Known:
    """The model called a tool in place of an answer; none was offered."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "The model on {host} called a tool; a chat here has none."),
        QT_TRANSLATE_NOOP("errors", "Regenerate the answer, or let another model answer."),
        code="remote-tool",
        host=host,
    )


def cannot_fork() -> Known:
    """A server does not take tokens to begin an answer with."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "An answer of a server cannot begin at one of its tokens."),
        QT_TRANSLATE_NOOP("errors", "Regenerate it instead."),
        code="remote-fork",
    )


def cannot_continue(host: str) -> Known:
    """The server does not go on with an answer, or it was cut within a thought."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "{host} cannot go on with this answer."),
        QT_TRANSLATE_NOOP("errors", "Regenerate it, or ask for the rest."),
        code="remote-continue",
        host=host,
    )


def is_too_long(said: str) -> bool:
    """Whether a refusal is about the length of the prompt."""
    return bool(_TOO_LONG.search(said))


def said_by(body: Any, key: str | None) -> str:
    """What an error body says, in whatever shape, on one line and without the key."""
    text = _message(body)
    if key:
        text = text.replace(key, "•••")
    text = " ".join("".join(c if c.isprintable() else " " for c in whole(text)).split())
    return text if len(text) <= SAID else text[: SAID - 1] + "…"


def _message(body: Any, depth: int = 0) -> str:
    if depth > _DEEP:
        return ""
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    if isinstance(body, str):
        try:
            return _message(json.loads(body), depth + 1)
        except (ValueError, RecursionError):
            return "" if body.lstrip()[:1] == "<" else body
    if isinstance(body, dict):
        for name in ("error", "message", "detail", "msg", "error_msg"):
            if body.get(name):
                place = body.get("loc")
                where = ".".join(map(str, place[:8])) if isinstance(place, list) else ""
                said = _message(body[name], depth + 1)
                return f"{where}: {said}" if where else said
        return ""
    if isinstance(body, list):
        return "; ".join(filter(None, (_message(one, depth + 1) for one in body[:8])))
    return str(body) if body is not None else ""
