"""Text with formulas in its lines: as pictures where they are drawn, else as their source.

While a text grows only its end is set again, from the last formula on that stays as it is, and
lines that can no longer change become a block of their own in Qt's document, so that they are not
laid out again either, nor painted. Whatever else changes sets the whole text, as one block.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape

from PySide6.QtGui import QPaintEvent, QTextCursor, QTextFormat
from PySide6.QtWidgets import QWidget

from qwen_desktop.export.mathrules import Formula, formula
from qwen_desktop.ui.theme import px
from qwen_desktop.ui.timeline.leaf import SOFT, Leaf
from qwen_desktop.ui.timeline.maths import Picture, Wanted
from qwen_desktop.ui.timeline.pictures import Pictures
from qwen_desktop.ui.timeline.shared import Shared, tell_resized
from qwen_desktop.ui.timeline.still import Still

DESCRIBED = 2_000  # characters of a text that screen readers are given with its formulas
MATH = re.compile(r'<code class="math">(.*?)</code>', re.DOTALL)
_LETTERS = 16  # px, height of a formula's letters; 14 px of text look as large
_LINES = 4  # of a growing block, at least; those above them are set apart
_TAG = re.compile(r"<(/?)(\w+)")
# A block that begins with such a letter would be read from the right.
_ONE_WAY = re.compile("[^\u0590-\u08ff\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufefc]*")


@dataclass(frozen=True)
class _Cut:
    """A picture from which on the text can be set again: no tag is open there."""

    offset: int  # in the HTML
    number: int  # of pictures before it
    position: int  # in the document


class PicturedText(Leaf):
    """A text that is shown from HTML in which formulas are marked."""

    _html = ""  # these are asked for while the base class is made
    _formula_width = 0.0  # px of the widest formula
    _is_split = False  # the document has blocks that are none of the text

    def __init__(self, shared: Shared, parent: QWidget, dim: bool) -> None:
        super().__init__(shared, parent, dim)
        self.formulas: list[str] = []
        self._waiting: dict[Wanted, int] = {}  # what is being drawn, and where it is first
        self._listens = False
        self._live = False
        self._pictures: Pictures | None = None
        self._cuts: list[_Cut] = []
        self._still = Still()

    def set_html(self, html: str, live: bool) -> None:
        """Show this; `live` while more of it is expected."""
        before, self._html = self._html, html
        self._live = live and _ONE_WAY.fullmatch(html) is not None
        # What was drawn since is shown with this, before it is told.
        if not self._live or not self._set_from(min([_common(before, html), *self._newly_drawn()])):
            self._render()

    def expect(self, width: int) -> None:
        """Get ready for `width` px; a formula that is wider shows its source, which wraps."""
        before = self.lineWrapColumnOrWidth()
        super().expect(width)
        widest = self._formula_width
        if before != width and (self._is_split or (widest > before) != (widest > width)):
            self._render()

    def set_dim(self, dim: bool) -> None:
        """Show the text in the dimmer colour, or no longer."""
        changed = dim != self._dim
        super().set_dim(dim)
        if changed and MATH.search(self._html):
            self._render()

    # The text

    def _render(self) -> None:
        """Set all of it."""
        self._cuts.clear()
        self._waiting.clear()
        self._formula_width, self._is_split = 0.0, False
        self._still.forget()
        if '<code class="math">' in self._html:
            pictures = self.drawn_pictures(0)
            html, found = self._with_pictures(0)
            self.setHtml(html)
            self._note_cuts(found, 0, pictures.place(self.document(), 0, 0))
            self.setAccessibleDescription(self.text_between(0, self.length)[:DESCRIBED])
        else:
            self.setHtml(self._html)
            if self.formulas:
                self.formulas = []
                self.setAccessibleDescription("")
        self.paint_again()

    def _set_from(self, common: int) -> bool:
        """Set what comes after `common` characters of HTML; False where all is to be set."""
        while self._cuts and self._cuts[-1].offset > common:
            self._cuts.pop()
        if not self._cuts or self._html.startswith("<p>", 3, len(self._html)):
            return False
        cut = self._cuts.pop()
        pictures = self.drawn_pictures(cut.number)
        for wanted in [wanted for wanted, at in self._waiting.items() if at >= cut.offset]:
            del self._waiting[wanted]
        html, found = self._with_pictures(cut.offset)
        document = self.document()
        changed = document.findBlock(cut.position)
        self._still.cut(document.documentLayout().blockBoundingRect(changed).top())
        cursor = QTextCursor(document)
        cursor.beginEditBlock()
        form = document.begin().blockFormat()
        cursor.setPosition(cut.position)
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        cursor.insertHtml(f"<p>{html}")
        cursor.setBlockFormat(form)
        places = pictures.place(document, cut.position, cut.number)
        cursor.endEditBlock()
        self._note_cuts(found, cut.number, places)
        if self._live:
            self._set_apart()
        if len(self.accessibleDescription()) < DESCRIBED:
            self.setAccessibleDescription(self.text_between(0, self.length)[:DESCRIBED])
        self.paint_again()
        return True

    def _set_apart(self) -> None:
        """Let the lines that are full be a block of their own.

        A break takes the place of the space at the end of a line: all positions stay.
        """
        document = self.document()
        block = document.lastBlock()
        layout = block.layout()
        for number in range(layout.lineCount() - 2, _LINES - 1, -1):
            at = block.position() + layout.lineAt(number).textStart()
            if document.characterAt(at - 1) == " ":
                cursor = QTextCursor(document)
                cursor.beginEditBlock()
                cursor.setPosition(at - 1)
                cursor.deleteChar()
                cursor.insertBlock()
                cursor.endEditBlock()
                document.findBlock(at - 1).setUserState(SOFT)
                self._is_split = True
                return

    def paintEvent(self, event: QPaintEvent) -> None:
        """The lines that are set apart as a picture, and the others."""
        if not self._is_split or self._selected[1] or self.marks:
            super().paintEvent(event)
            return
        document, box = self.document(), event.rect()
        end = document.documentLayout().blockBoundingRect(document.lastBlock()).top()
        top = self._still.paint(self, box, end, self._shared.theme.background)
        box.setTop(max(box.top(), top))
        if not box.isEmpty():
            super().paintEvent(QPaintEvent(box))

    # Formulas

    def _with_pictures(self, begin: int) -> tuple[str, list[int]]:
        """The HTML from `begin` on with the sign of a picture for each formula that has one.

        Also where in the HTML these are, negative where a tag is open.
        """
        room = self.lineWrapColumnOrWidth()
        assert self._pictures is not None
        parts: list[str] = []
        places: list[int] = []
        at, depth = begin, -1 if begin == 0 else 0
        for found in MATH.finditer(self._html, begin):
            between = self._html[at : found.start()]
            parts.append(between)
            depth += sum(-1 if tag[1] else 1 for tag in _TAG.finditer(between) if tag[2] != "br")
            at = found.end()
            source = unescape(found[1])
            meant = formula(source)
            picture = self._picture(meant, found.start()) if meant is not None else None
            if picture is not None:
                self._formula_width = max(self._formula_width, picture.width)
            if picture is None or picture.width > room:
                parts.append(found[0])
                continue
            parts.append(self._pictures.add(picture))
            self.formulas.append(source)
            places.append(found.start() if depth == 0 else -1)
        parts.append(self._html[at:])
        return "".join(parts), places

    def _note_cuts(self, offsets: list[int], first: int, positions: list[int]) -> None:
        """Remember the pictures from which on the text can be set again."""
        if self._html.startswith("<p>"):
            for number, (offset, position) in enumerate(zip(offsets, positions, strict=True)):
                if offset >= 0:
                    self._cuts.append(_Cut(offset, first + number, position))

    def drawn_pictures(self, keep: int) -> Pictures:
        """What draws the pictures; the first `keep` of them stay."""
        if self._pictures is None:
            self._pictures = Pictures(self)
            kind = QTextFormat.ObjectTypes.ImageObject.value
            self.document().documentLayout().registerHandler(kind, self._pictures)
        self._pictures.keep(keep, self.devicePixelRatioF())
        self.formulas = self.formulas[:keep]
        return self._pictures

    def picture_places(self) -> list[int]:
        """The positions of the pictures, from the top."""
        return self._pictures.places if self._pictures is not None and self.formulas else []

    def _picture(self, meant: Formula, offset: int = 0) -> Picture | None:
        """How a formula looks; None while it is being drawn, and where it cannot be."""
        theme = self._shared.theme
        wanted = Wanted(
            meant,
            px(_LETTERS),
            theme.dim if self._dim else theme.text,
            self.devicePixelRatioF(),
        )
        picture = self._shared.maths.picture(wanted)
        if picture is None and not self._shared.maths.is_known(wanted):
            self._waiting.setdefault(wanted, offset)
            if not self._listens:
                self._listens = True
                self._shared.maths.drawn.connect(self._on_drawn)
        return picture

    def _newly_drawn(self) -> list[int]:
        """Where formulas stand that were waited for and can be shown now."""
        maths = self._shared.maths
        known = {wanted: at for wanted, at in self._waiting.items() if maths.is_known(wanted)}
        for wanted in known:
            del self._waiting[wanted]
        return [at for wanted, at in known.items() if maths.picture(wanted) is not None]

    def _on_drawn(self) -> None:
        if drawn := self._newly_drawn():
            if not self._live or not self._set_from(min(drawn)):
                self._render()
            tell_resized(self)
        if not self._waiting and self._listens:
            self._listens = False
            self._shared.maths.drawn.disconnect(self._on_drawn)


def _common(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginnings."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
