"""What a server is sent, message by message: the inspector where tokens are not known here."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QEvent, QLocale, Qt, Slot
from PySide6.QtWidgets import QListWidget, QPlainTextEdit, QSplitter, QWidget

from qwen_desktop.chat.inspected import LeftOut
from qwen_desktop.chat.messages import Role
from qwen_desktop.chat.sent import SentMessage, SentRequest
from qwen_desktop.errors import QT_TRANSLATE_NOOP
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import ScrollBar
from qwen_desktop.ui.inspector_words import left_out_text, left_out_words
from qwen_desktop.ui.message_edit import with_breaks

CONTEXT = "inspector"
SHOWN = 500_000  # characters of a message; laying out more takes too long
_PREVIEW = 60

_ROLES = {
    Role.SYSTEM.value: QT_TRANSLATE_NOOP("inspector", "System prompt"),
    Role.USER.value: QT_TRANSLATE_NOOP("inspector", "User"),
    Role.ASSISTANT.value: QT_TRANSLATE_NOOP("inspector", "Answer"),
}
_SETTINGS = QT_TRANSLATE_NOOP("inspector", "Settings of the request")
_ABOUT = QT_TRANSLATE_NOOP("inspector", "about {count} tokens")
_FIT = QT_TRANSLATE_NOOP("inspector", "about {count} tokens of {budget} that fit beside an answer")
_LIMIT = QT_TRANSLATE_NOOP("inspector", "context {limit}")
_UNKNOWN_LIMIT = QT_TRANSLATE_NOOP("inspector", "the server has not told how long its context is")
_TO = QT_TRANSLATE_NOOP("inspector", "to {url}")
_MESSAGES = QT_TRANSLATE_NOOP("inspector", "messages {count}")
_ONLY = QT_TRANSLATE_NOOP(
    "inspector",
    "The server makes the prompt of these messages: only it knows tokens and ids. The key is not "
    "shown.",
)
_GUESS = QT_TRANSLATE_NOOP(
    "inspector",
    "What program the server is shows with the first message to it; settings may change then.",
)
_REMADE = QT_TRANSLATE_NOOP(
    "inspector",
    "Made once more of the chat and of what the answer remembers: system prompt and longest answer "
    "are those of now.",
)
_NOT_TAKEN = QT_TRANSLATE_NOOP("inspector", "Settings this server is not told: {names}.")


def _tr(text: str) -> str:
    return QCoreApplication.translate(CONTEXT, text)


def _number(count: int) -> str:
    return QLocale().toString(count)


class SentView(QSplitter):
    """The messages of a request and its settings on the left, the text of the chosen one beside."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setChildrenCollapsible(False)
        self._texts: list[str] = []
        self.list = QListWidget()
        self.list.setObjectName("sentMessages")
        self.list.setAccessibleName(self.tr("Messages of the request"))
        self.list.setFrameShape(QListWidget.Shape.NoFrame)
        self.list.setAlternatingRowColors(True)
        self.list.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, self.list))
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setUniformItemSizes(True)
        self.list.currentRowChanged.connect(self._choose)
        self.text = QPlainTextEdit()
        self.text.setObjectName("sentText")
        self.text.setReadOnly(True)
        self.text.setFrameShape(QPlainTextEdit.Shape.NoFrame)
        self.text.setVerticalScrollBar(ScrollBar(Qt.Orientation.Vertical, self.text))
        self.text.setTabChangesFocus(True)
        self.text.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.addWidget(self.list)
        self.addWidget(self.text)
        self.setStretchFactor(0, 2)
        self.setStretchFactor(1, 3)
        self.setSizes([theme.px(400), theme.px(600)])
        self._look()

    def show_sent(self, sent: SentRequest) -> None:
        """Show `sent`; what was chosen stays so, else the last message is."""
        before, count = self.list.currentRow(), len(self._texts)
        rows: list[tuple[str, str]] = [(_tr(_SETTINGS), f"POST {sent.url}\n\n{sent.settings}")]
        rows += [(_left_out_row(one), one.preview) for one in sent.left_out]
        rows += [(_row(one), one.content) for one in sent.messages]
        self._texts = [text for _, text in rows]
        was_last = before < 0 or before == count - 1
        self.list.blockSignals(True)
        self.list.clear()
        for words, _ in rows:
            self.list.addItem(words)  # no tooltip: that would read the words as HTML
        self.list.blockSignals(False)
        self.list.setCurrentRow(len(rows) - 1 if was_last else min(before, len(rows) - 1))

    @Slot(int)
    def _choose(self, row: int) -> None:
        if not 0 <= row < len(self._texts):
            return
        shown = with_breaks(self._texts[row][:SHOWN])
        self.text.setAccessibleName(self.list.item(row).text())
        if self.text.toPlainText() != shown:
            self.text.setPlainText(shown)

    def changeEvent(self, event: QEvent) -> None:
        """Another theme or size of letters."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "text"):
            self._look()

    def _look(self) -> None:
        self.list.setFont(theme.body_font(13))
        self.text.setFont(theme.code_font())


def _row(one: SentMessage) -> str:
    role = _tr(_ROLES[one.role]) if one.role in _ROLES else one.role
    about = _tr(_ABOUT).format(count=_number(one.tokens))
    preview = " ".join(one.content[: _PREVIEW * 2].split())[:_PREVIEW]
    return f"{role} · {about} · {preview}" if preview else f"{role} · {about}"


def _left_out_row(one: LeftOut) -> str:
    about = _tr(_ABOUT).format(count=_number(one.tokens))
    return f"{left_out_text(one)} · {about} · {one.preview[:_PREVIEW]}"


def sent_facts(sent: SentRequest) -> str:
    """The numbers, in a line: all of them estimates."""
    count = _number(sent.tokens)
    words = [_tr(_TO).format(url=sent.url)]
    words.append(_tr(_MESSAGES).format(count=_number(len(sent.messages))))
    if sent.budget:
        words.append(_tr(_FIT).format(count=count, budget=_number(sent.budget)))
    else:
        words.append(_tr(_ABOUT).format(count=count))
    if sent.limit:
        words.append(_tr(_LIMIT).format(limit=_number(sent.limit)))
    elif not sent.answer_id:
        words.append(_tr(_UNKNOWN_LIMIT))
    return " · ".join(words)


def sent_notes(sent: SentRequest) -> str:
    """What there is to know besides, a sentence to a line."""
    lines = [_tr(_ONLY)]
    if sent.is_guess:
        lines.append(_tr(_GUESS))
    if sent.is_remade:
        lines.append(_tr(_REMADE))
    if sent.not_taken:
        lines.append(_tr(_NOT_TAKEN).format(names=", ".join(sent.not_taken)))
    if sent.left_out:
        lines.append(left_out_words(sent.left_out, sent.policy))
    return "\n".join(lines)
