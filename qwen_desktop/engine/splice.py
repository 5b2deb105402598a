"""Answers in the tokens they were generated with.

A model can write a text in other tokens than the tokenizer would, and a cache that holds the ones
would be of no use for the others. So the ids of an answer are taken over where they spell exactly
what the prompt says; what it says never changes by that.
"""

from __future__ import annotations

from collections.abc import Sequence

from qwen_desktop.chat.forking import Fork
from qwen_desktop.chat.messages import Message, PartKind, Role
from qwen_desktop.chat.text import whole
from qwen_desktop.engine.output import OutputParser
from qwen_desktop.engine.tokenizer import THINK_CLOSE, THINK_OPEN, Tokenizer
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known


def spliced(
    tokenizer: Tokenizer, ids: list[int], starts: Sequence[int], messages: Sequence[Message]
) -> tuple[list[int], list[int]]:
    """`ids` of a prompt with the generated ids of its answers, and where its messages begin then.

    `messages` begin at `starts`; the last of those, one more, is where the new answer begins.
    """
    made: list[int] = ids[: starts[0]]
    moved: list[int] = []
    for number, start in enumerate(starts):
        moved.append(len(made))
        span = ids[start : starts[number + 1] if number + 1 < len(starts) else len(ids)]
        if number < len(messages) and messages[number].role is Role.ASSISTANT:
            span = _with_own_ids(tokenizer, span, messages[number])
        made += span
    return made, moved


def _with_own_ids(tokenizer: Tokenizer, span: list[int], message: Message) -> list[int]:
    """`span`, the whole message as rendered, with the ids of its text as they were generated."""
    own = answer_ids(tokenizer, message.token_ids)
    # Markers that a model wrote into its answer would be turns or thoughts in a prompt.
    if not own or _find_last(span, own) >= 0 or any(token in tokenizer.added for token in own):
        return span
    text = whole(message.text)
    if tokenizer.decode(own) != text:
        return span  # cut by a stop string, or edited
    usual = tokenizer.encode(text)
    at = _find_last(span, usual)  # the role and reasoning come before, and may say the same
    return span if at < 0 else [*span[:at], *own, *span[at + len(usual) :]]


def answer_ids(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """Of the generated `ids` those of the answer itself: without reasoning and what ends it."""
    found = list(ids)
    close = tokenizer.think_close
    if close is not None and close in found:
        found = found[len(found) - found[::-1].index(close) :]
    elif tokenizer.thinks_in_text and THINK_CLOSE in tokenizer.decode(found):
        return []
    start = 0
    while start < len(found) and not tokenizer.piece(found[start]).strip(b"\n"):
        start += 1
    return found[start:]


def _find_last(where: list[int], what: list[int]) -> int:
    """The last place of `what` in `where`; -1 where it is not."""
    if not what:
        return -1
    for start in range(len(where) - len(what), -1, -1):
        if where[start] == what[0] and where[start : start + len(what)] == what:
            return start
    return -1


def written_ids(tokenizer: Tokenizer, message: Message, thinking_open: bool) -> list[int]:
    """The ids of an answer that is to be continued: as generated, else its text encoded.

    `thinking_open`: the prompt before it ends within a think block.
    """
    if _spells(tokenizer, message, thinking_open):
        return list(message.token_ids)
    ids: list[int] = []
    if message.reasoning or thinking_open:
        if not thinking_open:
            ids += _marker(tokenizer, tokenizer.think_open, THINK_OPEN) + tokenizer.encode("\n")
        ids += tokenizer.encode(whole(message.reasoning))
        if message.text:
            ids += tokenizer.encode("\n") + _marker(tokenizer, tokenizer.think_close, THINK_CLOSE)
            ids += tokenizer.encode("\n\n")
    return ids + tokenizer.encode(whole(message.text))


def kept_ids(tokenizer: Tokenizer, fork: Fork, thinking_open: bool) -> list[int]:
    """The ids that stay of an answer. Raises Known where they are not what it says.

    Another checkpoint may have made it, or have gone on with it.
    """
    said = _said(tokenizer, fork.answer.token_ids, thinking_open)
    if not is_spelled(fork.answer, said):
        raise Known(
            QT_TRANSLATE_NOOP("errors", "The tokens of this answer do not spell its text."),
            QT_TRANSLATE_NOOP("errors", "Answer again from the start instead."),
        )
    return list(fork.ids)


def is_spelled(answer: Message, said: Message) -> bool:
    """Whether `said`, which the tokens of `answer` spell, is what it says.

    A stop string at its end is in the tokens only; half a character may have been told.
    """
    return all(
        _sure(said.text_of(kind)).startswith(_sure(answer.text_of(kind)))
        for kind in (PartKind.REASONING, PartKind.TEXT)
    )


def _sure(text: str) -> str:
    return text.replace("\ufffd", "").strip()


def _said(tokenizer: Tokenizer, ids: Sequence[int], thinking_open: bool) -> Message:
    """What `ids` say as a whole answer."""
    parser = OutputParser(tokenizer, thinking_open=thinking_open)
    pieces = [piece for token in ids for piece in parser.feed(token)]
    said = Message(Role.ASSISTANT, ())
    for kind, text in [*pieces, *parser.flush()]:
        said = said.appended(kind, text)
    return said


def _spells(tokenizer: Tokenizer, message: Message, thinking_open: bool) -> bool:
    """Whether the ids of an answer spell it here: another model may have made it."""
    if not message.token_ids:
        return False
    said = _said(tokenizer, message.token_ids, thinking_open)
    return all(_bare(said.text_of(kind)) == _bare(message.text_of(kind)) for kind in PartKind)


def _bare(text: str) -> str:
    """`text` without what depends on where it was cut."""
    return text.strip().rstrip("\ufffd").rstrip()


def _marker(tokenizer: Tokenizer, token: int | None, text: str) -> list[int]:
    return [token] if token is not None else tokenizer.encode(text)
