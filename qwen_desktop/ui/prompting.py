"""What the window does about commands, saved prompts and earlier messages in the message field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot

from qwen_desktop.chat.messages import Role
from qwen_desktop.chat.prompts import SavedPrompt
from qwen_desktop.ui import fuzzy
from qwen_desktop.ui.commands import Command, Commands
from qwen_desktop.ui.completion import Choice, Completion

if TYPE_CHECKING:
    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.bridge.preferences import PreferencesModel
    from qwen_desktop.bridge.prompts import Prompts
    from qwen_desktop.ui.main_window import MainWindow


class Prompting(QObject):
    """Belongs to the window."""

    def __init__(
        self, window: MainWindow, chats: Chats, prompts: Prompts, preferences: PreferencesModel
    ) -> None:
        super().__init__(window)
        self._window = window
        self._composer = window.composer
        self._chats = chats
        self._library = prompts
        self.commands = Commands(window, chats, preferences)
        composer = window.composer
        self.completion = Completion(window.centre, composer.box, composer.edit, self._find)
        self._composer.completion = self.completion
        self._composer.prompts.clicked.connect(self.show_library)
        self._composer.history.earlier = self._earlier
        prompts.changed.connect(self.completion.refresh)
        prompts.problem.connect(window.show_problem)

    def _earlier(self) -> tuple[str, ...]:
        """What the user said in this conversation, newest first."""
        path = self._chats.current.tree.path()
        return tuple(m.text for m in reversed(path) if m.role is Role.USER)

    # -- completing ------------------------------------------------------------------------

    def _find(self, word: str) -> list[Choice]:
        self._library.load()
        wanted = word.lower().replace("-", "_")
        found = [self._command(c) for c in self.commands.all if c.name.startswith(wanted)]
        prompts = self._library.entries
        fitting = fuzzy.ranked(word, [prompt.name for prompt in prompts])
        return found + [self._prompt(prompts[number]) for number, _ in fitting]

    def _command(self, command: Command) -> Choice:
        def run(enter: bool) -> None:
            is_all = self._composer.text() == f"/{command.name}"
            if enter and (is_all or not command.hint):
                self.commands.take(f"/{command.name}")
            else:
                self._composer.edit.selectAll()
                self._composer.edit.insert(f"/{command.name} ")

        return Choice(command.title, command.words, run)

    def _prompt(self, prompt: SavedPrompt) -> Choice:
        def run(_enter: bool) -> None:
            self._composer.edit.selectAll()
            self._composer.edit.insert("")
            self.insert(prompt)

        return Choice(prompt.name, prompt.text[:200], run)

    # -- the library -----------------------------------------------------------------------

    @Slot()
    def show_library(self) -> None:
        """The dialog with all prompts."""
        from qwen_desktop.ui.prompts_dialog import PromptsDialog

        dialog = PromptsDialog(self._library, self._window)
        dialog.chosen.connect(self.insert)
        dialog.open()

    @Slot(object)
    def insert(self, prompt: SavedPrompt) -> None:
        """Put a prompt into the message, its fields asked for."""
        if not prompt.fields:
            self._put(prompt.filled({}))
            return
        from qwen_desktop.ui.prompt_fields import PromptFieldsDialog

        PromptFieldsDialog(prompt, self._put, self._window).open()

    def _put(self, text: str) -> None:
        self._composer.edit.insert(text)
        self._composer.focus_edit()
