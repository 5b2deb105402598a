"""As whom the hubs are asked: tokens, kept by the system's keyring or for this run. QtCore only.

A token never comes back to the window, is in no setting, no log and no file of ours. Keyrings may
wait for the user, so they are asked on threads that nobody waits for.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from qwen_desktop.bridge.preferences import PreferencesModel
from qwen_desktop.chat.downloads import Access, TokenPlace
from qwen_desktop.chat.hub import Hub
from qwen_desktop.errors import Cancelled, Report, report_of

_log = logging.getLogger(__name__)

ADDRESSES = {Hub.HUGGING_FACE: "huggingface_address", Hub.MODELSCOPE: "modelscope_address"}


class HubAccess(QObject):
    """Owned by the application.

    Signals: `changed(Hub, Access)` answers `look`, `save` and `forget`; `tested(Hub, name)`: whose
    the token is; `problem(Hub, Report)`.
    """

    changed = Signal(object, object)
    tested = Signal(object, str)
    problem = Signal(object, object)

    def __init__(self, preferences: PreferencesModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._preferences = preferences
        self._own: dict[Hub, str] = {}  # for this run; read by threads
        self._stop = threading.Event()
        self._emitting = threading.Lock()
        self._closed = False

    def token(self, hub: Hub) -> str | None:
        """The token of this run; None for what the environment and the keyring say. Any thread."""
        return self._own.get(hub)

    def look(self, hub: Hub) -> None:
        """Find out where a token would come from. No network."""
        self._start(hub, lambda: self._tell(self.changed, hub, self._access(hub)))

    def save(self, hub: Hub, token: str) -> None:
        """Keep a token: in the keyring, or for this run where there is none or it refuses."""
        token = "".join(token.split())

        def run() -> None:
            from qwen_desktop.errors import Known
            from qwen_desktop.hub import endpoints

            try:
                endpoints.save_token(hub, token)
            except Known:
                self._own[hub] = token
            else:
                # What was just entered goes before the environment, too, as long as we run.
                self._own[hub] = token
                if self._place(hub) is TokenPlace.KEYRING:
                    self._own.pop(hub, None)
            self._tell(self.changed, hub, self._access(hub))

        if token:
            self._start(hub, run)

    def forget(self, hub: Hub) -> None:
        """Take the token away, from the keyring and of this run."""
        self._own.pop(hub, None)

        def run() -> None:
            from qwen_desktop.hub import endpoints

            endpoints.forget_token(hub)
            self._tell(self.changed, hub, self._access(hub))

        self._start(hub, run)

    def test(self, hub: Hub) -> None:
        """Ask the hub's own server whose token it is: the one request that this makes."""
        proxy = str(self._preferences.get("proxy"))

        def run() -> None:
            from qwen_desktop.hub.access import who
            from qwen_desktop.hub.endpoints import endpoint

            there = endpoint(hub, "", self._own.get(hub), proxy)
            self._tell(self.tested, hub, who(there, self._stop))

        self._start(hub, run)

    def close(self) -> None:
        """Say nothing from here on. Threads that a keyring holds are left."""
        self._stop.set()
        with self._emitting:
            self._closed = True

    # -- on threads of their own -----------------------------------------------------------

    def _start(self, hub: Hub, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except Cancelled:
                return
            except BaseException as error:  # noqa: BLE001 - the border of this thread
                report: Report = report_of(error)
                _log.warning("hub access: %s", report.template)  # details could name a user
                self._tell(self.problem, hub, report)

        threading.Thread(target=run, name="hub access", daemon=True).start()

    def _access(self, hub: Hub) -> Access:
        from qwen_desktop.hub.access import access

        found = access(hub)
        return replace(found, place=TokenPlace.RUN) if hub in self._own else found

    def _place(self, hub: Hub) -> TokenPlace:
        from qwen_desktop.hub.access import access

        return access(hub).place

    def _tell(self, signal: object, *values: object) -> None:
        with self._emitting:
            if not self._closed:
                signal.emit(*values)  # type: ignore[attr-defined]
