"""Makes a conversation of the steps that a foreign program keeps of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from qwen_desktop.chat.context import ChatOptions
from qwen_desktop.chat.messages import AnswerStats, Message, Part, Role, Status
from qwen_desktop.chat.record import Record
from qwen_desktop.chat.settings import Value
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known, Report
from qwen_desktop.storage.imports import values

_NAMES_TOLD = 5


@dataclass(frozen=True)
class Step:
    """A message as another program keeps it, or a piece of one.

    An `aside` (a tool called, its result, a thought) belongs to the answer it stands in. A hidden
    step is only a place in the tree. `children` are keys in the order of the versions.
    """

    key: str
    parent: str | None
    role: Role
    parts: tuple[Part, ...]
    created_at: float = 0.0  # 0.0: not known
    model: str = ""
    status: Status = Status.COMPLETE
    aside: bool = False
    hidden: bool = False
    children: Sequence[str] = ()


class Notes:
    """Counts what of a conversation is not kept as it was."""

    def __init__(self) -> None:
        self._tools = self._unknown = self._unread = self._hidden = 0
        self._files: list[str] = []
        self._more: list[Report] = []

    def tool(self) -> None:
        """A step of a tool is kept as text."""
        self._tools += 1

    def unknown(self) -> None:
        """A message of an unknown role or kind is kept as text."""
        self._unknown += 1

    def unread(self) -> None:
        """A message cannot be read."""
        self._unread += 1

    def hidden(self) -> None:
        """A message that the other program does not show either is left out."""
        self._hidden += 1

    def file(self, name: str) -> None:
        """A picture, a sound or another file is left out; its name stands in the text."""
        self._files.append(name)

    def add(self, template: str, **told: str) -> None:
        """Anything else, in a sentence."""
        self._more.append(Report(template, values=told))

    def reports(self) -> tuple[Report, ...]:
        """What there is to tell."""
        told = [
            (self._tools, QT_TRANSLATE_NOOP("errors", "Steps of tools kept as text: {count}.")),
            (
                self._unknown,
                QT_TRANSLATE_NOOP("errors", "Messages of an unknown kind kept as text: {count}."),
            ),
            (
                self._unread,
                QT_TRANSLATE_NOOP("errors", "Messages that cannot be read, left out: {count}."),
            ),
            (self._hidden, QT_TRANSLATE_NOOP("errors", "Hidden messages left out: {count}.")),
        ]
        reports = [Report(words, values={"count": str(n)}) for n, words in told if n]
        if self._files:
            names = ", ".join(self._files[:_NAMES_TOLD])
            more = "…" if len(self._files) > _NAMES_TOLD else ""
            reports.append(
                Report(
                    QT_TRANSLATE_NOOP("errors", "Attachments left out ({count}): {names}."),
                    values={"count": str(len(self._files)), "names": names + more},
                )
            )
        return (*reports, *self._more)


@dataclass
class Chat:
    """A conversation of another program, nearly made. `source` names it there.

    `head` is the key of the step that is read; "" for the last one. `now` stands in where no time
    is known.
    """

    source: str
    now: float
    steps: list[Step] = field(default_factory=list)
    title: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    head: str = ""
    system_prompt: str = ""
    folder: str = ""
    tags: tuple[str, ...] = ()
    pinned: bool = False
    archived: bool = False
    notes: Notes = field(default_factory=Notes)

    def record(self) -> Record:
        """The conversation. Raises Known where nothing is said in it."""
        tree = _Grower(self).tree()
        if not tree.messages:
            raise Known(QT_TRANSLATE_NOOP("errors", "There is no message in this chat."))
        times = [message.created_at for message in tree.messages.values()]
        options: dict[str, Value] = {}
        if self.system_prompt.strip():
            options["system_prompt"] = self.system_prompt
        return Record(
            Conversation(
                id=values.digest("conversation", self.source),
                title=self.title,
                created_at=self.created_at or min(times),
                updated_at=self.updated_at or max(times),
                tree=tree,
                options=ChatOptions(values=MappingProxyType(options)),
            ),
            folder=self.folder,
            tags=tuple(sorted({tag for tag in self.tags if tag})),
            pinned=self.pinned,
            archived=self.archived,
            source=self.source,
        )


class _Grower:
    """Hangs steps below each other: from the first ones down, branch after branch."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._steps = _unique(chat.steps)
        self._messages: dict[str, Message] = {}
        self._of: dict[str, str | None] = {}  # the message that a step is in, or hangs below
        self._shown: dict[str, Step | None] = {}  # a step, or the one above that is not hidden

    def tree(self) -> Tree:
        branches = self._branches()
        waiting = list(reversed(branches.get(None, [])))
        # Last all again: where parents form a ring no first step leads to them.
        for first in (*waiting[:1], *self._steps.values()):
            waiting.append(first)
            while waiting:
                step = waiting.pop()
                if step.key in self._of:
                    continue
                self._take(step, len(branches.get(step.parent, ())) == 1)
                waiting += reversed(branches.get(step.key, []))
        return Tree.of(self._messages.values(), self._of.get(self._chat.head) or None)

    def _branches(self) -> dict[str | None, list[Step]]:
        """The steps below each step, in the order of its `children` and then of their places."""
        below: dict[str | None, list[Step]] = {}
        for step in self._steps.values():
            parent = step.parent if step.parent in self._steps else None
            below.setdefault(parent, []).append(step)
        for key, found in below.items():
            if key is not None and (order := self._steps[key].children):
                rank = {child: at for at, child in enumerate(order)}
                found.sort(key=lambda step: rank.get(step.key, len(rank)))
        return below

    def _take(self, step: Step, alone: bool) -> None:
        parent_id = self._of.get(step.parent) if step.parent is not None else None
        if step.hidden or not step.parts:
            self._of[step.key] = parent_id
            self._shown[step.key] = self._shown.get(step.parent or "")
            return
        self._shown[step.key] = step
        above = self._messages[parent_id] if parent_id is not None else None
        if above is not None and alone and self._goes_on(step, above):
            self._of[step.key] = above.id
            self._messages[above.id] = _continued(above, step)
            return
        message = self._message(step, above)
        self._of[step.key] = message.id
        self._messages[message.id] = message

    def _goes_on(self, step: Step, above: Message) -> bool:
        if step.role is Role.USER or above.role is Role.USER:
            return False
        before = self._shown.get(step.parent or "")
        return step.aside or (before is not None and before.aside)

    def _message(self, step: Step, above: Message | None) -> Message:
        by_model = step.role is not Role.USER
        return Message(
            role=step.role,
            parts=step.parts,
            id=values.digest("message", self._chat.source, step.key),
            parent_id=None if above is None else above.id,
            created_at=step.created_at
            or (self._chat.created_at or self._chat.now if above is None else above.created_at),
            status=step.status,
            stats=AnswerStats(model=step.model) if by_model and step.model else None,
        )


def _continued(above: Message, step: Step) -> Message:
    stats = above.stats or (AnswerStats(model=step.model) if step.model else None)
    return replace(
        above,
        parts=values.joined(above.parts, step.parts),
        status=step.status,
        stats=stats,
    )


def _unique(steps: Iterable[Step]) -> dict[str, Step]:
    """Steps by key; another one with the key of an earlier one gets a key of its own."""
    found: dict[str, Step] = {}
    for step in steps:
        known = found.get(step.key)
        if known is None:
            found[step.key] = step
        elif (known.role, known.parts) != (step.role, step.parts):
            said = "".join(part.text for part in step.parts)
            fresh = f"{step.key} {values.digest(step.role.value, said)}"
            found.setdefault(fresh, replace(step, key=fresh))
    return found


def in_a_row(steps: Iterable[Step]) -> Iterator[Step]:
    """Steps without ids of their own, each below the one before it.

    Their keys are made of all that was said so far: the same beginning has the same keys.
    """
    before: str | None = None
    for step in steps:
        said = "\n".join(f"{part.kind.value}:{part.text}" for part in step.parts)
        key = values.digest(before or "", step.role.value, said)
        yield replace(step, key=key, parent=before)
        before = key
