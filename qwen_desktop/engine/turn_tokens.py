"""The tokens of a turn with their texts, for who looks at them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from qwen_desktop.chat.messages import Message, PartKind, Role
from qwen_desktop.chat.tokens import Tokens
from qwen_desktop.chat.turn_tokens import TurnTokens, stretches
from qwen_desktop.engine.output import OutputParser
from qwen_desktop.engine.scores import text_of
from qwen_desktop.engine.splice import is_spelled
from qwen_desktop.engine.tokenizer import Tokenizer


def turn_tokens(
    tokenizer: Tokenizer,
    end_ids: Collection[int],
    answer: Message,
    prompt: Sequence[int],
    mark: str = "",
) -> TurnTokens:
    """Those of `answer` and of its `prompt`, which may be empty: it was not kept.

    Whether `tokenizer` is the one that made them shows in what they spell; where the answer has
    none, in its `mark` (see tokenizer_mark.py).
    """
    ends = tuple((number, text_of(tokenizer, number)) for number in sorted(end_ids))
    origin = answer.provenance
    if not answer.token_ids and (origin is None or not mark or origin.tokenizer != mark):
        return TurnTokens(ends=ends)
    for thinking_open in (False, True):
        said, kinds = _read(tokenizer, answer.token_ids, thinking_open)
        if is_spelled(answer, said):
            break
    else:
        return TurnTokens(ends=ends)
    edges = [start for start, _ in stretches(kinds, PartKind.REASONING)]
    edges += [end for _, end in stretches(kinds, PartKind.REASONING)]
    return TurnTokens(
        prompt=tokens_of(tokenizer, prompt) if prompt else None,
        answer=tokens_of(tokenizer, answer.token_ids, edges),
        kinds=kinds,
        beyond=said.text[len(answer.text) :] if said.text.startswith(answer.text) else "",
        ends=ends,
    )


def tokens_of(tokenizer: Tokenizer, ids: Sequence[int], edges: Collection[int] = ()) -> Tokens:
    """`ids` with the bytes of each, control tokens by their names."""
    named = tokenizer.added
    pieces = [named[one].encode() if one in named else tokenizer.piece(one) for one in ids]
    return Tokens.of(ids, pieces, frozenset(named) & frozenset(ids), edges)


def _read(
    tokenizer: Tokenizer, ids: Sequence[int], thinking_open: bool
) -> tuple[Message, tuple[PartKind, ...]]:
    """What `ids` say as an answer, and what each of them counts as."""
    parser = OutputParser(tokenizer, thinking_open=thinking_open)
    kinds: list[PartKind] = []
    said = Message(Role.ASSISTANT, ())
    for token in ids:
        kinds.append(parser.kind_of(token))
        for kind, text in parser.feed(token):
            said = said.appended(kind, text)
    for kind, text in parser.flush():
        said = said.appended(kind, text)
    return said, tuple(kinds)
