"""What is kept of answers only to be looked at: traces from the disk, tokens by their texts.

Lives on the main thread. QtCore only. `Reading`, which has the shown conversation, is built on it.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from qwen_desktop.bridge.engine_client import EngineClient
from qwen_desktop.bridge.store_client import StoreClient
from qwen_desktop.chat.tree import Conversation
from qwen_desktop.errors import Report


class Keepsakes(QObject):
    """Reads them when somebody looks. Signals: see each line."""

    trace_read = Signal(str, object)  # message id, AnswerTrace
    trace_failed = Signal(str, object)  # message id, Report
    tokens_read = Signal(str, object)  # message id, TurnTokens; None where no checkpoint is open
    problem = Signal(object)  # Report

    def __init__(
        self, store: StoreClient, engine: EngineClient, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._store = store
        self._engine = engine
        engine.tokens_made.connect(self.tokens_read)

    @property
    def current(self) -> Conversation:
        """The shown conversation."""
        raise NotImplementedError

    def read_trace(self, message_id: str) -> None:
        """Read what is kept of an answer only to be looked at: `trace_read` tells it.

        Where it cannot be read, `trace_failed` and `problem` do.
        """

        def failed(report: Report) -> None:
            self.trace_failed.emit(message_id, report)
            self.problem.emit(report)

        self._store.submit(
            lambda store: store.trace(message_id),
            lambda trace: self.trace_read.emit(message_id, trace),
            failed,
        )

    def read_tokens(self, message_id: str, prompt_ids: tuple[int, ...]) -> None:
        """Spell the tokens of an answer and of its prompt: `tokens_read` tells.

        While an answer is written they come after it.
        """
        if (message := self.current.tree.messages.get(message_id)) is not None:
            self._engine.tokens(message_id, message, prompt_ids)
