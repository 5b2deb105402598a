"""One desktop for the whole black-box run; a profile and a checkpoint that answers for ever."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.blackbox.desktop import Desktop, missing
from tests.blackbox.person import Person


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


@pytest.fixture
def start(desktop: Desktop, tmp_path: Path) -> Iterator[type[Person]]:
    """Starts the program with the profile of this test, as often as it is called."""
    begun: list[Person] = []

    def starting(*arguments: object) -> Person:
        begun.append(Person(desktop, tmp_path / "profile", *arguments))
        return begun[-1]

    yield starting  # type: ignore[misc]
    for person in begun:
        if person.process.poll() is None and "PICTURES" in os.environ:
            person.picture(Path(os.environ["PICTURES"]) / f"{tmp_path.name}.png")
        person.kill()


@pytest.fixture(scope="session")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with random weights that never ends an answer by itself."""
    from tests.engine.checkpoints import chatty_checkpoint

    return chatty_checkpoint(tmp_path_factory.mktemp("endless") / "Endless-Chat")
