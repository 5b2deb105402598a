"""`qwen-desktop serve DIR`: the local server without a window. No Qt.

The engine works on a thread of its own, one request after the other; the server has another. The
exit status is 0 after Ctrl+C, which is how it ends.
"""

from __future__ import annotations

import io
import logging
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from qwen_desktop.chat.events import Progress
from qwen_desktop.chat.model import EngineOptions, GenerationRequest, LoadRequest
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known, Report, report_of
from qwen_desktop.serve.running import Running
from qwen_desktop.serve.served import Entry
from qwen_desktop.serve.site import ServeOptions
from qwen_desktop.serve.source import Job, Phase, Standing
from qwen_desktop.serve_options import ServeOrder
from qwen_desktop.terminal import interrupted_by, say

if TYPE_CHECKING:
    from qwen_desktop.engine.engine import Engine

_log = logging.getLogger(__name__)

END_S = 5.0
STACK = 16 * 2**20  # torch's parallel kernels need more than some platforms give a thread


class EngineThread:
    """The engine on its thread; a `Source`."""

    def __init__(
        self,
        load: LoadRequest,
        options: EngineOptions,
        loading: Callable[[Progress], None],
        ended: Callable[[], None],
    ) -> None:
        """`loading` tells of the load, `ended` that it failed: `trouble` says why."""
        self._load, self._options = load, options
        self._loading, self._ended = loading, ended
        self._jobs: queue.SimpleQueue[Job | GenerationRequest | tuple[str, ...] | None] = (
            queue.SimpleQueue()
        )
        self._cancel = threading.Event()
        self._ahead = threading.Event()  # ends what is read while nobody asks
        self._standing = Standing(Phase.LOADING)
        self.trouble: Report | None = None
        before = threading.stack_size(STACK)
        try:
            self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
            self._thread.start()
        finally:
            threading.stack_size(before)

    def standing(self) -> Standing:
        """How it stands. From any thread."""
        return self._standing

    def begin(self, job: Job) -> None:
        """Answer `job` after what was asked before."""
        self._jobs.put(job)
        self._ahead.set()

    def prepare(self, request: GenerationRequest) -> None:
        """Read ahead for the next turn, until something is asked for."""
        self._jobs.put(request)

    def forget(self, conversation_ids: tuple[str, ...]) -> None:
        """Nothing of these has to be kept any more."""
        self._jobs.put(conversation_ids)

    def close(self) -> None:
        """End it; answers are stopped by whoever asked. Waits a moment."""
        self._cancel.set()
        self._jobs.put(None)
        self._ahead.set()
        self._thread.join(END_S)

    def _run(self) -> None:
        from qwen_desktop.engine.start import create_engine

        try:
            engine = create_engine(self._loading)
            engine.configure(self._options)
            info = engine.load(self._load, self._cancel, self._loading)
        except Cancelled:
            return
        except BaseException as error:  # noqa: BLE001 - the border of this thread
            self.trouble = report_of(error)
            self._standing = Standing(Phase.NONE)
            self._ended()
            return
        self._standing = Standing(Phase.READY, info)
        self._loading_done()
        while (job := self._jobs.get()) is not None:
            if isinstance(job, tuple):
                for conversation_id in job:
                    engine.forget(conversation_id)
            elif isinstance(job, GenerationRequest):
                self._read_ahead(engine, job)
            else:
                _answer(engine, job)

    def _read_ahead(self, engine: Engine, request: GenerationRequest) -> None:
        self._ahead.clear()
        if not self._jobs.empty():  # what waits sets no event again
            return
        try:
            for _ in engine.prepare(request, self._ahead):
                if self._ahead.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - nobody asked for it: it goes to the log
            _log.warning("not read ahead: %s", type(error).__name__)

    def _loading_done(self) -> None:
        info = self._standing.info
        assert info is not None
        say(f"{info.name}, {info.dtype} on {info.device}: ready.", sys.stderr)


def _answer(engine: Engine, job: Job) -> None:
    try:
        for event in engine.generate(job.request, job.stop):
            job.put(event)
    except BaseException as error:  # noqa: BLE001 - the border of the engine's thread
        report = report_of(error)
        if report.is_bug and not isinstance(error, Cancelled):
            _log.error("an answer: %s", report.for_log())
        job.put(report)


def run(order: ServeOrder) -> int:
    """Serve until Ctrl+C; gives the exit status. Raises Known."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a console may know few characters
    options = ServeOptions(order.host, order.port, order.key, order.waiting, order.origins)
    if not options.is_loopback and not options.key:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{host} is open to other machines: it needs a key."),
            QT_TRANSLATE_NOOP("errors", "Add --generate-key, or --api-key-env NAME."),
            host=order.host,
        )
    stop = threading.Event()
    told: set[str] = set()

    def loading(progress: Progress) -> None:
        if progress.stage.value not in told:
            told.add(progress.stage.value)
            say(f"{progress.stage.value.replace('_', ' ')} …", sys.stderr)

    with interrupted_by(stop, "Stopping …"), _ended_by_system(stop):
        engine = EngineThread(
            order.load, EngineOptions(code_folder=order.code_folder), loading, stop.set
        )
        server: Running | None = None
        try:
            server = Running(engine, options, _tell, lambda _: None, stop.set)
            _announce(server, options, order)
            server.start()
            while not stop.wait(0.5):  # a wait without end would not hear Ctrl+C on Windows
                pass
        finally:
            if server is not None:
                server.close()
            engine.close()
            if server is not None:
                server.join(END_S)
    if engine.trouble is not None:
        say(engine.trouble.text(), sys.stderr)
        if engine.trouble.is_bug:
            print(engine.trouble.details, file=sys.stderr)  # noqa: T201
        return 1
    return 0


class _ended_by_system:  # noqa: N801 - reads as a word after `with`
    """Within, a SIGTERM sets the event, as systems end their services."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGTERM, lambda _number, _frame: self._stop.set())

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)


def _announce(server: Running, options: ServeOptions, order: ServeOrder) -> None:
    say(f"address: {server.address}/v1")
    say(f"page:    {server.address}/")
    if order.made:
        say(f"key:     {order.key}")
    if not options.is_loopback:
        say(
            f"Other machines reach it at {options.host}. Texts and the key go over the network "
            "as they are: put a proxy with TLS before it where others can listen.",
            sys.stderr,
        )


def _tell(entry: Entry) -> None:
    """A line of the log. No text of anybody is in it."""
    clock = time.strftime("%H:%M:%S", time.localtime(entry.time))
    line = f"{clock}  {entry.status or '---'}  {entry.method} {entry.path}  {entry.seconds:.2f} s"
    if entry.prompt_tokens:
        line += f"  {entry.prompt_tokens:,} tokens ({entry.cached_tokens:,} kept)"
        line += f" + {entry.new_tokens:,}"
        if entry.speed:
            line += f", {entry.speed:.1f} tok/s"
    if entry.left:
        line += "  left"
    say(line, sys.stderr)
