"""The thinking budget: after so many tokens of reasoning the model has to answer.

Qwen's own way: a sentence that closes the reasoning is put into the model's mouth, and it goes
on from there, with the same cache.
"""

from __future__ import annotations

from collections.abc import Sequence

from qwen_desktop.engine.output import OutputParser
from qwen_desktop.engine.tokenizer import THINK_CLOSE, Tokenizer

# As Qwen documents it; models know this sentence.
SENTENCE = (
    "\n\nConsidering the limited time by the user, "
    "I have to give the solution based on the thinking directly now.\n"
)
AFTER = "\n\n"
PATIENCE = 8  # tokens to wait for the end of a character or of a marker


class ThinkingBudget:
    """`limit` tokens of reasoning in one answer; 0 means to answer at once.

    `thinking_open`: the prompt ends within a think block.
    """

    def __init__(self, tokenizer: Tokenizer, limit: int, *, thinking_open: bool) -> None:
        self._limit = limit
        # Without a thought before it, the block is the empty one of the template.
        lead = "\n" if thinking_open else "\n\n"
        self._closing = _closing(tokenizer, SENTENCE if limit else lead)
        self._waited = 0

    def closing(self, parser: OutputParser, thought: int, said: Sequence[int]) -> tuple[int, ...]:
        """The tokens that have to come now, where it is time; else none.

        `said` are the tokens of the answer so far, `thought` of them reasoning; they have gone
        through `parser`. What they end with already does not come again.
        """
        if not parser.thinking or thought < self._limit:
            self._waited = 0
            return ()
        if not parser.whole and self._waited < PATIENCE:
            self._waited += 1
            return ()
        self._waited = 0
        return self._closing[_overlap(said, self._closing) :]


def _closing(tokenizer: Tokenizer, before: str) -> tuple[int, ...]:
    """The ids of `before` and of the marker, a control token where there is one."""
    close = tokenizer.think_close
    if close is None:
        return tuple(tokenizer.encode(before + THINK_CLOSE + AFTER))
    return (*tokenizer.encode(before), close, *tokenizer.encode(AFTER))


def _overlap(said: Sequence[int], closing: Sequence[int]) -> int:
    """How much of `closing` the answer ends with already, as where it was cut within it."""
    for length in range(min(len(said), len(closing) - 1), 0, -1):
        if tuple(said[-length:]) == tuple(closing[:length]):
            return length
    return 0
