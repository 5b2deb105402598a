"""The part of the panel that is about the server of a chat."""

from __future__ import annotations

import pytest

from qwen_desktop.bridge.asking import ChatPlace
from qwen_desktop.chat.connection import Connection, RemoteTarget, ServerState
from qwen_desktop.chat.context import RemoteChoice
from qwen_desktop.ui.server_view import ServerView

LAB = Connection("Lab", "http://gpu.lan:8000/v1", id="lab")


@pytest.fixture
def view(qtbot, looks):
    made = ServerView()
    qtbot.addWidget(made)
    return made


def place(context: int) -> ChatPlace:
    return ChatPlace(RemoteChoice("lab", "m"), RemoteTarget(LAB, "m", context))


def shown(view) -> dict[str, str]:
    facts = {"host": view.host, "model": view.model, "context": view.context}
    facts |= {"kv": view.kv, "queue": view.queue}
    return {name: fact.value for name, fact in facts.items() if not fact.isHidden()}


def test_it_is_there_for_chats_of_servers_alone(view):
    assert view.isHidden()
    view.set_place(place(131_072))
    assert not view.isHidden()
    assert shown(view) == {"host": "gpu.lan:8000", "model": "m", "context": "131,072 tokens"}
    view.set_place(place(0))  # the server has not told
    assert "context" not in shown(view)
    view.set_place(ChatPlace())
    assert view.isHidden()


def test_what_a_server_does_not_tell_is_not_shown(view):
    view.set_place(place(4096))
    view.set_state(ServerState(kv_usage=0.5, running=2, waiting=1))
    assert shown(view)["kv"] == "50.0 %"
    assert shown(view)["queue"] == "2 running, 1 waiting"
    assert not view.bar.isHidden()
    assert view.bar.accessibleDescription() == "50.0 %"
    assert view.bar.colour == "accent"
    view.set_state(ServerState(kv_usage=0.95))
    assert view.bar.colour == "warning"  # it will soon begin to preempt
    assert "queue" not in shown(view)
    view.set_state(ServerState(running=0, waiting=0))
    assert shown(view)["queue"] == "0 running, 0 waiting"
    assert view.bar.isHidden()
    view.set_state(None)
    assert {"kv", "queue"}.isdisjoint(shown(view))
