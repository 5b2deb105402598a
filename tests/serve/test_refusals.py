"""What is turned away: wrong values, strangers, what is too large. All in OpenAI's form."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI

from qwen_desktop.serve import reading
from qwen_desktop.serve.trouble import Refused
from tests.serve.conftest import FRIEND
from tests.serve.process import DEMO, Served

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Hello"}]


def error(text: str) -> dict[str, object]:
    found = json.loads(text)["error"]
    assert set(found) == {"message", "type", "param", "code"}
    assert found["message"]
    return found


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": True}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"seed": -1}, "seed"),
        ({"stop": [1]}, "stop"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"store": True}, "store"),
        ({"stream": 1}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"chat_template_kwargs": {"enable_thinking": 0}}, "chat_template_kwargs.enable_thinking"),
        ({"chat_template_kwargs": {"x": 1}}, "chat_template_kwargs.x"),
        ({"temprature": 1}, "temprature"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "root", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages.0.content.0"),
        ({"messages": [*MESSAGES, {"role": "system", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages.0.content"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(server: Served, fields: dict[str, object], param: str) -> None:
    status, _, text = server.ask(CHAT, {"messages": MESSAGES, **fields})
    assert status == 400
    found = error(text)
    assert found["param"] == param
    assert found["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1, "logit_bias": {}, "tools": [], "tool_choice": "none", "user": "me"},
        {"temperature": None, "stop": None, "seed": None, "frequency_penalty": 0, "store": False},
        {"response_format": {"type": "text"}, "top_k": -1, "min_p": 0.1, "metadata": {"a": "b"}},
        {"messages": [{"role": "developer", "content": "Be short."}, *MESSAGES]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]},
        {"chat_template_kwargs": {"enable_thinking": False}, "thinking_budget": 10},
    ],
)  # fmt: skip
def test_what_changes_nothing_is_taken(server: Served, fields: dict[str, object]) -> None:
    status, _, text = server.ask(CHAT, {"messages": MESSAGES, "max_tokens": 1, **fields})
    assert (status, json.loads(text)["usage"]["completion_tokens"]) == (200, 1)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"messages": NaN}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":1e',
        b"1",
    ],
)
def test_a_body_that_is_no_object_is_refused(server: Served, body: bytes) -> None:
    status, _, text = server.ask(CHAT, body, method="POST")
    assert (status, error(text)["code"]) == (400, "invalid_json")


def test_halves_of_characters_do_no_harm(server: Served) -> None:
    body = b'{"messages":[{"role":"user","content":"a\\ud83d b\\udc00"}],"max_tokens":1}'
    assert server.ask(CHAT, body)[0] == 200
    status, _, text = server.ask(CHAT, b'{"\\ud83d":1,"messages":[]}')
    assert (status, error(text)["code"]) == (400, "unknown_parameter")


def test_other_paths_models_and_methods(server: Served) -> None:
    status, _, text = server.ask("/v1/embeddings", {})
    assert (status, error(text)["code"]) == (404, "not_found")
    status, headers, text = server.ask(CHAT)
    assert (status, error(text)["code"]) == (405, "method_not_allowed")
    assert headers["allow"] == "POST"
    status, _, text = server.ask(CHAT, {"model": "gpt", "messages": MESSAGES})
    assert (status, error(text)["code"]) == (404, "model_not_found")


def test_a_prompt_that_is_too_long_is_refused_with_both_numbers(server: Served) -> None:
    with OpenAI(base_url=server.url, api_key="none", max_retries=0) as client:
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError) as caught:
                client.chat.completions.create(
                    model="demo-checkpoint",
                    messages=[{"role": "user", "content": "many words " * 3000}],
                    stream=stream,
                )
            assert caught.value.code == "context_length_exceeded"


def test_a_body_that_is_too_large_is_not_read(server: Served) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for length in (17 * 2**20, 10**18):
        with socket.create_connection(("127.0.0.1", server.port)) as there:
            there.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode())
            assert b" 413 " in there.recv(100)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_form_could_send_is_refused(server: Served, kind: str) -> None:
    status, _, text = server.ask(CHAT, {"messages": MESSAGES}, {"Content-Type": kind})
    assert (status, error(text)["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::2]"]
)
def test_names_that_are_not_ours_are_refused(server: Served, host: str) -> None:
    for path in ("/", "/health", "/v1/models"):
        status, _, text = server.ask(path, headers={"Host": host})
        assert (status, error(text)["code"]) == (403, "host_refused")


@pytest.mark.parametrize("host", ["", "a b", "x" * 300, "127.0.0.1:99999999", "a@127.0.0.1"])
def test_names_that_are_none_are_refused(server: Served, host: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as there:
        there.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert b" 400 " in there.recv(100)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "LOCALHOST", "localhost:1"])
def test_names_of_this_machine_are_ours(server: Served, name: str) -> None:
    assert server.ask("/health", headers={"Host": name})[0] == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:1", "file://"]
)
def test_pages_from_elsewhere_are_refused(server: Served, origin: str) -> None:
    for method, body in (("POST", {"messages": MESSAGES}), ("OPTIONS", None)):
        status, headers, text = server.ask(CHAT, body, {"Origin": origin}, method)
        assert (status, error(text)["code"]) == (403, "origin_refused")
        assert not [name for name in headers if name.startswith("access-control")]
    assert server.ask("/v1/models", headers={"Sec-Fetch-Site": "cross-site"})[0] == 403


def test_our_own_page_may_ask(server: Served) -> None:
    body = {"messages": MESSAGES, "max_tokens": 1}
    assert server.ask(CHAT, body, {"Origin": server.address})[0] == 200


def test_the_key_is_asked_for_and_an_origin_can_be_let_in(keyed_server: Served) -> None:
    server = keyed_server
    assert server.key.startswith("qd-")
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": server.key}):
        status, found, text = server.ask(CHAT, {"messages": MESSAGES}, headers)
        assert (status, error(text)["code"]) == (401, "invalid_api_key")
        assert found["www-authenticate"] == "Bearer"
    assert server.ask("/v1/models", headers={"Authorization": "Bearer käy"})[0] == 401
    assert server.ask("/")[0] == server.ask("/health")[0] == 200
    with OpenAI(base_url=server.url, api_key=server.key, max_retries=0) as client:
        assert len(client.models.list().data) == 1
    status, headers, _ = server.ask(CHAT, None, {"Origin": FRIEND}, "OPTIONS")
    assert status == 204
    assert headers["access-control-allow-origin"] == FRIEND
    assert "authorization" in headers["access-control-allow-headers"]
    assert server.key not in "\n".join(server.lines)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--host", "0.0.0.0"], "needs a key"),
        (["--host", "127.0.0.1.example.org"], "needs a key"),
        (["--api-key-env", "NO_SUCH_KEY"], "holds no key"),
        (["--host", "192.0.2.1", "--generate-key"], "cannot listen"),
    ],
)
def test_a_server_that_cannot_be_is_not_begun(
    arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from qwen_desktop import cli

    assert cli.main(["serve", str(DEMO), *arguments]) == 1
    assert word in capsys.readouterr().err


def test_a_port_that_is_taken_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    from qwen_desktop import cli

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert cli.main(["serve", str(DEMO), "--port", port]) == 1
    assert f"Port {port} is in use" in capsys.readouterr().err


def test_a_folder_that_does_not_open_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from qwen_desktop import cli

    assert cli.main(["serve", str(tmp_path), "--port", "0"]) == 1
    assert "config.json" in capsys.readouterr().err


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
known_fields = st.sampled_from(sorted(reading._CHAT | reading._COMPLETION))


@given(st.dictionaries(known_fields, json_values, max_size=5))
def test_whatever_a_field_holds_is_read_or_refused(fields: dict[str, object]) -> None:
    for read, usual in (
        (reading.chat, {"messages": MESSAGES}),
        (reading.completion, {"prompt": "x"}),
    ):
        try:
            asked = read({**usual, **fields})
        except Refused as refused:
            error(json.dumps(refused.body()))
        else:
            assert asked.messages
