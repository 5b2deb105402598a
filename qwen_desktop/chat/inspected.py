"""A prompt taken apart, as the prompt inspector shows it. Frozen values, standard library only.

docs/prompts.md tells the form of its JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from qwen_desktop.chat.context import Policy
from qwen_desktop.chat.messages import Message, Role
from qwen_desktop.chat.model import GenerationRequest
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

    @property
    def tokens(self) -> int:
        """How many it has."""
        return self.end - self.start


class Why(str, Enum):
    """Why something of the conversation is not in the prompt."""

    POLICY = "policy"  # the context is full, and the policy of the chat left it out
    TEMPLATE = "template"  # the chat format of the checkpoint has a window of its own
    REASONING = "reasoning"  # templates drop the reasoning of earlier answers


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
    NO_MARKS = "no_marks"  # nothing marks the turns: they were found by their text


@dataclass(frozen=True)
class Row:
    """One message as the chat template gets it."""

    role: str
    content: str
    reasoning: str | None = None  # of an answer, "" too


class Maker(str, Enum):
    """What makes ids of a conversation."""

    TEMPLATE = "template"  # the chat template of the tokenizer
    TEXT = "text"  # the tokenizer alone: a base model goes on with a text
    TIKTOKEN = "tiktoken"  # the chat format of the first Qwen, which has no template


@dataclass(frozen=True)
class Recipe:
    """What the prompt was made from: enough to make it once more with the checkpoint's files.

    `rows` are rendered, or `text` is encoded. In what comes out, `patches` replace tokens `start`
    to before `end` by others: a model may have written an answer in other tokens than the
    tokenizer would. `given` come at the end.
    """

    maker: Maker
    folder: str = ""
    rows: tuple[Row, ...] = ()
    text: str = ""
    thinking: bool = False
    patches: tuple[tuple[int, int, tuple[int, ...]], ...] = ()
    given: tuple[int, ...] = ()


@dataclass(frozen=True)
class Inspected:
    """A whole prompt. `segments` tile its tokens.

    `reused` of the first tokens come from the cache, the others are read (prefilled); None where
    that is not known. `answer_id` is the answer it was made for, "" where it is what would be sent
    now. `lookalikes` are ranges of
    tokens whose text is that of a control token, and that are none. `budget` and `limit` are tokens
    for the prompt and for the context; 0 where they are not known.
    """

    tokens: Tokens
    segments: tuple[Segment, ...]
    conversation_id: str = ""
    answer_id: str = ""
    model: str = ""
    reused: int | None = None
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
    def prefilled(self) -> int | None:
        """Tokens that are read for it; None where that is not known."""
        return None if self.reused is None else len(self.tokens) - self.reused

    @property
    def has_text(self) -> bool:
        """Whether more than the ids is known."""
        return Doubt.OTHER_TOKENIZER not in self.doubts

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


@dataclass(frozen=True)
class AnswerPrompt:
    """The prompt of an answer, to be taken apart: its `ids`, and the messages before it.

    `request` is one that would ask for the same answer now.
    """

    request: GenerationRequest
    answer: Message
    ids: tuple[int, ...]


def ids_alone(prompt: AnswerPrompt) -> Inspected:
    """What can be said of a prompt where no tokenizer is there that made it."""
    ids, answer = prompt.ids, prompt.answer
    return Inspected(
        tokens=Tokens.of(ids, [b""] * len(ids)),
        segments=(Segment(SegmentKind.TEXT, 0, len(ids)),) if ids else (),
        conversation_id=prompt.request.conversation_id,
        answer_id=answer.id,
        model=answer.stats.model if answer.stats is not None else "",
        reused=reused_by(answer, len(ids)),
        limit=answer.provenance.context_limit if answer.provenance is not None else 0,
        policy=prompt.request.policy,
        doubts=(Doubt.OTHER_TOKENIZER,),
    )


def reused_by(answer: Message, length: int) -> int | None:
    """How many tokens of its prompt of `length` an answer took from the cache.

    None where its figures are of another prompt: those of an answer that was continued are of the
    first one, and the ids that are kept of the last.
    """
    stats = answer.stats
    if stats is None or stats.prompt_tokens != length:
        return None
    return stats.reused_tokens
