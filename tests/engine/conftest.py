"""Fixtures of the engine's tests: made checkpoints and engines with one loaded."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from qwen_desktop.engine.engine import Engine
from qwen_desktop.engine.start import create_engine
from tests.engine.checkpoints import make_checkpoint
from tests.engine.helpers import load


@pytest.fixture(scope="session", autouse=True)
def started() -> Iterator[None]:
    """transformers as the program has it: offline and silent. One thread: tiny models."""
    create_engine(lambda _: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def one_thread(started: None) -> None:
    """Also after threads of numba have begun, which make torch use as many."""
    torch.set_num_threads(1)


@pytest.fixture
def two_threads(one_thread: None) -> None:
    """For tests of compiled code, which shares its work out to them."""
    torch.set_num_threads(2)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, started: None) -> Callable[..., Path]:
    """`make_checkpoint` with each variant written once per run; the folders are read-only."""
    known: dict[str, Path] = {}

    def get(family: str = "qwen3", **options: object) -> Path:
        key = f"{family} {sorted(options.items(), key=str)}"
        if key not in known:
            known[key] = make_checkpoint(tmp_path_factory.mktemp(family), family, **options)
        return known[key]

    return get


@pytest.fixture
def copied(made: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A copy of a made checkpoint, to be damaged."""

    def get(family: str = "qwen3", **options: object) -> Path:
        return Path(shutil.copytree(made(family, **options), tmp_path / "model"))

    return get


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def opened(made: Callable[..., Path]) -> Callable[..., Engine]:
    """An engine with a made checkpoint loaded."""

    def get(family: str = "qwen3", **options: object) -> Engine:
        engine = Engine()
        load(engine, made(family, **options))
        return engine

    return get


@pytest.fixture(scope="session")
def code(tmp_path_factory):
    """Where compiled code is kept: each variant is compiled once for all tests of a run."""
    return tmp_path_factory.mktemp("code")
