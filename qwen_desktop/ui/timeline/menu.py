"""The context menu of the timeline: what is selected, and what can be done with a message."""

from __future__ import annotations

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMenu, QWidget

from qwen_desktop.ui.timeline.items import Item
from qwen_desktop.ui.timeline.message import MessageView
from qwen_desktop.ui.timeline.offers import Act, offered
from qwen_desktop.ui.timeline.shared import Shared

_ORDER = (  # None: a line between
    Act.EDIT,
    Act.ANSWER,
    Act.RESUME,
    Act.RESUME_OTHERWISE,
    Act.RETRY,
    None,
    Act.COPY,
    Act.COPY_TEXT,
    None,
    Act.PIN,
    Act.BRANCH,
    None,
    Act.CONTEXT,
    Act.ERROR,
    Act.DETAILS,
    Act.PROMPT,
    Act.TOKENS,
    Act.TURN,
    None,
    Act.DELETE,
)


class MessageMenu(QMenu):
    """Filled by whoever opens it."""

    def __init__(self, shared: Shared, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Message menu"))
        self._shared = shared

    def add_message(self, view: MessageView, item: Item, last: bool) -> None:
        """What can be done with the message of `view`; `last`: nothing follows it."""
        acts = offered(item.message, last)
        if view.card is not None and view.card.editor is not None:
            acts -= {Act.EDIT}
        words = self._words(item, last)
        for act in _ORDER:
            if act is None:
                self.addSeparator()  # two of them are shown as one
            elif act in acts:
                action = self.addAction(words[act])
                action.setEnabled(self._shared.allows(act))
                action.triggered.connect(lambda _=False, act=act: self._perform(act, view, item))
        if item.versions is not None:
            self._add_versions(item, item.versions)

    def _add_versions(self, item: Item, versions: tuple[int, int]) -> None:
        position, count = versions
        steps = ((-1, self.tr("Previous version")), (1, self.tr("Next version")))
        for step, words in steps:
            action = self.addAction(words)
            action.setEnabled(not self._shared.streaming and 1 <= position + step <= count)
            action.triggered.connect(
                lambda _=False, step=step: self._shared.version_requested.emit(
                    item.message.id, step
                )
            )

    def _perform(self, act: Act, view: MessageView, item: Item) -> None:
        if act is Act.COPY:
            QGuiApplication.clipboard().setText(item.message.text)
        elif act is not Act.EDIT:
            self._shared.perform(act, item.message)
        elif view.card is not None:
            view.card.begin_edit()

    def _words(self, item: Item, last: bool) -> dict[Act, str]:
        return {
            Act.EDIT: self.tr("Edit message"),
            Act.RESUME: self.tr("Continue"),
            Act.RESUME_OTHERWISE: self.tr("Continue with presence penalty"),
            Act.RETRY: self.tr("Retry"),
            Act.ANSWER: self.tr("Answer this message"),
            Act.COPY: self.tr("Copy message"),
            Act.COPY_TEXT: self.tr("Copy message as plain text"),
            Act.BRANCH: self.tr("Branch into a new chat"),
            Act.DELETE: (
                self.tr("Delete message") if last else self.tr("Delete message and all below it")
            ),
            Act.PROMPT: self.tr("Show prompt"),
            Act.TOKENS: self.tr("Show tokens"),
            Act.TURN: self.tr("How this turn worked"),
            Act.PIN: self.tr("Unpin message") if item.message.pinned else self.tr("Pin message"),
            Act.CONTEXT: self.tr("Context of this chat…"),
            Act.ERROR: self.tr("Error details"),
            Act.DETAILS: self.tr("Answer details"),
        }
