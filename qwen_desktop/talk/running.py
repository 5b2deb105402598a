"""`qwen-desktop chat`: opens the profile and who is to answer, then one of three ways to ask.

Exit status: 0 where all was answered, 1 where something was not, 2 for a wrong command line,
130 where Ctrl+C ended it, 128 and its number where another signal did.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import shutil
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path

from rich.console import Console

from qwen_desktop.bridge.asking import LOCAL
from qwen_desktop.chat.context import RemoteChoice
from qwen_desktop.chat.messages import Status
from qwen_desktop.chat.model import EngineOptions
from qwen_desktop.chat.settings import Value
from qwen_desktop.chat.summary import ListFilter
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known, report_of
from qwen_desktop.paths import Profile
from qwen_desktop.storage import attaching
from qwen_desktop.storage.connections import ConnectionFile
from qwen_desktop.storage.preferences import Preferences
from qwen_desktop.talk import files, tables
from qwen_desktop.talk.clean import clean, one_line, whole
from qwen_desktop.talk.console import Talk
from qwen_desktop.talk.desk import Desk, not_agreed
from qwen_desktop.talk.ending import Ending
from qwen_desktop.talk.lines import Lines, lines_of
from qwen_desktop.talk.placing import usual_model
from qwen_desktop.talk.servers import Servers
from qwen_desktop.talk.source import Engines
from qwen_desktop.talk.streaming import OneLine, show_answer
from qwen_desktop.talk_options import TalkOrder
from qwen_desktop.terminal import INTERRUPTED, opened, say

GIB = 2**30
WRONG = 2
_NOBODY_READS = (errno.EPIPE, errno.EIO, errno.EINVAL)  # EINVAL on Windows


def run(order: TalkOrder) -> int:
    """Carry it out; gives the exit status. Raises Known."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console may know few characters
    profile = order.options.profile
    ending = Ending()
    try:
        with ending:
            status = _run(order, ending)
        return ending.status if ending.number else status
    except (Cancelled, KeyboardInterrupt):
        return ending.status if ending.number else INTERRUPTED
    except OSError as error:  # whoever read it has seen enough, as `head` does
        if error.errno not in _NOBODY_READS or error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())  # type: ignore[union-attr]
        return 1
    finally:
        if profile.temporary:
            logging.shutdown()  # Windows removes no file that is open
            shutil.rmtree(profile.root, ignore_errors=True)


def _run(order: TalkOrder, ending: Ending) -> int:
    profile = order.options.profile
    general = {**Preferences(profile.preferences).values, **order.options.overrides}
    if order.as_json:
        return _lines(order, general, ending)
    prompt = _piped() if order.prompt == "-" else order.prompt
    if prompt is None and not (sys.stdin.isatty() and sys.stdout.isatty()):
        say("This is no terminal: say --prompt TEXT, --prompt - or --json.", sys.stderr)
        return WRONG
    if prompt is not None and not prompt.strip():
        say("There is nothing to send.", sys.stderr)
        return WRONG
    with opened(profile) as store, ExitStack() as until_end:
        servers = Servers(ConnectionFile(profile.connections).entries)
        engines = Engines(engine_options(general, profile), servers.key_of, str(general["proxy"]))
        until_end.callback(engines.close)
        desk = Desk(store, engines, general, servers, assents=order.assents)
        return _talk(order, desk, engines, prompt, ending)


def _piped() -> str:
    """What comes in on stdin, read as a file that is attached is. Raises Known."""
    text, _ = attaching.decoded(sys.stdin.buffer.read(attaching.MAX_BYTES))
    if text is None:
        raise Known(QT_TRANSLATE_NOOP("errors", "What comes in on stdin is no text."))
    return text


def engine_options(values: Mapping[str, Value], profile: Profile) -> EngineOptions:
    """What the engine may keep, as the window has it."""

    def size(name: str) -> int | None:
        value = values[name]
        return int(value * GIB) if isinstance(value, (int, float)) else None

    draft = str(values["draft_model"] or "").strip()
    return EngineOptions(
        kv_memory=size("kv_memory"),
        kv_disk=size("kv_disk") or 0,
        kv_folder=None if profile.temporary else profile.kv_caches,
        code_folder=profile.compiled_code if values["compiled_decode"] else None,
        draft_folder=Path(draft).expanduser() if draft else None,
    )


def _talk(
    order: TalkOrder, desk: Desk, engines: Engines, prompt: str | None, ending: Ending
) -> int:
    line, stop = OneLine(Console(stderr=True, highlight=False)), threading.Event()
    with ending.stopping(stop):
        try:
            if order.folder is not None:
                engines.load(order.opening(order.folder), stop, line.show)
        finally:
            line.clear()
        newest = desk.store.listing.page(ListFilter(), 0, 1) if order.latest else ()
        if newest:
            desk.open(newest[0].id)
        if order.connection:
            entry = desk.servers.named(order.connection)
            desk.use_server(entry.connection.id, order.model or usual_model(engines, entry, stop))
    for file in order.files:
        note = files.attach(desk, file)
        if note is not None:
            say(note.text(), sys.stderr)
    console = Console(highlight=False)
    if prompt is not None:
        return _once(desk, console, line, whole(prompt), ending)
    info = engines.info
    if info is not None:
        say(f"{info.name}, {info.dtype} on {info.device}")
    if newest:
        say(one_line(newest[0].title))
    if desk.place.is_remote:
        say(clean(tables.place(desk.place)))
    from qwen_desktop.talk.typing_line import session

    typing = session(order.options.profile.root, desk)
    Talk(desk, order.opening, console, typing, ending).run()
    return 0


def _once(desk: Desk, console: Console, line: OneLine, prompt: str, ending: Ending) -> int:
    stop = threading.Event()
    run = desk.ask(prompt)
    try:
        with ending.stopping(stop), closing(desk.answer(run, stop)) as events:
            show_answer(console, events, line)
    finally:
        line.clear()
    return INTERRUPTED if run.answer.status is Status.STOPPED else 0


def _lines(order: TalkOrder, general: Mapping[str, Value], ending: Ending) -> int:
    out, sys.stdout = sys.stdout, sys.stderr  # nothing else may come between the events
    stop = threading.Event()
    profile = order.options.profile
    desks: list[Desk] = []
    with ExitStack() as until_end:
        servers = Servers(ConnectionFile(profile.connections).entries if order.connection else ())
        options = EngineOptions(code_folder=engine_options(general, profile).code_folder)
        engines = Engines(options, servers.key_of, str(general["proxy"]))
        place = LOCAL

        def keeper() -> Desk:
            if not desks:
                store = until_end.enter_context(opened(profile))
                desks.append(Desk(store, engines, general, servers, assents=order.assents))
                if place.choice is not None:
                    desks[0].use_server(place.choice.connection, place.choice.model)
            return desks[0]

        until_end.callback(setattr, sys, "stdout", out)
        until_end.callback(engines.close)
        until_end.enter_context(ending.stopping(stop))
        lines = Lines(general, out, keeper, stop)
        try:
            if order.folder is not None:
                engines.load(order.opening(order.folder), stop, lines.progress)
            if order.connection:
                entry = servers.named(order.connection)
                model = order.model or usual_model(engines, entry, stop)
                agreed = entry.connection.origin if order.assents else ""
                place = servers.place(RemoteChoice(entry.connection.id, model, agreed))
                if not order.assents:
                    raise not_agreed(entry.connection)
        except Cancelled:
            raise
        except Exception as error:  # noqa: BLE001 - the border: told as an event
            report = report_of(error)
            lines.tell("error", id=None, message=report.text(), code=report.code)
            return 1
        info, target = engines.info, place.target
        if target is not None:
            lines.tell(
                "ready",
                model=target.model,
                device=target.connection.host,
                context_length=target.context_length,
            )
        elif info is not None:
            lines.tell(
                "ready", model=info.name, device=info.device, context_length=info.context_length
            )
        lines.place = place
        well = lines.run(engines, lines_of(sys.stdin.buffer))
    if stop.is_set():
        return INTERRUPTED
    return 0 if well else 1
