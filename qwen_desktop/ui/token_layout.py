"""Where each token of a long run stands: lines of fragments, broken between tokens. No widgets.

A fragment is a cell (see `chat/tokens.py`) or a part of one: a cell with line feeds within, or one
that is wider than a line, has several. Work is done in portions, so that nobody waits for the end
of a long text: lines that are there never change.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Callable
from enum import Enum

from qwen_desktop.chat.tokens import Cell, Tokens

_CLOSING = frozenset(".,;:!?)]}%'’”，。；：！？、）】》」』…")  # stay with what is before them
_LINES = re.compile(r"[^\n]*\n+|[^\n]+")
_HIDDEN = (*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF)
_SEEN = {
    **{code: chr(0x2400 + code) for code in range(32)},
    **{code: f"‹U+{code:04X}›" for code in (*range(0x80, 0xA0), 0x2028, 0x2029, *_HIDDEN)},
    0x0A: "⏎",
    0x09: "⇥",
    0x7F: "␡",
}


class Mode(str, Enum):
    """What is shown of each token."""

    TEXT = "text"
    IDS = "ids"
    BOTH = "both"  # the text, and below it the ids


def seen(text: str) -> str:
    """`text` with everything in it to be seen: line feeds, tabs, marks of direction."""
    return text.translate(_SEEN) or "∅"


def ids_of(tokens: Tokens, cell: Cell) -> str:
    """The ids of a cell."""
    return " ".join(map(str, tokens.ids[cell.start : cell.end]))


class TokenLayout:
    """The lines of `tokens` in a width of `width` px.

    `measure` gives the px of a shown text, `small` those of ids that stand below it; `chip` are
    the px that a control token has more than its name, `gap` those between two ids.
    """

    def __init__(
        self,
        tokens: Tokens,
        mode: Mode,
        width: float,
        measure: Callable[[str], float],
        small: Callable[[str], float],
        chip: float,
        gap: float,
    ) -> None:
        self.tokens = tokens
        self.mode = mode
        self.width = max(width, 40.0)
        self.cells = tokens.cells
        if mode is Mode.IDS:
            self.cells = tuple(
                Cell(index, index + 1, str(number)) for index, number in enumerate(tokens.ids)
            )
        self.lines = array("l")  # the first fragment of each
        self.cell_of = array("l")  # of each fragment
        self.xs = array("f")
        self.widths = array("f")
        self.texts: list[str] = []
        self._first = array("l")  # fragment of each cell
        self._starts = [cell.start for cell in self.cells]
        self._measure, self._small = measure, small
        self._chip, self._gap = chip, gap
        self._known: dict[str, float] = {}
        self._known_ids: dict[str, float] = {}
        self._x = 0.0
        self._break = -1  # fragment of this line that a new line may begin with
        self._after_space = True

    @property
    def done(self) -> bool:
        """Whether every token has its place."""
        return len(self._first) == len(self.cells)

    @property
    def fraction(self) -> float:
        """How much of the text has its place, 1.0 for all."""
        return len(self._first) / len(self.cells) if self.cells else 1.0

    @property
    def count(self) -> int:
        """Lines that there are so far."""
        empty = bool(self.lines) and self.lines[-1] == len(self.texts)
        return len(self.lines) - empty

    def cell_at(self, token: int) -> int:
        """The cell of token number `token`."""
        return bisect_right(self._starts, token) - 1

    def line_at(self, token: int) -> int:
        """The line where a token begins, the work being done that far."""
        cell = self.cell_at(token)
        while len(self._first) <= cell:
            self.extend(4096)
        return bisect_right(self.lines, self._first[cell]) - 1

    def last_line_of(self, token: int) -> int:
        """The line where the last fragment of a token's cell is."""
        line, cell = self.line_at(token), self.cell_at(token)
        while line + 1 < self.count and self.cell_of[self.lines[line + 1]] == cell:
            line += 1
        return line

    def fragments(self, line: int) -> range:
        """Those of a line."""
        end = self.lines[line + 1] if line + 1 < len(self.lines) else len(self.texts)
        return range(self.lines[line], end)

    def place(self, token: int) -> tuple[int, float, float]:
        """Line, x and width in px of a token; of its first fragment where it has several."""
        cell = self.cells[self.cell_at(token)]
        line = self.line_at(token)
        fragment = self._first[self.cell_at(token)]
        share = self.widths[fragment] / (cell.end - cell.start)
        return line, self.xs[fragment] + share * (token - cell.start), share

    def token_at(self, line: int, x: float) -> int:
        """The token at `x` px in a line, the nearest one beside its ends."""
        found = self.fragments(line)
        fragment = found[0]
        for index in found:
            if self.xs[index] > x:
                break
            fragment = index
        cell = self.cells[self.cell_of[fragment]]
        count = cell.end - cell.start
        share = (x - self.xs[fragment]) / max(self.widths[fragment], 1.0)
        return cell.start + min(count - 1, max(0, int(share * count)))

    def extend(self, cells: int) -> None:
        """Place the next `cells` cells, or what is left of them."""
        begin = len(self._first)
        control, ids = self.tokens.control, self.tokens.ids
        plain = self.mode is not Mode.TEXT
        for number in range(begin, min(begin + cells, len(self.cells))):
            cell = self.cells[number]
            self._first.append(len(self.texts))
            is_control = ids[cell.start] in control
            if self.mode is Mode.IDS:
                self._put(number, cell.text, self._chip if is_control else 0.0)
            elif is_control:
                self._put(number, cell.text, self._chip)
            elif "\n" in cell.text:
                for part in _LINES.findall(cell.text):
                    self._put(number, seen(part), 0.0, breaks=part.endswith("\n"))
                continue
            else:
                self._put(number, seen(cell.text), 0.0)
            if plain:
                self._x += self._gap

    def _px(self, text: str) -> float:
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = self._measure(text)
        return found

    def _ids_px(self, text: str) -> float:
        found = self._known_ids.get(text)
        if found is None:
            found = self._known_ids[text] = self._small(text)
        return found

    def _put(self, number: int, text: str, extra: float, *, breaks: bool = False) -> None:
        width = self._px(text) + extra
        if self.mode is Mode.BOTH:
            width = max(width, self._ids_px(ids_of(self.tokens, self.cells[number])) + extra)
        if not self.lines:
            self.lines.append(0)
        begins = self._may_begin_a_line(text, extra)
        if self._x + width > self.width and self._x > 0:
            if begins:
                self._new_line()
            else:
                self._wrap()
            if self._x + width > self.width and self._x > 0:
                self._new_line()
        while width > self.width and len(text) > 1:
            text, width = self._cut(number, text, extra)
        if begins:
            self._break = len(self.texts)
        self._after_space = bool(extra) or text[-1] == " " or ord(text[-1]) > 0x2E7F
        self._add(number, text, width)
        if breaks:
            self._new_line()

    def _may_begin_a_line(self, text: str, extra: float) -> bool:
        if extra or self._after_space:
            return True
        return not text[0].isalnum() and text[0] not in _CLOSING

    def _add(self, number: int, text: str, width: float) -> None:
        self.cell_of.append(number)
        self.xs.append(self._x)
        self.widths.append(width)
        self.texts.append(text)
        self._x += width

    def _cut(self, number: int, text: str, extra: float) -> tuple[str, float]:
        """Place as much of a text as a line holds: the rest of it, with its width."""
        low, high = 1, len(text) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self._measure(text[:middle]) + extra <= self.width:
                low = middle
            else:
                high = middle - 1
        self._add(number, text[:low], min(self.width, self._measure(text[:low]) + extra))
        self._new_line()
        rest = text[low:]
        return rest, self._measure(rest) + extra

    def _new_line(self) -> None:
        self.lines.append(len(self.texts))
        self._x, self._break, self._after_space = 0.0, -1, True

    def _wrap(self) -> None:
        """Go on in a new line, with the beginning of the word where that is in this one."""
        begin, at = self.lines[-1], self._break
        if at <= begin or self.mode is not Mode.TEXT or self._x - self.xs[at] > self.width / 3:
            self._new_line()
            return
        shift = self.xs[at]
        for index in range(at, len(self.texts)):
            self.xs[index] -= shift
        self.lines.append(at)
        self._x -= shift
        self._break = -1
