"""What commands show, as tables of rich. All texts of others are cleaned."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from qwen_desktop.bridge.asking import ChatPlace
from qwen_desktop.chat.connection import Connection, ServerState
from qwen_desktop.chat.inspected import Inspected
from qwen_desktop.chat.ledger import Forecast, Ledger, MemorySample
from qwen_desktop.chat.messages import AnswerStats, Message, Role, Status
from qwen_desktop.chat.sent import SentRequest
from qwen_desktop.chat.settings import Setting, Value
from qwen_desktop.storage.connections import ConnectionEntry
from qwen_desktop.talk.clean import clean, one_line
from qwen_desktop.talk.commands import COMMANDS
from qwen_desktop.talk.finding import Row

MIB = 2**20
_PIECE = 60  # characters of a segment that are shown


def _table(*headings: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return table


def commands() -> Table:
    """All commands with their short forms."""
    table = _table("command", "short", "")
    for one in COMMANDS:
        short = " ".join(f":{name}" for name in one.short)
        table.add_row(Text(f":{one.name} {one.takes}".strip()), Text(short), Text(one.help))
    return table


def settings(table: Iterable[Setting], values: Mapping[str, Value]) -> Table:
    """Settings with the values in effect."""
    shown = _table("name", "value", "")
    for one in table:
        shown.add_row(Text(one.name), Text(value_text(values.get(one.name))), Text(one.help))
    return shown


def value_text(value: Value) -> str:
    """A value as it may be typed."""
    if value is None:
        return "auto"
    if isinstance(value, bool):
        return "on" if value else "off"
    return clean(str(value)).replace("\n", "\\n")


def history(messages: Iterable[Message]) -> Iterable[Text]:
    """What was said, a text for each message."""
    for message in messages:
        who = "you" if message.role is Role.USER else message.role.value
        if message.role is Role.ASSISTANT and message.stats is not None:
            who = message.stats.model or who
        text = Text(f"{one_line(who)}: ", style="bold")
        for file in message.files:
            text.append(f"[{one_line(file.name)}] ", style="not bold dim")
        text.append(clean(message.text), style="not bold")
        if message.status is not Status.COMPLETE:
            text.append(f" ({message.status.value})", style="dim")
        yield text


def servers(entries: Iterable[ConnectionEntry]) -> Table:
    """Connections with the models that are known of them."""
    table = _table("connection", "server", "models")
    for entry in entries:
        one = entry.connection
        names = " ".join(model.name for model in entry.models) or one.model
        table.add_row(*(Text(one_line(text)) for text in (one.name, one.host, names)))
    return table


def place(where: ChatPlace, checkpoint: str = "") -> str:
    """Who answers a chat."""
    if where.target is not None:
        connection = where.target.connection
        answers = one_line(f"{where.target.model} at {connection.name} ({connection.host})")
        return f"{answers} answers this chat."
    if where.is_remote:
        return "The connection that answered this chat is gone: :server NAME, or :server off."
    if checkpoint:
        return f"{one_line(checkpoint)} answers this chat, on this machine."
    return "No checkpoint is open: :open DIR."


def server_state(connection: Connection, state: ServerState | None) -> str:
    """How busy a server is."""
    name = one_line(f"{connection.name} ({connection.host})")
    if state is None:
        return f"{name} does not tell of its memory"
    told = []
    if state.kv_usage is not None:
        told.append(f"{100 * state.kv_usage:.0f} % of its KV memory used")
    if state.running is not None:
        told.append(f"{state.running} answers being written")
    if state.waiting is not None:
        told.append(f"{state.waiting} waiting")
    return f"{name}: {', '.join(told)}"


def chats(found: Sequence[Row]) -> Table:
    """Chats by number."""
    table = _table("", "chat", "changed", right=("",))
    for number, row in enumerate(found, 1):
        day = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.changed))
        table.add_row(str(number), Text(one_line(row.title) or "(untitled)"), day)
    return table


def _rows(ledger: Ledger) -> Iterable[tuple[str, int]]:
    yield "weights", ledger.weights
    yield "KV cache, this chat", ledger.kv
    yield "KV caches, other chats", ledger.kv_others
    yield "activations", ledger.activations
    yield "allocator's slack", ledger.slack
    yield "runtime", ledger.runtime
    yield "other programs", ledger.other
    yield "free", ledger.free
    yield "total", ledger.total


def memory(sample: MemorySample) -> Table:
    """The ledger of each device in MiB."""
    table = _table("memory", *(Text(one_line(one.name)).plain for one in sample.ledgers))
    for column in table.columns[1:]:
        column.justify = "right"
    columns = [list(_rows(one)) for one in sample.ledgers]
    for row in zip(*columns, strict=True):
        table.add_row(row[0][0], *(f"{size / MIB:,.0f} MiB" for _, size in row))
    return table


def forecast(one: Forecast) -> str:
    """How far a chat can go."""
    text = f"{one.used:,} of {one.limit:,} tokens used; the context has {one.context:,}"
    if one.met:
        return f"{text}; it is full, and older turns are left out"
    if one.turn:
        text += f"; about {one.turns:,} more turns of {one.turn:,} tokens"
    return f"{text}; bounded by the {one.bound.value}"


def prompt(seen: Inspected | SentRequest) -> Table:
    """The pieces of a prompt, with the ids of each; of a server's the messages it would be sent."""
    return _sent(seen) if isinstance(seen, SentRequest) else _pieces(seen)


def _sent(seen: SentRequest) -> Table:
    table = _table("message", "tokens", "text", right=("tokens",))
    table.caption = Text("Only the server knows the ids. " + one_line(f"POST {seen.url}"))
    table.caption_justify = "left"
    for one in seen.messages:
        table.add_row(one_line(one.role), f"about {one.tokens:,}", Text(_short(one.content)))
    table.add_row("settings", "", Text(clean(seen.settings)))
    return table


def _short(text: str) -> str:
    shown = clean(text).replace("\n", "↵")
    return shown if len(shown) <= _PIECE else shown[: _PIECE - 1] + "…"


def _pieces(seen: Inspected) -> Table:
    table = _table("part", "tokens", "text", "ids", right=("tokens",))
    for part in seen.segments:
        text = seen.tokens.text(part.start, part.end)
        ids = " ".join(str(one) for one in seen.tokens.ids[part.start : part.end])
        name = f"{part.kind.value} ({part.role})" if part.role else part.kind.value
        table.add_row(name, f"{part.tokens:,}", Text(_short(text)), ids)
    return table


def usage(stats: AnswerStats) -> str:
    """What an answer took, on one line."""
    said = f"{stats.new_tokens:,} tokens"
    if stats.decode_speed:
        said += f", {stats.decode_speed:.1f} tok/s"
    return f"{said}; prompt {stats.prompt_tokens:,}, reused {stats.reused_tokens:,}"
