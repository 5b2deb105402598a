"""A conversation as a tree of messages: an edit or a regenerated answer is a new branch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from qwen_desktop.chat.attached import title_of
from qwen_desktop.chat.context import ChatOptions
from qwen_desktop.chat.messages import Message, Role, new_id
from qwen_desktop.chat.summary import Summary

TITLE_LENGTH = 48
PREVIEW_LENGTH = 80


@dataclass(frozen=True)
class Tree:
    """Messages by id in the order they were added, and the leaf that is being read (`head`).

    Invariants: every `parent_id` is None or stands earlier in the order; `head` is None only in
    an empty tree. Each change gives a new tree; the old one stays valid.
    """

    messages: Mapping[str, Message] = field(default_factory=lambda: MappingProxyType({}))
    head: str | None = None

    @classmethod
    def of(cls, messages: Iterable[Message], head: str | None = None) -> Tree:
        """Build a tree; without `head` the newest message is read.

        Raises ValueError where a parent is missing or comes later.
        """
        known: dict[str, Message] = {}
        for message in messages:
            if message.parent_id is not None and message.parent_id not in known:
                raise ValueError(f"message {message.id} has no parent {message.parent_id}")
            known[message.id] = message
        if head is not None and head not in known:
            raise ValueError(f"head {head} is not a message of this tree")
        return cls(MappingProxyType(known), head or next(reversed(known), None))

    def added(self, message: Message) -> Tree:
        """With `message` under its parent, and read up to it."""
        if message.id in self.messages:
            raise ValueError(f"message {message.id} is already in the tree")
        if message.parent_id is not None and message.parent_id not in self.messages:
            raise ValueError(f"message {message.id} has no parent {message.parent_id}")
        known = {**self.messages, message.id: message}
        return Tree(MappingProxyType(known), message.id)

    def replaced(self, message: Message) -> Tree:
        """With the message of the same id and parent exchanged."""
        if self.messages[message.id].parent_id != message.parent_id:
            raise ValueError("a message cannot move in the tree")
        known = {**self.messages, message.id: message}
        return replace(self, messages=MappingProxyType(known))

    def with_head(self, message_id: str | None) -> Tree:
        """Read up to `message_id`."""
        if message_id is not None and message_id not in self.messages:
            raise ValueError(f"head {message_id} is not a message of this tree")
        return replace(self, head=message_id)

    def below(self, message_id: str) -> frozenset[str]:
        """The ids of a message and of all that hangs below it."""
        found = {message_id}
        for message in self.messages.values():  # parents come first
            if message.parent_id in found:
                found.add(message.id)
        return frozenset(found)

    def without(self, message_id: str) -> Tree:
        """Without a message and all below it.

        Where that was being read, a version beside it is, else what stood before it.
        """
        gone = self.below(message_id)
        known = {m.id: m for m in self.messages.values() if m.id not in gone}
        rest = Tree(MappingProxyType(known), self.head)
        if self.head not in gone:
            return rest
        beside = self.versions(message_id)
        at = beside.index(message_id)
        others = (*reversed(beside[:at]), *beside[at + 1 :])
        head = rest.newest_leaf(others[0]) if others else self.messages[message_id].parent_id
        return replace(rest, head=head)

    def with_back(self, before: Tree, gone: frozenset[str]) -> Tree:
        """With the messages `gone` of an earlier tree, each where it was; what is read stays."""
        known = {
            key: self.messages.get(key, message)
            for key, message in before.messages.items()
            if key in self.messages or key in gone
        }
        return Tree(MappingProxyType({**known, **self.messages}), self.head)

    def path(self, leaf: str | None = None) -> tuple[Message, ...]:
        """The messages from the root to `leaf` (to the head without one)."""
        return tuple(reversed(list(self._upwards(leaf or self.head))))

    def _upwards(self, message_id: str | None) -> Iterator[Message]:
        while message_id is not None:
            message = self.messages[message_id]
            yield message
            message_id = message.parent_id

    def children(self, parent_id: str | None) -> tuple[Message, ...]:
        """The branches below `parent_id` in the order they were made."""
        return tuple(m for m in self.messages.values() if m.parent_id == parent_id)

    def versions(self, message_id: str) -> tuple[str, ...]:
        """The ids of all branches beside `message_id`, itself included, in the order made."""
        return tuple(m.id for m in self.children(self.messages[message_id].parent_id))

    def version_positions(self, path: Iterable[Message]) -> dict[str, tuple[int, int]]:
        """Which version each message of `path` is, from 1, and of how many.

        By id; messages without another version are left out.
        """
        branches: dict[str | None, list[str]] = {}  # one walk: a long path has as many parents
        for message in self.messages.values():
            branches.setdefault(message.parent_id, []).append(message.id)
        return {
            message.id: (beside.index(message.id) + 1, len(beside))
            for message in path
            if len(beside := branches[message.parent_id]) > 1
        }

    def newest_leaf(self, message_id: str) -> str:
        """The leaf reached from `message_id` by always following the newest branch."""
        while branches := self.children(message_id):
            message_id = branches[-1].id
        return message_id


@dataclass(frozen=True)
class Conversation:
    """A conversation with everything said in it."""

    id: str = field(default_factory=new_id)
    title: str = ""
    created_at: float = field(default_factory=time.time)
    updated_at: float = field(default_factory=time.time)
    tree: Tree = field(default_factory=Tree)
    options: ChatOptions = field(default_factory=ChatOptions)

    def summary(self) -> Summary:
        """The row of this conversation in the list."""
        path = self.tree.path()
        last = next((m for m in reversed(path) if title_of(m).strip()), None)
        return Summary(
            id=self.id,
            title=self.title or title_from(path),
            preview=one_line(title_of(last), PREVIEW_LENGTH) if last else "",
            updated_at=self.updated_at,
            remote=self.options.remote is not None,
        )


def reading_branch(conversation: Conversation, message_id: str) -> Conversation:
    """`conversation` read so that a message of it is on the path; itself where it is already,
    or where there is no such message.
    """
    tree = conversation.tree
    if message_id not in tree.messages or any(m.id == message_id for m in tree.path()):
        return conversation
    return replace(conversation, tree=tree.with_head(tree.newest_leaf(message_id)))


def one_line(text: str, limit: int) -> str:
    """The beginning of `text` on one line, at most `limit` characters."""
    # A prefix is enough and keeps a 1 MB message cheap.
    flat = " ".join(text[: limit * 8].split())
    return flat if len(flat) <= limit else flat[: limit - 1].rstrip() + "…"


def title_from(path: Iterable[Message]) -> str:
    """A title made of the first user message; empty where there is none."""
    first = next((m for m in path if m.role is Role.USER), None)
    return one_line(title_of(first), TITLE_LENGTH) if first else ""
