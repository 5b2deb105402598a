"""Asks what to leave out when a message no longer fits beside what was said before."""

from __future__ import annotations

from PySide6.QtCore import QLocale, Signal
from PySide6.QtWidgets import QDialogButtonBox, QPushButton, QVBoxLayout, QWidget

from qwen_desktop.chat.context import Policy
from qwen_desktop.chat.events import PromptCount
from qwen_desktop.ui.controls import Button, Label
from qwen_desktop.ui.dialog import Dialog


class OverflowDialog(Dialog):
    """The numbers and the ways out. Signals: a policy for this conversation, or a new one."""

    policy_chosen = Signal(object)  # Policy
    new_chosen = Signal()

    def __init__(self, count: PromptCount, parent: QWidget | None = None) -> None:
        super().__init__("overflowDialog", self.tr("The context is full"), parent)
        self.setMinimumWidth(480)
        locale = QLocale()
        self.words = Label(
            self.tr(
                "With this message the prompt has {prompt} tokens. There is room for {budget} of "
                "{limit}; the rest is kept for the answer."
            ).format(
                prompt=locale.toString(count.prompt),
                budget=locale.toString(count.budget),
                limit=locale.toString(count.limit),
            ),
            14,
            wrap=True,
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 16)
        column.setSpacing(10)
        column.addWidget(self.words)
        column.addWidget(
            Label(
                self.tr(
                    "Nothing is deleted: what the model no longer sees stays in the chat, dimmed."
                ),
                13,
                dim=True,
                wrap=True,
            )
        )
        column.addSpacing(4)
        for name, text, policy in (
            ("dropOldest", self.tr("Drop the oldest turns and send"), Policy.DROP_OLDEST),
            (
                "keepFirst",
                self.tr("Keep the first turn, drop the middle and send"),
                Policy.KEEP_FIRST,
            ),
        ):
            button = self._choice(name, text)
            button.clicked.connect(lambda _=False, one=policy: self._choose(one))
            column.addWidget(button)
        new = self._choice("overflowNew", self.tr("Take the message to a new chat"))
        new.clicked.connect(self._new)
        column.addWidget(new)
        column.addSpacing(8)
        cancel = QPushButton(self.tr("Cancel"))
        cancel.setObjectName("cancelOverflow")
        cancel.setAccessibleName(self.tr("Cancel"))
        cancel.setDefault(True)
        cancel.clicked.connect(self.reject)
        buttons = QDialogButtonBox()
        buttons.addButton(cancel, QDialogButtonBox.ButtonRole.RejectRole)
        column.addWidget(buttons)
        cancel.setFocus()  # Enter does what is seen to be chosen, not the first choice unseen

    def _choice(self, name: str, text: str) -> Button:
        button = Button(text, height=36, align_left=True)
        button.setObjectName(name)
        button.setAccessibleName(text)
        return button

    def _choose(self, policy: Policy) -> None:
        self.accept()
        self.policy_chosen.emit(policy)

    def _new(self) -> None:
        self.accept()
        self.new_chosen.emit()
