"""Clients that stay and do not read hold nobody up; faults of ours are told without words."""

from __future__ import annotations

import json
import queue
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwen_desktop.chat.events import Delta, Finished, FinishReason, Started
from qwen_desktop.chat.messages import PartKind, Provenance
from qwen_desktop.chat.model import GenerationRequest, ModelInfo
from qwen_desktop.serve import answers
from qwen_desktop.serve.running import Running
from qwen_desktop.serve.served import Entry
from qwen_desktop.serve.site import ServeOptions
from qwen_desktop.serve.source import Job, Phase, Standing

INFO = ModelInfo("M", Path("M"), "qwen3", 1, 1, 4096, 1, "CPU", "BF16", True, False)
PIECES, PIECE = 80, "word " * 40_000  # more than the system keeps for one who does not read


class Fast:
    """Says a lot to a long question, at once, and little to a short one."""

    def standing(self) -> Standing:
        return Standing(Phase.READY, INFO)

    def begin(self, job: Job) -> None:
        text = job.request.messages[-1].text
        if "faulty" in text:
            raise ValueError(text)
        threading.Thread(target=self._work, args=(job,)).start()

    def _work(self, job: Job) -> None:
        long = "long" in job.request.messages[-1].text
        job.put(Started(Provenance(), ()))
        for _ in range(PIECES if long else 1):
            if job.stop.is_set():
                break
            job.put(Delta(PartKind.TEXT, PIECE if long else "Hi"))
        job.put(Finished(FinishReason.STOPPED if job.stop.is_set() else FinishReason.STOP))

    def prepare(self, request: GenerationRequest) -> None:
        """There is nothing to read ahead."""

    def forget(self, conversation_ids: tuple[str, ...]) -> None:
        """Nothing is kept."""


@pytest.fixture
def ended() -> queue.SimpleQueue[Entry]:
    """What the log was told of requests."""
    return queue.SimpleQueue()


@pytest.fixture
def running(ended: queue.SimpleQueue[Entry], monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(answers, "UNREAD_S", 0.3)
    found = Running(Fast(), ServeOptions(port=0), ended.put, lambda _: None, lambda: None)
    found.start()
    yield found
    found.close()
    assert found.join(20)


def body_of(text: str) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": text}], "stream": True}).encode()


def ask(running: Running, text: str) -> bytes:
    headers = {"Content-Type": "application/json"}
    address = f"{running.address}/v1/chat/completions"
    request = urllib.request.Request(address, body_of(text), headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.read()


def test_a_client_that_does_not_read_is_left(
    running: Running, ended: queue.SimpleQueue[Entry]
) -> None:
    body = body_of("something long")
    with socket.create_connection(("127.0.0.1", running.port)) as lazy:
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}"
        )
        lazy.sendall(f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + body)
        entry = ended.get(timeout=60)
        assert entry.left
        assert b"Hi" in ask(running, "Hello")


def test_a_client_that_reads_has_all_of_it(running: Running) -> None:
    assert ask(running, "something long").count(b"word ") == PIECES * 40_000


def test_a_fault_of_ours_is_told_and_logged_without_words(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(running, "a faulty secret")
    assert caught.value.code == 500
    assert "secret" not in caught.value.read().decode()
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text
    assert b"Hi" in ask(running, "Hello")
