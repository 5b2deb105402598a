"""Real servers with the demo checkpoint: `transformers serve`, and our own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import pytest

from qwen_desktop.chat.connection import ServerKind
from qwen_desktop.chat.events import Delta, Finished, FinishReason, Started
from qwen_desktop.chat.events import Usage as UsageEvent
from qwen_desktop.chat.messages import Message, Part, PartKind, Role, Status, user_message
from qwen_desktop.engine.remote import RemoteEngine
from qwen_desktop.errors import Known
from tests.engine.remote.conftest import request_to
from tests.serve.process import DEMO, served

PATIENCE_S = 120.0  # only ever waited for in full by a test that fails


@pytest.fixture(scope="session")
def transformers_serve(no_network: None) -> Iterator[str]:
    """The address of `transformers serve` with the demo checkpoint."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(DEMO)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        try:
            with opener.open(url, timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail("transformers serve did not start")


@pytest.fixture(scope="session")
def our_serve(no_network: None) -> Iterator[str]:
    """The address of `qwen-desktop serve` with the demo checkpoint."""
    with served() as found:
        yield found.url


@pytest.fixture(params=["transformers_serve", "our_serve"])
def place(
    request: pytest.FixtureRequest, transformers_serve: str, our_serve: str
) -> tuple[str, str]:
    """Address and model of each of them."""
    if request.param == "our_serve":
        return our_serve, DEMO.name
    return transformers_serve, str(DEMO)


def said(events):
    return "".join(e.text for e in events if isinstance(e, Delta) and e.kind is PartKind.TEXT)


GREEDY = {"temperature": 0.0, "thinking": False, "max_new_tokens": 24}


def test_an_answer(remote: RemoteEngine, stop, place):
    address, model = place
    request = request_to(address, user_message("What is a token?", None), model=model, **GREEDY)
    events = list(remote.generate(request, stop))
    assert said(events).strip()
    assert events[-1].reason in (FinishReason.LENGTH, FinishReason.STOP)
    usage = [event for event in events if isinstance(event, UsageEvent)][-1]
    assert not events[-1].estimated
    assert usage.stats.prompt_tokens > 5
    assert 0 < usage.stats.new_tokens <= 25
    assert said(list(remote.generate(request, stop))) == said(events), "greedy"


def test_thinking_leaves_no_tags(remote: RemoteEngine, stop, place):
    address, model = place
    request = request_to(address, model=model, temperature=0.0, thinking=True, max_new_tokens=24)
    events = list(remote.generate(request, stop))
    assert "think>" not in said(events)


def test_stop_and_the_next(remote: RemoteEngine, place):
    address, model = place
    stop = threading.Event()
    request = request_to(address, model=model, temperature=0.0, loop_guard=False)
    events = []
    for event in remote.generate(request, stop):
        events.append(event)
        if isinstance(event, Delta):
            stop.set()
    assert events[-1].reason is FinishReason.STOPPED
    short = request_to(address, model=model, **{**GREEDY, "max_new_tokens": 2})
    assert list(remote.generate(short, threading.Event()))[-1].reason is FinishReason.LENGTH


def test_fields_it_refuses(remote: RemoteEngine, stop, transformers_serve):
    request = request_to(
        transformers_serve, model=str(DEMO), top_k=5, min_p=0.1, repetition_penalty=1.1, **GREEDY
    )
    events = list(remote.generate(request, stop))
    assert said(events)
    (started,) = [event for event in events if isinstance(event, Started)]
    left = set(started.provenance.not_taken.split(", "))
    assert left == {"top_k", "min_p", "repetition_penalty"}


def test_our_own_server_takes_all_settings(remote: RemoteEngine, stop, our_serve):
    found = remote.test(request_to(our_serve).remote.connection)
    assert found.kind is ServerKind.QWEN_DESKTOP
    (model,) = found.models
    assert model.context_length > 0
    request = request_to(
        our_serve,
        model=model.name,
        top_k=5,
        min_p=0.1,
        repetition_penalty=1.1,
        presence_penalty=0.1,
        seed=3,
        stop_strings="QQQ",
        logprobs=2,
        thinking_budget=8,
        temperature=0.5,
        max_new_tokens=24,
    )
    events = list(remote.generate(request, stop))
    (started,) = [event for event in events if isinstance(event, Started)]
    assert started.provenance.not_taken == ""
    assert started.provenance.context_limit == model.context_length
    assert said(list(remote.generate(request, stop))) == said(events), "the seed is told"


def test_our_own_server_continues(remote: RemoteEngine, stop, our_serve):
    asked = user_message("What is a token?", None)
    request = request_to(our_serve, asked, model=DEMO.name, **GREEDY)
    whole = said(list(remote.generate(request, stop)))
    cut = Message(Role.ASSISTANT, (Part(PartKind.TEXT, whole[:10]),), status=Status.STOPPED)
    more = list(remote.generate(replace(request, messages=(asked, cut)), stop))
    assert isinstance(more[-1], Finished)
    assert said(more)


def test_another_model(remote: RemoteEngine, stop, place):
    address, _ = place
    with pytest.raises(Known) as caught:
        list(remote.generate(request_to(address, model="nobody/nothing"), stop))
    assert caught.value.code in ("remote-model", "remote-refused-request")
