"""The same application without a display: load, ask once, stream to the terminal, keep, exit.

It drives the objects the window drives; only the platform of Qt is another.
"""

from __future__ import annotations

import io
import os
import sys
import time
import unicodedata
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from PySide6.QtCore import QObject, QTimer, Slot

from qwen_desktop import __version__, app
from qwen_desktop.bridge.models import ModelState, Phase
from qwen_desktop.bridge.saving import SavingState
from qwen_desktop.chat.events import PromptCount
from qwen_desktop.chat.messages import Message, PartKind, Role, Status
from qwen_desktop.crash_report import CrashWatch
from qwen_desktop.errors import Report
from qwen_desktop.options import Options

SETTLE_MS = 200  # the last flush has to be painted before the picture is taken


class OneQuestion(QObject):
    """Asks one question and ends the program after its answer is on disk."""

    def __init__(self, built: app.App, question: str | None) -> None:
        super().__init__()
        self._app = built
        self._question = question
        self._answer_id = ""
        self._asked = False
        self._printed: dict[PartKind, int] = {}
        self._said_stage = ""
        self.status = 1
        built.models.changed.connect(self._on_model)
        built.models.problem.connect(self._on_problem)
        built.chats.problem.connect(self._on_problem)
        built.chats.overflowed.connect(self._on_overflow)
        built.problem.connect(self._on_problem)
        built.store.saving_changed.connect(self._on_saving)
        built.chats.message_added.connect(self._on_added)
        built.chats.message_changed.connect(self._on_changed)
        built.chats.answer_saved.connect(self._on_saved)

    @Slot(object)
    def _on_model(self, state: ModelState) -> None:
        if state.busy and state.progress and state.progress.stage.value != self._said_stage:
            self._said_stage = state.progress.stage.value
            _say(f"{self._said_stage.replace('_', ' ')} …")
        if state.phase is not Phase.READY or state.info is None or self._asked:
            return
        self._asked = True
        info = state.info
        _say(f"{info.name} on {info.device}, {info.dtype}")
        question = self._question
        if question is None:
            questions = info.demo.questions if info.demo else {}
            question = next(iter(questions.get("en", ())), "What can you do?")
        print(f"\n> {printable(question)}\n", flush=True)
        self._app.chats.new()
        self._app.chats.ask(question)

    @Slot(object)
    def _on_added(self, message: Message) -> None:
        if message.role is Role.ASSISTANT:
            self._answer_id = message.id

    @Slot(object)
    def _on_changed(self, message: Message) -> None:
        if message.id != self._answer_id:
            return
        for kind in (PartKind.REASONING, PartKind.TEXT):
            text = message.text_of(kind)
            begun = self._printed.get(kind, 0)
            if len(text) == begun:
                continue
            if kind is PartKind.TEXT and begun == 0 and message.reasoning:
                print("\n")
            print(printable(text[begun:]), end="", flush=True)
            self._printed[kind] = len(text)

    @Slot(object)
    def _on_saved(self, message: Message) -> None:
        print("\n", flush=True)
        if message.status is Status.FAILED:
            _say(message.error)
        else:
            self.status = 0
        QTimer.singleShot(SETTLE_MS, self._leave)

    @Slot(object)
    def _on_problem(self, report: Report) -> None:
        _say(report.text())
        if report.is_bug and report.details:
            _say(report.details)
        app.application().exit(1)

    @Slot(object)
    def _on_saving(self, state: SavingState) -> None:
        if state.report is not None:  # nobody is there to make room; it is tried once more
            self._on_problem(state.report)

    @Slot(object)
    def _on_overflow(self, count: PromptCount) -> None:
        _say(f"The question has {count.prompt:,} tokens; {count.budget:,} fit beside an answer.")
        app.application().exit(1)

    @Slot()
    def _leave(self) -> None:
        profile = self._app.options.profile
        if profile.temporary:
            _say("Nothing is kept, as --temporary asks.")
        else:
            print(f"conversation: {profile.database}", flush=True)
            self._take_picture(profile.screenshots)
        app.application().exit(self.status)

    def _take_picture(self, folder: Path) -> None:
        picture = folder / time.strftime("%Y-%m-%d %H-%M-%S.png")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            _say(f"The screenshot cannot be written: {error.strerror}.")
            return
        if self._app.window.grab().save(str(picture)):
            print(f"screenshot:   {picture}", flush=True)
        else:
            _say(f"The screenshot cannot be written to {picture}.")


def printable(text: str) -> str:
    """`text` without the characters that would command a terminal: a model may write anything."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) != "Cc" else "\ufffd" for c in text)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(options: Options) -> int:
    """Run without a display; 0 if an answer was written and kept."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a console may know few characters
    qt = app.application()
    built = app.App(options, CrashWatch(options.profile.crashes, __version__))
    built.build()
    one = OneQuestion(built, options.ask)
    built.show()
    status = max(qt.exec(), one.status)
    built.exit_status = status
    built.close()
    return status
