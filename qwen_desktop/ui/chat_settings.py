"""Settings of one conversation, made from the one table of settings, with presets above them.

Every change applies at once, to the next answer of this conversation.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QLocale, QTimer, Slot
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QDialogButtonBox, QPushButton, QVBoxLayout, QWidget

from qwen_desktop.chat.context import ChatOptions
from qwen_desktop.chat.presets import NAMES, Preset
from qwen_desktop.chat.settings import BY_NAME, GROUPS, SETTINGS, Setting, Value
from qwen_desktop.ui import theme
from qwen_desktop.ui.chat_values import POLICY, own_names, with_value
from qwen_desktop.ui.controls import Label, Line
from qwen_desktop.ui.dialog import Dialog
from qwen_desktop.ui.fields import Form
from qwen_desktop.ui.i18n import setting_text
from qwen_desktop.ui.preset_row import PresetRow

if TYPE_CHECKING:
    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.bridge.preferences import PreferencesModel
    from qwen_desktop.bridge.presets import Presets


class ChatSettingsDialog(Dialog):
    """The settings of the shown conversation; those of its own stand in bold."""

    def __init__(
        self,
        chats: Chats,
        presets: Presets,
        preferences: PreferencesModel,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__("chatSettings", self.tr("Chat settings"), parent)
        self.resize(640, 680)
        self._chats = chats
        self._preferences = preferences
        self.presets = PresetRow(presets)
        self.presets.picked.connect(self._use)
        self.form = Form()
        self.fields = self.form.fields
        self.form.changed.connect(self._on_field)
        for group, title in GROUPS:
            rows = [(s, self._value(s.name)) for s in SETTINGS if s.group == group and _is_own(s)]
            if rows:
                self.form.add_group(setting_text(title), rows)
        head = QVBoxLayout()
        head.setContentsMargins(24, 16, 24, 12)
        head.setSpacing(8)
        head.addWidget(
            Label(
                self.tr("For this chat alone. What is not set here follows the general settings."),
                13,
                dim=True,
                wrap=True,
            )
        )
        name = Label(self.tr("Preset"), 14)
        name.setBuddy(self.presets.box)
        head.addWidget(name)
        head.addWidget(self.presets)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addLayout(head)
        outer.addWidget(Line())
        outer.addWidget(self.form, 1)
        outer.addWidget(Line())
        outer.addWidget(self._foot())
        chats.options_changed.connect(self._show)
        preferences.changed.connect(self._show)
        self.finished.connect(self.form.finish)
        self._show()

    def _foot(self) -> QDialogButtonBox:
        self.reset = QPushButton(self.tr("Reset to general settings"))
        self.reset.setObjectName("resetChatSettings")
        self.reset.setAccessibleName(self.tr("Reset to general settings"))
        self.reset.setAutoDefault(False)
        self.reset.clicked.connect(self._reset)
        buttons = self.close_box()
        buttons.setContentsMargins(24, 12, 24, 16)
        buttons.addButton(self.reset, QDialogButtonBox.ButtonRole.ResetRole)
        return buttons

    def focus_policy(self) -> None:
        """Show what happens when the context is full."""
        self.fields[POLICY].control.setFocus()
        QTimer.singleShot(0, self, self._scroll_to_policy)  # after it is laid out

    @Slot()
    def _scroll_to_policy(self) -> None:
        self.form.ensureWidgetVisible(self.fields[POLICY])

    # -- what is shown ---------------------------------------------------------------------

    def _value(self, name: str) -> Value:
        """The value in effect for this conversation."""
        if name == POLICY:
            policy = self._chats.options.policy
            return policy.value if policy is not None else self._preferences.get(name)
        return self._chats.values.get(name, BY_NAME[name].default)

    @Slot()
    def _show(self) -> None:
        own = own_names(self._chats.options)
        known = self._known()
        for name, field in self.fields.items():
            field.set_value(self._value(name))
            field.set_known(known.get(name, ""))
            self._mark(name, own=name in own)
        self.presets.set_values({name: self._value(name) for name in NAMES})
        self.reset.setEnabled(bool(own))

    def _known(self) -> dict[str, str]:
        """What leaving a setting alone comes to; of the seed, the one of the last answer."""
        locale = QLocale()
        recommended = self._chats.recommended.items()
        known = {name: locale.toString(float(value), "g", 4) for name, value in recommended}
        path = self._chats.current.tree.path()
        last = next((m.provenance for m in reversed(path) if m.provenance is not None), None)
        if last is not None:
            known["seed"] = self.tr("last: {value}").format(value=str(last.seed))
        return known

    def _mark(self, name: str, *, own: bool) -> None:
        weight = QFont.Weight.DemiBold if own else QFont.Weight.Normal
        self.form.names[name].setFont(theme.body_font(14, weight))
        note = self.tr("This chat has a value of its own.") if own else ""
        self.form.names[name].setToolTip(note)
        explained = setting_text(BY_NAME[name].help)
        self.fields[name].control.setAccessibleDescription(f"{explained} {note}".strip())

    # -- what the user does ----------------------------------------------------------------

    @Slot(str, object)
    def _on_field(self, name: str, value: Value) -> None:
        options = with_value(self._chats.options, name, value, self._preferences.values)
        self._chats.set_options(options)

    @Slot(object)
    def _use(self, preset: Preset) -> None:
        self.form.finish()
        options = self._chats.options
        self._chats.set_options(replace(options, values={**options.values, **preset.full()}))

    def _reset(self) -> None:
        self.form.finish()
        self._chats.set_options(ChatOptions(remote=self._chats.options.remote))


def _is_own(setting: Setting) -> bool:
    """Whether a conversation can have a value of its own."""
    return setting.group == "generation" or setting.name == POLICY
