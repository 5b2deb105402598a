"""The ways to everything the window can do: its menu, the command palette, settings, shortcuts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

if TYPE_CHECKING:
    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.bridge.preferences import PreferencesModel
    from qwen_desktop.ui.main_window import MainWindow
    from qwen_desktop.ui.window_actions import WindowActions

# Offered in the settings: what is about all conversations, and what has a dialog of its own.
_IN_SETTINGS = ("backups", "import", "hub_access")


class Commanding(QObject):
    """Belongs to the window. What it shows is imported when it is asked for."""

    def __init__(
        self,
        window: MainWindow,
        chats: Chats,
        actions: WindowActions,
        preferences: PreferencesModel,
    ) -> None:
        super().__init__(window)
        self._window = window
        self._chats = chats
        self._actions = actions
        self._preferences = preferences
        header, sidebar = window.header, window.sidebar
        header.menu_requested.connect(self.show_menu)
        header.shortcut = lambda name: actions.by_name[name].shortcut()
        sidebar.settings_requested.connect(self.show_settings)
        for widget, name in (
            (header.menu, "menu"),
            (header.sidebar, "sidebar"),
            (header.panel, "panel"),
            (sidebar.new_button, "new"),
            (sidebar.search, "search"),
            (sidebar.settings_button, "settings"),
            (window.composer.attach, "attach"),
            (window.composer.prompts, "prompts"),
            (window.composer.options, "chat_settings"),
        ):
            actions.describe(widget, name)

    def show_menu(self) -> None:
        """Everything there is to do, below the button for it."""
        from qwen_desktop.ui.row_menu import show_below

        show_below(self._actions.menu(self._window), self._window.header.menu)

    def show_palette(self) -> None:
        """Everything there is to do, to be found by a few letters."""
        from qwen_desktop.ui import command_palette as palette

        setting, on, off = self.tr("Setting"), self.tr("On"), self.tr("Off")
        entries = [
            *palette.of_actions(self._actions),
            *palette.of_settings(self._preferences, setting, on, off),
            *palette.of_conversations(self._chats, self._window.open_conversation, self.tr("Chat")),
        ]
        palette.CommandPalette(entries, self._window)

    def show_settings(self) -> None:
        """Open the settings."""
        from qwen_desktop.ui.settings_dialog import SettingsDialog

        window = self._window
        data = [self._actions.by_name[name] for name in _IN_SETTINGS]
        data += [window.outgoing.everything, *window.whole_profile.actions]
        data.append(self._actions.by_name["shortcuts"])
        SettingsDialog(self._preferences, window, data, window.spelling).open()

    def show_shortcuts(self) -> None:
        """List the keys, and let them be changed."""
        from qwen_desktop.ui.shortcuts_dialog import ShortcutsDialog

        ShortcutsDialog(self._preferences, self._window).open()
