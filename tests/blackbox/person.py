"""A person at the screen: reads what a screen reader reads, presses keys, moves the mouse.

Widgets are found by role and name alone. Waiting is for something to be shown, never for a time.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.blackbox.atspi import Gone, Reader, Widget
from tests.blackbox.desktop import Desktop, end, until

ROOT = Path(__file__).resolve().parents[2]
SENDING = "Send message"


class Person:
    """One start of the program on a desktop, and what is done with it."""

    def __init__(
        self,
        desktop: Desktop,
        profile: Path | None,
        *arguments: object,
        program: Sequence[str] = (sys.executable, "-m", "qwen_desktop"),
    ) -> None:
        """Start `program`; without `profile`, with that of the person whose desktop it is."""
        self.desktop = desktop
        self.reader = Reader(desktop.bus)
        before = set(self.reader.programs())
        command = [*program, *(["--profile", str(profile)] if profile else [])]
        self.process = desktop.start(
            "program", [*command, *map(str, arguments)], {"QWEN_DESKTOP_QT_DIALOGS": "1"}, cwd=ROOT
        )
        found: list[str] = []

        def begun() -> bool:
            assert self.process.poll() is None, desktop.log("program")
            found[:] = set(self.reader.programs()) - before
            return bool(found)

        until("the program", begun)
        self._bus = found[0]
        self.wait("push button", SENDING)

    # -- looking ---------------------------------------------------------------------------

    def look(self) -> Widget:
        """All that is shown now."""
        return self.reader.tree(self._bus)

    def find(self, role: str, name: str | None = None, *states: str, at: int = 0) -> Widget | None:
        """What is shown with that role, name and states; of several that `at`, as in the tree."""
        found = [w for w in self.look().found(role, name) if w.states >= set(states)]
        return found[at] if -len(found) <= at < len(found) else None

    def until(self, what: str, condition: Callable[[], object]) -> None:
        """Look again and again until `condition` holds; what went meanwhile does not matter."""

        def holds() -> object:
            assert self.process.poll() is None, f"ended: {self.desktop.log('program')}"
            try:
                return condition()
            except Gone:
                return False

        try:
            until(what, holds)
        except AssertionError as error:
            if self.process.poll() is not None:
                raise
            raise AssertionError(f"{error}; shown is:\n{self.look().outline()}") from None

    def wait(self, role: str, name: str | None = None, *states: str, at: int = 0) -> Widget:
        """Wait until it is shown, and with those states."""
        found: list[Widget] = []

        def shown() -> bool:
            widget = self.find(role, name, *states, at=at)
            found.extend([widget] if widget else [])
            return bool(found)

        self.until(f"{role} “{name}” {' '.join(states)}", shown)
        return found[0]

    def wait_gone(self, role: str, name: str) -> None:
        """Wait until nothing of that role and name is shown."""
        self.until(f"the end of {role} “{name}”", lambda: self.find(role, name) is None)

    def wait_name(self, role: str, pattern: str) -> Widget:
        """Wait until something of that role is shown whose whole name is like `pattern`."""
        found: list[Widget] = []

        def shown() -> bool:
            found[:] = [w for w in self.look().found(role) if re.fullmatch(pattern, w.name)]
            return bool(found)

        self.until(f"{role} like “{pattern}”", shown)
        return found[0]

    def focused(self) -> Widget | None:
        """What the keys go to."""
        return _focused(self.look())

    def text(self, role: str, name: str, at: int = 0) -> str:
        """The text of a field or of a part of a message."""
        return self.reader.text(self.wait(role, name, at=at))

    # -- the conversation ------------------------------------------------------------------

    def messages(self) -> list[tuple[str, str]]:
        """Who says what in the messages in view: ("you" or the name of a model, its text)."""
        said = []
        for view in self.look().found("filler"):
            who = "you" if view.name == "Your message" else view.name.removeprefix("Answer by ")
            if who != view.name:
                texts = [w for w in view.all() if w.role in ("label", "text") and not w.name]
                said.append((who, "\n".join(map(self.reader.text, texts))))
        return said

    def answers(self) -> list[str]:
        """The texts of the answers in view."""
        return [text for who, text in self.messages() if who != "you"]

    def questions(self) -> list[str]:
        """The texts of the messages in view that were sent."""
        return [text for who, text in self.messages() if who == "you"]

    def send(self, text: str) -> None:
        """Type a message, press Enter, wait until no answer is being written any more."""
        answers = len(self.answers())
        self.write(text)
        self.keys("Return")
        self.until("an answer", lambda: len(self.answers()) > answers)
        self.wait_idle()

    def write(self, text: str) -> None:
        """Type into the message field."""
        self.keys("ctrl+l")
        self.wait("text", "Message", "focused")
        self.type(text)
        self.until("what was typed", lambda: self.text("text", "Message").endswith(text))

    def wait_idle(self) -> None:
        """Wait until a message can be sent and the last answer has what follows an answer."""
        self.wait("push button", SENDING, "sensitive")
        self.wait("push button", "Answer details", at=-1)

    # -- acting ----------------------------------------------------------------------------

    def xdotool(self, *words: object) -> str:
        """One run of xdotool: real keys and a real pointer."""
        done = subprocess.run(
            ["xdotool", *map(str, words)],
            env=self.desktop.environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=True,
        )
        return done.stdout

    def keys(self, *keys: str) -> None:
        """Press keys one after another: "ctrl+f", "Return"."""
        self.xdotool("key", "--clearmodifiers", "--delay", "8", *keys)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.xdotool("type", "--clearmodifiers", "--delay", "4", "--", text)

    def click(self, role: str, name: str, at: int = 0, button: int = 1) -> None:
        """Wait until it is shown and can be used, then click its middle."""
        self.click_on(self.wait(role, name, "sensitive", at=at), button)

    def click_on(self, widget: Widget, button: int = 1) -> None:
        """Click the middle of a widget, once it stays where it is."""
        box = self.reader.box(widget)

        def rests() -> bool:
            nonlocal box
            before, box = box, self.reader.box(widget)
            return before == box and box[2] > 0 and box[3] > 0

        self.until(f"a place for {widget.role} “{widget.name}”", rests)
        left, top, width, height = box
        place = (left + width // 2, top + height // 2)
        self.xdotool("mousemove", *place, "click", button)

    def command(self, words: str) -> None:
        """Do what the command palette calls `words`."""
        self.keys("ctrl+shift+p")
        field = self.wait("text", "What would you like to do?", "focused")
        typed = words.removesuffix("…")  # which no key has
        self.type(typed)
        self.until("what was typed", lambda: self.reader.text(field) == typed)
        self.until(
            f"the command “{words}” on top",
            lambda: self.wait("list", "Commands").children[0].name.startswith(words + ", "),
        )
        self.keys("Return")
        self.wait_gone("list", "Commands")

    def is_at_rest(self) -> bool:
        """Whether the program runs with its window alone, and nothing in front of that."""
        try:
            shown = self.look()
        except Gone:
            return False
        return [w.role for w in shown.children] == ["frame"] and not shown.found("list", "Commands")

    # -- leaving ---------------------------------------------------------------------------

    def quit(self) -> None:
        """Ctrl+Q, then wait for the end of the process, which has to be a good one."""
        self.keys("ctrl+q")
        assert self.process.wait(90) == 0, self.desktop.log("program")
        assert "Traceback" not in self.desktop.log("program"), self.desktop.log("program")

    def kill(self) -> None:
        """End the program if it still runs."""
        end(self.process)


def _focused(widget: Widget) -> Widget | None:
    """The widget with the focus; a list, not its row, which says so even where the list has not."""
    for child in widget.children:
        found = _focused(child)
        if found is not None:
            return found
    part = widget.role in ("list item", "tree item", "table cell", "page tab")
    return widget if widget.states >= {"focused", "focusable"} and not part else None
