"""How much of a long answer is shown at once, so that the window never waits for it. No Qt.

A widget takes about a millisecond to build. An answer that was written here is shown whole, as it
was while it grew; of one that is opened there is a button for what does not fit at first.
"""

from __future__ import annotations

from dataclasses import dataclass

from qwen_desktop.ui.timeline.markdown import Block, MarkdownTail, parse, weight

PORTION = 300.0  # of the weight of blocks, about as many milliseconds
_CHARACTERS = 60_000  # and of their source
_LINES = 2_000
_CELLS = 6_000  # of tables: as many lines between cells


@dataclass(frozen=True)
class Shown:
    """The blocks that are shown, and up to which character that is."""

    blocks: list[Block]
    end: int


class Portions:
    """The beginning of one text, as much of it as was asked for.

    `tail`: what read the text while it grew, which is not read again then. `portion`: the weight
    that is shown at first, and added each time.
    """

    def __init__(self, tail: MarkdownTail | None = None, portion: float = PORTION) -> None:
        self._tail = tail or MarkdownTail()
        self._has_grown = tail is not None
        self._portion = portion

    def show(self, source: str, asked: int) -> Shown:
        """The blocks of the first `asked` characters of a normalized text, and a portion more."""
        most = min(_CHARACTERS, round(_CHARACTERS * self._portion / PORTION))
        reached = _reach(source, asked, most)
        # A definition that comes late changes what was read before it.
        is_read = self._has_grown and "]:" not in source
        if reached == len(source) and reached <= _CHARACTERS and not is_read:
            blocks = parse(source)
        else:
            self._tail.feed(source[:reached])
            blocks = self._tail.blocks
        heavy = 0.0
        at = line = 0
        for number, block in enumerate(blocks):
            while line < block.line:
                at = source.find("\n", at) + 1
                line += 1
            if at < asked:
                continue
            heavy += weight(block)
            if heavy > self._portion and number:
                return Shown(blocks[:number], at)
        return Shown(list(blocks), reached)


def _reach(source: str, begin: int, most: int) -> int:
    """Where a portion of the text ends that begins there; at the end of a line if there is one."""
    end = min(len(source), begin + most)
    at, lines, cells = begin, 0, 0
    while at < end:
        following = source.find("\n", at, end) + 1 or end
        cells += source.count("|", at, following)
        lines += 1
        if at > begin and (lines > _LINES or cells > _CELLS):
            return at
        at = following
    if end == len(source):
        return end
    line = source.rfind("\n", (begin + end) // 2, end) + 1
    return line if line else end
