"""One answer being made: its text so far and what of it is not on disk yet. Pure main thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from qwen_desktop.chat.events import (
    Delta,
    Finished,
    FinishReason,
    GenerationEvent,
    Progress,
    Usage,
)
from qwen_desktop.chat.messages import AnswerStats, Message, PartKind, new_id
from qwen_desktop.chat.model import GenerationRequest, ModelInfo
from qwen_desktop.chat.tree import Conversation


@dataclass(frozen=True)
class RunState:
    """What the window shows of the run. `title` names the conversation it belongs to."""

    running: bool = False
    conversation_id: str = ""
    title: str = ""
    answer_id: str = ""
    progress: Progress | None = None
    stopping: bool = False


@dataclass
class Run:
    """A run from the moment the user sends until its answer is finished.

    `before` is the conversation as it was, to return to if the request is refused. `typed` is
    what the user had written, empty for a retry.
    """

    before: Conversation
    conversation: Conversation
    answer: Message
    request: GenerationRequest
    typed: str
    is_new: bool
    id: str = field(default_factory=new_id)
    stop: threading.Event = field(default_factory=threading.Event)
    progress: Progress | None = None
    usage: Usage | None = None
    accepted: bool = False  # the prompt fits; it is on its way to the disk
    stored: bool = False
    journal_failed: bool = False
    _unsaved: list[tuple[PartKind, str]] = field(default_factory=list)

    @property
    def is_retry(self) -> bool:
        """Whether this answers again a message that is on disk already."""
        return not self.typed

    def take(self, event: GenerationEvent) -> FinishReason | None:
        """Grow by one event; the reason if it was the last."""
        if isinstance(event, Delta):
            self.progress = None
            self.answer = self.answer.appended(event.kind, event.text)
            self._unsaved.append((event.kind, event.text))
        elif isinstance(event, Progress):
            self.progress = event
        elif isinstance(event, Usage):
            self.usage = event
            model = self.answer.stats.model if self.answer.stats else ""
            self.answer = replace(self.answer, stats=replace(event.stats, model=model))
        elif isinstance(event, Finished):
            return event.reason
        return None

    def put_back(self, pieces: list[tuple[PartKind, str]]) -> None:
        """Return pieces that could not be written."""
        self._unsaved[:0] = pieces

    def unsaved(self) -> list[tuple[PartKind, str]]:
        """The pieces not written yet, joined; they count as written from now on."""
        pieces = list(_joined(self._unsaved))
        self._unsaved.clear()
        return pieces

    def merge(self) -> None:
        """Put the answer as it is now into the conversation."""
        tree = self.conversation.tree.replaced(self.answer)
        self.conversation = replace(self.conversation, tree=tree)

    def state(self) -> RunState:
        """What the window shows."""
        return RunState(
            running=True,
            conversation_id=self.conversation.id,
            title=self.conversation.summary().title,
            answer_id=self.answer.id,
            progress=self.progress,
            stopping=self.stop.is_set(),
        )


def last_usage(messages: tuple[Message, ...], info: ModelInfo) -> Usage | None:
    """The usage an opened conversation starts with: that of its last answer.

    None where another model wrote it: its tokens and its speed say nothing of this one.
    """
    for message in reversed(messages):
        stats: AnswerStats | None = message.stats
        if stats is not None and stats.prompt_tokens:
            if stats.model != info.name:
                return None
            return Usage(stats, stats.prompt_tokens + stats.new_tokens, info.context_length)
    return None


def _joined(pieces: list[tuple[PartKind, str]]) -> Iterator[tuple[PartKind, str]]:
    kind: PartKind | None = None
    texts: list[str] = []
    for next_kind, text in pieces:
        if kind is not None and next_kind is not kind:
            yield kind, "".join(texts)
            texts = []
        kind = next_kind
        texts.append(text)
    if kind is not None:
        yield kind, "".join(texts)
