"""The whole diagnosis. It takes some seconds, most of them to import torch."""

from __future__ import annotations

from collections.abc import Callable

from qwen_desktop.diagnose import Row, Section, data, machine
from qwen_desktop.paths import Profile

Make = Callable[[], Section]


def everything(profile: Profile, is_open: bool, qt: Make) -> tuple[Section, ...]:
    """All sections, in the order they are read in. Raises nothing: what is broken is the finding.

    `is_open`: a window has the database open. `qt` makes the section on Qt, which this layer does
    not know.
    """
    makes: tuple[tuple[str, Make], ...] = (
        ("program", machine.program),
        ("system", machine.system),
        ("processor", lambda: machine.processor(profile)),
        ("devices", machine.devices),
        ("engine", machine.engine),
        ("qt", qt),
        ("keyring", machine.keyring),
        ("paths", lambda: data.paths(profile)),
        ("disk", lambda: data.disk(profile)),
        ("database", lambda: data.chats(profile, is_open)),
        ("libraries", machine.libraries),
    )
    return tuple(_made(key, make) for key, make in makes)


def _made(key: str, make: Make) -> Section:
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - whatever is broken here, the rest is wanted
        # Of the message only the kind: it might name a file of the user.
        return Section(key, key.capitalize(), (Row("cannot_be_told", type(error).__name__),))
