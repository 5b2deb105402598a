"""One answer being made: its text so far and what of it is not on disk yet. Pure main thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum

from qwen_desktop.chat.events import (
    Delta,
    Finished,
    FinishReason,
    GenerationEvent,
    Progress,
    Scored,
    Started,
    Usage,
)
from qwen_desktop.chat.messages import (
    AnswerStats,
    AnswerTrace,
    Message,
    PartKind,
    Provenance,
    Status,
    TokenScore,
    new_id,
)
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.tree import Conversation, Tree

# A piece of an answer for the journal: its kind, new text and new tokens.
Piece = tuple[PartKind, str, tuple[int, ...]]

# How an answer can end with nothing said; a continued one then is what it was before.
_UNFINISHED = (Status.STOPPED, Status.INTERRUPTED, Status.FAILED)


@dataclass(frozen=True)
class RunState:
    """What the window shows of the run. `title` names the conversation it belongs to."""

    running: bool = False
    conversation_id: str = ""
    title: str = ""
    answer_id: str = ""  # "" while another version of the conversation is shown
    progress: Progress | None = None
    stopping: bool = False


class RunKind(Enum):
    """What the user asked for."""

    ASK = "ask"  # the composer's message, at the end
    EDIT = "edit"  # an earlier message again
    RETRY = "retry"  # another answer to the same message
    RESUME = "resume"  # the rest of an answer that was cut
    FORK = "fork"  # an answer anew from one of its tokens on


@dataclass
class Run:
    """A run from the moment the user sends until its answer is finished.

    `before` is the conversation as it was, to return to if the request is refused. `conversation`
    is how it stands: whoever changes it while the run goes on changes it here. `typed` is what
    the user had written, empty where nothing new was.
    """

    before: Conversation
    conversation: Conversation
    answer: Message
    request: GenerationRequest
    kind: RunKind
    typed: str = ""
    is_new: bool = False  # the conversation has no row yet
    edited: str = ""  # id of the message in whose place something is said
    id: str = field(default_factory=new_id)
    stop: threading.Event = field(default_factory=threading.Event)
    progress: Progress | None = None
    usage: Usage | None = None
    written: Conversation | None = None  # as it was given to the store, once the prompt fits
    stored: bool = False
    journalling: bool = False  # pieces are on their way to the journal
    journal_failed: bool = False
    started: Started | None = None
    finished: Finished | None = None
    undone: bool = False  # ended with nothing to add to the answer that was to be continued
    trace_before: AnswerTrace = field(default_factory=AnswerTrace)  # of what the answer begins with
    _scores: list[TokenScore] = field(default_factory=list)
    _unsaved: list[Piece] = field(default_factory=list)

    # -- what it is about ------------------------------------------------------------------

    @property
    def original(self) -> Message | None:
        """The answer as it was before, where one is continued."""
        return self.before.tree.messages.get(self.answer.id)

    @property
    def question(self) -> Message:
        """The message that is answered."""
        return self.conversation.tree.messages[self.answer.parent_id or ""]

    @property
    def has_new_message(self) -> bool:
        """Whether the user's message is not on disk either."""
        return self.kind in (RunKind.ASK, RunKind.EDIT)

    @property
    def unseen(self) -> tuple[str, ...] | None:
        """Ids of messages that the model is not shown; None until it is settled."""
        if self.usage is not None:
            return self.usage.unseen
        return self.started.provenance.unseen if self.started is not None else None

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

    def as_written(self) -> Conversation:
        """The conversation as it will stand on disk when this run is stored as it is now."""
        if self.is_new or self.kind is RunKind.RESUME:
            return self.conversation
        # The store reads up to a message that is added, whatever is looked at meanwhile.
        tree = self.conversation.tree.with_head(self.answer.id)
        return replace(self.conversation, tree=tree)

    def next_request(self) -> GenerationRequest:
        """What the next request will begin with: this one and its answer."""
        request = self.request
        asked = tuple(m for m in request.messages if m.id != self.answer.id)
        return replace(request, messages=(*asked, self.answer), fork=None)

    # -- growing ---------------------------------------------------------------------------

    def take(self, event: GenerationEvent) -> FinishReason | None:
        """Grow by one event; the reason if it was the last."""
        if isinstance(event, Delta):
            self.progress = None
            grown = self.answer.appended(event.kind, event.text)
            self.answer = replace(grown, token_ids=grown.token_ids + event.ids)
            self._unsaved.append((event.kind, event.text, event.ids))
        elif isinstance(event, Progress):
            self.progress = event
        elif isinstance(event, Started):
            self.started = event
            self.answer = replace(self.answer, provenance=event.provenance)
        elif isinstance(event, Scored):
            self._scores.extend(event.tokens)
        elif isinstance(event, Usage):
            self.usage = event
            self.answer = replace(self.answer, stats=self._all_of(event.stats))
        elif isinstance(event, Finished):
            self.finished = event
            return event.reason
        return None

    def _all_of(self, stats: AnswerStats) -> AnswerStats:
        """What the whole answer took: of a continued one, the earlier runs as well.

        Its prompt, the reading of it and the first token are those of the first run, the model is
        the last one's.
        """
        stats = replace(stats, model=self.answer.stats.model if self.answer.stats else stats.model)
        earlier = self.original.stats if self.original is not None else None
        if earlier is None or not earlier.prompt_tokens:
            return stats
        return replace(
            earlier,
            model=stats.model,
            reasoning_tokens=earlier.reasoning_tokens + stats.reasoning_tokens,
            answer_tokens=earlier.answer_tokens + stats.answer_tokens,
            decode_seconds=earlier.decode_seconds + stats.decode_seconds,
            reasoning_seconds=earlier.reasoning_seconds + stats.reasoning_seconds,
        )

    def put_back(self, pieces: list[Piece]) -> None:
        """Return pieces that could not be written."""
        self._unsaved[:0] = pieces

    def unsaved(self) -> list[Piece]:
        """The pieces not written yet, joined; they count as written from now on."""
        pieces = list(_joined(self._unsaved))
        self._unsaved.clear()
        return pieces

    def merge(self) -> None:
        """Put the answer as it is now into the conversation."""
        tree = self.conversation.tree
        # The pin is the user's, who may set it while the answer is written.
        self.answer = replace(self.answer, pinned=tree.messages[self.answer.id].pinned)
        self.conversation = replace(self.conversation, tree=tree.replaced(self.answer))

    # -- ending ----------------------------------------------------------------------------

    def end(self, status: Status, error: str = "") -> None:
        """Give the answer its last status, `error` being the sentence of a failed one.

        A continued answer to which nothing was added is what it was before.
        """
        original = self.original
        if original is not None and status in _UNFINISHED and not self._has_grown(original):
            self.answer, self.undone = original, True
            return
        self.answer = replace(self.answer, status=status, error=error)
        provenance, finished = self.answer.provenance, self.finished
        if provenance is not None and finished is not None:
            provenance = replace(
                provenance,
                stop_reason=finished.reason.value,
                peak_bytes=finished.peak_bytes,
                held_bytes=finished.held_bytes,
                others_bytes=finished.others_bytes,
                planned_bytes=finished.planned_bytes,
                used_bytes=finished.used_bytes,
                device_bytes=finished.device_bytes,
                kv_bytes=finished.kv_bytes,
                prefill_chunk=finished.prefill_chunk,
                end_token=finished.end_token,
                drafted=finished.drafted,
                accepted=finished.accepted,
                estimated=finished.estimated,
            )
            self.answer = replace(self.answer, provenance=provenance)

    def _has_grown(self, original: Message) -> bool:
        grown = self.answer
        return (grown.parts, grown.token_ids) != (original.parts, original.token_ids)

    def trace(self) -> AnswerTrace | None:
        """What is kept of the answer only to be looked at; None where it never started."""
        if self.started is None:
            return None
        if self.undone:
            return self.trace_before
        return AnswerTrace(self.started.prompt_ids, self.trace_before.scores + tuple(self._scores))

    def taken_back(self) -> Conversation:
        """The conversation without what this run brought, for one that was refused.

        What the user changed meanwhile stays changed.
        """
        now, before = self.conversation, self.before.tree
        brought = {self.question.id, self.answer.id} - before.messages.keys()
        messages = [
            replace(before.messages.get(id_, message), pinned=message.pinned)
            for id_, message in now.tree.messages.items()
            if id_ not in brought  # what was deleted may have come back meanwhile
        ]
        head = now.tree.head if now.tree.head in before.messages else before.head
        return replace(now, tree=Tree.of(messages, head), updated_at=self.before.updated_at)


def last_usage(messages: tuple[Message, ...], model: str, context_length: int) -> Usage | None:
    """The usage an opened conversation starts with: that of its last answer.

    None where another model than `model` wrote it: its tokens and its speed say nothing of this
    one. `context_length` is that of the model; 0 where it is not known.
    """
    for message in reversed(messages):
        stats: AnswerStats | None = message.stats
        if stats is not None and stats.prompt_tokens:
            if stats.model != model:
                return None
            source = message.provenance or Provenance()
            limit = source.context_limit or context_length
            tokens = stats.prompt_tokens + stats.new_tokens
            tokens = min(tokens, limit) if limit else tokens
            return Usage(stats, tokens, limit, source.unseen)
    return None


def _joined(pieces: list[Piece]) -> Iterator[Piece]:
    kind: PartKind | None = None
    texts: list[str] = []
    ids: list[int] = []
    for next_kind, text, new in pieces:
        if kind is not None and next_kind is not kind:
            yield kind, "".join(texts), tuple(ids)
            texts, ids = [], []
        kind = next_kind
        texts.append(text)
        ids += new
    if kind is not None:
        yield kind, "".join(texts), tuple(ids)
