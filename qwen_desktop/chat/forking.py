"""Writing an answer anew from one of its tokens on: what stays of it, and of what is known of it.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qwen_desktop.chat.messages import Message, TokenScore


@dataclass(frozen=True)
class Fork:
    """The first `at` tokens of `answer` stay as they were generated; what follows is made anew.

    `token` comes right after them where one was picked; else the model draws that one, too.
    Nothing else is taken over: the settings in effect hold, but for thinking, which goes on as the
    answer was begun. Tokens are drawn afresh from the cut: a fixed seed gives the same version
    each time, though not the one it gave from the start; a greedy one is the same answer again
    unless a token was picked.
    """

    answer: Message
    at: int
    token: int | None = None

    @property
    def ids(self) -> tuple[int, ...]:
        """The tokens that stay."""
        return self.answer.token_ids[: self.at]


def aligned(ids: Sequence[int], scores: Sequence[TokenScore]) -> tuple[TokenScore | None, ...]:
    """What is known of each of `ids`, the tokens of an answer; None where nothing is.

    An answer that was continued may have scores of its beginning or of its end only.
    """
    known = [score.id for score in scores]
    bare = (None,) * (len(ids) - len(known))
    if not known or len(known) > len(ids):
        return (None,) * len(ids)
    if list(ids[: len(known)]) == known:
        return (*scores, *bare)
    if list(ids[len(ids) - len(known) :]) == known:
        return (*bare, *scores)
    return (None,) * len(ids)


def kept_scores(fork: Fork, scores: Sequence[TokenScore]) -> tuple[TokenScore, ...]:
    """Of the `scores` of the whole answer those of the tokens that stay; none unless all are."""
    kept = aligned(fork.answer.token_ids, scores)[: fork.at]
    found = tuple(score for score in kept if score is not None)
    return found if len(found) == fork.at else ()
