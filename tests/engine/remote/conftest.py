"""What the tests of remote engines share. Nothing here needs torch in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from qwen_desktop.chat.connection import Connection, RemoteTarget, Timeouts
from qwen_desktop.chat.messages import Message, user_message
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.engine.remote import RemoteEngine
from tests.engine.remote.fakeserver import KEY

Ask = Callable[..., GenerationRequest]


def request_to(
    address: str,
    *said: Message,
    model: str = "m",
    timeouts: Timeouts | None = None,
    **settings: object,
) -> GenerationRequest:
    """A request for an answer of the server at `address`."""
    connection = Connection("Lab", address, id="lab", timeouts=timeouts or Timeouts())
    messages = said or (user_message("Hi", None),)
    return GenerationRequest(
        "chat", messages, GenerationSettings(**settings), remote=RemoteTarget(connection, model)
    )


def key_of(connection: Connection) -> str | None:
    """The keys of the tests."""
    return KEY if connection.id == "lab" else None


@pytest.fixture
def remote() -> RemoteEngine:
    return RemoteEngine(key_of)


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()
