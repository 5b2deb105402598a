"""Whatever can be used has a name: in the window, its menus, and every dialog it opens."""

from __future__ import annotations

import pytest

from tests.blackbox.atspi import MENU, Widget
from tests.blackbox.person import Person

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
# Commands of the palette that open a dialog.
DIALOGS = (
    "Attach files",
    "Prompt library",
    "Chat settings",
    "Open checkpoint folder",
    "Model card",
    "Memory and context…",
    "Memory study…",
    "Local server…",
    "Inspect prompt…",
    "How a turn works…",
    "Open chat file…",
    "Import chats…",
    "Save chat as…",
    "Export…",
    "Backups…",
    "Diagnostics…",
    "About Qwen Desktop…",
    "Settings",
    "Keyboard shortcuts",
)
# Buttons and the names of the menus that they open.
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


def test_all_that_can_be_used_has_a_name_and_dialogs_can_be_left_by_escape(person):
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
    unnamed = {command: look_into(person, command) for command in DIALOGS}
    assert {command: found for command, found in unnamed.items() if found} == {}


def look_into(person: Person, command: str) -> list[str]:
    """Open a dialog by the palette, look at all of it, leave it by Escape."""
    person.command(command)
    dialog = person.wait("dialog", None, "active")
    assert dialog.name.endswith(" — Qwen Desktop"), dialog.name
    person.until(f"the focus in “{dialog.name}”", person.focused)
    found = nameless(person.wait("dialog", dialog.name))
    person.keys("Escape")
    person.wait_gone("dialog", dialog.name)
    person.wait("frame", None, "active")
    return found
