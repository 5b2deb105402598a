"""Finding, searching, exporting, commands; and Tab alone comes by everything in the window."""

from __future__ import annotations

import pytest

from tests.blackbox.person import Person

pytestmark = pytest.mark.e2e

QUESTION = "What is a token?"
OTHER = "How do I stop an answer?"


def test_words_are_found_searched_and_exported_by_keys_and_by_the_palette(person, tmp_path):
    person.send(QUESTION)
    person.keys("ctrl+n")
    person.until("an empty chat", lambda: not person.messages())
    person.send(OTHER)

    find_in_the_conversation(person)
    search_all(person)
    export(person, tmp_path)

    # What the palette does is seen in the window.
    person.command("Show or hide the chat list")
    person.wait_gone("list", "Chats")
    person.command("Show or hide the chat list")
    person.wait("list", "Chats")
    person.command("New chat")
    person.wait("label", "What would you like to ask?")


def find_in_the_conversation(person: Person) -> None:
    """Ctrl+F: what is typed is counted, gone through, and left by Escape."""
    text = "\n".join(words for _, words in person.messages())
    count = text.lower().count("answer")
    assert count > 1
    person.keys("ctrl+f")
    person.wait("text", "Find in this chat", "focused")
    person.type("answer")
    person.wait("label", f"1 of {count}")
    person.keys("Return")
    person.wait("label", f"2 of {count}")
    person.click("push button", "Previous occurrence")
    person.wait("label", f"1 of {count}")
    person.keys("ctrl+f", "ctrl+a")
    person.type("xyzzy")
    person.wait("label", "Not found")
    person.keys("Escape")
    person.wait_gone("text", "Find in this chat")


def search_all(person: Person) -> None:
    """Ctrl+K: a word of the other conversation leads there."""
    person.keys("ctrl+k")
    person.wait("text", "Search chats", "focused")
    person.type("token")
    person.wait("list", "Search results")
    person.wait_name("list item", r"(?s)What is a token\?.*")
    person.keys("Down", "Return")
    person.until("the conversation", lambda: person.questions() == [QUESTION])
    person.keys("ctrl+k", "ctrl+a", "Delete", "Escape")
    person.wait("list", "Chats")


def export(person: Person, folder) -> None:
    """Ctrl+Shift+E: as Markdown and as text, into files of a name that is typed."""
    for form, name in (("Markdown (.md)", "talk.md"), ("Plain text (.txt)", "talk.txt")):
        person.keys("ctrl+shift+e")
        person.wait("dialog", "Export — Qwen Desktop", "active")
        person.wait("combo box", "Format", "focused")
        for _ in range(8):  # as many as there are formats, and more
            if person.wait("combo box", "Format").value == form:
                break
            person.keys("Down")
        assert person.wait("combo box", "Format").value == form
        person.click("push button", "Export…")
        person.wait("dialog", "Save as — Qwen Desktop", "active")
        person.wait("text", "File name:", "focused")
        person.keys("ctrl+a")
        person.type(str(folder / name))
        person.until("the name", lambda: person.text("text", "File name:").endswith(name))  # noqa: B023
        person.keys("Return")
        person.wait("label", f"Saved “{name}”")
        written = (folder / name).read_text("utf-8")
        assert QUESTION in written
        assert person.answers()[0].split(".")[0] in written
        person.until("the window in front", lambda: person.find("frame", None, "active"))


def test_tab_alone_comes_by_everything_in_the_window_and_back(person):
    person.send(QUESTION)
    person.until("no notice", lambda: person.find("push button", "Close notice") is None)

    while True:  # until nothing came or went meanwhile, such as a notice
        before = can_have_the_focus(person)
        forward = round_trip(person, "Tab")
        backward = round_trip(person, "shift+Tab")
        if before == can_have_the_focus(person):
            break
    assert backward == [forward[0], *reversed(forward[1:])]
    names = [f"{role} {name}" for role, name in forward]
    assert all(name for _, name in forward), names
    for role, name in (
        ("push button", "New chat"),
        ("text", "Search chats"),
        ("list", "Chats"),
        ("push button", "Settings"),
        ("push button", "Main menu"),
        ("filler", "Chat"),
        ("push button", "Edit message"),
        ("push button", "Retry"),
        ("push button", "Answer details"),
        ("text", "Message"),
        ("push button", "Attach files"),
        ("push button", "Model card"),
    ):
        assert (role, name) in forward, (name, names)
    assert sorted(before - set(forward)) == []


def can_have_the_focus(person: Person) -> set[tuple[str, str]]:
    """Role and name of what the focus can go to; a row has it with its list."""
    return {
        (w.role, w.name)
        for w in person.look().all()
        if {"focusable", "sensitive"} <= w.states and w.role != "list item"
    }


def round_trip(person: Person, key: str) -> list[tuple[str, str]]:
    """Role and name of all that has the focus, from the message field on until it is round."""
    person.keys("ctrl+l")
    person.wait("text", "Message", "focused")
    passed: list[tuple[str, str]] = []
    paths: list[str] = []
    while True:
        now = person.focused()
        assert now is not None, passed
        if paths and now.path == paths[0]:
            return passed
        assert now.path not in paths, f"{now.name} again, {passed}"
        paths.append(now.path)
        passed.append((now.role, now.name))
        person.keys(key)

        def moved(before: str = now.path) -> bool:
            focused = person.focused()
            return focused is not None and focused.path != before

        person.until(f"the focus after “{now.name}”", moved)
