"""From what the user asks for to a run: which messages, which settings. Pure functions, no Qt."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qwen_desktop.bridge.run import Run, RunKind
from qwen_desktop.chat.connection import RemoteTarget
from qwen_desktop.chat.context import ChatOptions, Policy, RemoteChoice
from qwen_desktop.chat.draft import Draft
from qwen_desktop.chat.forking import Fork
from qwen_desktop.chat.messages import (
    AnswerStats,
    Message,
    Role,
    Status,
    pending_answer,
    user_message,
)
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.settings import BY_NAME, GenerationSettings, Value
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Report

if TYPE_CHECKING:
    from qwen_desktop.bridge.models import ModelState

NOTHING_TYPED = Report(
    QT_TRANSLATE_NOOP("errors", "There is nothing to send."),
    QT_TRANSLATE_NOOP("errors", "Type a message first."),
)
NO_MODEL = Report(
    QT_TRANSLATE_NOOP("errors", "No checkpoint is open."),
    QT_TRANSLATE_NOOP("errors", "Open a checkpoint folder first (Ctrl+O)."),
)
LOADING = Report(
    QT_TRANSLATE_NOOP("errors", "The checkpoint is still loading."),
    QT_TRANSLATE_NOOP("errors", "Your text stays here; send it when loading has ended."),
)
STUDYING = Report(
    QT_TRANSLATE_NOOP("errors", "A memory study is under way."),
    QT_TRANSLATE_NOOP("errors", "Wait for it or stop it: Tools, Memory study."),
)
NO_CONNECTION = Report(
    QT_TRANSLATE_NOOP("errors", "The connection that answers this chat is not there any more."),
    QT_TRANSLATE_NOOP("errors", "Choose who answers it at the name of the model above the chat."),
    code="no-connection",
)
NOT_THE_LAST = Report(
    QT_TRANSLATE_NOOP("errors", "Only the last answer of a chat can be continued."),
    QT_TRANSLATE_NOOP("errors", "Regenerate this one, or ask for the rest."),
)


@dataclass(frozen=True)
class ChatPlace:
    """Where a conversation is answered: by the user's `choice`, whose connection may be gone."""

    choice: RemoteChoice | None = None
    target: RemoteTarget | None = None

    @property
    def is_remote(self) -> bool:
        """Whether the open checkpoint is not asked."""
        return self.choice is not None

    @property
    def is_agreed(self) -> bool:
        """Whether the user knows of the server that everything goes to, if to any."""
        if self.choice is None or self.target is None:
            return True
        return self.choice.agreed == self.target.connection.origin


LOCAL = ChatPlace()


def refusal(
    text: str | None, model: ModelState, run: Run | None, place: ChatPlace = LOCAL
) -> Report | None:
    """Why a request, one with `text`, cannot be made now at `place`; None where it can."""
    if text is not None and not text.strip():
        return NOTHING_TYPED
    if run is not None:  # there is one at a time
        return Report(
            QT_TRANSLATE_NOOP("errors", "An answer is still being written in “{title}”."),
            QT_TRANSLATE_NOOP("errors", "Wait for it or stop it."),
            {"title": run.state().title},
        )
    if place.choice is not None:
        return NO_CONNECTION if place.target is None else None
    if model.busy:
        return LOADING
    if model.engaged:
        return STUDYING
    return None if model.info is not None else NO_MODEL


def values_in_effect(general: Mapping[str, Value], options: ChatOptions) -> dict[str, Value]:
    """The general settings, overlaid with those of a conversation that the table accepts."""
    own = {
        name: value
        for name, value in options.values.items()
        if name in BY_NAME and BY_NAME[name].accepts(value)
    }
    return {**general, **own}


@dataclass(frozen=True)
class Terms:
    """On what terms a request is made: settings in effect, policy, who answers.

    `model` is the name of the one that answers at `place`.
    """

    values: Mapping[str, Value]
    policy: Policy
    model: str
    place: ChatPlace = LOCAL

    @classmethod
    def of(
        cls,
        general: Mapping[str, Value],
        options: ChatOptions,
        model: str,
        place: ChatPlace = LOCAL,
    ) -> Terms:
        """Those of a conversation with `options`; `model` is the open one."""
        values = values_in_effect(general, options)
        policy = options.policy or Policy(values["context_policy"])
        return cls(values, policy, place.choice.model if place.choice else model, place)

    def request(
        self, conversation: Conversation, messages: tuple[Message, ...]
    ) -> GenerationRequest:
        """The request to answer, or go on with, the last of `messages`."""
        return GenerationRequest(
            conversation_id=conversation.id,
            messages=messages,
            settings=GenerationSettings.from_values(self.values),
            policy=self.policy,
            remote=self.place.target,
        )


def said(tree: Tree, leaf: str | None) -> tuple[Message, ...]:
    """What a model is told of the path to `leaf`.

    An answer that ended before its first word would only be an empty turn.
    """
    if leaf is None:
        return ()
    return tuple(m for m in tree.path(leaf) if m.role is not Role.ASSISTANT or m.text)


def ask(before: Conversation, text: str, terms: Terms, *, is_new: bool) -> Run:
    """The draft `text` is said at the end of what is shown.

    `is_new`: the conversation has no row yet.
    """
    draft = Draft.read(text)
    message = user_message(draft.text, before.tree.head, draft.files)
    return _answering(before, before.tree.added(message), message, terms, RunKind.ASK, text, is_new)


def edit(before: Conversation, old: Message, text: str, terms: Terms) -> Run:
    """`text` is said in place of the user's message `old`, as a branch beside it.

    Its files stay.
    """
    message = user_message(text, old.parent_id, old.files)
    typed = Draft.of(message).written()
    run = _answering(before, before.tree.added(message), message, terms, RunKind.EDIT, typed)
    run.edited = old.id
    return run


def retry(before: Conversation, old: Message, terms: Terms) -> Run:
    """Another answer beside `old`, or one to it where it is the user's."""
    question = old if old.role is Role.USER else before.tree.messages[old.parent_id or ""]
    return _answering(before, before.tree, question, terms, RunKind.RETRY)


def resume(before: Conversation, old: Message, penalty: float | None, terms: Terms) -> Run:
    """The rest of the answer `old`, the last one of what is shown."""
    stats = replace(old.stats or AnswerStats(), model=terms.model)
    answer = replace(old, status=Status.STREAMING, error="", stats=stats)
    conversation = _now(before, before.tree.replaced(answer))
    if penalty is not None:
        terms = replace(terms, values={**terms.values, "presence_penalty": penalty})
    messages = said(before.tree, old.parent_id)
    if old.parts or old.token_ids:  # else it is answered from the start
        messages = (*messages, old)
    return Run(before, conversation, answer, terms.request(before, messages), RunKind.RESUME)


def fork(before: Conversation, cut: Fork, terms: Terms) -> Run:
    """Another answer beside an earlier one, which begins with the same tokens."""
    question = before.tree.messages[cut.answer.parent_id or ""]
    run = _answering(before, before.tree, question, terms, RunKind.FORK)
    run.request = replace(run.request, fork=cut)
    return run


def _answering(
    before: Conversation,
    tree: Tree,
    question: Message,
    terms: Terms,
    kind: RunKind,
    typed: str = "",
    is_new: bool = False,
) -> Run:
    answer = pending_answer(question.id, terms.model)
    conversation = _now(before, tree.added(answer))
    request = terms.request(before, said(tree, question.id))
    return Run(before, conversation, answer, request, kind, typed, is_new)


def _now(before: Conversation, tree: Tree) -> Conversation:
    return replace(before, tree=tree, updated_at=time.time())
