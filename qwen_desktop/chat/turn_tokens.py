"""The tokens of one turn with their texts: of its prompt, of its answer, and what may end one.

Frozen values, standard library only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qwen_desktop.chat.messages import PartKind, TokenScore
from qwen_desktop.chat.tokens import Tokens


@dataclass(frozen=True)
class TurnTokens:
    """As the open checkpoint spells them.

    `answer` is None where that is not what the answer says: another one made it. `kinds` are of
    each token of it; a marker belongs to the reasoning. `beyond` is what they spell after the end
    of the answer: a stop string. `ends` are the tokens that end an answer, by id and name.
    """

    prompt: Tokens | None = None
    answer: Tokens | None = None
    kinds: tuple[PartKind, ...] = ()
    beyond: str = ""
    ends: tuple[tuple[int, str], ...] = ()

    @property
    def reasoning(self) -> tuple[tuple[int, int], ...]:
        """The stretches of the answer that are reasoning."""
        return stretches(self.kinds, PartKind.REASONING)


def stretches(kinds: Sequence[PartKind], wanted: PartKind) -> tuple[tuple[int, int], ...]:
    """From where to before where `kinds` are the `wanted` one."""
    found: list[tuple[int, int]] = []
    for index, kind in enumerate(kinds):
        if kind is not wanted:
            continue
        if found and found[-1][1] == index:
            found[-1] = (found[-1][0], index + 1)
        else:
            found.append((index, index + 1))
    return tuple(found)


def by_scores(ids: Sequence[int], scores: Sequence[TokenScore | None]) -> Tokens:
    """The tokens of an answer by what is kept with it: texts where there are scores, else ids.

    None has a text where there are no scores at all.
    """
    if not any(scores):
        return Tokens.of_texts(ids, [""] * len(ids))
    texts = [
        score.text if score is not None else f"[{number}]"
        for number, score in zip(ids, scores, strict=True)
    ]
    return Tokens.of_texts(ids, texts)
