"""The chat that is open in a terminal: what is asked, answered and kept. Says nothing itself.

What the window does on several threads is done here on one, in the same order: the prompt is
checked, the message and an empty answer are on disk, the answer is journalled while it grows, and
stands there as it ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from qwen_desktop.bridge import asking
from qwen_desktop.bridge.run import Run
from qwen_desktop.chat.context import ChatOptions, Policy
from qwen_desktop.chat.events import FinishReason, GenerationEvent, Started
from qwen_desktop.chat.messages import Message, Role, Status
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.settings import BY_NAME, Setting, Value
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known, Report, report_of
from qwen_desktop.storage.store import Store
from qwen_desktop.talk.source import Source

JOURNAL_S = 0.25
POLICY = "context_policy"

# What a chat may want otherwise than the rest.
SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {name: one for name, one in BY_NAME.items() if one.group == "generation" or name == POLICY}
)


class Desk:
    """One chat at a time over a store and a source of answers. `general` are all settings."""

    def __init__(self, store: Store, source: Source, general: Mapping[str, Value]) -> None:
        self.store = store
        self.source = source
        self._general = dict(general)
        self.current = Conversation()
        self._is_new = True

    # -- which chat ------------------------------------------------------------------------

    def new(self) -> None:
        """Begin another chat with the settings of this one."""
        self.current = Conversation(options=replace(self.current.options, remote=None))
        self._is_new = True

    def open(self, conversation_id: str) -> None:
        """Go on with a chat of the store. Raises Known where it is not there."""
        self.current = self.store.load(conversation_id)
        self._is_new = False

    def take_over(self, messages: tuple[Message, ...], values: Mapping[str, Value]) -> None:
        """Begin a chat in which `messages` were said already, with settings of its own."""
        options = ChatOptions(values=dict(values))
        if (policy := options.values.get(POLICY)) is not None:
            rest = {name: value for name, value in values.items() if name != POLICY}
            options = ChatOptions(Policy(policy), rest)
        self.current = Conversation(tree=Tree.of(messages), options=options)
        self._is_new = True

    @property
    def is_kept(self) -> bool:
        """Whether the chat is on disk: something was asked in it."""
        return not self._is_new

    def messages(self) -> tuple[Message, ...]:
        """What was said, the oldest first."""
        return self.current.tree.path()

    # -- settings --------------------------------------------------------------------------

    def values(self) -> dict[str, Value]:
        """The settings in effect by name."""
        options = self.current.options
        found = asking.values_in_effect(self._general, options)
        if options.policy is not None:
            found[POLICY] = options.policy.value
        return found

    def set(self, name: str, value: Value) -> None:
        """Change a setting of this chat. Raises KeyError, ValueError: nothing is changed then."""
        if not SETTINGS[name].accepts(value):
            raise ValueError(name)
        options = self.current.options
        if name == POLICY:
            self._take(replace(options, policy=Policy(value)))
        else:
            self._take(replace(options, values={**options.values, name: value}))

    def reset(self) -> None:
        """Take the general settings again."""
        self._take(ChatOptions(remote=self.current.options.remote))

    def _take(self, options: ChatOptions) -> None:
        self.current = replace(self.current, options=options)
        if not self._is_new:
            self.store.set_options(self.current.id, options)

    # -- asking ----------------------------------------------------------------------------

    def ask(self, text: str) -> Run:
        """A run that says `text` at the end. Nothing is done yet: see `answer`."""
        return asking.ask(self.current, text, self._terms(), is_new=self._is_new)

    def again(self) -> Run:
        """A run that answers the last question anew, as a branch. Raises Known."""
        question = self.last_question()
        return asking.retry(self.current, question, self._terms())

    def edit(self, text: str) -> Run:
        """A run that says `text` in place of the last question, as a branch. Raises Known."""
        return asking.edit(self.current, self.last_question(), text, self._terms())

    def last_question(self) -> Message:
        """The last message of the user. Raises Known where there is none."""
        found = next((m for m in reversed(self.messages()) if m.role is Role.USER), None)
        if found is None:
            raise Known(QT_TRANSLATE_NOOP("errors", "Nothing was asked in this chat yet."))
        return found

    def next_request(self) -> GenerationRequest:
        """What would be sent for an empty message, to be counted and looked at."""
        return self.ask("").request

    def answer(self, run: Run, stop: threading.Event) -> Iterator[GenerationEvent]:
        """Carry `run` out; it ends soon after `stop` is set. `run.answer` grows meanwhile.

        Raises Known where the prompt cannot be answered: nothing is on disk then. Later trouble is
        kept with the answer and raised then.
        """
        self._check(run)
        run.written = run.as_written()
        self._write(run)
        run.stored = True
        self.current, self._is_new = run.conversation, False
        yield from self._generate(run, stop)

    def _check(self, run: Run) -> None:
        choice = self.current.options.remote
        if choice is not None:
            raise Known(
                QT_TRANSLATE_NOOP("errors", "This chat is answered by a server."),
                QT_TRANSLATE_NOOP("errors", "Go on with it in the window, or begin another chat."),
            )
        count = self.source.count_prompt(run.request)
        if count.refusal is not None:
            refusal = count.refusal
            raise Known(refusal.template, refusal.remedy, **refusal.values)
        if count.overflows:
            raise Known(
                QT_TRANSLATE_NOOP(
                    "errors", "The prompt has {tokens} tokens; {budget} fit beside an answer."
                ),
                QT_TRANSLATE_NOOP("errors", "Shorten it, or say :conf context_policy=drop_oldest."),
                tokens=f"{count.prompt:,}",
                budget=f"{count.budget:,}",
            )

    def _write(self, run: Run) -> None:
        if run.is_new:
            self.store.create(run.conversation)
            return
        messages = (run.question, run.answer) if run.has_new_message else (run.answer,)
        self.store.add_messages(run.conversation.id, messages)

    def _generate(self, run: Run, stop: threading.Event) -> Iterator[GenerationEvent]:
        status, trouble = Status.STOPPED, None  # of a run that is left in the middle
        events = self.source.generate(run.request, stop)
        journalled = time.monotonic()
        try:
            for event in events:
                reason: FinishReason | None = run.take(event)
                if isinstance(event, Started):
                    self.store.save_start(run.answer.id, event.provenance, event.prompt_ids)
                if reason is not None:
                    status = reason.status
                elif time.monotonic() - journalled >= JOURNAL_S:
                    self.store.journal_pieces(run.answer.id, run.unsaved())
                    journalled = time.monotonic()
                yield event
        except Cancelled:
            pass
        except Exception as error:
            status, trouble = Status.FAILED, report_of(error)
            raise
        finally:
            self._finish(run, status, trouble)

    def _finish(self, run: Run, status: Status, trouble: Report | None) -> None:
        run.end(status, trouble.text() if trouble is not None else "")
        run.merge()
        self.current = replace(run.conversation, updated_at=time.time())
        self.store.finish(self.current.id, run.answer, run.trace())

    def _terms(self) -> asking.Terms:
        info = self.source.info
        return asking.Terms.of(
            self._general, self.current.options, info.name if info is not None else ""
        )
