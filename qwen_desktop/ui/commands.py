"""Commands that are typed into the message field: which there are, and what each of them does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from qwen_desktop.chat.commands import AS_USUAL, typed, value_of
from qwen_desktop.chat.exporting import Format
from qwen_desktop.chat.messages import Role
from qwen_desktop.chat.settings import SETTINGS, Setting, Value
from qwen_desktop.ui.chat_values import POLICY, with_value
from qwen_desktop.ui.i18n import setting_text

if TYPE_CHECKING:
    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.bridge.preferences import PreferencesModel
    from qwen_desktop.ui.main_window import MainWindow

_OTHER_NAMES = {"system_prompt": "system", "context_policy": "policy"}


@dataclass(frozen=True)
class Command:
    """`hint` is how its argument is written, empty for none; `run` gets it."""

    name: str
    hint: str
    words: str  # what it does
    run: Callable[[str], str]  # gives a line that says what was done, or what is wrong

    @property
    def title(self) -> str:
        """As it is typed."""
        return f"/{self.name} {self.hint}".rstrip()


class Commands(QObject):
    """Belongs to the window."""

    def __init__(self, window: MainWindow, chats: Chats, preferences: PreferencesModel) -> None:
        super().__init__(window)
        self._window = window
        self._chats = chats
        self._preferences = preferences
        self._hinted = ""  # an unknown command that was not sent at first
        self.all: tuple[Command, ...] = (*self._doing(), *self._setting())
        self._by_name = {command.name: command for command in self.all}
        for setting in SETTINGS:  # under the name that the file and the command line use, too
            other = _OTHER_NAMES.get(setting.name)
            if other is not None:
                self._by_name[setting.name] = self._by_name[other]
        window.composer.commands = self.take

    def _doing(self) -> tuple[Command, ...]:
        formats = " | ".join(form.value for form in Format)
        return (
            Command("help", "", self.tr("List the commands"), self._help),
            Command("clear", "", self.tr("Start a new chat; this one is kept"), self._clear),
            Command("stop", "", self.tr("Stop the answer"), self._stop),
            Command("retry", "", self.tr("Answer the last message again"), self._retry),
            Command("continue", "", self.tr("Go on with an answer that was cut"), self._continue),
            Command("title", self.tr("words"), self.tr("Name this chat"), self._title),
            Command("export", formats, self.tr("Write this chat to a file"), self._export),
            Command("attach", "", self.tr("Attach files"), self._attach),
            Command("prompts", "", self.tr("Open the prompt library"), self._prompts),
        )

    def _setting(self) -> tuple[Command, ...]:
        return tuple(
            Command(
                _OTHER_NAMES.get(setting.name, setting.name),
                self._hint(setting),
                setting_text(setting.help),
                lambda words, setting=setting: self._set(setting, words),  # type: ignore[misc]
            )
            for setting in SETTINGS
            if setting.group == "generation" or setting.name == POLICY
        )

    def _hint(self, setting: Setting) -> str:
        if setting.kind is bool:
            return "on | off"
        if setting.choices:
            return " | ".join(key for key, _ in setting.choices)
        if setting.kind is str:
            return self.tr("text")
        low, high = setting.minimum or 0, setting.maximum or 0
        if setting.kind is int:
            return f"{int(low):,} – {int(high):,}"
        return f"{low:g} – {high:g}"

    # -- taking what is typed --------------------------------------------------------------

    def take(self, text: str) -> bool:
        """Do what `text` asks for, if it is a command. False where it is a message to be sent."""
        asked = typed(text)
        if asked is None:
            return False
        command = self._by_name.get(asked.name)
        composer = self._window.composer
        if command is None:
            if text == self._hinted:
                self._hinted = ""
                return False
            self._hinted = text
            composer.say(
                self.tr("There is no command /{name}. Enter again sends it as text.").format(
                    name=asked.name
                )
            )
            return True
        composer.set_text("")
        self._chats.set_draft(composer.draft())
        said = command.run(asked.argument)
        if said:
            composer.say(said)
        return True

    # -- what they do ----------------------------------------------------------------------

    def _help(self, _words: str) -> str:
        from qwen_desktop.ui.commands_dialog import CommandsDialog

        CommandsDialog(self.all, self._window).open()
        return ""

    def _clear(self, _words: str) -> str:
        self._chats.new()
        return self.tr("This is a new chat. The one before is in the list.")

    def _stop(self, _words: str) -> str:
        if not self._chats.run.running:
            return self.tr("No answer is being written.")
        self._chats.stop()
        return self.tr("Stopped.")

    def _why_busy(self) -> str:
        """Why no answer can be asked for now; empty where one can."""
        enabled = self._window.actions_by_name["regenerate"].isEnabled()
        return "" if enabled else self.tr("Nothing can be answered now.")

    def _retry(self, _words: str) -> str:
        if not any(m.role is Role.ASSISTANT for m in self._chats.current.tree.path()):
            return self.tr("There is no answer yet.")
        if said := self._why_busy():
            return said
        self._window.pane.regenerate()
        return self.tr("Answering again.")

    def _continue(self, _words: str) -> str:
        path = self._chats.current.tree.path()
        last = path[-1] if path else None
        if last is None or last.role is not Role.ASSISTANT or not last.status.is_cut:
            return self.tr("The last answer was not cut off.")
        if said := self._why_busy():
            return said
        self._window.asking.attempt(lambda: self._chats.resume(last.id), "")
        return self.tr("Going on.")

    def _title(self, words: str) -> str:
        title = " ".join(words.split())
        if not title:
            return self.tr("Write the title after /title.")
        if not self._chats.current.tree.messages:
            return self.tr("A chat gets its title with its first message.")
        self._chats.list.rename(self._chats.current.id, title)
        return self.tr("This chat is now called “{title}”.").format(title=title)

    def _export(self, words: str) -> str:
        if not self._chats.current.tree.messages:
            return self.tr("There is nothing to export yet.")
        if not words:
            self._window.outgoing.export_shown()
            return ""
        endings = {form.extension.rsplit(".", 1)[-1]: form for form in Format}
        names = {form.value: form for form in Format}
        form = {**endings, **names}.get(words.lower().lstrip("."))
        if form is None:
            return self.tr("Formats are {formats}.").format(formats=", ".join(names))
        self._window.outgoing.save_as(form)
        return ""

    def _attach(self, _words: str) -> str:
        self._window.attach.choose()
        return ""

    def _prompts(self, _words: str) -> str:
        self._window.prompts.show_library()
        return ""

    # -- settings --------------------------------------------------------------------------

    def _set(self, setting: Setting, words: str) -> str:
        label = setting_text(setting.label)
        if not words:
            return self._tell(setting)
        general = self._preferences.values
        try:
            usual = words.casefold() in AS_USUAL
            value = general[setting.name] if usual else value_of(setting, words)
        except ValueError:
            return self.tr("{setting} takes: {hint}.").format(
                setting=label, hint=self._hint(setting)
            )
        self._chats.set_options(with_value(self._chats.options, setting.name, value, general))
        return self.tr("{setting}: {value}. For this chat, from the next answer on.").format(
            setting=label, value=self._shown(setting, value)
        )

    def _tell(self, setting: Setting) -> str:
        policy = self._chats.options.policy
        own: Value = self._chats.values.get(setting.name)
        value = policy.value if setting.name == POLICY and policy is not None else own
        return self.tr("{setting} is {value}.").format(
            setting=setting_text(setting.label), value=self._shown(setting, value)
        )

    def _shown(self, setting: Setting, value: Value) -> str:
        if value is None:
            known = self._chats.recommended.get(setting.name)
            if known is not None:
                return self.tr("{value}, as recommended").format(value=f"{known:g}")
            return self.tr("as recommended")
        if isinstance(value, bool):
            return self.tr("on") if value else self.tr("off")
        if setting.choices:
            return next((setting_text(said) for key, said in setting.choices if key == value), "")
        if isinstance(value, str):
            flat = " ".join(value.split())
            short = flat if len(flat) <= 60 else flat[:59] + "…"
            return f"“{short}”" if short else self.tr("none")
        return f"{value:g}" if isinstance(value, float) else str(value)
