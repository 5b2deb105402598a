"""A prompt taken apart, as the prompt inspector shows it. Frozen values, standard library only.

docs/prompts.md tells the form of its JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from qwen_desktop.chat.context import Policy
from qwen_desktop.chat.messages import Role
from qwen_desktop.chat.tokens import Tokens


class SegmentKind(str, Enum):
    """What a stretch of a prompt is."""

    SYSTEM = "system"  # text of the system prompt
    USER = "user"  # text of a message of the user
    FILE = "file"  # text attached to one, with its name and fences
    ASSISTANT = "assistant"  # text of an earlier answer
    REASONING = "reasoning"  # thought before an earlier answer, where the template keeps it
    FRAME = "frame"  # what the template puts around a turn: control tokens, the name of the role
    OPENING = "opening"  # beginning of the answer to come
    GIVEN = "given"  # what an answer that is continued says so far
    TEXT = "text"  # cannot be told


@dataclass(frozen=True)
class Segment:
    """Tokens `start` to before `end` of a prompt.

    `role` is that of the turn it belongs to, "" where there is none; `message_id` that of the
    message, None for what the template adds by itself. `name` is what a file is called.
    `turn` numbers the turns from 0; what stands between them has the number of the one before.
    """

    kind: SegmentKind
    start: int
    end: int
    role: str = ""
    message_id: str | None = None
    name: str = ""
    turn: int = 0
    thinking_open: bool = False  # of an OPENING: the answer begins within a think block

    @property
    def tokens(self) -> int:
        """How many it has."""
        return self.end - self.start


class Why(str, Enum):
    """Why something of the conversation is not in the prompt."""

    POLICY = "policy"  # the context is full, and the policy of the chat left it out
    TEMPLATE = "template"  # the chat format of the checkpoint has a window of its own
    REASONING = "reasoning"  # templates drop the reasoning of earlier answers
    SILENT = "silent"  # an answer that ended before its first word


@dataclass(frozen=True)
class LeftOut:
    """Something that the model is not shown. `tokens` are those it would have taken, or 0."""

    why: Why
    message_id: str
    role: Role
    tokens: int
    preview: str = ""  # the first words


class Doubt(str, Enum):
    """Why less can be told of a prompt than of others."""

    OTHER_TOKENIZER = "other_tokenizer"  # made by one that is not open: ids alone are certain
    OTHER_CHECKPOINT = "other_checkpoint"  # by other weights or template, with the same tokens
    CHANGED = "changed"  # the conversation or its settings no longer give this prompt
    NO_MARKS = "no_marks"  # the template has no marks that tell its turns apart
    NOT_KEPT = "not_kept"  # the ids of the prompt are not on disk


@dataclass(frozen=True)
class Row:
    """One message as the chat template gets it."""

    role: str
    content: str
    reasoning: str | None = None  # of an answer, "" too


@dataclass(frozen=True)
class Recipe:
    """What the prompt was made from: enough to make it once more with transformers.

    `ids_of` are spans whose tokens are not the tokenizer's own: (start, end) of tokens that a
    model generated and that stand as it wrote them. `given` tokens at the end are no part of what
    the template renders. Without a template `text` is all.
    """

    folder: str = ""
    rows: tuple[Row, ...] = ()
    thinking: bool = False
    has_template: bool = True
    text: str = ""
    given: int = 0


@dataclass(frozen=True)
class Inspected:
    """A whole prompt. `segments` tile its tokens.

    `reused` of the first tokens come from the cache, the others are read (prefilled). `answer_id`
    is the answer it was made for, "" where it is what would be sent now. `lookalikes` are ranges of
    tokens whose text is that of a control token, and that are none. `budget` and `limit` are tokens
    for the prompt and for the context; 0 where they are not known.
    """

    tokens: Tokens
    segments: tuple[Segment, ...]
    answer_id: str = ""
    model: str = ""
    reused: int = 0
    read_ahead: bool = False  # of `reused`, some were read while nobody waited
    budget: int = 0
    limit: int = 0
    policy: Policy = Policy.DROP_OLDEST
    overflows: bool = False
    thinking: bool | None = None  # None: the model cannot
    left_out: tuple[LeftOut, ...] = ()
    pinned: tuple[str, ...] = ()  # ids of messages that stay because they are pinned
    lookalikes: tuple[tuple[int, int], ...] = ()
    doubts: tuple[Doubt, ...] = ()
    recipe: Recipe | None = None  # None: it cannot be told

    @property
    def prefilled(self) -> int:
        """Tokens that are read for it."""
        return len(self.tokens) - self.reused

    def segment_at(self, index: int) -> int:
        """The number of the segment of token number `index`; -1 where there is none."""
        low, high = 0, len(self.segments)
        while low < high:
            middle = (low + high) // 2
            if self.segments[middle].end <= index:
                low = middle + 1
            else:
                high = middle
        return low if low < len(self.segments) and index >= 0 else -1
