"""From the tokens of an answer to pieces of reasoning and of answer, stop strings cut off.

Detokenizer, think markers and stop strings in a row, each of which may hold back what is not
decided yet. An answer that is continued goes through them first, so that new text joins exactly.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from qwen_desktop.chat.messages import PartKind
from qwen_desktop.engine.detokenize import Detokenizer
from qwen_desktop.engine.segments import Mark, Piece, Segmenter, joined
from qwen_desktop.engine.stops import StopStrings
from qwen_desktop.engine.tokenizer import Tokenizer


class OutputParser:
    """Feed it the tokens of an answer; it gives the text that each completes.

    `thinking_open`: the prompt ends within an open think block.
    """

    def __init__(self, tokenizer: Tokenizer, *, thinking_open: bool) -> None:
        self._marks = {tokenizer.think_open: Mark.OPEN, tokenizer.think_close: Mark.CLOSE}
        self._marks.pop(None, None)
        self._detokenizer = Detokenizer(tokenizer.piece)
        self._segmenter = Segmenter(inside=thinking_open, by_text=tokenizer.thinks_in_text)
        self._stops = StopStrings(())
        self._ahead: list[Piece] = []  # of what comes next, this has been told already

    def begin(self, stops: Sequence[str], said: list[Piece]) -> list[Piece]:
        """From here on `stops` end the answer, though not its reasoning.

        `said` is what the tokens so far gave: those of an answer that was cut after them and is
        continued now. Ending there gave it the pieces of the result besides; they do not come
        again. One of `stops` may begin in what was said.
        """
        segmenter = copy.deepcopy(self._segmenter)
        rest = joined(segmenter.text(self._detokenizer.pending) + segmenter.flush())
        in_text = bool(said) and said[-1][0] is PartKind.TEXT
        self._stops = StopStrings(stops, before=said[-1][1] if in_text else "")
        self._ahead = joined([(PartKind.TEXT, self._stops.held), *rest])
        return rest

    def stop_at(self, stops: Sequence[str]) -> None:
        """From here on `stops` end the answer, which goes on: nothing that waits is told."""
        self._stops = StopStrings(stops)

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found: the answer is over."""
        return self._stops.found

    @property
    def closings(self) -> int:
        """How many markers have closed reasoning, or would have."""
        return self._segmenter.closings

    @property
    def thinking(self) -> bool:
        """Whether the next text is reasoning."""
        return self._segmenter.kind is PartKind.REASONING

    @property
    def whole(self) -> bool:
        """Whether the tokens so far end between characters, and not within a closing tag."""
        return not self._detokenizer.pending and not self._segmenter.in_tag

    def kind_of(self, token: int) -> PartKind:
        """What `token` counts as if it comes next: a marker belongs to its reasoning."""
        return PartKind.REASONING if token in self._marks else self._segmenter.kind

    def feed(self, token: int) -> list[Piece]:
        """The pieces that `token` completes."""
        return self._new(self._until_stop(self._pieces(token)))

    def flush(self) -> list[Piece]:
        """What was waiting, at the end of the answer."""
        pieces = self._segmenter.text(self._detokenizer.flush()) + self._segmenter.flush()
        pieces = self._until_stop(pieces)
        return self._new(joined([*pieces, (PartKind.TEXT, self._stops.flush())]))

    def _pieces(self, token: int) -> list[Piece]:
        mark = self._marks.get(token)
        if mark is None:
            return self._segmenter.text(self._detokenizer.step(token))
        return self._segmenter.text(self._detokenizer.flush()) + self._segmenter.mark(mark)

    def _until_stop(self, pieces: list[Piece]) -> list[Piece]:
        through: list[Piece] = []
        for kind, text in pieces:
            if self.stopped:
                break
            if kind is PartKind.TEXT:
                through.append((kind, self._stops.feed(text)))
            else:  # a stop string does not reach across reasoning
                through += [(PartKind.TEXT, self._stops.flush()), (kind, text)]
        return joined(through)

    def _new(self, pieces: list[Piece]) -> list[Piece]:
        """`pieces` without what has been told already."""
        return joined([(kind, self._untold(kind, text)) for kind, text in pieces])

    def _untold(self, kind: PartKind, text: str) -> str:
        """`text` without its beginning as far as it has been told.

        Where the two differ, something had been told too early: a replaced half of a character,
        or the beginning of a marker.
        """
        if not self._ahead:
            return text
        told_kind, told = self._ahead[0]
        if told_kind is not kind or not (told.startswith(text) or text.startswith(told)):
            self._ahead.clear()
            same = _common(told, text) if told_kind is kind else 0
            return text[same:]
        if len(told) > len(text):
            self._ahead[0] = (kind, told[len(text) :])
            return ""
        del self._ahead[0]
        return text[len(told) :]


def _common(a: str, b: str) -> int:
    """How many first characters are equal."""
    length = 0
    while length < min(len(a), len(b)) and a[length] == b[length]:
        length += 1
    return length
