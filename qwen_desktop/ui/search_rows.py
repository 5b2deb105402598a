"""What a search found, as rows: conversations, snippets below them, and how they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from typing import Union

from PySide6.QtCore import (
    QAbstractListModel,
    QLocale,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPointF,
    QRect,
    QRectF,
    Qt,
)
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetrics,
    QPainter,
    QTextCharFormat,
    QTextLayout,
    QTextOption,
)
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from qwen_desktop.chat.messages import Role
from qwen_desktop.chat.search import Found, Hit, Snippet
from qwen_desktop.chat.summary import Place
from qwen_desktop.ui import theme
from qwen_desktop.ui.conversation_row import inner_rect
from qwen_desktop.ui.rows import elided, paint_row
from qwen_desktop.ui.texts import when_text

Index = Union[QModelIndex, QPersistentModelIndex]  # noqa: UP007
SHOWN = 3  # snippets of one conversation
ROW_ROLE = int(Qt.ItemDataRole.UserRole)
TITLE_HEIGHT, MORE_HEIGHT = 34, 28
_LINE = 17  # px of a snippet
_META = 16
_BEFORE = 12  # characters shown before a mark that is far into a snippet
_AIR = 12
_MARGINS = 16 + 16 + 4  # px beside the text of a snippet, in a list
_NO_PARENT = QModelIndex()


class Kind(Enum):
    """What a row is."""

    TITLE = "title"
    SNIPPET = "snippet"
    MORE = "more"


@dataclass(frozen=True)
class FoundRow:
    """One row. `hit` is where it leads: one of kind MORE to the first that is not shown."""

    kind: Kind
    hit: Hit
    lines: int = 1


class FoundList(QAbstractListModel):
    """The rows of one `Found`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._found = Found("")
        self._rows: list[FoundRow] = []
        self._width = theme.SIDEBAR_WIDTH - 24  # px, of the list
        self._metrics = QFontMetrics(theme.body_font(12))

    @property
    def found(self) -> Found:
        """What is shown."""
        return self._found

    @property
    def hits(self) -> list[int]:
        """The rows that lead to a message."""
        return [row for row, one in enumerate(self._rows) if one.kind is Kind.SNIPPET]

    @property
    def is_more_in_one(self) -> bool:
        """Whether a conversation has more than is shown of it."""
        return any(row.kind is Kind.MORE for row in self._rows)

    def row(self, index: Index) -> FoundRow | None:
        """What stands at an index."""
        return self._rows[index.row()] if index.isValid() else None

    def show(self, found: Found) -> None:
        """Show another answer."""
        self.beginResetModel()
        self._found = found
        self._rows = self._make()
        self.endResetModel()

    def set_width(self, width: int) -> None:
        """The list is `width` px wide from now on: snippets take one line or two."""
        if width != self._width:
            self._width = width
            self._measure()

    def follow_look(self) -> None:
        """Another font."""
        self._metrics = QFontMetrics(theme.body_font(12))
        self._measure()

    def _measure(self) -> None:
        rows = self._make()
        if rows != self._rows:
            self._rows = rows
            self.layoutChanged.emit()

    def _make(self) -> list[FoundRow]:
        room, rows = self._width - _MARGINS, []
        for _, group in groupby(self._found.hits, lambda hit: hit.conversation_id):
            hits = list(group)
            messages = [hit for hit in hits if hit.message_id]
            rows.append(FoundRow(Kind.TITLE, messages[0] if messages else hits[0]))
            for hit in messages[:SHOWN]:
                wide = self._metrics.horizontalAdvance(hit.snippet.text) > room
                rows.append(FoundRow(Kind.SNIPPET, hit, lines=2 if wide else 1))
            if len(messages) > SHOWN:
                rows.append(FoundRow(Kind.MORE, messages[SHOWN]))
        return rows

    def rowCount(self, parent: Index = _NO_PARENT) -> int:
        """All rows."""
        return 0 if parent.isValid() else len(self._rows)

    def heights(self) -> Sequence[int]:
        """The height of every row, in px."""
        fixed = {Kind.TITLE: theme.px(TITLE_HEIGHT), Kind.MORE: theme.px(MORE_HEIGHT)}
        px, meta = theme.px(_LINE), theme.px(_META)
        return [fixed.get(row.kind, _AIR + meta + px * row.lines) for row in self._rows]

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        """The row, and what a screen reader says."""
        row = self._rows[index.row()]
        if role == ROW_ROLE:
            return row
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return self._spoken(row)
        return None

    def _spoken(self, row: FoundRow) -> str:
        hit = row.hit
        if row.kind is Kind.MORE:
            return self.tr("More in this chat")
        if row.kind is Kind.TITLE:
            words = [self.title(hit).text, self.place(hit)]
            return ", ".join(word for word in words if word)
        return f"{self.meta(hit)}: {hit.snippet.text}"

    def title(self, hit: Hit) -> Snippet:
        """The title of a conversation for people."""
        return hit.title if hit.title.text else Snippet(self.tr("New chat"))

    def place(self, hit: Hit) -> str:
        """Where a conversation is, if not in the list."""
        return {Place.ARCHIVE: self.tr("Archive"), Place.BIN: self.tr("Bin")}.get(hit.place, "")

    def meta(self, hit: Hit) -> str:
        """Who said it, and when."""
        who = self.tr("You") if hit.role is Role.USER else self.tr("Answer")
        if hit.in_reasoning:
            who = self.tr("Thinking")
        return f"{who} · {when_text(hit.created_at, QLocale())}"


class FoundDelegate(QStyledItemDelegate):
    """Draws titles and snippets with the words marked."""

    def __init__(self, model: FoundList, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._list = model
        self.follow_look()

    def follow_look(self) -> None:
        """Other fonts."""
        self._list.follow_look()
        self._title = theme.body_font(13, QFont.Weight.DemiBold)
        self._small = theme.body_font(12)
        self._tiny = theme.body_font(11)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """One row."""
        row = self._list.row(index)
        if row is None:
            return
        t = theme.current()
        rect = inner_rect(option.rect)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)  # where one went last
        paint_row(painter, rect, option.state, chosen)
        text = rect.adjusted(8, 3, -8, -3)
        if row.kind is Kind.TITLE:
            self._paint_title(painter, text, row.hit)
        elif row.kind is Kind.MORE:
            painter.setFont(self._small)
            painter.setPen(QColor(t.accent))
            words = str(index.data())
            painter.drawText(text.adjusted(8, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, words)
        else:
            box = text.adjusted(8, 0, 0, 0)
            painter.setFont(self._tiny)
            painter.setPen(QColor(t.dim))
            meta = elided(self._tiny, self._list.meta(row.hit), box.width())
            painter.drawText(box, Qt.AlignmentFlag.AlignTop, meta)
            box.setTop(box.top() + theme.px(_META))
            paint_marked(painter, box, row.hit.snippet, self._small, row.lines, t.text)
        painter.restore()

    def _paint_title(self, painter: QPainter, text: QRect, hit: Hit) -> None:
        t = theme.current()
        place = self._list.place(hit)
        if place:
            high = theme.px(17)
            wide = QFontMetrics(self._tiny).horizontalAdvance(place) + 12
            box = QRectF(text.right() - wide, text.center().y() - high // 2, wide, high)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(t.line))
            painter.drawRoundedRect(box, 4, 4)
            painter.setFont(self._tiny)
            painter.setPen(QColor(t.text))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, place)
            text.setRight(text.right() - wide - 6)
        height = QFontMetrics(self._title).height()
        text.setTop(text.center().y() - height // 2)
        paint_marked(painter, text, self._list.title(hit), self._title, 1, t.text)


def paint_marked(
    painter: QPainter, box: QRect, snippet: Snippet, font: QFont, lines: int, colour: str
) -> None:
    """Draw a stretch of text with its marks, in so many lines at most."""
    t = theme.current()
    shown = fitting(snippet, QFontMetrics(font), box.width() * lines)
    layout = QTextLayout(shown.text, font)
    option = QTextOption()
    option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
    layout.setTextOption(option)
    mark = QTextCharFormat()
    mark.setBackground(QColor(t.found))
    mark.setForeground(QColor(t.text))
    mark.setFontWeight(QFont.Weight.DemiBold)
    formats = []
    for begin, end in shown.marks:
        stretch = QTextLayout.FormatRange()
        # Qt counts in UTF-16.
        stretch.start = _units(shown.text[:begin])
        stretch.length = _units(shown.text[begin:end])
        stretch.format = mark
        formats.append(stretch)
    layout.setFormats(formats)
    layout.beginLayout()
    for number in range(lines):
        line = layout.createLine()
        if not line.isValid():
            break
        line.setLineWidth(box.width())
        line.setPosition(QPointF(0, number * _LINE))
    layout.endLayout()
    painter.setPen(QColor(colour))
    layout.draw(painter, QPointF(box.topLeft()))


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _least(most: int, fits: Callable[[int], bool]) -> int:
    """The least number up to `most` that fits, `most` itself if no other; more always fit."""
    low = 0
    while low < most:
        middle = (low + most) // 2
        if fits(middle):
            most = middle
        else:
            low = middle + 1
    return most


def fitting(snippet: Snippet, metrics: QFontMetrics, room: int) -> Snippet:
    """The part of a snippet that fits into `room` px, with its first mark in it."""
    text, marks = snippet.text, snippet.marks
    room -= metrics.horizontalAdvance("… ") * 2
    if metrics.horizontalAdvance(text) <= room:
        return snippet
    begin, end = 0, len(text)
    if marks and metrics.horizontalAdvance(text[: marks[0][1]]) > room * 3 // 4:
        begin = max(0, marks[0][0] - _BEFORE)
        # As much of what stands before as there is room for, where the end is near.
        begin = _least(begin, lambda at: metrics.horizontalAdvance(text[at:]) <= room)
        space = text.find(" ", begin, min(begin + _BEFORE, marks[0][0]))
        begin = space + 1 if begin and space >= 0 else begin
    end = len(text) - _least(
        len(text) - begin,
        lambda less: metrics.horizontalAdvance(text[begin : len(text) - less]) <= room,
    )
    before, after = "…" if begin else "", "…" if end < len(text) else ""
    shift = len(before) - begin
    kept = tuple(
        (max(b, begin) + shift, min(e, end) + shift) for b, e in marks if b < end and e > begin
    )
    return Snippet(f"{before}{text[begin:end]}{after}", kept)
