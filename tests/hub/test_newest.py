"""What a hub lists of an owner: chat checkpoints, newest first, over pages."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from qwen_desktop.chat.hub import Endpoint, Hub
from qwen_desktop.errors import Cancelled, Known
from qwen_desktop.hub.newest import published


def model(name: str, pipeline: str = "text-generation", tags=("safetensors",)) -> dict:
    return {"id": name, "pipeline_tag": pipeline, "tags": list(tags)}


FIRST = [
    model("Qwen/Qwen9-1B"),
    model("Qwen/Qwen9-VL-1B", "image-text-to-text"),
    model("Qwen/Qwen9-1B-GGUF", tags=("gguf",)),
    model("Qwen/Qwen9-27B", "image-text-to-text"),
    model("Qwen/Qwen9-1B-Base"),
    model("Qwen/Qwen9-Embedding"),
    model("other/Qwen9-1B"),
    {"id": 3},
    "nonsense",
]
SECOND = [model("Qwen/Qwen8-1B"), model("Qwen/Qwen9-1B")]


@pytest.fixture
def server():
    asked: list[str] = []
    answers: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = answers.get("all") or json.dumps(FIRST if len(asked) == 1 else SECOND).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if len(asked) == 1 and "all" not in answers:
                address = f"http://127.0.0.1:{self.server.server_address[1]}"
                self.send_header("Link", f'<{address}/api/models?cursor=x>; rel="next"')
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    made.asked, made.answers = asked, answers
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def endpoint(server) -> Endpoint:
    return Endpoint(Hub.HUGGING_FACE, f"http://127.0.0.1:{server.server_address[1]}")


def test_chat_checkpoints_of_the_owner_over_all_pages(server) -> None:
    found = published(endpoint(server), "Qwen", threading.Event())
    assert [str(name) for name in found] == ["Qwen/Qwen9-1B", "Qwen/Qwen9-27B", "Qwen/Qwen8-1B"]
    assert server.asked[0].startswith("/api/models?author=Qwen&")
    assert len(server.asked) == 2


@pytest.mark.parametrize("answer", [b"{}", b'"text"', b"<html></html>"])
def test_an_answer_of_another_kind_is_told(server, answer) -> None:
    server.answers["all"] = answer
    with pytest.raises(Known):
        published(endpoint(server), "Qwen", threading.Event())


def test_it_can_be_left(server) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        published(endpoint(server), "Qwen", stop)
    assert server.asked == []
