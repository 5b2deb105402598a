"""A message of the user: a tinted card with what can be done with it, or an editor in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from PySide6.QtCore import QLocale, Qt, QTimer
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from qwen_desktop.chat.attached import tidy_name
from qwen_desktop.chat.messages import Part
from qwen_desktop.ui.file_chips import HEIGHT, FileChip
from qwen_desktop.ui.file_text import FileTextDialog
from qwen_desktop.ui.theme import px, space
from qwen_desktop.ui.timeline.buttons import (
    CopyButton,
    MoreButton,
    PinButton,
    TextButton,
    button_height,
    flow,
    row_width,
)
from qwen_desktop.ui.timeline.editor import Editor
from qwen_desktop.ui.timeline.items import Item
from qwen_desktop.ui.timeline.labels import PinMark, advance, colour_label, plain_label
from qwen_desktop.ui.timeline.leaf import Leaf
from qwen_desktop.ui.timeline.markdown import normalized
from qwen_desktop.ui.timeline.offers import Act
from qwen_desktop.ui.timeline.shared import CARD_RADIUS, Shared
from qwen_desktop.ui.timeline.spans import found_spans
from qwen_desktop.ui.timeline.usertext import UserText
from qwen_desktop.ui.timeline.versions import VersionSwitch

_NAME = 16  # px
_SIDE = 14  # px of padding left and right
_EDGE = 12  # px of padding above and below


class UserCard(QWidget):
    """As wide as the column. `changed` is called when it wants another height."""

    def __init__(
        self, shared: Shared, parent: QWidget, item: Item, changed: Callable[[], None]
    ) -> None:
        super().__init__(parent)
        self._shared = shared
        self._item = item
        self._changed = changed
        self._name = plain_label(self, 600)
        self._name.setText(self.tr("You"))
        self._pinned: PinMark | None = None
        self._text = UserText(shared, self, self._set_shown)
        self.versions: VersionSwitch | None = None
        self._editor: Editor | None = None
        self._edit = TextButton(shared, self, self.tr("Edit"), self.tr("Edit message"))
        self._edit.clicked.connect(self.begin_edit)
        self._pin = PinButton(shared, self)
        self._pin.clicked.connect(lambda: shared.perform(Act.PIN, item.message))
        self._copy = CopyButton(shared, self, self.tr("Copy message"))
        self._copy.clicked.connect(lambda: self._copy.copy(item.message.text))
        self._chips: list[FileChip] = []
        self._files: tuple[Part, ...] = ()
        self._rows = (0, 0, 0)  # of chips: where they begin, how wide they are, where they end
        self._marked: dict[FileChip, tuple[int, int]] = {}  # how much is found in it, which is now
        self._more = MoreButton(shared, self)
        self._more.clicked.connect(lambda: self._more.ask(item.message.id))
        self._buttons: tuple[TextButton, ...] = (self._edit, self._pin, self._copy, self._more)
        for button in self._buttons:
            button.set_quiet(True)
        self.apply_theme()

    @property
    def editor(self) -> Editor | None:
        """The editor, while there is one."""
        return self._editor

    def expect(self, column: int) -> None:
        """Build new texts for a column of `column` px."""
        self._text.expect(column - 2 * _SIDE)

    def show_item(self) -> None:
        """Show the item as it is now."""
        item = self._item
        self._show_files(item.message.files)
        self._text.set_dim(item.unseen)
        self._text.show_text(normalized(item.message.text), item.shown)
        self._show_pinned(item.message.pinned)
        if item.versions is not None:
            if self.versions is None:
                self.versions = VersionSwitch(self._shared, self)
            self.versions.show_version(item.message.id, *item.versions)
        if item.draft is not None and self._editor is None:
            self._open_editor(item.draft)
        self._show_parts()
        self.refresh_enabled()

    def _show_files(self, files: tuple[Part, ...]) -> None:
        if files == self._files:
            return
        for chip in self._chips:
            chip.hide()
            chip.deleteLater()
        self._files = files
        self._marked.clear()
        self._chips = [self._chip(file, number) for number, file in enumerate(files)]

    def _chip(self, file: Part, number: int) -> FileChip:
        chip = FileChip(tidy_name(file.name), self._detail(file), can_be_removed=False, parent=self)
        chip.clicked.connect(lambda: self._show_file(number))
        chip.show()
        return chip

    def mark_files(self, counts: Sequence[int], at: int, hit: int) -> None:
        """Say on each file how often something is found in it, `counts` of them or none.

        `at`: the file that is gone to, -1 for the last, and `hit` the number there; else 0.
        """
        for number, chip in enumerate(self._chips):
            count = counts[number] if number < len(counts) else 0
            now = hit if number - len(self._chips) == at else -1
            if (count, now) == self._marked.get(chip, (0, -1)):
                continue
            self._marked[chip] = (count, now)
            detail = self._detail(self._files[number])
            if count and now >= 0:
                found = self.tr("found, %1 of %Ln", "", count)
                found = found.replace("%1", QLocale().toString(now + 1))
            else:
                found = self.tr("found %Ln times", "", count)
            chip.set_detail(found if count else detail)
            theme = self._shared.theme
            tint = theme.found_now if now >= 0 else theme.found
            chip.set_tint(tint if count else "")
            self._fit_chips()

    def file_top(self, number: int) -> int:
        """Where in the message a file stands, -1 for the last."""
        return self.y() + self._chips[number].y()

    def _show_file(self, number: int) -> None:
        """Open a file, with what is looked for marked in it."""
        file, chip = self._files[number], self._chips[number]
        dialog = FileTextDialog(file, self._detail(file), self.window())
        if self._marked.get(chip, (0, -1))[0]:
            text = dialog.text.document().toRawText()
            dialog.mark(found_spans(self._shared.matcher, text), max(0, self._marked[chip][1]))
        dialog.open()

    def _detail(self, file: Part) -> str:
        return self.tr("%Ln characters", "", len(file.text))

    def _show_pinned(self, pinned: bool) -> None:
        self._pin.set_pinned(pinned)
        if pinned and self._pinned is None:
            self._pinned = PinMark(self)
            self._pinned.apply_theme(self._shared.theme)
        if self._pinned is not None:
            self._pinned.setVisible(pinned)

    def _show_parts(self) -> None:
        editing = self._editor is not None
        for part in (self._text, *self._buttons):
            part.setVisible(not editing)
        if self.versions is not None:
            self.versions.setVisible(not editing and self._item.versions is not None)

    # Editing

    def begin_edit(self) -> None:
        """Turn the text into an editor that has the focus."""
        if self._editor is None and self._shared.allows(Act.EDIT):
            self._item.draft = self._item.message.text
            self._open_editor(self._item.draft)
            self._show_parts()
            self._changed()
        if self._editor is not None:
            self._editor.field.setFocus(Qt.FocusReason.OtherFocusReason)
            self._shared.edit_begun.emit()

    def end_edit(self) -> None:
        """Back to the message as it was."""
        editor, self._editor, self._item.draft = self._editor, None, None
        if editor is not None:
            self._shared.edit_typed.emit(self._item.message.id, "")
            self._show_parts()
            if self._edit.isEnabled():
                self._edit.setFocus(Qt.FocusReason.OtherFocusReason)  # where it began
            else:
                self._shared.edit_ended.emit()
            editor.hide()
            editor.deleteLater()
            self._changed()

    def store(self) -> None:
        """Keep what the editor holds: this widget goes."""
        if self._editor is not None:
            self._editor.flush()
            self._item.draft = self._editor.text

    def _open_editor(self, text: str) -> None:
        editor = self._editor = Editor(self._shared, self)
        editor.may_be_blank = bool(self._item.message.files)
        editor.set_text(text)
        editor.sent.connect(
            lambda new: self._shared.edit_requested.emit(self._item.message.id, new)
        )
        editor.typed.connect(self._on_typed)
        editor.cancelled.connect(self.end_edit)
        editor.height_changed.connect(self._changed)
        editor.show()

    def _on_typed(self, text: str) -> None:
        message = self._item.message
        self._shared.edit_typed.emit(message.id, text if text != message.text else "")

    # Geometry

    def height_for(self, width: int) -> int:
        """The height in px, with everything placed."""
        inner = width - 2 * _SIDE
        y = edge = space(_EDGE)
        name = advance(self._name.text(), 600)
        self._name.setGeometry(_SIDE, y, name, px(_NAME))
        if self._pinned is not None:
            mark = self._pinned.sizeHint().width()
            self._pinned.setGeometry(_SIDE + name + 10, y, mark, px(_NAME))
        flow(self._buttons, width - row_width(self._buttons) - 6, y - 6, 0, width)
        y += px(_NAME) + 4
        y = self._place_chips(y, inner)
        if self._editor is not None:
            height = self._editor.height_for(inner)
            self._editor.setGeometry(_SIDE, y, inner, height)
            return y + height + edge
        height = self._text.height_for(inner)
        self._text.setGeometry(_SIDE, y, inner, height)
        y += height
        if self.versions is not None and not self.versions.isHidden():
            size = self.versions.sizeHint()
            self.versions.setGeometry(_SIDE - 6, y + 4, size.width(), button_height())
            y += 4 + button_height() - 6
        return y + edge

    def _fit_chips(self) -> None:
        """The chips say something else: they are as wide as that, and may need more rows."""
        y, inner, end = self._rows
        if inner and self._place_chips(y, inner) != end:
            QTimer.singleShot(0, self, self._changed)

    def _place_chips(self, y: int, inner: int) -> int:
        """Put the files into rows from `y` on; where the text begins then."""
        begin, x, gap = y, 0, px(6)
        for chip in self._chips:
            size = chip.sizeHint()
            width = min(size.width(), inner)
            if x and x + width > inner:
                x, y = 0, y + size.height() + gap
            chip.setGeometry(_SIDE + x, y, width, size.height())
            x += width + gap
        end = y + px(HEIGHT) + gap if self._chips else y
        self._rows = (begin, inner, end)
        return end

    def leaves(self) -> Iterator[Leaf]:
        """The texts; none while they are being edited."""
        return self._text.leaves() if self._editor is None else iter(())

    # Looks

    def reveal(self, revealed: bool) -> None:
        """Whether the pointer is on the message."""
        for button in self._buttons:
            button.reveal(revealed)

    def refresh_enabled(self) -> None:
        """What needs the model waits until it is free."""
        self._edit.setEnabled(self._shared.allows(Act.EDIT))
        if self.versions is not None:
            self.versions.refresh_enabled()

    def apply_theme(self) -> None:
        """Take the colours of the shared theme."""
        theme = self._shared.theme
        colour_label(self._name, theme.dim)
        if self._pinned is not None:
            self._pinned.apply_theme(theme)
        self._text.apply_theme()
        for part in (self.versions, self._editor):
            if part is not None:
                part.apply_theme()
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The card."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self._shared.theme.user))
        painter.drawRoundedRect(self.rect().toRectF(), CARD_RADIUS, CARD_RADIUS)

    def _set_shown(self, characters: int) -> None:
        self._item.shown = characters
        self._changed()
