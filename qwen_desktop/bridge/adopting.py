"""Half-finished folders: asks a hub what one of them lacks, when the user says so. QtCore only."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from qwen_desktop.bridge import download_work as work
from qwen_desktop.bridge.download_work import Server, Token
from qwen_desktop.bridge.hub_questions import HubQuestions
from qwen_desktop.bridge.preferences import PreferencesModel
from qwen_desktop.chat.hub import DownloadPlan, Hub, RepositoryAddress

_ADDRESSES = {Hub.HUGGING_FACE: "huggingface_address", Hub.MODELSCOPE: "modelscope_address"}
_PATIENCE_S = 1.0


class Adopting(QObject):
    """`planned(id, DownloadPlan)` and `unplanned(id, Report)` answer `look_up`."""

    planned = Signal(str, object)
    unplanned = Signal(str, object)

    def __init__(
        self, preferences: PreferencesModel, token: Token, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._preferences = preferences
        self._token = token
        self._questions = HubQuestions(token, self)
        self._questions.planned.connect(self.planned)
        self._questions.unplanned.connect(self.unplanned)

    @property
    def hub(self) -> Hub:
        """Where checkpoints are looked for first."""
        return Hub(str(self._preferences.get("hub")))

    def look_up(self, folder: Path, address: RepositoryAddress, hub: Hub) -> str:
        """Ask `hub` what the repository has, and see what of it `folder` lacks; the id.

        Pieces of its files that lie about in the folder count as what is there.
        """
        own = address.endpoint if address.hub in (None, hub) else ""
        settings = str(self._preferences.get(_ADDRESSES[hub]))
        server = Server(hub, own or settings, str(self._preferences.get("proxy")))
        asked = replace(address, hub=hub, endpoint="")
        return self._questions.ask(lambda stop: self._plan(folder, asked, server, stop))

    def _plan(
        self, folder: Path, address: RepositoryAddress, server: Server, stop: threading.Event
    ) -> DownloadPlan:
        from qwen_desktop.hub.adopt import plan_missing
        from qwen_desktop.hub.listing import fetch_listing

        there = work.endpoint_of(server, self._token)
        listing = fetch_listing(there, address.repository, address.revision, stop)
        return plan_missing(folder, listing)

    def leave(self, question_id: str) -> None:
        """Nobody waits for this answer any more."""
        self._questions.leave(question_id)

    def close(self) -> None:
        """Say nothing from here on."""
        self._questions.close(time.monotonic() + _PATIENCE_S)
