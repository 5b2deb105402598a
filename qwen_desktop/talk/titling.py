"""Lets the model name a chat while the next line is typed. The line that is typed comes first."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

from qwen_desktop.chat import titles
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.errors import Cancelled, report_of
from qwen_desktop.talk.desk import Desk

_log = logging.getLogger(__name__)


class Titling:
    """One title at a time, on a thread of its own: `begin` it after an answer, `end` it before
    anything else is asked of the source.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._chat = ""
        self._said: str | None = None
        self._answered: set[str] = set()  # chats that the model has said something about

    def begin(self) -> None:
        """Ask for a title, where the settings say so and the chat has none of its own."""
        chat = self._desk.current
        if not self._desk.general["title_by_model"] or chat.title or chat.id in self._answered:
            return
        request = titles.title_request(chat)
        target = self._desk.place.target
        if request is None or (self._desk.place.is_remote and not self._desk.may_title):
            return
        self._chat, self._said, self._stop = chat.id, None, threading.Event()
        self._thread = threading.Thread(
            target=self._ask, args=(replace(request, remote=target),), name="title", daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        """Wait no longer; a title that is there is kept. Raises Known where the disk refuses."""
        if self._thread is None:
            return
        self._stop.set()
        self._thread.join()
        self._thread = None
        if self._said is not None:
            self._answered.add(self._chat)
            self._desk.suggest_title(self._chat, titles.clean(self._said))

    def _ask(self, request: GenerationRequest) -> None:
        stop = self._stop
        try:
            said = self._desk.source.write_title(request, stop)
        except Cancelled:
            return
        except Exception as error:  # noqa: BLE001 - nobody asked for it: it goes to the log
            _log.error("title: %s", report_of(error).for_log())
        else:
            if not stop.is_set():
                self._said = said
