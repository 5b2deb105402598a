"""Servers that refuse, break off and make no sense: a sentence each, and the text so far."""

from __future__ import annotations

import logging
import socket
import threading
import traceback
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.connection import Connection, RemoteTarget, Timeouts
from qwen_desktop.chat.context import Policy
from qwen_desktop.chat.events import Delta, Finished, FinishReason, Progress, Stage, Started
from qwen_desktop.chat.messages import Message, Part, PartKind, Role, user_message
from qwen_desktop.engine.remote.fields import refused
from qwen_desktop.engine.remote.refusals import BUSY_SECONDS, Changes, longest
from qwen_desktop.errors import Known, report_of
from tests.engine.remote.conftest import request_to
from tests.engine.remote.fakeserver import KEY, Exchange, chunk, fake


def failure(remote, address, **options):
    """The text until the trouble, and the trouble."""
    said = []
    try:
        for event in remote.generate(request_to(address, **options), threading.Event()):
            said += [event.text] if isinstance(event, Delta) else []
    except Known as known:
        return "".join(said), known
    pytest.fail("no trouble")


def refuse(status, body=None, **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda x: x.json(body if body is not None else {"error": {}}, status, names)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "remote-key"),
        (403, "remote-forbidden"),
        (405, "remote-not-found"),
        (500, "remote-failed"),
        (502, "remote-failed"),
        (418, "remote-refused-request"),
        (307, "remote-redirect"),
    ],
)
def test_refusals(remote, status, code):
    with fake(refuse(status, {"error": {"message": f"no: {KEY}"}}, Location="/elsewhere")) as s:
        _, known = failure(remote, s.address)
        assert len(s.asked) == 1
    assert known.code == code
    assert KEY not in known.report().text() + str(report_of(known))


def test_a_model_that_is_not_there_names_those_that_are(remote):
    with fake(refuse(404, {"message": "The model `x` does not exist."})) as server:
        server.models = {"data": [{"id": "Qwen3-4B"}, {"id": "Qwen3-8B"}]}
        _, known = failure(remote, server.address, model="x")
    assert known.code == "remote-model"
    assert "Qwen3-4B, Qwen3-8B" in str(known)


def test_an_address_that_is_wrong(remote):
    with fake(refuse(404, {"detail": "Not Found"})) as server:
        _, known = failure(remote, server.address)
    assert known.code == "remote-not-found"


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"message": "Unrecognized request argument supplied: min_p", "param": "min_p"}},
        {"detail": [{"loc": ["body", "min_p"], "msg": "Extra inputs are not permitted"}]},
        {"detail": "Unexpected fields in the request: {'min_p'}"},
    ],
)
def test_a_field_that_is_not_known_is_left_out_and_said(remote, stop, said):
    def picky(x: Exchange):
        if "min_p" in x.body:
            x.json(said, 422)
        else:
            x.stream(chunk("ok"), chunk(finish="stop"))

    with fake(picky) as server:
        for times in (2, 3):  # it is remembered
            request = request_to(server.address, min_p=0.1, top_k=5)
            events = list(remote.generate(request, stop))
            assert len(server.asked) == times
            (started,) = [e for e in events if isinstance(e, Started)]
            assert started.provenance.not_taken == "min_p"
            assert dict(started.provenance.sampling) == {"top_k": 5.0}
        assert server.asked[-1].body["top_k"] == 5


def test_too_long(remote):
    said = "This model's maximum context length is 4096 tokens. However, you requested 5000."
    with fake(refuse(400, {"error": {"message": said}})) as server:
        _, known = failure(remote, server.address)
    assert known.code == "remote-context"
    assert "4096" in str(known)


def long_request(address, **options):
    """A chat of twenty turns, of about two thousand tokens by an estimate."""
    said = []
    for number in range(20):
        asked = user_message(f"question {number} " + "word " * 30, said[-1].id if said else None)
        parts = (Part(PartKind.TEXT, "answer " * 30),)
        said += [asked, Message(Role.ASSISTANT, parts, parent_id=asked.id)]
    return request_to(address, *said, user_message("the last", said[-1].id), **options)


class Small:
    """A server whose context takes `most` characters of messages, and says `said` otherwise."""

    def __init__(self, most, said):
        self.most, self.said = most, said

    def __call__(self, x: Exchange):
        if sum(len(row["content"]) for row in x.body["messages"]) > self.most:
            x.json({"error": {"message": self.said}}, 400)
        else:
            x.stream(chunk("ok"), chunk(finish="stop"))


TOO_LONG = {
    "vLLM": "This model's maximum context length is 1000 tokens. However, you requested 9000.",
    "SGLang": "The input (2000 tokens) is longer than the model's context length (1000 tokens).",
    "llama-server": "request (2000 tokens) exceeds the available context size (1000 tokens)",
    "DashScope": "InvalidParameter: Range of input length should be [1, 1000]",
    "TGI": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 1000. Given: 9",
}


@pytest.mark.parametrize("name", TOO_LONG)
def test_a_length_that_a_refusal_names_is_kept_to(remote, stop, name):
    """Nobody had told it before: the oldest turns go, as the chat wants, and it is answered."""
    with fake(Small(3400, TOO_LONG[name])) as server:
        request = long_request(server.address)
        events = list(remote.generate(request, stop))
        assert events[-1].reason is FinishReason.STOP
        sent = [row["content"] for row in server.asked[-1].body["messages"]]
        assert sent[-1] == "the last"
        (started,) = [e for e in events if isinstance(e, Started)]
        assert started.provenance.context_limit == 1000
        assert len(started.provenance.unseen) + len(sent) == len(request.messages)
        tries = len(server.asked)
        list(remote.generate(request, stop))
        assert len(server.asked) == tries + 1, "it is remembered"
        assert remote.count_prompt(request).limit == 1000


def test_an_estimate_that_was_too_low_is_raised(remote, stop):
    said = "This model's maximum context length is 2500 tokens, and the prompt is longer."
    with fake(Small(2000, said)) as server:
        server.models = {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 2500}]}
        assert list(remote.generate(long_request(server.address), stop))[-1].reason
        assert len(server.asked) < 7
        _, known = failure(remote, server.address, system_prompt="x" * 3000)
        assert known.code == "remote-context", "what has to stay does not fit"


def test_nothing_is_left_out_where_the_user_wants_to_be_asked(remote, stop):
    with fake(Small(1500, TOO_LONG["vLLM"])) as server:
        request = replace(long_request(server.address), policy=Policy.ASK)
        with pytest.raises(Known) as caught:
            list(remote.generate(request, stop))
        assert caught.value.code == "remote-context"
        assert len(server.asked) == 1


def test_an_answer_that_would_be_too_long_is_asked_for_without_a_limit(remote, stop):
    def picky(x: Exchange):
        if "max_tokens" in x.body or "max_completion_tokens" in x.body:
            said = "'max_tokens' or 'max_completion_tokens' is too large: 4096. This model's"
            x.json({"error": {"message": f"{said} maximum context length is 2048 tokens"}}, 400)
        else:
            x.stream(chunk("ok"), chunk(finish="stop"))

    with fake(picky) as server:
        for times in (2, 4):  # the next may fit: it is told again
            list(remote.generate(request_to(server.address), stop))
            assert len(server.asked) == times
            assert "max_tokens" in server.asked[-2].body


def test_the_newer_name_of_a_field(remote, stop):
    said = "Unsupported parameter: 'max_tokens' is not supported with this model. Use "

    def picky(x: Exchange):
        if "max_tokens" in x.body:
            x.json({"error": {"message": said + "'max_completion_tokens' instead."}}, 400)
        else:
            x.stream(chunk("ok"), chunk(finish="stop"))

    with fake(picky) as server:
        events = list(remote.generate(request_to(server.address, max_new_tokens=77), stop))
        assert server.asked[-1].body["max_completion_tokens"] == 77
    (started,) = [e for e in events if isinstance(e, Started)]
    assert started.provenance.not_taken == ""


def test_an_account_with_nothing_left_is_not_waited_for(remote):
    said = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    with fake(refuse(429, said, Retry_After="1")) as server:
        _, known = failure(remote, server.address)
        assert len(server.asked) == 1
    assert known.code == "remote-quota"


@pytest.mark.parametrize(
    ("finish", "delta", "code"),
    [
        ("content_filter", {"content": "so far"}, "remote-filtered"),
        ("tool_calls", {"tool_calls": [{"index": 0, "function": {"name": "f"}}]}, "remote-tool"),
        ("abort", {"content": "so far"}, "remote-failed"),
    ],
)
def test_an_end_that_is_not_the_model_s(remote, finish, delta, code):
    with fake(lambda x: x.stream(chunk(**delta), chunk(finish=finish))) as server:
        said, known = failure(remote, server.address)
    assert said == delta.get("content", "")
    assert known.code == code


@given(st.text())
def test_any_refusal_is_read(said):
    longest(said)
    assert refused(said, 422, {"model": 1, "messages": 2, "top_k": 3}) in ((), ("top_k",))


def test_busy_is_waited_for(remote, stop):
    with fake(refuse(429, Retry_After="1"), lambda x: x.stream(chunk("ok", finish="stop"))) as s:
        events = list(remote.generate(request_to(s.address), stop))
        assert len(s.asked) == 2
    assert Progress(Stage.WAITING, 0, 1) in events
    assert events[-1].reason is FinishReason.STOP


def test_a_busy_one_that_wants_no_pause_is_not_asked_without_end():
    changes, pauses = Changes(frozenset()), []
    while (again := changes.pause(503, {"retry-after": "0"})) is not None:
        pauses.append(again.seconds)
        assert len(pauses) < 20
    assert pauses == sorted(pauses)
    assert 0 < sum(pauses) <= BUSY_SECONDS


def test_waiting_for_a_busy_one_can_be_stopped(remote, stop):
    with fake(refuse(429, Retry_After="100")) as server:
        events = []
        for event in remote.generate(request_to(server.address), stop):
            events.append(event)
            if isinstance(event, Progress) and event.stage is Stage.WAITING:
                stop.set()
        assert events[-1] == Finished(FinishReason.STOPPED)


def test_a_pause_of_hours_is_not_waited_for(remote):
    with fake(refuse(429, Retry_After="7200")) as server:
        _, known = failure(remote, server.address)
    assert known.code == "remote-busy"


def raw(*lines: bytes, kind="text/event-stream", length=None):
    def talk(x: Exchange):
        x.begin(kind, length=length)
        x.event(chunk("so far"))
        for line in lines:
            x.line(line)

    return talk


BROKEN = {
    "cut": (raw(length=100_000), "remote-cut"),
    "ended without a reason": (raw(), "remote-cut"),
    "no JSON": (raw(b"data: {oops\n\n"), "remote-nonsense"),
    "a number": (raw(b"data: 5\n\n"), "remote-nonsense"),
    "a list": (raw(b"data: [1]\n\n"), "remote-nonsense"),
    "null": (raw(b"data: null\n\n"), "remote-nonsense"),
    "choices of no use": (raw(b'data: {"choices": "x"}\n\n'), "remote-nonsense"),
    "content of no use": (
        raw(b'data: {"choices": [{"delta": {"content": 7}}]}\n\n'),
        "remote-nonsense",
    ),
    "not UTF-8": (raw(b'data: {"choices": "\xff\xfe"}\n\n'), "remote-nonsense"),
    "trouble amid": (
        raw(b'data: {"error": {"message": "CUDA out of memory", "code": 500}}\n\n'),
        "remote-failed",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_came_before_is_kept(remote, name):
    talk, code = BROKEN[name]
    with fake(talk) as server:
        said, known = failure(remote, server.address)
    assert said == "so far"
    assert known.code == code


def test_no_done_is_no_trouble(remote, stop):
    with fake(lambda x: x.stream(chunk("ok"), chunk(finish="stop"), done=False)) as server:
        events = list(remote.generate(request_to(server.address), stop))
    assert events[-1].reason is FinishReason.STOP


def test_a_huge_line(remote, stop):
    with fake(lambda x: x.stream(chunk("a b " * 500_000), chunk(finish="stop"))) as server:
        events = list(remote.generate(request_to(server.address, loop_guard=False), stop))
    assert sum(len(e.text) for e in events if isinstance(e, Delta)) == 2_000_000


def test_a_web_page(remote):
    with fake(lambda x: x.send(b"<html>Log in</html>", "text/html")) as server:
        server.pages["/v1/models"] = lambda x: x.send(b"<html>Log in</html>", "text/html")
        _, known = failure(remote, server.address)
        assert known.code == "remote-page"
        with pytest.raises(Known) as caught:
            remote.models(Connection("Lab", server.address))
        assert caught.value.code == "remote-page"


@pytest.mark.parametrize("amid", [False, True])
def test_silence(remote, amid):
    def quiet(x: Exchange):
        x.begin()
        if amid:
            x.event(chunk("so far"))
        x.hang()

    with fake(quiet) as server:
        limits = Timeouts(0.2, 20 if amid else 0.3, 0.3)
        said, known = failure(remote, server.address, timeouts=limits)
        assert server.left.wait(10)
    assert (said, known.code) == ("so far" if amid else "", "remote-silent")


def test_a_prompt_may_be_read_after_the_answer_was_announced(remote, stop):
    def slow(x: Exchange):
        x.begin()
        x.event(chunk("", role="assistant"))
        x.ended.wait(0.5)
        x.event(chunk("ok", finish="stop"))

    with fake(slow) as server:
        request = request_to(server.address, timeouts=Timeouts(5, 20, 0.1))
        assert list(remote.generate(request, stop))[-1].reason is FinishReason.STOP


def test_nobody_there(remote):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        _, known = failure(remote, f"http://127.0.0.1:{free.getsockname()[1]}/v1")
    assert known.code == "remote-refused"


def test_https_to_a_server_without_it(remote):
    with fake() as server:
        _, known = failure(remote, server.address.replace("http:", "https:"))
    assert known.code == "remote-tls"


@pytest.mark.parametrize(
    "address", ["what is this", "256.1.1.1:80", "http://[v1.x]/v1", "http://\U0001f600.invalid"]
)
def test_no_address(remote, address):
    _, known = failure(remote, address)
    assert known.code == "remote-address"
    with pytest.raises(Known) as caught:
        remote.models(Connection("Lab", address))
    assert caught.value.code == "remote-address"


def test_the_key_is_nowhere(remote, caplog):
    caplog.set_level(logging.DEBUG)
    with fake(refuse(401, {"error": {"message": f"Incorrect API key provided: {KEY}"}})) as server:
        said, known = failure(remote, server.address)
        request = request_to(server.address)
    trace = "".join(traceback.format_exception(known))
    report = report_of(known)
    everything = [trace, repr(known), repr(report), report.for_log(), said, repr(request)]
    everything += [repr(remote), repr(RemoteTarget(request.remote.connection, "m")), caplog.text]
    assert KEY not in "".join(everything)
