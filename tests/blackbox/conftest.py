"""One desktop for the whole black-box run; a profile and a checkpoint that answers for ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.blackbox.desktop import Desktop, missing
from tests.blackbox.person import SENDING, Person


@pytest.fixture(scope="session")
def desktop(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Iterator[Desktop]:
    """A screen and buses of its own; skips where the system's programs for them are missing."""
    lacking = missing()
    if lacking:
        pytest.skip("a desktop of its own lacks here: " + ", ".join(lacking))
    # Short: the path of a socket may have no more than 108 characters.
    desktop = Desktop(tmp_path_factory.mktemp("d"), {"XDG_CACHE_HOME": str(shared_cache)})
    yield desktop
    desktop.close()


@pytest.fixture(scope="session")
def shared(desktop: Desktop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Person]]:
    """The program that tests share which leave the window as it was: a start takes long."""
    running: list[Person] = []
    yield running
    for person in running:
        person.kill()


@pytest.fixture
def person(desktop: Desktop, tmp_path_factory: pytest.TempPathFactory, shared) -> Person:
    """The demo checkpoint and an empty chat. After a test that failed it is another start."""
    if not (shared and shared[-1].is_at_rest()):
        for former in shared:
            former.kill()
        shared.append(Person(desktop, tmp_path_factory.mktemp("profile")))
    person = shared[-1]
    person.wait("push button", SENDING, "sensitive")
    person.keys("ctrl+n")
    person.until("an empty chat", lambda: not person.messages())
    return person


@pytest.fixture
def start(desktop: Desktop, tmp_path: Path) -> Iterator[type[Person]]:
    """Starts the program with the profile of this test, as often as it is called."""
    begun: list[Person] = []

    def starting(*arguments: object) -> Person:
        begun.append(Person(desktop, tmp_path / "profile", *arguments))
        return begun[-1]

    yield starting  # type: ignore[misc]
    for person in begun:
        person.kill()


@pytest.fixture(scope="session")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with random weights that never ends an answer by itself."""
    from tests.engine.checkpoints import chatty_checkpoint

    return chatty_checkpoint(tmp_path_factory.mktemp("endless") / "Endless-Chat")
