"""From messages to the ids the model reads. What somebody typed never becomes a control token.

One rendering gives the ids and where each message lies in them; what does not fit is left out by
`window.py`, ids that the model generated itself are taken over by `splice.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from qwen_desktop.chat.attached import content
from qwen_desktop.chat.context import Policy
from qwen_desktop.chat.forking import Fork
from qwen_desktop.chat.messages import Message, Role, Status
from qwen_desktop.chat.text import whole
from qwen_desktop.engine.splice import kept_ids, spliced, written_ids
from qwen_desktop.engine.tokenizer import THINK_CLOSE, THINK_OPEN, Tokenizer
from qwen_desktop.engine.window import Turn, left_out

_CUT_OFF = (Status.STOPPED, Status.INTERRUPTED, Status.LENGTH)
TAIL = 64  # tokens; longer than any beginning of an answer


@dataclass(frozen=True)
class Prompt:
    """What the model is given.

    `boundary` tokens of `ids` will begin every later prompt of the conversation too; there a
    cache that cannot be cropped is worth a snapshot. `thinking_open`: the answer begins inside a
    think block. `unseen`: ids of messages that did not fit and were left out. `given`: how many of
    the last ids are the answer so far, where one is continued. `overflows`: the prompt is longer
    than its budget, and nothing may be left out. `turns`: tokens of each turn, those that are left
    out too; the last one is what is asked now.
    """

    ids: tuple[int, ...]
    boundary: int
    thinking_open: bool
    unseen: tuple[str, ...] = ()
    given: int = 0
    overflows: bool = False
    turns: tuple[int, ...] = ()


@dataclass(frozen=True)
class Window:
    """How long a prompt may be, in tokens, and what goes where it is longer."""

    budget: int
    policy: Policy = Policy.DROP_OLDEST


def build_prompt(
    tokenizer: Tokenizer,
    messages: Iterable[Message],
    system: str,
    *,
    thinking: bool,
    window: Window | None = None,
    fork: Fork | None = None,
    plain: bool = False,
) -> Prompt:
    """The prompt for an answer to the last of `messages`. Raises Known: the template failed.

    Where the last one is an answer, the prompt ends with what it says so far; with a `fork`, with
    what stays of another answer, and the same messages are shown as were for that one. Without a
    chat template, or `plain`, the model continues text: see `continued`. Without a `window`
    nothing is left out.
    """
    said = list(messages)
    given = said.pop() if said and said[-1].role is Role.ASSISTANT else None
    draft = _text(tokenizer, said, system) if plain else drafted(tokenizer, said, system, thinking)
    more = written_ids(tokenizer, given, draft.thinking_open) if given is not None else []
    prompt = draft.whole()
    length = len(draft.ids) + len(more)
    if window is not None and length > window.budget:
        if window.policy is Policy.ASK:
            prompt = draft.whole(overflows=True)
        else:
            prompt = _shortened(draft, window, len(more), tokenizer, system, thinking)
    if fork is not None:  # it was within the context as a part of its answer
        more = kept_ids(tokenizer, fork, prompt.thinking_open)
    return Prompt(
        ids=prompt.ids + tuple(more),
        boundary=prompt.boundary,
        thinking_open=prompt.thinking_open,
        unseen=prompt.unseen,
        given=len(more),
        overflows=prompt.overflows,
        turns=tuple(turn.tokens for turn in turns_of(draft.said, draft.tokens)),
    )


@dataclass(frozen=True)
class Draft:
    """A prompt with the tokens of each of its messages, the silent ones without any."""

    said: list[Message]
    ids: list[int]
    tokens: list[int]  # of each of `said`
    boundary: int
    thinking_open: bool
    dropped: int = 0  # of `said`, from its beginning: left out by the template itself

    def whole(self, *, overflows: bool = False) -> Prompt:
        """All of it as a prompt, which `overflows` or fits."""
        shown = [m.id for m in self.said if m.role is not Role.SYSTEM and not is_silent(m)]
        unseen = tuple(shown[: self.dropped])
        return Prompt(
            tuple(self.ids), self.boundary, self.thinking_open, unseen, overflows=overflows
        )


def drafted(tokenizer: Tokenizer, said: list[Message], system: str, thinking: bool) -> Draft:
    """All of `said` as a prompt, however long. Raises Known: the template failed."""
    if tokenizer.has_template:
        return _chat(tokenizer, said, system, thinking)
    return _text(tokenizer, said, system)


def _shortened(
    draft: Draft, window: Window, more: int, tokenizer: Tokenizer, system: str, thinking: bool
) -> Prompt:
    """The prompt without the turns that the policy leaves out.

    The last turn always stays, and what is pinned: it may be too long all the same.
    """
    turns = turns_of(draft.said, draft.tokens)
    around = len(draft.ids) + more - sum(turn.tokens for turn in turns)
    budget = window.budget
    while True:
        gone = left_out(turns, around, budget, window.policy)
        names = {name for index in gone for name in turns[index].messages}
        kept = [message for message in draft.said if message.id not in names]
        made = drafted(tokenizer, kept, system, thinking).whole()
        surplus = len(made.ids) + more - window.budget
        # Tokens of messages are exact where control tokens stand between them, else nearly so.
        if surplus <= 0 or budget <= 0 or len(gone) >= len(turns) - 1:
            break
        budget -= surplus
    unseen = tuple(m.id for m in draft.said if m.id in names and not is_silent(m))
    return Prompt(made.ids, made.boundary, made.thinking_open, unseen + made.unseen)


def turns_of(messages: Sequence[Message], tokens: Sequence[int]) -> list[Turn]:
    """`messages` in turns, each from a message of the user to before the next one.

    System messages belong to no turn; what stands before the first message of the user is one.
    """
    turns: list[Turn] = []
    for message, count in zip(messages, tokens, strict=True):
        if message.role is Role.SYSTEM:
            continue
        if message.role is Role.USER or not turns:
            turns.append(Turn((), 0, pinned=False))
        last = turns[-1]
        turns[-1] = Turn(
            (*last.messages, message.id), last.tokens + count, last.pinned or message.pinned
        )
    return turns


# With a chat template


def _chat(tokenizer: Tokenizer, said: list[Message], system: str, thinking: bool) -> Draft:
    rows, numbers = _rows(said, system)
    rendered = tokenizer.render(rows, answer=True, thinking=thinking)
    ids, dropped = rendered.ids, rendered.dropped
    head = numbers[:1] if numbers and said[numbers[0]].role is Role.SYSTEM else []
    shown = head + numbers[len(head) + dropped :]
    starts = _starts(tokenizer, ids, len(shown))
    tokens = [0] * len(said)
    if starts is None:
        boundary = _boundary(tokenizer, rows, ids, thinking)
        for number in shown:
            tokens[number] = len(tokenizer.encode(whole(content(said[number]))))
    else:
        ids, starts = spliced(tokenizer, ids, starts, [said[number] for number in shown])
        boundary = starts[-1]
        for number, (start, end) in zip(shown, pairwise(starts), strict=True):
            tokens[number] = end - start
    return Draft(said, ids, tokens, boundary, _is_open(tokenizer, ids), dropped)


def _starts(tokenizer: Tokenizer, ids: list[int], messages: int) -> list[int] | None:
    """Where the last `messages` messages begin, and behind them the answer.

    None where it cannot be told: a template without the usual marks.
    """
    mark = tokenizer.message_start
    found = [index for index, token in enumerate(ids) if token == mark]
    return found[-messages - 1 :] if len(found) > messages else None


def _rows(said: list[Message], system: str) -> tuple[list[dict[str, str]], list[int]]:
    """The messages as templates want them, and which of `said` each is, the last ones.

    Files stand before the text they came with. Reasoning is apart from content. A conversation
    with a system message of its own keeps it: templates take only one.
    """
    rows, numbers = [], []
    if system.strip() and not (said and said[0].role is Role.SYSTEM):
        rows.append({"role": Role.SYSTEM.value, "content": whole(system)})
    for number, message in enumerate(said):
        role = Role(message.role).value  # anything else is refused here: roles are not sanitised
        if is_silent(message):
            continue
        row = {"role": role, "content": whole(content(message))}
        if role == Role.ASSISTANT.value:
            # Also where it is empty: templates search the content for tags if it is absent.
            row["reasoning_content"] = whole(message.reasoning)
        rows.append(row)
        numbers.append(number)
    return rows, numbers


def rows_of(said: list[Message], system: str) -> list[dict[str, str]]:
    """The messages as templates get them; silent ones are left out."""
    return _rows(said, system)[0]


def is_silent(message: Message) -> bool:
    """Whether it is an answer that failed before its first word."""
    return message.role is Role.ASSISTANT and not message.parts


def _boundary(
    tokenizer: Tokenizer, rows: list[dict[str, str]], ids: list[int], thinking: bool
) -> int:
    """Length of the prompt without the beginning of the answer, where that is a prefix."""
    stable = tokenizer.render(rows, answer=False, thinking=thinking).ids
    return len(stable) if ids[: len(stable)] == stable else 0


def _is_open(tokenizer: Tokenizer, ids: list[int]) -> bool:
    """Whether the prompt's last message ends within a think block."""
    start = tokenizer.message_start
    tail = ids[-TAIL:]
    if start in tail:
        tail = tail[len(tail) - 1 - tail[::-1].index(start) :]
    if tokenizer.has_think_tokens:
        marks = [i for i in tail if i in (tokenizer.think_open, tokenizer.think_close)]
        return bool(marks) and marks[-1] == tokenizer.think_open
    text = tokenizer.decode(tail)
    return text.rfind(THINK_OPEN) > text.rfind(THINK_CLOSE)


# Without one


def _text(tokenizer: Tokenizer, said: list[Message], system: str) -> Draft:
    """Text to be continued. Answers keep the ids they were generated with."""
    ids: list[int] = []
    tokens = [0] * len(said)
    waiting = f"{system}\n\n" if system.strip() else ""
    for number, (message, text) in enumerate(zip(said, _pieces(said), strict=True)):
        before = len(ids)
        own = message.token_ids
        if message.role is Role.ASSISTANT and own and tokenizer.decode(list(own)) == text:
            ids += [*tokenizer.encode(whole(waiting)), *own]
            waiting = ""
        else:
            waiting += text
            if number + 1 < len(said) and said[number + 1].token_ids:
                ids += tokenizer.encode(whole(waiting))
                waiting = ""
        tokens[number] = len(ids) - before or len(tokenizer.encode(whole(text)))
    ids += tokenizer.encode(whole(waiting))
    return Draft(said, ids, tokens, len(ids), thinking_open=False)


def continued(messages: Iterable[Message], system: str) -> str:
    """The text a base model goes on with: there are no turns, only what stands so far.

    What the model wrote stands right after what it continued. Further text begins a paragraph,
    but goes on with the sentence where the model was stopped in the middle of it.
    """
    text = "".join(_pieces(list(messages)))
    return f"{system}\n\n{text}" if system.strip() else text


def _pieces(messages: list[Message]) -> list[str]:
    """What each message adds to the text."""
    pieces: list[str] = []
    before: Message | None = None
    for message in messages:
        text = content(message)
        if text and message.role is not Role.ASSISTANT and before is not None:
            cut_off = before.status in _CUT_OFF
            text = _between(content(before), text, cut_off=cut_off) + text
        if text:
            before = message
        pieces.append(text)
    return pieces


def _between(text: str, following: str, *, cut_off: bool) -> str:
    if text[-1].isspace() or following[0].isspace():
        return ""
    if not cut_off:
        return "\n\n"
    # Latin words need a space between them; Chinese ones and punctuation do not.
    words = text[-1].isascii() and following[0].isascii() and following[0].isalnum()
    return " " if words else ""
