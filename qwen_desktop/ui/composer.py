"""Where a message is written: the field, Send or Stop, what belongs to the chat, and its tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from qwen_desktop.ui import icons, theme
from qwen_desktop.ui.controls import (
    COLUMN_LEFT,
    COLUMN_RIGHT,
    ICON,
    Bar,
    Button,
    Column,
    ElidedLabel,
    IconButton,
    TintedLabel,
    focus_ring,
)
from qwen_desktop.ui.message_edit import MessageEdit
from qwen_desktop.ui.prompt_line import NEARLY_FULL, PromptLine

if TYPE_CHECKING:
    from collections.abc import Collection

    from qwen_desktop.chat.events import PromptCount, Usage

DRAFT_MS = 300
TYPED_MS = 150
HINT_MS = 4000
_SIZE = 32  # px of the round button


class RoundButton(Button):
    """Send (an accent circle) or Stop (the same place, inverted, a square in it)."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(icon="send", kind="primary", parent=parent)
        self.stops = False
        self.follow_look()

    def follow_look(self) -> None:
        """Another size."""
        self.setFixedSize(theme.px(_SIZE), theme.px(_SIZE))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Circle, icon, ring."""
        t = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        fill, ink = (t.text, t.background) if self.stops else (t.accent, t.on_accent)
        if not self.isEnabled():
            fill, ink = t.track, t.dim
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(fill))
        painter.setOpacity(0.85 if self.isDown() or self.underMouse() else 1.0)
        painter.drawEllipse(self.rect())
        painter.setOpacity(1.0)
        icons.draw(painter, "stop" if self.stops else "send", self._middle(ICON), ink)
        if self.hasFocus() and self._ring:
            painter.setPen(QPen(QColor(t.background), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(QRectF(self.rect()).adjusted(3, 3, -3, -3))
            focus_ring(painter, QRectF(self.rect()), self.width() / 2)


class Toggle(Button):
    """A button that stays down; a screen reader hears whether it is checked."""

    padding = 11

    def __init__(self, text: str, icon: str, parent: QWidget | None = None) -> None:
        super().__init__(text, icon=icon, height=28, parent=parent)
        self.setCheckable(True)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)

    def _colours(self) -> tuple[str | None, str | None, str]:
        t = theme.current()
        if self.isChecked():
            return t.selected, t.accent, t.text
        return None, t.field_border if self.underMouse() else t.line, t.dim


class _Box(Column):
    """The rounded box; its line is the accent while the field has the focus."""

    pressed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.focused = False

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click beside the text is meant for the field too."""
        self.pressed.emit()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Fill and line."""
        t = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(t.accent if self.focused else t.field_border), 1))
        painter.setBrush(QColor(t.panel))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 12, 12)


class Composer(QWidget):
    """Signals: the user sends, stops or has typed. The text stays until `clear()`.

    `typed` comes soon after every change of the text, `draft_changed` when it is worth keeping.
    """

    send_requested = Signal(str)
    stop_requested = Signal()
    typed = Signal()
    draft_changed = Signal(str)
    thinking_toggled = Signal(bool)
    options_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("composer")
        self._reason = ""
        self._running = False
        self._draft = ""  # as last told
        self._draft_timer = QTimer(self)
        self._draft_timer.setSingleShot(True)
        self._draft_timer.setInterval(DRAFT_MS)
        self._draft_timer.timeout.connect(self.flush_draft)
        self._typed_timer = QTimer(self)
        self._typed_timer.setSingleShot(True)
        self._typed_timer.setInterval(TYPED_MS)
        self._typed_timer.timeout.connect(self.typed)
        self._hint_timer = QTimer(self)
        self._hint_timer.setSingleShot(True)
        self._hint_timer.setInterval(HINT_MS)
        self._hint_timer.timeout.connect(self._show_state)

        self.edit = MessageEdit()
        self.edit.setObjectName("message")
        self.edit.setAccessibleName(self.tr("Message"))
        self.options = IconButton("sliders", self.tr("Chat settings"), height=28)
        self.options.setObjectName("chatOptions")
        self.thinking = Toggle(self.tr("Thinking"), "bulb")
        self.thinking.setObjectName("thinking")
        self.thinking.setAccessibleName(self.tr("Thinking"))
        self.thinking.hide()
        self.hint = ElidedLabel("", 12, dim=True)
        self.hint.setObjectName("hint")
        self.button = RoundButton()
        self.button.setObjectName("send")
        self.bar = Bar()
        self.bar.setObjectName("context")
        self.bar.setAccessibleName(self.tr("Context"))
        self.count = TintedLabel("", 12, tint="dim")
        self.count.setObjectName("contextCount")
        self.prompt = PromptLine()
        self._arrange()

        self.edit.submitted.connect(self._on_submit)
        self.edit.textChanged.connect(self._on_changed)
        self.edit.focus_changed.connect(self._on_focus)
        self.button.clicked.connect(self._on_button)
        self.options.clicked.connect(self.options_requested)
        self.thinking.clicked.connect(self.thinking_toggled)  # by the user, not by `set_thinking`
        self.set_model_name("")
        self.set_usage(None)
        self.set_state(running=False)

    def _arrange(self) -> None:
        self._box = _Box()
        self._box.setCursor(Qt.CursorShape.IBeamCursor)
        self._box.pressed.connect(self.focus_edit)
        inner = QVBoxLayout(self._box)
        inner.setContentsMargins(10, 12, 8, 8)
        inner.setSpacing(12)
        field = QHBoxLayout()
        field.setContentsMargins(4, 0, 0, 0)
        field.addWidget(self.edit)
        inner.addLayout(field)
        foot = QHBoxLayout()
        foot.setSpacing(8)
        foot.addWidget(self.options)
        foot.addWidget(self.thinking)
        foot.addWidget(self.hint, 1)
        foot.addWidget(self.button)
        inner.addLayout(foot)
        self.button.setCursor(Qt.CursorShape.ArrowCursor)

        strip = Column()
        below = QVBoxLayout(strip)
        below.setContentsMargins(2, 0, 2, 0)
        below.setSpacing(2)
        line = QHBoxLayout()
        line.setSpacing(8)
        line.addWidget(self.bar, 1)
        line.addWidget(self.count)
        below.addLayout(line)
        below.addWidget(self.prompt)

        column = QVBoxLayout(self)
        column.setContentsMargins(COLUMN_LEFT, 8, COLUMN_RIGHT, 8)
        column.setSpacing(8)
        for widget in (self._box, strip):
            row = QHBoxLayout()
            row.addStretch(1)
            row.addWidget(widget, 1000)
            row.addStretch(1)
            column.addLayout(row)

    # -- text ------------------------------------------------------------------------------

    def text(self) -> str:
        """What is typed."""
        return self.edit.toPlainText()

    def set_text(self, text: str) -> None:
        """Show a draft; it is not told back as a change."""
        self.edit.setPlainText(text)
        self._draft_timer.stop()
        self._draft = text

    def clear(self) -> None:
        """The text was sent, or another conversation is shown."""
        self.set_text("")

    def flush_draft(self) -> None:
        """Tell a change that is still waiting, before the conversation changes."""
        self._draft_timer.stop()
        text = self.edit.toPlainText()
        if text != self._draft:
            self._draft = text
            self.draft_changed.emit(text)

    def focus_edit(self) -> None:
        """Put the cursor into the field."""
        self.edit.setFocus(Qt.FocusReason.ShortcutFocusReason)

    # -- state -----------------------------------------------------------------------------

    def set_state(self, *, running: bool, reason: str = "", stopping: bool = False) -> None:
        """Stop while `running`; otherwise Send, switched off where there is a `reason`."""
        self._running, self._reason = running, reason
        self.button.stops = running
        self.button.setEnabled(not stopping if running else not reason)
        name = self.tr("Stop") if running else self.tr("Send message")
        self.button.setAccessibleName(name)
        self.button.setToolTip(name if running or not reason else reason)
        self.button.update()
        self._show_state()

    def set_model_name(self, name: str, *, completes: bool = False) -> None:
        """Say in the empty field who will read the message, or that it `completes` text."""
        words = self.tr("Message {name}…").format(name=name) if name else self.tr("Message…")
        self.edit.setPlaceholderText(self.tr("Text to continue…") if completes else words)

    def set_usage(self, usage: Usage | None) -> None:
        """Fill the context bar."""
        self.bar.setVisible(usage is not None)
        unseen = ""
        if usage is not None and usage.unseen:
            unseen = self.tr(
                "The model no longer sees %Ln messages of this chat.", "", len(usage.unseen)
            )
        self.bar.setToolTip(unseen)
        self.count.setToolTip(unseen)
        if usage is None:
            self.count.setText("")
            return
        used, length = usage.context_tokens, usage.context_length
        nearly_full = length > 0 and used > NEARLY_FULL * length
        self.bar.colour = "warning" if nearly_full else "accent"
        self.bar.set_share(used, length)
        locale = self.locale()
        text = self.tr("{used} / {length} tokens").format(
            used=locale.toString(used), length=locale.toString(length)
        )
        self.count.setText(text)
        self.bar.setAccessibleDescription(f"{text}. {unseen}" if unseen else text)
        self.count.tint = "warning" if nearly_full else "dim"
        self.count.update()

    def set_count(self, count: PromptCount | None, gone: Collection[str] = ()) -> None:
        """Show the tokens of the next prompt; `gone` are messages that are left out already."""
        self.prompt.set_count(count, gone)

    def set_thinking(self, on: bool | None) -> None:
        """Whether the next answer begins with thought; None where the model cannot."""
        self.thinking.setVisible(on is not None)
        self.thinking.setChecked(bool(on))
        self.thinking.setToolTip(
            self.tr("The model thinks before it answers")
            if on
            else self.tr("The model answers at once")
        )

    def say(self, text: str) -> None:
        """Show a short hint for a few seconds."""
        self.hint.setText(text)
        self._hint_timer.start()

    def _show_state(self) -> None:
        self._hint_timer.stop()
        if self._running:
            self.hint.setText(self.tr("Esc to stop"))
        else:
            self.hint.setText(self._reason or self.tr("Enter to send · Shift+Enter for a new line"))
        self.hint.setAccessibleName(self.hint.text())

    # -- what the user does ----------------------------------------------------------------

    def _on_changed(self) -> None:
        if not self._typed_timer.isActive():
            self._typed_timer.start()
        if not self._draft_timer.isActive():  # else typing without a pause would never be told
            self._draft_timer.start()

    def _on_submit(self) -> None:
        if self._running:
            self.say(self.tr("Wait for the answer to end, or press Esc to stop it."))
        elif self._reason:
            self.say(self._reason)
        elif self.edit.is_blank():
            self.say(self.tr("Type a message first."))
        else:
            self.send_requested.emit(self.edit.toPlainText())

    def _on_button(self) -> None:
        if self._running:
            self.stop_requested.emit()
        else:
            self._on_submit()

    def _on_focus(self, focused: bool) -> None:
        self._box.focused = focused
        self._box.update()

    def sizeHint(self) -> QSize:
        """As the layout wants, at a good width."""
        return QSize(theme.px(760), super().sizeHint().height())
