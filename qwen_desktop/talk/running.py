"""`qwen-desktop chat DIR`: opens the profile and the checkpoint, then one of three ways to ask.

Exit status: 0 where all was answered, 1 where something was not, 2 for a wrong command line,
130 where Ctrl+C ended it.
"""

from __future__ import annotations

import io
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from qwen_desktop.chat.events import Progress
from qwen_desktop.chat.messages import Status
from qwen_desktop.chat.model import EngineOptions, LoadRequest
from qwen_desktop.chat.settings import Value
from qwen_desktop.chat.summary import ListFilter
from qwen_desktop.errors import Cancelled, report_of
from qwen_desktop.paths import Profile
from qwen_desktop.storage.preferences import Preferences
from qwen_desktop.talk.console import OneLine, Talk, show_answer, stopped_by_key
from qwen_desktop.talk.desk import Desk
from qwen_desktop.talk.lines import Lines
from qwen_desktop.talk.source import Source
from qwen_desktop.talk_options import TalkOrder
from qwen_desktop.terminal import INTERRUPTED, interrupted_by, opened, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwen_desktop.engine.engine import Engine

GIB = 2**30
WRONG = 2


def run(order: TalkOrder) -> int:
    """Carry it out; gives the exit status. Raises Known."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console may know few characters
    profile = order.options.profile
    try:
        general = {**Preferences(profile.preferences).values, **order.options.overrides}
        if order.as_json:
            return _lines(order, general)
        prompt = order.prompt
        if prompt == "-":
            prompt = sys.stdin.read()
        if prompt is None and not (sys.stdin.isatty() and sys.stdout.isatty()):
            say("This is no terminal: say --prompt TEXT, --prompt - or --json.", sys.stderr)
            return WRONG
        if prompt is not None and not prompt.strip():
            say("There is nothing to send.", sys.stderr)
            return WRONG
        with opened(profile) as store:
            return _talk(order, general, lambda source: Desk(store, source, general), prompt)
    except Cancelled:
        return INTERRUPTED
    finally:
        if profile.temporary:
            shutil.rmtree(profile.root, ignore_errors=True)


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


@contextmanager
def _engine(
    load: LoadRequest,
    options: EngineOptions,
    stop: threading.Event,
    progress: Callable[[Progress], None],
) -> Iterator[Engine]:
    """The engine with its checkpoint, closed in the end. Raises Known, Cancelled."""
    from qwen_desktop.engine.start import create_engine

    engine = create_engine(progress)
    if stop.is_set():
        raise Cancelled
    engine.configure(options)
    engine.load(load, stop, progress)
    try:
        yield engine
    finally:
        engine.unload()


def _talk(
    order: TalkOrder,
    general: Mapping[str, Value],
    desk_of: Callable[[Source], Desk],
    prompt: str | None,
) -> int:
    told = Console(stderr=True, highlight=False)
    line, stop = OneLine(told), threading.Event()
    with ExitStack() as open_until_end:
        with stopped_by_key(stop):
            engine = open_until_end.enter_context(
                _engine(order.load, engine_options(general, order.options.profile), stop, line.show)
            )
            line.clear()
        desk = desk_of(engine)
        console = Console(highlight=False)
        if prompt is not None:
            return _once(desk, console, line, prompt)
        info = engine.info
        if info is not None:
            say(f"{info.name}, {info.dtype} on {info.device}")
        newest = desk.store.listing.page(ListFilter(), 0, 1) if order.latest else ()
        if newest:
            desk.open(newest[0].id)
            say(newest[0].title)
        from qwen_desktop.talk.typing_line import session

        Talk(desk, order.load, console, session(order.options.profile.root)).run()
    return 0


def _once(desk: Desk, console: Console, line: OneLine, prompt: str) -> int:
    stop = threading.Event()
    run = desk.ask(prompt)
    with stopped_by_key(stop):
        show_answer(console, desk.answer(run, stop), line)
    return INTERRUPTED if run.answer.status is Status.STOPPED else 0


def _lines(order: TalkOrder, general: Mapping[str, Value]) -> int:
    out, sys.stdout = sys.stdout, sys.stderr  # nothing else may come between the events
    stop = threading.Event()
    desks: list[Desk] = []
    with ExitStack() as until_end:

        def keeper() -> Desk:
            if not desks:
                store = until_end.enter_context(opened(order.options.profile))
                desks.append(Desk(store, engine, general))
            return desks[0]

        lines = Lines(general, out, keeper, stop)
        until_end.callback(setattr, sys, "stdout", out)
        until_end.enter_context(interrupted_by(stop))
        options = EngineOptions(
            code_folder=engine_options(general, order.options.profile).code_folder
        )
        try:
            engine = until_end.enter_context(_engine(order.load, options, stop, lines.progress))
        except Exception as error:  # noqa: BLE001 - the border: told as an event
            report = report_of(error)
            lines.tell("error", id=None, message=report.text(), code=report.code)
            return 1
        info = engine.info
        assert info is not None
        lines.tell("ready", model=info.name, device=info.device, context_length=info.context_length)
        well = lines.run(engine, sys.stdin)
    if stop.is_set():
        return INTERRUPTED
    return 0 if well else 1
