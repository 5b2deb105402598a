"""Misspelt words in the message field: underlined, and put right by its context menu.

The marks are extra selections over what is seen: neither the document nor its undo knows of them,
and a text of a megabyte costs no more than eight lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer, Slot
from PySide6.QtGui import (
    QAction,
    QColor,
    QContextMenuEvent,
    QFont,
    QTextBlock,
    QTextCharFormat,
    QTextCursor,
)
from PySide6.QtWidgets import QMenu, QTextEdit

from qwen_desktop.bridge.spelling import ON_SETTING
from qwen_desktop.chat.spelling import Word, is_fence, is_foreign, words
from qwen_desktop.ui import theme
from qwen_desktop.ui.message_edit import BREAK

if TYPE_CHECKING:
    from qwen_desktop.bridge.preferences import PreferencesModel
    from qwen_desktop.bridge.spelling import Spelling
    from qwen_desktop.ui.message_edit import MessageEdit

MARK_MS = 120  # after the last change
MENU_MS = 400  # that a menu waits for suggestions, which come within a tenth of it
_FENCES_WITHIN = 2_000  # paragraphs above that are looked at for the begin of a code block
_CUT = BREAK[:-1]  # at the end of a paragraph that goes on in the next


class SpellMarks(QObject):
    """Belongs to the field."""

    def __init__(
        self, edit: MessageEdit, spelling: Spelling, preferences: PreferencesModel
    ) -> None:
        super().__init__(edit)
        self._edit = edit
        self._spelling = spelling
        self._preferences = preferences
        self._typed_at = -1  # where the cursor was when something was typed last
        self._asked: _Asked | None = None  # a menu that waits for suggestions
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(MARK_MS)
        self._timer.timeout.connect(self._mark)
        self._menu_timer = QTimer(self)
        self._menu_timer.setSingleShot(True)
        self._menu_timer.setInterval(MENU_MS)
        self._menu_timer.timeout.connect(self._on_late)
        edit.textChanged.connect(self._on_text)
        edit.cursorPositionChanged.connect(self._mark_soon)
        edit.focus_changed.connect(self._mark_soon)
        edit.verticalScrollBar().valueChanged.connect(self._mark_soon)
        edit.installEventFilter(self)
        edit.takes_menu = self._takes_menu
        spelling.changed.connect(self._mark_soon)
        spelling.suggested.connect(self._on_suggested)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Other colours or another width: other marks."""
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.Resize):
            self._timer.start()
        return False

    # -- marks -------------------------------------------------------------------------------

    @Slot()
    def _mark_soon(self) -> None:
        self._timer.start()  # not connected itself: it would take what is told for its interval

    @Slot()
    def _on_text(self) -> None:
        self._typed_at = self._edit.textCursor().position()
        self._timer.start()

    @Slot()
    def _mark(self) -> None:
        found = list(self._seen_words()) if self._spelling.is_on else []
        if self._spelling.is_on and not self._edit.is_blank():
            self._spelling.check(word.text for _, word in found)
        wrong = [one for one in found if self._spelling.is_wrong(one[1].text)]
        if is_foreign(*(len({word.text for _, word in some}) for some in (found, wrong))):
            wrong = []
        colour = QColor(theme.current().error)
        marks = []
        for block, word in wrong:
            cursor = _cursor(block, word)
            if not self._is_being_typed(cursor):
                mark = QTextEdit.ExtraSelection()
                style = QTextCharFormat()
                style.setUnderlineStyle(QTextCharFormat.UnderlineStyle.WaveUnderline)
                style.setUnderlineColor(colour)
                mark.cursor, mark.format = cursor, style
                marks.append(mark)
        if marks or self._edit.extraSelections():
            self._edit.setExtraSelections(marks)

    def _is_being_typed(self, word: QTextCursor) -> bool:
        """A word is not wrong before it is written to its end."""
        at = self._edit.textCursor().position()
        return (
            self._edit.hasFocus()
            and at == self._typed_at
            and word.selectionStart() <= at <= word.selectionEnd()
        )

    def _seen_words(self) -> Iterator[tuple[QTextBlock, Word]]:
        language = self._spelling.language
        if not language and self._spelling.spellers is not None:
            return
        in_code: bool | None = None
        for block in self._edit.visible_blocks():
            if in_code is None:
                in_code = _is_in_code(block)
            line = block.text()
            if is_fence(line):
                in_code = not in_code
            elif not in_code:
                for word in _whole_words(block, line, language):
                    yield block, word

    def _word_at(self, position: int) -> tuple[QTextCursor, str] | None:
        """The word that can be judged at a place of the document."""
        block = self._edit.document().findBlock(position)
        line, language = block.text(), self._spelling.language
        if not language or is_fence(line) or _is_in_code(block):
            return None
        for word in _whole_words(block, line, language):
            cursor = _cursor(block, word)
            if cursor.selectionStart() <= position <= cursor.selectionEnd():
                return cursor, word.text
        return None

    # -- the menu ----------------------------------------------------------------------------

    def _takes_menu(self, event: QContextMenuEvent) -> bool:
        """Show the menu with what is about the word. It waits a moment for suggestions."""
        if not self._spelling.language:
            spellers = self._spelling.spellers
            if spellers is None or not spellers.language or self._edit.isReadOnly():
                return False
        cursor = self._edit.textCursor()
        by_mouse = event.reason() == QContextMenuEvent.Reason.Mouse
        if by_mouse:
            cursor = self._edit.cursorForPosition(event.pos())
        found = self._word_at(cursor.position())
        self._asked = _Asked(event.globalPos(), event.pos(), found)
        if found is not None and self._spelling.is_wrong(found[1]):
            self._menu_timer.start()
            self._spelling.suggest(found[1])
        else:
            self._show_menu(None)
        return True

    @Slot()
    def _on_late(self) -> None:
        self._show_menu(())

    @Slot(str, object)
    def _on_suggested(self, word: str, found: tuple[str, ...]) -> None:
        if self._asked is not None and self._asked.word == word:
            self._show_menu(found)

    def _show_menu(self, suggestions: tuple[str, ...] | None) -> None:
        """`suggestions` are None where the word is not wrong."""
        self._menu_timer.stop()
        asked, self._asked = self._asked, None
        if asked is None:
            return
        menu = self._edit.createStandardContextMenu(asked.place)
        menu.setParent(self._edit, menu.windowFlags())
        menu.setObjectName("messageMenu")
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._fill(menu, asked, suggestions)
        menu.popup(asked.global_place)

    def _fill(self, menu: QMenu, asked: _Asked, suggestions: tuple[str, ...] | None) -> None:
        first = menu.actions()[0]
        about: list[QAction] = []
        cursor, word = asked.cursor, asked.word
        spelling = self._spelling

        def offer(words: str, run: object, *, enabled: bool = True) -> QAction:
            action = QAction(words, menu)
            action.setEnabled(enabled)
            if callable(run):
                action.triggered.connect(lambda: run())
            about.append(action)
            return action

        if suggestions is not None:
            for one in suggestions:
                font = QFont(menu.font())
                font.setWeight(QFont.Weight.DemiBold)
                offer(_shown(one), lambda one=one: _replace(cursor, word, one)).setFont(font)
            if not suggestions:
                offer(self.tr("No suggestions"), None, enabled=False)
            about.append(_separator(menu))
            offer(self.tr("Add to dictionary"), lambda: spelling.add(word))
            offer(self.tr("Ignore"), lambda: spelling.ignore(word))
        elif word and spelling.is_own(word):
            offer(self.tr("Remove from dictionary"), lambda: spelling.remove(word))
        if about:
            about.append(_separator(menu))
            menu.insertActions(first, about)
        menu.addSeparator()
        switch = menu.addAction(self.tr("Check spelling"))
        switch.setCheckable(True)
        switch.setChecked(spelling.is_on)
        switch.triggered.connect(lambda on: self._preferences.set(ON_SETTING, on))


class _Asked:
    """Where a menu was asked for, and the word there."""

    def __init__(
        self, global_place: QPoint, place: QPoint, found: tuple[QTextCursor, str] | None
    ) -> None:
        self.global_place, self.place = QPoint(global_place), QPoint(place)
        self.cursor, self.word = found if found is not None else (QTextCursor(), "")


def _shown(word: str) -> str:
    return word.replace("&", "&&")


def _separator(menu: QMenu) -> QAction:
    line = QAction(menu)
    line.setSeparator(True)
    return line


def _replace(place: QTextCursor, word: str, by: str) -> None:
    """Put another word in its place, unless something else stands there by now."""
    if place.selectedText() == word:
        place.insertText(by)


def _is_in_code(block: QTextBlock) -> bool:
    """Whether a paragraph stands in a code block."""
    inside, above = False, block.previous()
    for _ in range(_FENCES_WITHIN):
        if not above.isValid():
            break
        inside ^= is_fence(above.text())
        above = above.previous()
    return inside


def _whole_words(block: QTextBlock, line: str, language: str) -> Iterator[Word]:
    """The words of a paragraph; one that is cut for display is left out."""
    goes_on = line.endswith(_CUT)
    began = block.previous().isValid() and block.previous().text().endswith(_CUT)
    end = len(line) - len(_CUT)
    for word in words(line, language):
        if not (goes_on and word.end >= end) and not (began and word.start == 0):
            yield word


def _cursor(block: QTextBlock, word: Word) -> QTextCursor:
    """A word as a selection. Qt counts what stands beyond 16 bits as two."""
    before = block.text()[: word.start]
    start = block.position() + len(before) + sum(sign > "\uffff" for sign in before)
    cursor = QTextCursor(block)
    cursor.setPosition(start)
    cursor.setPosition(start + len(word.text), QTextCursor.MoveMode.KeepAnchor)
    return cursor
