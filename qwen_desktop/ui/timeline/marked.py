"""A column of messages in which words are marked, and the way to them.

Only what is in view is marked, whatever the length of the conversation.
"""

from __future__ import annotations

from PySide6.QtCore import QEasingCurve, QPoint, QRect, Qt, QTimer, QVariantAnimation
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QTextCursor
from PySide6.QtWidgets import QWidget

from qwen_desktop.chat.matching import Matcher
from qwen_desktop.chat.messages import Message, Role
from qwen_desktop.ui.theme import COLUMN_MARGIN, column_width, look
from qwen_desktop.ui.timeline.column import MessageColumn
from qwen_desktop.ui.timeline.leaf import PICTURE
from qwen_desktop.ui.timeline.markdown import normalized
from qwen_desktop.ui.timeline.message import MessageView
from qwen_desktop.ui.timeline.shared import CARD_RADIUS, Shared
from qwen_desktop.ui.timeline.spans import found_spans
from qwen_desktop.ui.timeline.usertext import first_part
from qwen_desktop.ui.timeline.wording import first_behind, found_in, last_in

_FLASH_MS = 900
_FLASH_ALPHA = 46  # of 255, at its beginning
_ABOVE = 8  # px kept free above what is shown
_BEHIND = 2000  # characters of a long message shown behind the word that is gone to


class MarkedColumn(MessageColumn):
    """Marks words until told otherwise, also in messages that come later."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._matcher = Matcher(())
        self._words = Matcher(())  # what is marked unless something else is looked for
        self._marked: dict[str, MessageView] = {}  # by message id, with these words
        self._is_late = False
        # Message id, leaf, mark that is gone to. The files of a message count as leaves before
        # its text: -1 is the last of them.
        self._at: tuple[str, int, int] | None = None
        self._in_files: dict[str, tuple[int, ...]] = {}  # how often it is in each, by message id

    @property
    def marks(self) -> tuple[str, ...]:
        """The words that are marked, but for what is looked for in this conversation alone."""
        return tuple(needle.word for needle in self._words.needles)

    def set_marks(self, words: tuple[str, ...]) -> None:
        """Mark all occurrences of `words`, of `Found.words`; () marks nothing."""
        if tuple(words) == self.marks:
            return
        self._words = Matcher.of_words(words)
        self._use(self._words)

    def _use(self, matcher: Matcher) -> None:
        """Mark what `matcher` finds from now on."""
        self._matcher = self._shared.matcher = matcher
        self._at = None
        self._in_files.clear()
        if not matcher.needles:
            for view in self._views.values():
                for leaf in view.leaves():
                    leaf.mark((), -1)
                if view.card is not None:
                    view.card.mark_files((), 0, 0)
        self._marked.clear()
        self.placed()

    def show_message(self, message_id: str) -> None:
        """Bring a message into view, and in it the first marked word. Others are ignored."""
        index = self._index.get(message_id)
        if index is None:
            return
        view = self._revealed(index)
        places = self._places(view)
        self._at = (message_id, *places[0]) if places else None
        self._paint(index, view)
        self.scroll_to(index, self._mark_top(view, *places[0]) if places else 0)
        _Flash(self._shared, self.view_at(index))

    def next_mark(self, step: int) -> bool:
        """Go to the marked word that follows, or with -1 to the one before; round at the ends.

        False where there is none.
        """
        count = len(self._items)
        if not self._matcher.needles or not count:
            return False
        before = self._at
        index = self._first_index()
        if before is not None and before[0] in self._index:
            index = self._index[before[0]]
            places = self._places(self.view_at(index))
            at = places.index(before[1:]) + step if before[1:] in places else -1
            if at == len(places):  # there may be more in what is not shown of it
                places = self._places(self._revealed(index, at))
                if self._is_late:
                    return self._go_on_later(step)
            if 0 <= at < len(places):
                self._go_to(index, places[at])
                return True
            index += step
        for number in range(index, index + step * (count + 1), step):
            number %= count
            if self._has_marks(self._items[number].message):
                places = self._places(self._revealed(number, 0 if step > 0 else -1))
                if self._is_late:
                    return self._go_on_later(step)
                if places:
                    self._go_to(number, places[0 if step > 0 else -1])
                    return True
        return False

    def _first_index(self) -> int:
        """The message to begin at where nothing is gone to yet."""
        return self._heights.at(self._bar.value())

    # What the columns above and below ask

    def placed(self) -> None:
        """Mark what came into view."""
        super().placed()
        if not self._matcher.needles:
            return
        height = self.viewport().height()
        for key, view in self._views.items():
            in_view = not view.isHidden() and view.y() < height and view.geometry().bottom() >= 0
            if in_view and self._marked.get(key) is not view:
                self._paint(self._index[key], view)

    def measured(self, index: int, view: MessageView) -> None:
        """New content is marked anew when it is placed."""
        super().measured(index, view)
        self._marked.pop(self._items[index].message.id, None)

    def _paint(self, index: int, view: MessageView) -> None:
        key = self._items[index].message.id
        self._marked[key] = view
        for number, leaf in enumerate(view.leaves()):
            now = self._at[2] if self._at is not None and self._at[:2] == (key, number) else -1
            text = leaf.raw_text()
            leaf.mark(found_spans(self._matcher, text, leaf.formulas, PICTURE), now)
        if view.card is not None and view.message.files:
            at = self._at if self._at is not None and self._at[0] == key else (key, 0, 0)
            view.card.mark_files(self._file_counts(view.message), *at[1:])

    # Going there

    def _has_marks(self, message: Message) -> bool:
        if any(self._file_counts(message)):
            return True
        return any(self._matcher.spans(text) for text in (message.text, message.reasoning) if text)

    def _file_counts(self, message: Message) -> tuple[int, ...]:
        """How often it is in each file of a message."""
        if not message.files or not self._matcher.needles:
            return ()
        if message.id not in self._in_files:
            self._in_files[message.id] = tuple(
                sum(map(len, found_in(self._matcher, file.text))) for file in message.files
            )
        return self._in_files[message.id]

    def _revealed(self, index: int, wanted: int = 0) -> MessageView:
        """The widget of a message, unfolded as far as mark number `wanted` asks for.

        `_is_late` says that there is more of it to be shown first.
        """
        self._is_late = False
        item = self._items[index]
        view = self.view_at(index)
        self._paint(index, view)
        if not self._matcher.needles:
            return view
        if item.message.role is Role.USER:
            text = normalized(item.message.text)
            shown = max(item.shown, first_part(text))
            if 0 <= wanted < len(self._places(view)):
                return view
            find = last_in(self._matcher, text) if wanted < 0 else None
            found = find or first_behind(self._matcher, text, shown)
            if found is None or found[1] <= shown:
                return view
            item.shown = found[1] + _BEHIND
        elif self._lies_in_hidden_reasoning(view):
            view.show_more_reasoning()
            self._measured_anew(index, view)
            self._is_late = True
            return view
        elif view.shown_end is not None:
            self._show_more(index, view, wanted)
            return view
        elif self._is_in_reasoning(item.message, view):
            item.reasoning_open = True
        else:
            return view
        self._discard(item.message.id)  # it is built again as the item says now
        view = self.view_at(index)
        self._paint(index, view)
        self._is_late = self._lies_in_hidden_reasoning(view)
        return view

    def _show_more(self, index: int, view: MessageView, wanted: int) -> None:
        """Show another portion of a very long answer, if the mark that is wanted lies behind."""
        text = normalized(view.message.text)

        def lies_behind() -> bool:
            if view.shown_end is None or 0 <= wanted < len(self._places(view)):
                return False
            return bool(self._matcher.spans(text[view.shown_end :]))

        if lies_behind():
            view.show_more()
            self._measured_anew(index, view)
            self._is_late = lies_behind()

    def _measured_anew(self, index: int, view: MessageView) -> None:
        """More of a message is shown."""
        self._exact.discard(view.message.id)
        self._measure(index)
        self._paint(index, view)

    def _lies_in_hidden_reasoning(self, view: MessageView) -> bool:
        """Whether there is a mark in open reasoning behind what is shown of it."""
        end = view.reasoning_end
        if end is None:
            return False
        return first_behind(self._matcher, normalized(view.message.reasoning), end) is not None

    def _go_on_later(self, step: int) -> bool:
        """Take the step once more has been shown, with the next turn of the event loop."""
        matcher = self._matcher
        QTimer.singleShot(0, self, lambda: self._matcher is matcher and self.next_mark(step))
        return True

    def _is_in_reasoning(self, message: Message, view: MessageView) -> bool:
        """Whether its folded reasoning has a mark that is wanted: where the answer has none."""
        if not message.reasoning or view.reasoning_is_open or self._places(view):
            return False
        return bool(self._matcher.spans(message.reasoning))

    def _places(self, view: MessageView) -> list[tuple[int, int]]:
        """All marks of a widget: which file or text, which mark in it."""
        counts = self._file_counts(view.message)
        files = [
            (number - len(counts), mark)
            for number, count in enumerate(counts)
            for mark in range(count)
        ]
        return files + [
            (number, mark)
            for number, leaf in enumerate(view.leaves())
            for mark in range(len(leaf.marks))
        ]

    def _go_to(self, index: int, place: tuple[int, int]) -> None:
        old, self._at = self._at, (self._items[index].message.id, *place)
        if old is not None and old[0] in self._views:
            self._paint(self._index[old[0]], self._views[old[0]])
        view = self.view_at(index)
        self._paint(index, view)
        self.scroll_to(index, self._mark_top(view, *place))

    @staticmethod
    def _mark_top(view: MessageView, number: int, mark: int) -> int:
        if number < 0 and view.card is not None:
            return view.card.file_top(number)
        leaf = list(view.leaves())[number]
        cursor = QTextCursor(leaf.document())
        cursor.setPosition(leaf.marks[mark][0])
        return leaf.viewport().mapTo(view, leaf.cursorRect(cursor).topLeft()).y()

    def scroll_to(self, index: int, y: int) -> None:
        """Show the place `y` px below the top of a message, and the top as well if it is near."""
        height = self.viewport().height()
        inside = -_ABOVE if y < height // 2 else y - height // 3
        for _ in range(4):  # what comes into view above it gets another height
            top = self._heights.top(index) + inside
            lowest = max(0, self._extent - height)
            self._follow = False
            self._remember(max(0, min(top, lowest)))
            self._arrange()
            if self._heights.top(index) + inside == top:
                break
        self.follow_if_at_end()


class _Flash(QWidget):
    """A tint over a message that fades, so that the eye finds it."""

    def __init__(self, shared: Shared, view: MessageView) -> None:
        super().__init__(view)
        self._shared = shared
        self._fade = QVariantAnimation(self)
        self._fade.setDuration(_FLASH_MS)
        self._fade.setStartValue(1.0)
        # Without motion it stands still as long, and is gone.
        self._fade.setEndValue(1.0 if look().still else 0.0)
        self._fade.setEasingCurve(QEasingCurve.Type.InOutQuad)
        self._fade.valueChanged.connect(self.update)
        self._fade.finished.connect(self.deleteLater)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        width = min(view.width() - 2 * COLUMN_MARGIN, column_width()) + COLUMN_MARGIN
        self.setGeometry(QRect(QPoint((view.width() - width) // 2, 0), view.size()))
        self.resize(width, view.height())
        self.show()
        self._fade.start()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The tint."""
        colour = QColor(self._shared.theme.accent)
        colour.setAlpha(int(_FLASH_ALPHA * float(self._fade.currentValue())))
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawRoundedRect(self.rect().toRectF(), CARD_RADIUS, CARD_RADIUS)
