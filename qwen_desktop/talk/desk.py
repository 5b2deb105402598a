"""The chat that is open in a terminal: what is asked, answered and kept. Says nothing itself.

What the window does on several threads is done here on one, in the same order: the prompt is
checked, the message and an empty answer are on disk, the answer is journalled while it grows, and
stands there as it ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from qwen_desktop.bridge import asking
from qwen_desktop.bridge.run import Run, RunKind
from qwen_desktop.chat.connection import Connection
from qwen_desktop.chat.context import ChatOptions, Policy, RemoteChoice
from qwen_desktop.chat.draft import Draft
from qwen_desktop.chat.events import FinishReason, GenerationEvent, Started
from qwen_desktop.chat.messages import Message, Part, Role, Status
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.settings import BY_NAME, Setting, Value
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known, Report, report_of
from qwen_desktop.storage.store import Store
from qwen_desktop.talk.servers import Servers
from qwen_desktop.talk.source import Source

JOURNAL_S = 0.25
POLICY = "context_policy"
NOT_AGREED = "not-agreed"  # code of the trouble where something would go to a server

# What a chat may want otherwise than the rest.
SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {name: one for name, one in BY_NAME.items() if one.group == "generation" or name == POLICY}
)


def not_agreed(connection: Connection) -> Known:
    """Something would go to a server of which the user has not been asked."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "All of the chat would be sent to {name} ({host})."),
        QT_TRANSLATE_NOOP("errors", "Say --yes if it may."),
        code=NOT_AGREED,
        name=connection.name,
        host=connection.host,
    )


class Desk:
    """One chat at a time over a store and a source of answers. `general` are all settings."""

    def __init__(
        self,
        store: Store,
        source: Source,
        general: Mapping[str, Value],
        servers: Servers | None = None,
        *,
        assents: bool = False,
    ) -> None:
        self.store = store
        self.source = source
        self.general: Mapping[str, Value] = MappingProxyType(dict(general))
        self.servers = servers if servers is not None else Servers()
        self.current = Conversation()
        self.files: tuple[Part, ...] = ()  # go with the next message
        self._is_new = True
        self._draft: str | None = None  # of which the user was given the text
        self._assents = assents
        self._agreed: set[str] = set()  # origins of servers that the user agreed to in this run

    # -- which chat ------------------------------------------------------------------------

    def new(self) -> None:
        """Begin another chat with the settings of this one.

        As in the window it is answered here; by the same server where no checkpoint is open.
        """
        options = self.current.options
        if self.source.info is not None:
            options = replace(options, remote=None)
        self.current = Conversation(options=self._for_new(options))
        self._is_new = True

    def open(self, conversation_id: str) -> None:
        """Go on with a chat of the store. Raises Known where it is not there."""
        self.current = self.store.load(conversation_id)
        self._is_new = False
        if self._assents:
            self.agree()

    def take_over(self, messages: tuple[Message, ...], values: Mapping[str, Value]) -> None:
        """Begin a chat in which `messages` were said already, with settings of its own."""
        own = {name: value for name, value in values.items() if name != POLICY}
        policy = values.get(POLICY)
        options = ChatOptions(
            Policy(policy) if policy is not None else None, own, self.current.options.remote
        )
        self.current = Conversation(tree=Tree.of(messages), options=options)
        self._is_new = True

    @property
    def is_kept(self) -> bool:
        """Whether the chat is on disk: something was asked in it."""
        return not self._is_new

    def messages(self) -> tuple[Message, ...]:
        """What was said, the oldest first."""
        return self.current.tree.path()

    # -- who answers -----------------------------------------------------------------------

    @property
    def place(self) -> asking.ChatPlace:
        """Where the chat is answered."""
        return self.servers.place(self.current.options.remote)

    @property
    def may_title(self) -> bool:
        """Whether the server of this chat may be asked for its title."""
        choice = self.current.options.remote
        return choice is not None and self.servers.may_title(choice.connection)

    def use_server(self, connection_id: str, model: str) -> None:
        """Let a model of a server answer this chat from now on. Nothing is sent yet."""
        before = self.current.options.remote
        agreed = before.agreed if before is not None else ""
        choice = RemoteChoice(connection_id, model, agreed)
        options = replace(self.current.options, remote=choice)
        self._take(self._for_new(options) if not self.messages() else options)
        if self._assents:
            self.agree()

    def use_checkpoint(self) -> None:
        """Let the open checkpoint answer this chat from now on."""
        self._take(replace(self.current.options, remote=None))

    def agree(self) -> None:
        """All that was said in this chat may go to its server."""
        choice, target = self.place.choice, self.place.target
        if choice is not None and target is not None and not self.place.is_agreed:
            self._agreed.add(target.connection.origin)
            agreed = replace(choice, agreed=target.connection.origin)
            self._take(replace(self.current.options, remote=agreed))

    def _for_new(self, options: ChatOptions) -> ChatOptions:
        """`options` for a chat in which nothing was said: one agreement in a run is enough."""
        target = self.servers.place(options.remote).target
        if options.remote is None or target is None:
            return replace(options, remote=None)
        origin = target.connection.origin
        agreed = origin if self._assents or origin in self._agreed else ""
        return replace(options, remote=replace(options.remote, agreed=agreed))

    # -- drafts ----------------------------------------------------------------------------

    def draft(self) -> str:
        """The text that was typed in this chat, here or in the window, and not sent.

        Its files are taken along.
        """
        key = "" if self._is_new else self.current.id
        written = self.store.drafts().get(key, "")
        self._draft = key if written else None
        kept = Draft.read(written)
        self.files = kept.files
        return kept.text

    def keep_draft(self, text: str) -> None:
        """Keep what was not sent; where that is nothing, a command was typed over the draft."""
        if written := self._written(text):
            self.store.save_draft("" if self._is_new else self.current.id, written)

    def forget_draft(self) -> None:
        """What `draft` gave was sent, or the user does not want it."""
        if self._draft is not None:
            self.store.save_draft(self._draft, "")
            self._draft = None

    def _written(self, text: str) -> str:
        return Draft(text, self.files).written()

    # -- settings --------------------------------------------------------------------------

    def values(self) -> dict[str, Value]:
        """The settings in effect by name."""
        options = self.current.options
        found = asking.values_in_effect(self.general, options)
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
        """A run that says `text` and the files at the end. Nothing is done yet: see `answer`."""
        return asking.ask(self.current, self._written(text), self._terms(), is_new=self._is_new)

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

    def suggest_title(self, conversation_id: str, title: str) -> None:
        """Take a title that the model has made, unless the chat was given one before."""
        taken = bool(title) and self.store.suggest_title(conversation_id, title)
        if taken and conversation_id == self.current.id:
            self.current = replace(self.current, title=title)

    def next_request(self) -> GenerationRequest:
        """What would be sent for an empty message, to be counted and looked at."""
        return self.ask("").request

    def answer(self, run: Run, stop: threading.Event) -> Generator[GenerationEvent, None, None]:
        """Carry `run` out; it ends soon after `stop` is set. `run.answer` grows meanwhile.

        Raises Known where the prompt cannot be answered: nothing is on disk then. Later trouble is
        kept with the answer and raised then.
        """
        self._check(run)
        run.written = run.as_written()
        self._write(run)
        run.stored = True
        self.current, self._is_new = run.conversation, False
        if run.kind is RunKind.ASK:
            self.files = ()
            self.forget_draft()
        yield from self._generate(run, stop)

    def _check(self, run: Run) -> None:
        place = self.place
        if place.is_remote and place.target is None:
            raise Known(
                QT_TRANSLATE_NOOP("errors", "The connection that answers this chat is gone."),
                QT_TRANSLATE_NOOP("errors", "Say :server NAME, or :server off for a checkpoint."),
                code="no-connection",
            )
        if place.target is not None and not place.is_agreed:
            raise not_agreed(place.target.connection)
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
        status, trouble = Status.INTERRUPTED, None  # of a run that is left in the middle
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
            status = Status.STOPPED
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
            self.general, self.current.options, info.name if info is not None else "", self.place
        )
