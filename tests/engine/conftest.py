"""Fixtures of the engine's tests: made checkpoints, engines with one loaded, short asking."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.engine.checkpoints import make_checkpoint

from qwen_desktop.chat.events import Delta, Finished, GenerationEvent
from qwen_desktop.chat.messages import Message, Part, PartKind, Role, user_message
from qwen_desktop.chat.model import GenerationRequest, LoadRequest
from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.engine.engine import Engine
from qwen_desktop.engine.start import _silence

torch.set_num_threads(1)
_silence()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`make_checkpoint` with each variant written once per run; treat the folders as read-only."""
    known: dict[str, Path] = {}

    def get(family: str = "qwen3", **options: object) -> Path:
        key = f"{family} {sorted(options.items(), key=str)}"
        if key not in known:
            folder = tmp_path_factory.mktemp(family)
            known[key] = make_checkpoint(folder, family, **options)
        return known[key]

    return get


@pytest.fixture
def copied(made: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A copy of a made checkpoint, to be damaged."""
    import shutil

    def get(family: str = "qwen3", **options: object) -> Path:
        return Path(shutil.copytree(made(family, **options), tmp_path / "model"))

    return get


def load(engine: Engine, folder: Path, **options: str) -> list:
    """Load `folder`; the progress told."""
    told: list = []
    engine.load(LoadRequest(folder, **options), threading.Event(), told.append)
    return told


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


def chat(*texts: str) -> tuple[Message, ...]:
    """User and assistant in turns, beginning with the user."""
    messages: list[Message] = []
    for index, text in enumerate(texts):
        parent = messages[-1].id if messages else None
        message = user_message(text, parent)
        if index % 2:
            part = Part(PartKind.TEXT, text)
            message = Message(role=Role.ASSISTANT, parts=(part,), parent_id=parent)
        messages.append(message)
    return tuple(messages)


def request(
    *texts: str, conversation: str = "c", thinking: bool = False, **settings: object
) -> GenerationRequest:
    values = {"max_new_tokens": 12, "thinking": thinking} | settings
    return GenerationRequest(conversation, chat(*texts), GenerationSettings(**values))


def ask(
    engine: Engine, asked: GenerationRequest, cancel: threading.Event | None = None
) -> list[GenerationEvent]:
    return list(engine.generate(asked, cancel or threading.Event()))


def text_of(events: list[GenerationEvent], kind: PartKind | None = None) -> str:
    deltas = [e for e in events if isinstance(e, Delta)]
    return "".join(d.text for d in deltas if kind is None or d.kind is kind)


def reason_of(events: list[GenerationEvent]) -> object:
    (finished,) = [e for e in events if isinstance(e, Finished)]
    assert events[-1] is finished
    return finished.reason
