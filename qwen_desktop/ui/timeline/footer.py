"""What stands under an answer: which version it is, how it ended, what it cost, what to do."""

from __future__ import annotations

from PySide6.QtCore import QLocale
from PySide6.QtWidgets import QWidget

from qwen_desktop.chat.messages import Message, Status
from qwen_desktop.ui.texts import seconds_text
from qwen_desktop.ui.timeline import statistics
from qwen_desktop.ui.timeline.buttons import (
    CopyButton,
    MoreButton,
    PinButton,
    TextButton,
    button_height,
    flow,
    row_width,
)
from qwen_desktop.ui.timeline.items import Item
from qwen_desktop.ui.timeline.labels import advance, colour_label, plain_label
from qwen_desktop.ui.timeline.offers import Act, needs_card, split
from qwen_desktop.ui.timeline.shared import Shared
from qwen_desktop.ui.timeline.versions import VersionSwitch

_STRONG = (Act.RESUME, Act.RETRY)
_NARROWEST = 80  # px for the text, whatever stands beside it


class Footer(QWidget):
    """One line where there is room: version, statistics, buttons."""

    def __init__(self, shared: Shared, parent: QWidget) -> None:
        super().__init__(parent)
        self._shared = shared
        self._message: Message | None = None
        self._revealed = False
        self.versions: VersionSwitch | None = None
        self._status = plain_label(self)
        self._buttons: dict[Act, TextButton] = {}
        self._acts: tuple[Act, ...] = ()
        self.apply_theme()

    @property
    def status(self) -> str:
        """The line as shown."""
        return self._status.text()

    def show_item(self, item: Item, last: bool) -> None:
        """Take the end of a message; `last`: nothing follows it."""
        message = self._message = item.message
        self._status.setText(self._line(message, needs_card(message, last)))
        self._status.setToolTip(statistics.tooltip(message))
        self._show_versions(item)
        offer = split(message, last)
        self._acts = offer.line
        for act in self._acts:
            button = self._buttons.get(act) or self._make(act)
            strong = offer.strong and act in _STRONG
            button.set_quiet(not strong)
            button.set_outlined(strong)
            button.show()
        for act, button in self._buttons.items():
            if act not in self._acts:
                button.hide()
        pin = self._buttons.get(Act.PIN)
        if isinstance(pin, PinButton):
            pin.set_pinned(message.pinned)
        self.refresh_enabled()

    def _show_versions(self, item: Item) -> None:
        if item.versions is None:
            if self.versions is not None:
                self.versions.hide()
            return
        if self.versions is None:
            self.versions = VersionSwitch(self._shared, self)
        self.versions.show_version(item.message.id, *item.versions)
        self.versions.show()

    def _make(self, act: Act) -> TextButton:
        button = self._new(act)
        self._buttons[act] = button
        button.reveal(self._revealed)
        button.clicked.connect(lambda: self._on_clicked(act))
        return button

    def _new(self, act: Act) -> TextButton:
        shared = self._shared
        if act is Act.COPY:
            return CopyButton(shared, self, self.tr("Copy message"))
        if act is Act.PIN:
            return PinButton(shared, self)
        if act is Act.MORE:
            return MoreButton(shared, self)
        if act is Act.RESUME:
            return TextButton(shared, self, self.tr("Continue"), self.tr("Continue"))
        if act is Act.RETRY:
            return TextButton(shared, self, self.tr("Retry"), self.tr("Retry"))
        return TextButton(shared, self, self.tr("Details"), self.tr("Answer details"))

    def reveal(self, revealed: bool) -> None:
        """Whether the pointer is on the message."""
        self._revealed = revealed
        for button in self._buttons.values():
            button.reveal(revealed)

    def refresh_enabled(self) -> None:
        """What needs the model waits until it is free."""
        for act, button in self._buttons.items():
            button.setEnabled(self._shared.allows(act))
        if self.versions is not None:
            self.versions.refresh_enabled()

    def height_for(self, width: int) -> int:
        """The height in px, with everything placed."""
        x = 0
        if self.versions is not None and not self.versions.isHidden():
            size = self.versions.sizeHint()
            self.versions.setGeometry(0, 0, size.width(), button_height())
            x = size.width() + 8
        # A label measures to the fraction of a pixel and would wrap in its very width.
        text = advance(self._status.text()) + 1 if self._status.text() else 0
        buttons = [self._buttons[act] for act in self._acts]
        needed, line = row_width(buttons), button_height()
        after = x + text + 8 if text else x
        if after + needed <= width:  # all of it on one line
            self._place_status(x, text, line)
            flow(buttons, after, 0, 0, width)
            return line
        end = 0
        if after:
            room = min(text, max(_NARROWEST, width - x))
            above = (line - self._status.fontMetrics().height()) // 2
            self._status.setWordWrap(text > room)
            end = line
            if text > room:  # more lines rather than less text
                end = max(line, self._status.heightForWidth(room) + 2 * above)
            self._place_status(x, room, end)
        return flow(buttons, 0, end, 0, width) if buttons else end

    def _place_status(self, x: int, width: int, height: int) -> None:
        if height == button_height():
            self._status.setWordWrap(False)
        self._status.setGeometry(x, 0, width, height)

    def apply_theme(self) -> None:
        """Take the colours of the shared theme."""
        colour_label(self._status, self._shared.theme.dim)
        if self.versions is not None:
            self.versions.apply_theme()

    def _line(self, message: Message, explained: bool) -> str:
        endings = {
            Status.STOPPED: self.tr("Stopped"),
            Status.INTERRUPTED: self.tr("Interrupted: the application closed"),
            Status.LENGTH: self.tr("Longest answer reached"),
            Status.CONTEXT_FULL: self.tr("The context is full"),
            Status.LOOPING: self.tr("Stopped: it repeated itself"),
        }
        ending = "" if explained else endings.get(message.status)
        parts = [ending] if ending else []
        stats = message.stats
        if stats is not None and stats.new_tokens:
            locale = QLocale()
            parts.append(self.tr("%Ln tokens", "", stats.new_tokens))
            if stats.decode_speed:
                speed = locale.toString(stats.decode_speed, "f", 1)
                parts.append(self.tr("%1 tok/s").replace("%1", speed))
            if stats.first_token_seconds:
                seconds = seconds_text(stats.first_token_seconds)
                parts.append(self.tr("%1 s to first token").replace("%1", seconds))
        return " · ".join(parts)

    def _on_clicked(self, act: Act) -> None:
        message = self._message
        if message is None:
            return
        button = self._buttons[act]
        if isinstance(button, CopyButton):
            button.copy(message.text)
        elif isinstance(button, MoreButton):
            button.ask(message.id)
        else:
            self._shared.perform(act, message)
