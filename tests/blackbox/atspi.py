"""What a screen reader sees: the widgets of a program as a tree, over the accessibility bus.

The protocol is that of AT-SPI 2, spoken with jeepney: the bindings that a distribution has are not
to be had in a virtual environment.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from jeepney import (
    DBusAddress,
    HeaderFields,
    MatchRule,
    Message,
    MessageType,
    message_bus,
    new_method_call,
)
from jeepney.io.blocking import DBusConnection

PATIENCE_S = 90.0
AT_ONCE = 200  # questions on their way
ROOT = "/org/a11y/atspi/accessible/root"
REGISTRY_PATH = "/org/a11y/atspi/registry"
REGISTRY = "org.a11y.atspi.Registry"
ATSPI = "org.a11y.atspi."
ON_SCREEN = 0  # coordinates from the corner of the screen

# Bits of a state set that are asked for here.
STATES = {
    "active": 1,
    "checked": 4,
    "editable": 7,
    "enabled": 8,
    "focusable": 11,
    "focused": 12,
    "modal": 16,
    "selected": 23,
    "sensitive": 24,
    "showing": 25,
    "visible": 30,
}
LABELLED_BY = 2
MENU = "popup menu"


class Gone(Exception):
    """The widget is no longer there, or its program."""


@dataclass(frozen=True)
class Widget:
    """One widget as it was when it was looked at; `bus`, `path` say where to ask again.

    `value` is what a list to choose from is at.
    """

    bus: str
    path: str
    role: str
    name: str
    states: frozenset[str]
    value: str = ""
    children: tuple[Widget, ...] = field(default=(), repr=False, compare=False)

    def all(self) -> Iterator[Widget]:
        """It and everything in it, as in the tree."""
        yield self
        for child in self.children:
            yield from child.all()

    def found(self, role: str, name: str | None = None) -> list[Widget]:
        """Those in it with that role and exactly that name; any name for None."""
        return [w for w in self.all() if w.role == role and name in (None, w.name)]

    def outline(self, depth: int = 0) -> str:
        """The tree as lines, for the message of a failure."""
        line = "  " * depth + f"{self.role} “{self.name}”" + f" {self.value}".rstrip()
        marks = self.states & {"focused", "checked", "selected", "active", "modal"}
        line += "".join(f" {mark}" for mark in sorted(marks))
        return "\n".join([line, *(child.outline(depth + 1) for child in self.children)])


class Reader:
    """Asks the programs on one accessibility bus."""

    def __init__(self, connection: DBusConnection) -> None:
        self._connection = connection
        # What has come up: a program does not count an open menu as one of its windows.
        self._come_up: dict[tuple[str, str], None] = {}
        rule = MatchRule(type="signal", interface=ATSPI + "Event.Object", member="StateChanged")
        registry = DBusAddress(REGISTRY_PATH, bus_name=REGISTRY, interface=REGISTRY)
        event = "object:state-changed:showing"
        self._ask(message_bus.AddMatch(rule))
        self._ask(new_method_call(registry, "RegisterEvent", "s", (event,)))

    # -- the tree --------------------------------------------------------------------------

    def programs(self) -> list[str]:
        """The bus names of those that show widgets."""
        question = _call(REGISTRY, ROOT, "Accessible", "GetChildren")
        (children,) = self._ask(question)
        return [bus for bus, _ in children]

    def tree(self, bus: str) -> Widget:
        """All widgets of a program that are shown, and its open menus."""
        root = _Draft(bus, ROOT)
        drafts = self._drafts(root)
        if root.role == "":
            raise Gone("the program")
        for menu in self._menus(bus):
            found = self._drafts(menu)
            if menu.shown and all(one.path != menu.path for one in drafts):
                root.below.append(menu)
                drafts += found
            else:
                del self._come_up[menu.bus, menu.path]
        self._name_by_labels(drafts)
        return root.widget()

    def _menus(self, bus: str) -> list[_Draft]:
        """The menus of a program among what has come up; the rest of that is forgotten."""
        paths = [path for owner, path in self._come_up if owner == bus]
        roles = self._ask_all([_call(bus, path, "Accessible", "GetRoleName") for path in paths])
        menus = []
        for path, role in zip(paths, roles, strict=True):
            if role == (MENU,):
                menus.append(_Draft(bus, path))
            else:
                del self._come_up[bus, path]
        return menus

    def _drafts(self, root: _Draft) -> list[_Draft]:
        """Look at a widget and all that is shown in it."""
        drafts: list[_Draft] = []
        level = [root]
        while level:
            self._look(level)
            drafts += level
            below = []
            for one in level:
                one.below = [_Draft(bus, path) for bus, path in one.paths if one.shown]
                below += one.below
            level = below
        return drafts

    def _look(self, drafts: Sequence[_Draft]) -> None:
        """Ask for what is shown of them; of the rest only that it is not."""
        states = self._ask_all([_call(w.bus, w.path, "Accessible", "GetState") for w in drafts])
        for one, answer in zip(drafts, states, strict=True):
            one.bits = answer[0][0] | answer[0][1] << 32 if answer else 0
        seen = [one for one in drafts if one.path == ROOT or one.has("showing")]
        questions = [
            question
            for one in seen
            for question in (
                _call(one.bus, one.path, "Accessible", "GetRoleName"),
                _get(one.bus, one.path, "Accessible", "Name"),
                _call(one.bus, one.path, "Accessible", "GetChildren"),
            )
        ]
        answers = self._ask_all(questions)
        for number, one in enumerate(seen):
            role, name, paths = answers[number * 3 : number * 3 + 3]
            if role and name and paths:  # else it went while it was looked at
                one.role, one.name, one.paths = role[0], name[0][1], paths[0]

    def _name_by_labels(self, drafts: Sequence[_Draft]) -> None:
        """A list to choose from is called by its value: its name is that of its label."""
        boxes = [one for one in drafts if one.role == "combo box"]
        questions = [_call(one.bus, one.path, "Accessible", "GetRelationSet") for one in boxes]
        names = {one.path: one.name for one in drafts}
        for box, answer in zip(boxes, self._ask_all(questions), strict=True):
            box.value, box.name = box.name, ""
            for relation, targets in answer[0] if answer else ():
                if relation == LABELLED_BY:
                    box.name = names.get(targets[0][1], "")

    # -- one widget ------------------------------------------------------------------------

    def text(self, widget: Widget) -> str:
        """All of its text."""
        (text,) = self._ask(_call(widget.bus, widget.path, "Text", "GetText", "ii", (0, -1)))
        return str(text)

    def value(self, widget: Widget) -> float:
        """What a slider, a spin box or a bar is at."""
        ((_, value),) = self._ask(_get(widget.bus, widget.path, "Value", "CurrentValue"))
        return float(value)

    def interfaces(self, widget: Widget) -> list[str]:
        """What can be done with it: "Action", "Text", …"""
        (names,) = self._ask(_call(widget.bus, widget.path, "Accessible", "GetInterfaces"))
        return [name.removeprefix(ATSPI) for name in names]

    def actions(self, widget: Widget) -> list[str]:
        """The names of its actions."""
        (found,) = self._ask(_call(widget.bus, widget.path, "Action", "GetActions"))
        return [name for name, _, _ in found]

    def do(self, widget: Widget, action: str) -> None:
        """Do one of its actions, as a screen reader does."""
        number = self.actions(widget).index(action)
        self._ask(_call(widget.bus, widget.path, "Action", "DoAction", "i", (number,)))

    def box(self, widget: Widget) -> tuple[int, int, int, int]:
        """Left, top, width and height on the screen, in pixels."""
        (box,) = self._ask(
            _call(widget.bus, widget.path, "Component", "GetExtents", "u", (ON_SCREEN,))
        )
        left, top, width, height = box
        return left, top, width, height

    # -- the bus ---------------------------------------------------------------------------

    def _ask(self, question: Message) -> tuple:  # type: ignore[type-arg]
        (answer,) = self._ask_all([question])
        if answer is None:
            raise Gone(question.header.fields)
        return answer

    def _ask_all(self, questions: Sequence[Message]) -> list[tuple | None]:  # type: ignore[type-arg]
        """Ask all, then read what is said: None where an error is."""
        answers: dict[int, tuple | None] = {}  # type: ignore[type-arg]
        order: list[int] = []
        for begin in range(0, len(questions), AT_ONCE):
            waiting = set()
            for question in questions[begin : begin + AT_ONCE]:
                serial = next(self._connection.outgoing_serial)
                self._connection.send(question, serial=serial)
                waiting.add(serial)
                order.append(serial)
            end = time.monotonic() + PATIENCE_S
            while waiting:
                message = self._connection.receive(timeout=max(0.0, end - time.monotonic()))
                self._notice(message)
                serial = message.header.fields.get(HeaderFields.reply_serial)
                if serial in waiting:
                    waiting.remove(serial)
                    fine = message.header.message_type is MessageType.method_return
                    answers[serial] = tuple(message.body) if fine else None
        return [answers[serial] for serial in order]

    def _notice(self, message: Message) -> None:
        """Remember what a signal says has come up."""
        fields = message.header.fields
        if fields.get(HeaderFields.member) == "StateChanged" and message.body[:2] == ("showing", 1):
            self._come_up[fields[HeaderFields.sender], fields[HeaderFields.path]] = None


class _Draft:
    """A widget that is being looked at."""

    def __init__(self, bus: str, path: str) -> None:
        self.bus, self.path = bus, path
        self.role = self.name = self.value = ""
        self.bits = 0
        self.paths: list[tuple[str, str]] = []
        self.below: list[_Draft] = []

    def has(self, state: str) -> bool:
        """Whether it is in a state of STATES."""
        return bool(self.bits >> STATES[state] & 1)

    @property
    def shown(self) -> bool:
        """Whether it can be seen, and still was there."""
        return bool(self.role)

    def widget(self) -> Widget:
        """It, with those in it that are shown."""
        states = frozenset(name for name in STATES if self.has(name))
        children = tuple(one.widget() for one in self.below if one.shown)
        return Widget(self.bus, self.path, self.role, self.name, states, self.value, children)


def _call(
    bus: str,
    path: str,
    interface: str,
    method: str,
    signature: str | None = None,
    body: tuple = (),  # type: ignore[type-arg]
) -> Message:
    address = DBusAddress(path, bus_name=bus, interface=ATSPI + interface)
    return new_method_call(address, method, signature, body)


def _get(bus: str, path: str, interface: str, name: str) -> Message:
    address = DBusAddress(path, bus_name=bus, interface="org.freedesktop.DBus.Properties")
    return new_method_call(address, "Get", "ss", (ATSPI + interface, name))
