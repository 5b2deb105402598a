"""Coloured cards between and under messages: a sentence and what can be done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from qwen_desktop.chat.messages import Message, Status
from qwen_desktop.ui.timeline.buttons import TintedButton, button_height, flow, row_width
from qwen_desktop.ui.timeline.items import Gap
from qwen_desktop.ui.timeline.labels import advance, colour_label, plain_label
from qwen_desktop.ui.timeline.offers import Act, split
from qwen_desktop.ui.timeline.shared import CARD_RADIUS, Shared, rounded

_SIDE = 16  # px beside the text
_EDGE = 12  # px above, below and beside the buttons


class Card(QWidget):
    """A rounded box in a tint of the theme: text on the left, buttons beside or below it."""

    def __init__(self, shared: Shared, parent: QWidget, tint: str) -> None:
        super().__init__(parent)
        self._shared = shared
        self._tint = tint
        self._text = plain_label(self, 500)
        self._text.setWordWrap(True)
        self.apply_theme()

    @property
    def text(self) -> str:
        """The sentence as shown."""
        return self._text.text()

    def buttons(self) -> Sequence[QWidget]:
        """Those shown, in their order."""
        return ()

    def set_text(self, text: str) -> None:
        """Show `text`; it is also what a screen reader calls the card."""
        self._text.setText(text)
        self.setAccessibleName(text)

    def set_tint(self, tint: str) -> None:
        """Another colour of the theme, with its background."""
        if tint != self._tint:
            self._tint = tint
            self.apply_theme()

    def height_for(self, width: int) -> int:
        """The height in px, with everything placed."""
        buttons = self.buttons()
        needed = row_width(buttons)
        inner = max(40, width - _SIDE - _EDGE)
        line = advance(self._text.text(), 500) + 1
        room = inner - needed - _EDGE if buttons else inner
        if room >= min(line, 6 * inner // 10):
            height = max(button_height(), self._text.heightForWidth(room))
            self._text.setGeometry(_SIDE, _EDGE, room, height)
            y = _EDGE + (height - button_height()) // 2
            flow(buttons, width - _EDGE - needed, y, 0, width)
            return height + 2 * _EDGE
        height = self._text.heightForWidth(inner)
        self._text.setGeometry(_SIDE, _EDGE, inner, height)
        end = flow(buttons, _SIDE, _EDGE + height + 8, _SIDE, width - _EDGE)
        return end + _EDGE

    def apply_theme(self) -> None:
        """Take the colours of the shared theme."""
        colour_label(self._text, getattr(self._shared.theme, self._tint))
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The box."""
        theme = self._shared.theme
        fill: str = getattr(theme, f"{self._tint}_background")
        rounded(QPainter(self), self, fill, getattr(theme, self._tint), CARD_RADIUS)


class EndCard(Card):
    """Why an answer ended where it did, where a word is not enough."""

    def __init__(self, shared: Shared, parent: QWidget) -> None:
        super().__init__(shared, parent, "error")
        self._message: Message | None = None
        self._buttons: dict[Act, TintedButton] = {}
        self._shown: tuple[Act, ...] = ()

    def buttons(self) -> Sequence[QWidget]:
        """Those shown, in their order."""
        return [self._buttons[act] for act in self._shown]

    def show_message(self, message: Message, last: bool) -> None:
        """Take the end of `message`."""
        self._message = message
        failed = message.status is Status.FAILED
        self.set_tint("error" if failed else "warning")
        self.set_text(self._sentence(message))
        self._shown = split(message, last).card
        for act in self._shown:
            button = self._buttons.get(act) or self._make(act)
            button.set_tint(self._tint)
            button.show()
        for act, button in self._buttons.items():
            if act not in self._shown:
                button.hide()
        self.refresh_enabled()

    def refresh_enabled(self) -> None:
        """What needs the model waits until it is free."""
        for act, button in self._buttons.items():
            button.setEnabled(self._shared.allows(act))

    def _make(self, act: Act) -> TintedButton:
        text, name = self._words()[act]
        button = self._buttons[act] = TintedButton(self._shared, self, text, name)
        button.clicked.connect(lambda: self._on_clicked(act))
        return button

    def _on_clicked(self, act: Act) -> None:
        if self._message is not None:
            self._shared.perform(act, self._message)

    def _words(self) -> Mapping[Act, tuple[str, str]]:
        resume = self.tr("Continue")
        otherwise = self.tr("Continue with presence penalty")
        return {
            Act.RESUME: (resume, resume),
            Act.RESUME_OTHERWISE: (otherwise, otherwise),
            Act.RETRY: (self.tr("Retry"), self.tr("Retry")),
            Act.CONTEXT: (self.tr("Context…"), self.tr("Context of this chat")),
            Act.ERROR: (self.tr("Details"), self.tr("Error details")),
        }

    def _sentence(self, message: Message) -> str:
        if message.status is Status.CONTEXT_FULL:
            return self.tr(
                "The context is full, so the answer ends here. "
                "Go on with another message, or start a new chat."
            )
        if message.status is Status.LOOPING:
            return self.tr("The answer began to repeat itself word for word, so it was stopped.")
        return message.error or self.tr("The answer failed.")


class DamageCard(Card):
    """Stands above a message of which something could not be read."""

    def __init__(self, shared: Shared, parent: QWidget) -> None:
        super().__init__(shared, parent, "warning")
        self.set_text(
            self.tr("This message was damaged on disk; what could be read of it is shown.")
        )


class GapCard(Card):
    """Stands where the model begins to see the conversation again."""

    def __init__(self, shared: Shared, parent: QWidget) -> None:
        super().__init__(shared, parent, "warning")
        name = self.tr("Why messages are left out")
        self._why = TintedButton(shared, self, self.tr("Why?"), name, "warning")
        self._why.clicked.connect(shared.policy_requested)

    def buttons(self) -> Sequence[QWidget]:
        """The one."""
        return (self._why,)

    def show_gap(self, gap: Gap) -> None:
        """Say what is missing."""
        if gap.together:
            text = self.tr("The model no longer sees the %Ln messages above.", "", gap.count)
        else:
            text = self.tr("The model no longer sees %Ln of the messages above.", "", gap.count)
        self.set_text(text)
