"""What servers say of themselves: models, kind and version, how busy they are."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.connection import (
    Connection,
    RemoteModel,
    ServerKind,
    ServerState,
    normal_address,
)
from qwen_desktop.engine.remote.metrics import state_of
from qwen_desktop.errors import Cancelled, Known
from tests.engine.remote.fakeserver import fake

VLLM = """
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="Qwen/Qwen3-32B"} 3.0
vllm:num_requests_running{engine="1",model_name="Qwen/Qwen3-32B"} 2.0
vllm:num_requests_waiting{engine="0",model_name="Qwen/Qwen3-32B"} 4.0
%s{engine="0",model_name="a } b"} 0.5
%s{engine="1",model_name="a } b"} 0.25
"""


@pytest.mark.parametrize("name", ["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"])
def test_state_of_vllm(name):
    assert state_of(VLLM % (name, name)) == ServerState(0.375, 5, 4)


def test_state_of_sglang():
    text = (
        'sglang:num_running_reqs{model_name="m"} 1\n'
        'sglang:token_usage{model_name="m"} 0.28 1700000000000\n'
        "sglang:num_queue_reqs 0\n"
    )
    assert state_of(text) == ServerState(0.28, 1, 0)


def test_state_of_another():
    assert state_of("process_cpu_seconds_total 12.5\n") is None


@given(st.text())
def test_any_page_is_read(text):
    state_of(text + "\nvllm:num_requests_running NaN\n")


def test_the_page_is_beside_the_api(remote):
    with fake() as server:
        server.pages["/metrics"] = lambda x: x.send(b"vllm:num_requests_running 2\n", "text/plain")
        assert remote.state(Connection("Lab", server.address)) == ServerState(None, 2, None)
        del server.pages["/metrics"]
        assert remote.state(Connection("Lab", server.address)) is None
    assert remote.state(Connection("Lab", server.address)) is None  # nobody there


def test_who_is_known_to_have_no_such_page_is_not_asked_for_it(remote):
    with fake() as server:
        server.models = {"object": "list", "data": [{"id": "m", "owned_by": "qwen-desktop"}]}
        connection = Connection("Lab", server.address)
        remote.test(connection)
        assert remote.state(connection) is None
        assert "/metrics" not in [asked.path for asked in server.seen]


def ollama(server):
    server.pages["/api/version"] = lambda x: x.json({"version": "0.12.3"})


def tgi(server):
    server.pages["/info"] = lambda x: x.json({"max_total_tokens": 4096, "version": "3.3.4"})


def vllm(server):
    server.models = {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 32768}]}
    server.pages["/version"] = lambda x: x.json({"version": "0.11.0"})


def llama(server):
    meta = {"n_ctx_train": 40960, "n_ctx": 8192}
    server.models = {"data": [{"id": "m", "owned_by": "llamacpp", "meta": meta}]}


def llama_props(server):
    meta = {"n_ctx_train": 262144, "n_vocab": 151936}
    server.models = {"data": [{"id": "m", "owned_by": "llamacpp", "meta": meta}]}
    told = {"build_info": "b8681", "default_generation_settings": {"n_ctx": 65536}}
    server.pages["/props"] = lambda x: x.json(told)


def sglang(server):
    server.models = {"data": [{"id": "m", "owned_by": "sglang", "max_model_len": 40960}]}
    server.pages["/server_info"] = lambda x: x.json({"version": "0.5.4"})


@pytest.mark.parametrize(
    ("prepare", "kind", "version", "length"),
    [
        (ollama, ServerKind.OLLAMA, "0.12.3", 0),
        (tgi, ServerKind.TGI, "3.3.4", 4096),
        (vllm, ServerKind.VLLM, "0.11.0", 32768),
        (llama, ServerKind.LLAMA_SERVER, "", 8192),
        (llama_props, ServerKind.LLAMA_SERVER, "b8681", 65536),
        (sglang, ServerKind.SGLANG, "0.5.4", 40960),
        (lambda server: None, ServerKind.OPENAI, "", 0),
    ],
)
def test_kinds(remote, prepare, kind, version, length):
    with fake() as server:
        server.models = {"data": [{"id": "m", "owned_by": "someone"}]}
        prepare(server)
        found = remote.test(Connection("Lab", server.address))
    assert (found.kind, found.version) == (kind, version)
    assert [(model.name, model.context_length) for model in found.models] == [("m", length)]
    assert found.latency > 0


def test_a_kind_that_was_chosen_is_believed(remote):
    with fake() as server:
        chosen = Connection("Lab", server.address, kind=ServerKind.SGLANG)
        assert remote.test(chosen).kind is ServerKind.SGLANG


def test_an_odd_list(remote):
    with fake() as server:
        server.models = {"data": [5, {"id": 7}, {"id": "m"}]}
        assert remote.models(Connection("Lab", server.address)) == (RemoteModel("m"),)


@pytest.mark.parametrize("body", [{"data": "x"}, 5])
def test_no_list(remote, body):
    with fake() as server:
        server.models = body
        with pytest.raises(Known) as caught:
            remote.models(Connection("Lab", server.address))
    assert caught.value.code == "remote-nonsense"


def test_a_test_can_be_cancelled(remote):
    with fake() as server:
        stop = threading.Event()

        def quiet(x):
            stop.set()
            x.hang()

        server.pages["/v1/models"] = quiet
        with pytest.raises(Cancelled):
            remote.test(Connection("Lab", server.address), stop)


@pytest.mark.parametrize(
    ("typed", "base"),
    [
        ("localhost:8000", "http://localhost:8000/v1"),
        ("gpu7.lab:8000/", "https://gpu7.lab:8000/v1"),
        ("http://gpu7:8000", "http://gpu7:8000/v1"),
        ("[::1]:9000", "http://[::1]:9000/v1"),
        ("https://user:pass@h/v1/chat/completions?key=1#x", "https://h/v1"),
        ("https://h/compatible-mode/v1/", "https://h/compatible-mode/v1"),
        ("", ""),
        ("ftp://h", ""),
        ("http://", ""),
        ("http://h:99999", ""),
        ("two words", ""),
    ],
)
def test_addresses(typed, base):
    assert normal_address(typed) == base


@given(st.text())
def test_an_address_is_settled_once(typed):
    base = normal_address(typed)
    assert normal_address(base) == base
