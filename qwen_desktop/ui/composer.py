"""Where a message is written: the field, Send or Stop, what belongs to the chat, and its tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from qwen_desktop.ui import theme
from qwen_desktop.ui.attachments import Attachments
from qwen_desktop.ui.composer_parts import Box, RoundButton, Toggle
from qwen_desktop.ui.controls import (
    COLUMN_LEFT,
    COLUMN_RIGHT,
    Bar,
    Column,
    ElidedLabel,
    IconButton,
    TintedLabel,
    plain_tip,
)
from qwen_desktop.ui.message_edit import MessageEdit
from qwen_desktop.ui.message_history import MessageHistory
from qwen_desktop.ui.prompt_line import NEARLY_FULL, PromptLine

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from PySide6.QtGui import QKeyEvent

    from qwen_desktop.chat.events import PromptCount, Usage
    from qwen_desktop.ui.completion import Completion

DRAFT_MS = 300
TYPED_MS = 150
HINT_MS = 4000


def _no_command(_text: str) -> bool:
    return False


class Composer(QWidget):
    """Signals: the user sends, stops or has typed. The draft stays until `clear()`.

    Drafts are strings as `chat.draft` writes them. `typed` comes soon after every change,
    `draft_changed` when it is worth keeping."""

    send_requested = Signal(str)
    stop_requested = Signal()
    typed = Signal()
    draft_changed = Signal(str)
    thinking_toggled = Signal(bool)
    options_requested = Signal()
    attach_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("composer")
        self._reason = ""
        self._running = self._stopping = False
        self._says_nothing_typed = False  # a hint that no longer holds when something is
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
        self._written: tuple[tuple[object, ...], str] = ((), "")  # files, as the draft has them
        self.completion: Completion | None = None  # made by whoever knows what there is
        self.commands: Callable[[str], bool] = _no_command  # whether a text was one, and is done

        self.edit = MessageEdit()
        self.edit.setObjectName("message")
        self.edit.setAccessibleName(self.tr("Message"))
        self.history = MessageHistory(self.edit)
        self._chips = QHBoxLayout()
        self.attachments = Attachments(self, self._chips.addWidget)
        self.attach = IconButton("clip", self.tr("Attach files"), height=28)
        self.attach.setObjectName("attach")
        self.prompts = IconButton("book", self.tr("Prompt library"), height=28)
        self.prompts.setObjectName("prompts")
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

        self.setFocusProxy(self.edit)
        self.edit.takes_files = True
        self.edit.takes_key = self._takes_key
        self.edit.wants_escape = self._wants_escape
        self.edit.large_pasted.connect(self._on_large)
        self.edit.submitted.connect(self._on_submit)
        self.edit.textChanged.connect(self._on_changed)
        self.edit.focus_changed.connect(self._on_focus)
        self.attachments.changed.connect(self._on_changed)
        self.attachments.reading_changed.connect(self._show_button)
        self.attachments.as_text.connect(self._put_back)
        self.attach.clicked.connect(self.attach_requested)
        self.button.clicked.connect(self._on_button)
        self.options.clicked.connect(self.options_requested)
        self.thinking.clicked.connect(self.thinking_toggled)  # by the user, not by `set_thinking`
        self.set_model_name("")
        self._unseen = self._forecast = ""
        self.set_usage(None)
        self.set_state(running=False)

    def _arrange(self) -> None:
        self.box = Box()
        self.box.setCursor(Qt.CursorShape.IBeamCursor)
        self.box.pressed.connect(self.focus_edit)
        inner = QVBoxLayout(self.box)
        inner.setContentsMargins(10, 12, 8, 8)
        inner.setSpacing(12)
        self._chips.setContentsMargins(0, 0, 2, 0)
        inner.addLayout(self._chips)
        field = QHBoxLayout()
        field.setContentsMargins(4, 0, 0, 0)
        field.addWidget(self.edit)
        inner.addLayout(field)
        foot = QHBoxLayout()
        foot.setSpacing(8)
        foot.addWidget(self.attach)
        foot.addWidget(self.prompts)
        foot.addWidget(self.options)
        foot.addWidget(self.thinking)
        self._foot = foot
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
        for widget in (self.box, strip):
            row = QHBoxLayout()
            row.addStretch(1)
            row.addWidget(widget, 1000)
            row.addStretch(1)
            column.addLayout(row)

    def add_chip(self, chip: QWidget) -> None:
        """Show a control beside the switches; it comes after them in the order of Tab."""
        self._foot.insertWidget(self._foot.indexOf(self.hint), chip)
        self.setTabOrder(self.thinking, chip)
        self.setTabOrder(chip, self.button)

    # -- text ------------------------------------------------------------------------------

    def text(self) -> str:
        """What is typed."""
        return self.edit.toPlainText()

    def draft(self) -> str:
        """What is typed and attached."""
        return self._with_files(self.edit.toPlainText())

    def set_draft(self, draft: str) -> None:
        """Show a draft; it is not told back as a change."""
        from qwen_desktop.chat.draft import Draft  # here and below: not for the first paint

        read = Draft.read(draft)
        self.history.leave()
        self.edit.setPlainText(read.text)
        self.attachments.set_files(read.files)
        self._draft_timer.stop()
        self._draft = self.draft()

    def set_text(self, text: str) -> None:
        """Show another text beside the files; it is not told back as a change."""
        self.history.leave()
        self.edit.setPlainText(text)
        self._draft_timer.stop()
        self._draft = self.draft()

    def clear(self) -> None:
        """The draft was sent, or another conversation is shown."""
        self.set_draft("")

    def flush_draft(self) -> None:
        """Tell a change that is still waiting, before the conversation changes."""
        self._draft_timer.stop()
        browsing = self.history.is_browsing  # what is only looked at takes no draft's place
        draft = self._with_files(self.history.draft) if browsing else self.draft()
        if draft != self._draft:
            self._draft = draft
            self.draft_changed.emit(draft)

    def _with_files(self, text: str) -> str:
        from qwen_desktop.chat.draft import MARK, written_file

        files = self.attachments.files
        if self._written[0] != files:  # a file may be long, and this is asked for at every key
            self._written = (files, "".join(written_file(file) for file in files))
        return text.replace(MARK, MARK * 2) + self._written[1]

    def focus_edit(self) -> None:
        """Put the cursor into the field."""
        self.edit.setFocus(Qt.FocusReason.ShortcutFocusReason)

    # -- state -----------------------------------------------------------------------------

    def set_state(self, *, running: bool, reason: str = "", stopping: bool = False) -> None:
        """Stop while `running`; otherwise Send, switched off where there is a `reason`."""
        self._running, self._reason, self._stopping = running, reason, stopping
        self._show_button()

    @property
    def _why_not(self) -> str:
        """Why nothing can be sent now; empty where it can."""
        if not self._reason and self.attachments.reading:
            return self.tr("Reading {name}…").format(name=self.attachments.reading)
        return self._reason

    def _show_button(self) -> None:
        running, reason = self._running, self._why_not
        self.button.stops = running
        self.button.setEnabled(not self._stopping if running else not reason)
        name = self.tr("Stop") if running else self.tr("Send message")
        self.button.setAccessibleName(name)
        self.button.setAccessibleDescription("" if running else reason)
        self.button.setToolTip(plain_tip(name if running or not reason else reason))
        self.button.update()
        self._show_state()

    def set_model_name(self, name: str, *, completes: bool = False) -> None:
        """Say in the empty field who will read the message, or that it `completes` text."""
        words = self.tr("Message {name}…").format(name=name) if name else self.tr("Message…")
        self.edit.setPlaceholderText(self.tr("Text to continue…") if completes else words)

    def set_usage(self, usage: Usage | None) -> None:
        """Fill the context bar."""
        self.bar.setVisible(usage is not None and usage.context_length > 0)
        unseen = ""
        if usage is not None and usage.unseen:
            unseen = self.tr(
                "The model no longer sees %Ln messages of this chat.", "", len(usage.unseen)
            )
        self._unseen = unseen
        self._set_tips()
        if usage is None:
            self.count.setText("")
            return
        used, length = usage.context_tokens, usage.context_length
        nearly_full = length > 0 and used > NEARLY_FULL * length
        self.bar.colour = "warning" if nearly_full else "accent"
        self.bar.set_share(used, max(length, 1))
        locale = self.locale()
        text = self.tr("{used} / {length} tokens").format(
            used=locale.toString(used), length=locale.toString(length)
        )
        if not length:  # a server that does not tell
            text = self.tr("{used} tokens").format(used=locale.toString(used))
        self.count.setText(text)
        self.bar.setAccessibleDescription(f"{text}. {unseen}" if unseen else text)
        self.count.tint = "warning" if nearly_full else "dim"
        self.count.update()

    def set_forecast(self, text: str) -> None:
        """Say at the context bar when the chat will meet its limit; "" for nothing known."""
        self._forecast = text
        self._set_tips()

    def _set_tips(self) -> None:
        tip = "\n".join(text for text in (self._unseen, self._forecast) if text)
        self.bar.setToolTip(tip)
        self.count.setToolTip(tip)

    def set_count(self, count: PromptCount | None, gone: Collection[str] = ()) -> None:
        """Show the tokens of the next prompt; `gone` are messages that are left out already."""
        self.prompt.set_count(count, gone)
        if count is not None:
            self.attachments.set_tokens(count.files)

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
        self._says_nothing_typed = False
        self.hint.setText(text)
        self._hint_timer.start()

    def _show_state(self) -> None:
        self._hint_timer.stop()
        self._says_nothing_typed = False
        if self._running:
            self.hint.setText(self.tr("Esc to stop"))
        else:
            self.hint.setText(
                self._why_not or self.tr("Enter to send · Shift+Enter for a new line")
            )
        self.hint.setAccessibleName(self.hint.text())

    # -- what the user does ----------------------------------------------------------------

    def _on_changed(self) -> None:
        if self._says_nothing_typed:
            self._show_state()
        if not self._typed_timer.isActive():
            self._typed_timer.start()
        if not self._draft_timer.isActive():  # else typing without a pause would never be told
            self._draft_timer.start()

    def _on_submit(self) -> None:
        if self.commands(self.edit.toPlainText()):
            return
        if self._running:
            self.say(self.tr("Wait for the answer to end, or press Esc to stop it."))
        elif self._why_not:
            self.say(self._why_not)
        elif self.edit.is_blank() and not self.attachments.files:
            self.say(self.tr("Type a message first."))
            self._says_nothing_typed = True
        else:
            self.send_requested.emit(self._sent())

    def _sent(self) -> str:
        """The draft as it is sent: a doubled slash at its beginning stands for one."""
        text = self.edit.toPlainText()
        return self._with_files(text[1:] if text.startswith("//") else text)

    def _takes_key(self, event: QKeyEvent) -> bool:
        if self.completion is not None and self.completion.takes_key(event):
            return True
        return self.history.takes_key(event)

    def _wants_escape(self) -> bool:
        shown = self.completion is not None and self.completion.isVisible()
        return shown or self.history.is_browsing

    def _on_large(self, text: str) -> None:
        if self.attachments.add_pasted(text):
            self.say(self.tr("Attached as a file. Ctrl+Shift+V pastes long text as it is."))
        else:
            self.edit.insert(text)

    def _put_back(self, text: str) -> None:
        self.edit.insert(text)
        self.focus_edit()

    def _on_button(self) -> None:
        if self._running:
            self.stop_requested.emit()
        else:
            self._on_submit()

    def _on_focus(self, focused: bool) -> None:
        self.box.focused = focused
        self.box.update()

    def sizeHint(self) -> QSize:
        """As the layout wants, at a good width."""
        return QSize(theme.px(760), super().sizeHint().height())
