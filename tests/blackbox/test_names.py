"""Whatever can be used has a name: in the window, its menus, and every dialog it opens."""

from __future__ import annotations

import pytest

from tests.blackbox.atspi import MENU, Widget
from tests.blackbox.person import SENDING, Person

pytestmark = pytest.mark.e2e

# Roles of what one uses. An empty cell of a table is just empty.
USED = {
    "button",
    "check box",
    "check menu item",
    "combo box",
    "link",
    "list",
    "menu item",
    "page tab",
    "password text",
    "push button",
    "radio button",
    "radio menu item",
    "slider",
    "spin box",
    "table",
    "text",
    "toggle button",
    "tree",
}
CELLS = {"table cell", "tree item"}
# The dialogs of the palette's commands.
DIALOGS = {
    "Prompt library": "Prompt library",
    "Chat settings": "Chat settings",
    "Open checkpoint folder": "Open checkpoint folder",
    "Model card": "Model card",
    "Open chat file…": "Open chat",
    "Import chats…": "Import chats",
    "Save chat as…": "Save as",
    "Export…": "Export",
    "Backups…": "Backups",
    "Settings": "Settings",
    "Keyboard shortcuts": "Keyboard shortcuts",
}
MENUS = {
    "Main menu": "Main menu",
    "More actions": "Message menu",
    "Search filters": "Search filters",
    "Shown: All chats": "What the list shows",
    "Checkpoint: demo-checkpoint": "Checkpoint",
}


def nameless(shown: Widget) -> list[str]:
    """What can be used, or have the focus, and has no name; with where it is."""
    found = []

    def walk(widget: Widget, place: str) -> None:
        place = f"{place} / {widget.role} {widget.name}".rstrip()
        usable = widget.role in USED or "focusable" in widget.states
        if usable and widget.role not in CELLS and not widget.name.strip():
            found.append(place)
        for child in widget.children:
            walk(child, place)

    walk(shown, "")
    return found


def test_all_that_can_be_used_has_a_name_and_dialogs_can_be_left_by_escape(start):
    person = start()
    person.wait("push button", SENDING, "sensitive")
    assert person.look().children[0].role == "frame"
    assert nameless(person.look()) == []
    person.send("What is a token?")
    person.keys("ctrl+f")
    person.wait("text", "Find in this chat", "focused")
    assert nameless(person.look()) == []
    person.keys("Escape")
    person.keys("ctrl+shift+p")
    person.wait("text", "What would you like to do?", "focused")
    assert nameless(person.look()) == []
    person.keys("Escape")
    person.wait_gone("list", "Commands")

    for button, menu in MENUS.items():
        person.click("push button", button)
        person.wait(MENU, menu)
        assert nameless(person.look()) == [], menu
        person.keys("Escape")
        person.wait_gone(MENU, menu)
    for command, title in DIALOGS.items():
        look_into(person, command, title)
    person.quit()


def look_into(person: Person, command: str, title: str) -> None:
    """Open a dialog by the palette, look at all of it, leave it by Escape."""
    person.command(command)
    dialog = f"{title} — Qwen Desktop"
    person.wait("dialog", dialog, "active")
    person.until(f"the focus in {title}", person.focused)
    assert nameless(person.wait("dialog", dialog)) == [], title
    person.close_dialog(title)
