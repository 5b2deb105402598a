"""The catalogue, and what of it fits on this machine. Main thread; QtCore only.

The table comes with the program. A hub is asked for newer repositories by `look_for_newer`, which
a user asks for, and by nothing else.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from qwen_desktop.bridge import download_work as work
from qwen_desktop.bridge.download_work import Server, Token
from qwen_desktop.chat.catalogue import Catalogue, Outlook
from qwen_desktop.chat.hub import Hub, RepositoryName
from qwen_desktop.errors import Cancelled, Report, report_of

if TYPE_CHECKING:
    from qwen_desktop.bridge.preferences import PreferencesModel
    from qwen_desktop.engine.gpus import Machine

_log = logging.getLogger(__name__)


class Offers(QObject):
    """`judged(Catalogue, outlooks)`: outlooks are by key of the offer, for what is free now;

    `newer(names)`: repositories of Qwen that the table does not have, newest first;
    `not_newer(Report)`: the hub could not be asked.
    """

    judged = Signal(object, object)
    newer = Signal(object)
    not_newer = Signal(object)
    _answered = Signal(object, object, object)  # the question, names or None, Report or None

    def __init__(
        self,
        preferences: PreferencesModel,
        machine: Callable[[], Machine | None],
        token: Token = lambda _: None,
        parent: QObject | None = None,
    ) -> None:
        """`machine` and `token` are asked on threads."""
        super().__init__(parent)
        self._preferences = preferences
        self._machine, self._token = machine, token
        self._question: threading.Event | None = None
        self._emitting = threading.Lock()
        self._closed = False
        self._answered.connect(self._on_answered)

    @property
    def hub(self) -> Hub:
        """Where checkpoints are looked for first."""
        return Hub(str(self._preferences.get("hub")))

    def judge(self) -> None:
        """Compute what each offer would take; `judged` follows. No network."""

        def run() -> None:
            from qwen_desktop.engine.described import outlook
            from qwen_desktop.engine.gpus import this_machine
            from qwen_desktop.hub.catalogue import bundled

            catalogue: Catalogue = bundled()
            machine = self._machine() or this_machine()
            found: dict[str, Outlook] = {}
            for offer in catalogue.offers:
                if self._closed:
                    return
                found[offer.key] = outlook(offer, machine)
            self._tell(self.judged, catalogue, found)

        self._on_thread("catalogue", run)

    @property
    def is_asking(self) -> bool:
        """Whether a hub is being asked."""
        return self._question is not None

    def look_for_newer(self) -> None:
        """Ask Hugging Face, or its mirror, what Qwen has published since the table was made."""
        if self._question is not None:
            return
        stop = self._question = threading.Event()
        address = str(self._preferences.get("huggingface_address"))
        server = Server(Hub.HUGGING_FACE, address, str(self._preferences.get("proxy")))

        def run() -> None:
            from qwen_desktop.hub.catalogue import bundled
            from qwen_desktop.hub.newest import published

            try:
                names = published(work.endpoint_of(server, self._token), "Qwen", stop)
                catalogue = bundled()
                fresh = tuple(name for name in names if not catalogue.offers_of(name))
            except Cancelled:
                return
            except BaseException as error:  # noqa: BLE001 - the border of this thread
                report = report_of(error)
                _log.warning("newer checkpoints: %s", report.for_log())
                self._tell(self._answered, stop, None, report)
            else:
                self._tell(self._answered, stop, fresh, None)

        self._on_thread("newer checkpoints", run)

    def leave(self) -> None:
        """Nobody waits for that answer any more."""
        if self._question is not None:
            self._question.set()
            self._question = None

    @Slot(object, object, object)
    def _on_answered(
        self,
        question: threading.Event,
        names: tuple[RepositoryName, ...] | None,
        report: Report | None,
    ) -> None:
        if question is not self._question:
            return
        self._question = None
        if report is not None:
            self.not_newer.emit(report)
        elif names is not None:
            self.newer.emit(names)

    def _on_thread(self, name: str, run: Callable[[], None]) -> None:
        threading.Thread(target=run, name=name, daemon=True).start()

    def _tell(self, signal: object, *values: object) -> None:
        with self._emitting:
            if not self._closed:
                signal.emit(*values)  # type: ignore[attr-defined]

    def close(self) -> None:
        """Say nothing from here on."""
        self.leave()
        with self._emitting:
            self._closed = True
