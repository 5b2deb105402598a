"""Carries one run from request to finished answer. Lives on the main thread. QtCore only.

Prompt checked by the engine → user message and empty answer on disk → generation → events folded
at 33 ms → answer journalled every 250 ms → finished on disk. A run that is refused before it is
on disk is handed back whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from qwen_desktop.bridge.coalesce import StreamBuffer
from qwen_desktop.bridge.engine_client import EngineClient
from qwen_desktop.bridge.run import Run, RunKind
from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.bridge.words import translated
from qwen_desktop.chat.events import Alarm, GenerationEvent, PromptCount
from qwen_desktop.chat.forking import kept_scores
from qwen_desktop.chat.messages import AnswerTrace, Message, Status
from qwen_desktop.errors import Report

if TYPE_CHECKING:
    from qwen_desktop.storage.store import Store

JOURNAL_MS = 250


class Answering(QObject):
    """Owns at most one run. Made by `Chats`.

    Signals, each with the `Run`: `refused` (not on disk, with the Report or None), `overflowed`
    (the same, with the PromptCount: the user is to choose what is left out), `stored` (on disk,
    generation begins), `grown` (more text), `ticked` (progress, usage or what the model sees
    changed), `ended` (the answer has its final status; it is on disk a moment later: `saved`).
    """

    refused = Signal(object, object)
    overflowed = Signal(object, object)
    stored = Signal(object)
    grown = Signal(object)
    ticked = Signal(object)
    ended = Signal(object, object)  # Run, Report or None
    saved = Signal(object)
    alarm = Signal(object)  # Alarm
    problem = Signal(object)

    def __init__(
        self, store: StoreClient, engine: EngineClient, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._store = store
        self._engine = engine
        self._run: Run | None = None
        self._ending: dict[str, Run] = {}  # by answer: ended, and not on disk as such yet
        self._buffer = StreamBuffer(self)
        self._buffer.flushed.connect(self._on_events)
        self._journal = QTimer(self)
        self._journal.setInterval(JOURNAL_MS)
        self._journal.timeout.connect(self._write_journal)
        engine.accepted.connect(self._on_accepted)
        engine.overflowed.connect(self._on_overflowed)
        engine.generated.connect(self._on_event)
        engine.failed.connect(self._on_failed)

    @property
    def run(self) -> Run | None:
        """The run under way."""
        return self._run

    def begin(self, run: Run) -> None:
        """Start a run; there must be none."""
        assert self._run is None
        self._run = run
        self._engine.check(run.id, run.request)

    def stop(self) -> None:
        """End the run soon; the text is kept.

        A run whose prompt is still being checked is given back: nothing of it is on disk.
        """
        run = self._run
        if run is None:
            return
        run.stop.set()
        if run.written is not None:
            self.ticked.emit(run)
        else:
            self._refuse(run.id, None)

    @property
    def unsaved(self) -> tuple[Run, ...]:
        """The runs of which something may not be on disk yet: ended ones and the one under way."""
        return (*self._ending.values(), *((self._run,) if self._run is not None else ()))

    def flush(self) -> None:
        """Journal what the run has said so far."""
        self._buffer.flush()
        self._write_journal()

    def close(self) -> Run | None:
        """End the run now with its text so far; gives back one that was not on disk yet."""
        if self._run is not None:
            self._run.stop.set()
            self._buffer.flush()
        run = self._run  # the flush may have finished it
        if run is None:
            return None
        if run.stored:
            self._finish(run, Status.INTERRUPTED)
            return None
        self._run = None
        if run.kind is RunKind.RESUME and run.written is not None:
            self._write_end(run, run.original or run.answer)  # its text is all there
        return run

    def _current(self, run_id: str) -> Run | None:
        run = self._run
        return run if run is not None and run.id == run_id else None

    @Slot(str, int)
    def _on_accepted(self, run_id: str, _tokens: int) -> None:
        if (run := self._current(run_id)) is None:
            return
        run.written = run.as_written()
        self._store.write(
            _saving(run),
            lambda trace: self._on_stored(run_id, trace),
            lambda report: self._refuse(run_id, report),
        )

    @Slot(str, object)
    def _on_overflowed(self, run_id: str, count: PromptCount) -> None:
        if (run := self._current(run_id)) is not None:
            self._run = None
            self.overflowed.emit(run, count)

    def _on_stored(self, run_id: str, trace: AnswerTrace) -> None:
        if (run := self._current(run_id)) is None:
            return
        run.stored = True
        run.trace_before = trace
        self.stored.emit(run)
        self._journal.start()
        self._engine.generate(run.id, run.request, run.stop)

    def _refuse(self, run_id: str, report: Report | None) -> None:
        if (run := self._current(run_id)) is not None:
            self._run = None
            self.refused.emit(run, report)

    @Slot(str, object)
    def _on_event(self, run_id: str, event: GenerationEvent) -> None:
        if self._current(run_id) is not None:
            self._buffer.push(event)

    @Slot(object)
    def _on_events(self, events: list[GenerationEvent]) -> None:
        run = self._run
        if run is None:
            return
        answer, told, reason = run.answer, (run.progress, run.usage, run.started), None
        for event in events:
            reason = run.take(event) or reason
            if isinstance(event, Alarm):
                self.alarm.emit(event)
        if run.started is not told[2]:
            self._save_start(run)
        if reason is not None:
            self._finish(run, reason.status)
            return
        if run.answer is not answer:
            run.merge()
            self.grown.emit(run)
        if (run.progress, run.usage, run.started) != told:
            self.ticked.emit(run)

    def _save_start(self, run: Run) -> None:
        """What a crash must not take along: where the answer comes from."""
        started, answer_id = run.started, run.answer.id
        if started is not None:
            self._store.keep(
                lambda store: store.save_start(answer_id, started.provenance, started.prompt_ids)
            )

    @Slot(str, object)
    def _on_failed(self, run_id: str, report: Report) -> None:
        if (run := self._current(run_id)) is None:
            return
        if not run.stored:
            self._refuse(run_id, report)
            return
        self._buffer.flush()
        self._finish(run, Status.FAILED, report)

    def _finish(self, run: Run, status: Status, report: Report | None = None) -> None:
        self._journal.stop()
        self._buffer.clear()
        self._engine.release(run.id)
        run.end(status, translated(report) if report is not None else "")
        run.merge()
        run.conversation = replace(run.conversation, updated_at=time.time())
        self._run = None
        self._write_end(run, run.answer)  # before the list is read again because of it
        self.ended.emit(run, report)

    def _write_end(self, run: Run, answer: Message) -> None:
        conversation_id, trace = run.conversation.id, run.trace()
        self._ending[answer.id] = run

        def done(_: None) -> None:
            self._ending.pop(answer.id, None)
            self.saved.emit(run)

        # A piece for the journal that waits for the disk is part of what is written here.
        self._store.keep(
            lambda store: store.finish(conversation_id, answer, trace), done, key=_key(answer.id)
        )

    @Slot()
    def _write_journal(self) -> None:
        run = self._run
        # One at a time: what failed is written again before what came after it.
        pieces = run.unsaved() if run is not None and not run.journalling else []
        if run is None or not pieces:
            return
        run.journalling = True
        answer_id = run.answer.id

        def done(_: None) -> None:
            run.journalling = False

        def failed(report: Report) -> None:
            # By a fault of ours: a disk that refuses makes it wait in the store.
            run.journalling = False
            run.put_back(pieces)
            if not run.journal_failed:  # once: it is tried again four times a second
                run.journal_failed = True
                self.problem.emit(report)

        self._store.keep(
            lambda store: store.journal_pieces(answer_id, pieces),
            done,
            key=_key(answer_id),
            on_failed=failed,
        )


def _key(answer_id: str) -> str:
    """What the writes of one answer's text have in common: the last of them has it all."""
    return f"answer {answer_id}"


def _saving(run: Run) -> Callable[[Store], AnswerTrace]:
    """The job that puts a run on disk; it gives what is known of how its answer begins."""
    conversation, answer, question = run.conversation, run.answer, run.question
    kind, is_new, has_new_message = run.kind, run.is_new, run.has_new_message
    fork = run.request.fork

    def save(store: Store) -> AnswerTrace:
        if kind is RunKind.RESUME:
            store.reopen(conversation.id, answer)
            return store.trace(answer.id)
        if is_new:
            store.create(conversation)
        else:
            # Both or none: what is refused is taken back, and would be there twice.
            messages = (question, answer) if has_new_message else (answer,)
            store.add_messages(conversation.id, messages)
        if fork is not None:
            return AnswerTrace(scores=kept_scores(fork, store.trace(fork.answer.id).scores))
        return AnswerTrace()

    return save
