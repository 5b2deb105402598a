"""Tokens as they are shown: ids, the bytes of each, and the pieces of text they make. Pure.

A token may hold a part of a character only. Such neighbours make one cell: the text that they spell
together. A control token is always a cell of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

_TOGETHER = 8  # tokens; a character has four bytes, and some vocabularies one byte a token


@dataclass(frozen=True)
class Cell:
    """Tokens `start` to before `end`, and the text that they are together."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Tokens:
    """A run of tokens. `pieces` are the bytes of each, the name of one that controls the model.

    `control` are the ids that have a meaning beyond their text. `cells` tile the run.
    """

    ids: tuple[int, ...] = ()
    pieces: tuple[bytes, ...] = ()
    control: frozenset[int] = frozenset()
    cells: tuple[Cell, ...] = ()

    @classmethod
    def of(
        cls,
        ids: Sequence[int],
        pieces: Sequence[bytes],
        control: Collection[int] = (),
        edges: Collection[int] = (),
    ) -> Tokens:
        """Those of `ids`. No cell goes over an index in `edges`."""
        names = frozenset(control)
        return cls(tuple(ids), tuple(pieces), names, _cells(ids, pieces, names, edges))

    @classmethod
    def of_texts(
        cls, ids: Sequence[int], texts: Sequence[str], control: Collection[int] = ()
    ) -> Tokens:
        """Those whose text alone is known."""
        return cls.of(ids, [text.encode("utf-8", "replace") for text in texts], control)

    def __len__(self) -> int:
        return len(self.ids)

    def is_control(self, index: int) -> bool:
        """Whether token number `index` means something to the model beyond its text."""
        return self.ids[index] in self.control

    def text(self, start: int = 0, end: int | None = None) -> str:
        """What a stretch of them spells, control tokens by their names."""
        return b"".join(self.pieces[start:end]).decode("utf-8", "replace")


def _cells(
    ids: Sequence[int],
    pieces: Sequence[bytes],
    control: frozenset[int],
    edges: Collection[int],
) -> tuple[Cell, ...]:
    cells: list[Cell] = []
    known: dict[bytes, str | None] = {}  # None: no text by itself
    start, held = 0, b""  # tokens that make no text yet
    edge = frozenset(edges)
    for index, (number, piece) in enumerate(zip(ids, pieces, strict=True)):
        if held and (number in control or index in edge or index - start >= _TOGETHER):
            cells.append(Cell(start, index, held.decode("utf-8", "replace")))
            held = b""
        if not held:
            start = index
            if piece not in known:
                known[piece] = _text(piece)
            text = known[piece]
            if text is None and not _may_go_on(piece):
                text = piece.decode("utf-8", "replace")
            if text is not None:
                cells.append(Cell(index, index + 1, text))
                continue
        held += piece
        whole = _text(held)
        if whole is None and not _may_go_on(held):
            whole = held.decode("utf-8", "replace")
        if whole is not None:
            cells.append(Cell(start, index + 1, whole))
            held = b""
    if held:
        cells.append(Cell(start, len(ids), held.decode("utf-8", "replace")))
    return tuple(cells)


def _text(piece: bytes) -> str | None:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return None


def _may_go_on(piece: bytes) -> bool:
    """Whether only the end is missing."""
    try:
        piece.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return False
