"""What becomes of a server's stream: text, reasoning, counts, sampling, stops."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_desktop.chat.connection import ServerKind, Timeouts
from qwen_desktop.chat.context import Policy
from qwen_desktop.chat.events import Delta, Finished, FinishReason, Progress, Scored, Stage, Started
from qwen_desktop.chat.events import Usage as UsageEvent
from qwen_desktop.chat.messages import Message, Part, PartKind, Role, Status, user_message
from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.engine.remote import RemoteEngine
from qwen_desktop.engine.remote.fields import body_of
from qwen_desktop.errors import Known
from tests.engine.remote.conftest import request_to
from tests.engine.remote.fakeserver import KEY, Exchange, chunk, fake, usage


def text_of(events, kind=PartKind.TEXT):
    return "".join(e.text for e in events if isinstance(e, Delta) and e.kind is kind)


def last(events, kind):
    return [event for event in events if isinstance(event, kind)][-1]


def answer(text, finish="stop"):
    return lambda x: x.stream(*[chunk(c) for c in text], chunk(finish=finish))


def test_answer_with_the_server_s_own_counts(remote: RemoteEngine, stop):
    told = usage(40, 7, prompt_tokens_details={"cached_tokens": 32})
    with fake(lambda x: x.stream(chunk("Hel"), chunk("lo"), chunk(finish="stop"), told)) as server:
        events = list(remote.generate(request_to(server.address), stop))
    assert text_of(events) == "Hello"
    stats = last(events, UsageEvent).stats
    assert (stats.prompt_tokens, stats.reused_tokens, stats.answer_tokens) == (40, 32, 7)
    assert events[-1] == Finished(FinishReason.STOP)
    origin = last(events, Started).provenance
    assert (origin.connection, origin.address) == ("Lab", server.address)
    assert (origin.remote_model, origin.engine) == ("as-served", "vLLM")


def test_counts_of_the_middle_are_not_those_of_the_end(remote: RemoteEngine, stop):
    """Some servers count in each chunk; where the last count is missing it is an estimate."""
    early = {**chunk("one"), "usage": usage(40, 1)["usage"]}
    parts = [chunk(role="assistant", content=""), early, chunk(" two"), chunk(finish="stop")]
    with fake(lambda x: x.stream(*parts)) as server:
        events = list(remote.generate(request_to(server.address), stop))
    assert text_of(events) == "one two"
    assert events[-1].estimated


def test_ollama_tells_the_context_once_the_model_is_loaded(remote: RemoteEngine, stop):
    loaded = []
    with fake(lambda x: (loaded.append(1), x.stream(chunk("ok"), chunk(finish="stop")))) as server:
        server.models = {"data": [{"id": "m", "owned_by": "library"}]}
        rows = [{"name": "m", "model": "m", "context_length": 4096}]
        server.pages["/api/ps"] = lambda x: x.json({"models": rows if loaded else []})
        limits = []
        for _ in range(2):
            events = list(remote.generate(request_to(server.address), stop))
            limits.append(last(events, Started).provenance.context_limit)
    assert limits == [0, 4096]


def test_counts_are_said_to_be_estimates(remote: RemoteEngine, stop):
    with fake(answer("abc", finish="length")) as server:
        events = list(remote.generate(request_to(server.address), stop))
    assert last(events, UsageEvent).stats.answer_tokens == 3
    assert events[-1] == Finished(FinishReason.LENGTH, estimated=True)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_told_apart(remote: RemoteEngine, stop, field):
    parts = [chunk(**{field: "hm"}), chunk("yes"), chunk(finish="stop")]
    with fake(lambda x: x.stream(*parts)) as server:
        events = list(remote.generate(request_to(server.address, model="Qwen3-Thinking"), stop))
    assert text_of(events, PartKind.REASONING) == "hm"
    assert text_of(events) == "yes"


def test_markers_in_the_text_wherever_it_is_cut(remote: RemoteEngine, stop):
    whole = "<think>\nso so\n</think>\n\nwell"

    with fake() as server:

        @settings(max_examples=40, deadline=None)
        @given(st.lists(st.integers(0, len(whole)), max_size=6))
        def check(cuts):
            at = sorted({0, len(whole), *cuts})
            pieces = [chunk(whole[a:b]) for a, b in pairwise(at)]
            server.answers = [lambda x: x.stream(*pieces, chunk(finish="stop"))]
            events = list(remote.generate(request_to(server.address), stop))
            assert text_of(events, PartKind.REASONING) == "so so"
            assert text_of(events) == "well"

        check()


def test_a_thought_that_the_chat_format_opens(remote: RemoteEngine, stop):
    with fake(answer("so\n</think>\n\nwell")) as server:
        request = request_to(server.address, model="Qwen3-4B-Thinking-2507")
        events = list(remote.generate(request, stop))
    assert (text_of(events, PartKind.REASONING), text_of(events)) == ("so", "well")


def test_stop_strings_beyond_those_a_server_takes(remote: RemoteEngine, stop):
    with fake(lambda x: (x.stream(*[chunk(c) for c in "one END two"], done=False), x.hang())) as s:
        s.models = {"data": [{"id": "m", "owned_by": "someone"}]}
        request = request_to(s.address, stop_strings="a1\na2\na3\na4\nEND")
        events = list(remote.generate(request, stop))
        assert s.left.wait(10), "the stream is ended"
        assert s.asked[0].body["stop"] == ["a1", "a2", "a3", "a4"]
    assert text_of(events) == "one "
    assert events[-1].reason is FinishReason.STOP_STRING


@pytest.mark.parametrize(
    ("finish", "more", "reason"),
    [
        ("stop", {"stop_reason": "END"}, FinishReason.STOP_STRING),
        ("stop", {"matched_stop": "</s>"}, FinishReason.STOP_STRING),
        ("stop", {"stop_reason": 151645}, FinishReason.STOP),
        ("stop", {"stop_reason": "stop"}, FinishReason.STOP),
        ("stop", {"stop_reason": "stop_string"}, FinishReason.STOP_STRING),
        ("stop", {"stop_reason": "looping"}, FinishReason.LOOPING),
        ("length", {"stop_reason": "length"}, FinishReason.LENGTH),
        ("length", {"stop_reason": "context_full"}, FinishReason.CONTEXT_FULL),
    ],
)
def test_what_a_server_tells_of_the_end(remote: RemoteEngine, stop, finish, more, reason):
    last_one = chunk(finish=finish)
    last_one["choices"][0].update(more)
    with fake(lambda x: x.stream(chunk("Hello"), last_one)) as server:
        request = request_to(server.address, stop_strings="END")
        events = list(remote.generate(request, stop))
    assert events[-1].reason is reason


def test_a_loop_is_ended(remote: RemoteEngine, stop):
    def talk(x: Exchange):
        x.begin()
        while True:
            x.event(chunk(" again"))

    with fake(talk) as server:
        events = list(remote.generate(request_to(server.address), stop))
    assert events[-1].reason is FinishReason.LOOPING


@pytest.mark.parametrize("silent", ["headers", "text", "amid"])
def test_stop_ends_a_silent_server_at_once(remote: RemoteEngine, silent):
    def quiet(x: Exchange):
        if silent != "headers":
            x.begin()
        if silent == "amid":
            x.event(chunk("so far"))
        x.hang()

    with fake(quiet) as server:
        stop, events = threading.Event(), queue.SimpleQueue()

        def work():
            for event in remote.generate(request_to(server.address), stop):
                events.put(event)

        thread = threading.Thread(target=work)
        thread.start()
        found = [events.get(timeout=20)]
        while silent == "amid" and not isinstance(found[-1], Delta):
            found.append(events.get(timeout=20))
        while not server.asked:
            time.sleep(0.01)
        stop.set()
        began = time.monotonic()
        thread.join(20)
        took = time.monotonic() - began
        while not isinstance(found[-1], Finished):
            found.append(events.get(timeout=1))
        assert found[-1].reason is FinishReason.STOPPED
        assert text_of(found) == ("so far" if silent == "amid" else "")
        assert server.left.wait(10), "the server sees that nobody waits"
        assert took < 5


def test_scores(remote: RemoteEngine, stop):
    scored = chunk("yes")
    top = [{"token": "yes", "logprob": -0.1}, {"token": "no", "logprob": -2.5}]
    row = {"token": "yes", "logprob": -0.1, "top_logprobs": top}
    scored["choices"][0]["logprobs"] = {"content": [row]}
    with fake(lambda x: x.stream(scored, chunk(finish="stop"))) as server:
        events = list(remote.generate(request_to(server.address, logprobs=2), stop))
        assert server.asked[0].body["top_logprobs"] == 2
    (score,) = last(events, Scored).tokens
    assert (score.text, score.logprob) == ("yes", -0.1)
    assert [(text, value) for _, text, value in score.top] == [("yes", -0.1), ("no", -2.5)]


def test_only_what_the_chat_holds_is_sent(remote: RemoteEngine, stop, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-another-program")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-program")
    asked = user_message("Sum it up", None, [Part(PartKind.FILE, "1 2 3", "n.txt")])
    parts = (Part(PartKind.REASONING, "secret thought"), Part(PartKind.TEXT, "Six."))
    said = Message(Role.ASSISTANT, parts, parent_id=asked.id)
    more = user_message("Sure?", said.id)
    with fake() as server:
        request = request_to(server.address, asked, said, more, system_prompt="Be brief")
        list(remote.generate(request, stop))
        exchange = server.asked[0]
    roles = [row["role"] for row in exchange.body["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert "1 2 3" in exchange.body["messages"][1]["content"]
    assert exchange.body["messages"][2]["content"] == "Six."
    sent = exchange.raw.decode() + str(exchange.headers)
    for private in ("secret thought", "another-program", "Stainless", "openai", said.id):
        assert private.lower() not in sent.lower()
    assert exchange.headers["Authorization"] == f"Bearer {KEY}"


def test_no_key_no_authorization(stop):
    with fake() as server:
        list(RemoteEngine(lambda _: None).generate(request_to(server.address), stop))
        assert all("Authorization" not in x.headers for x in server.seen)


def test_loopback_goes_by_no_proxy(remote: RemoteEngine, stop, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with fake() as server:
        assert text_of(list(remote.generate(request_to(server.address), stop))) == "Hello"


def test_an_answer_is_continued(remote: RemoteEngine, stop):
    asked = user_message("Count", None)
    cut = Message(
        Role.ASSISTANT, (Part(PartKind.TEXT, "1 2"),), parent_id=asked.id, status=Status.FAILED
    )
    with fake(answer(" 3")) as server:
        events = list(remote.generate(request_to(server.address, asked, cut), stop))
        body = server.asked[0].body
    assert body["messages"][-1] == {"role": "assistant", "content": "1 2"}
    assert body["continue_final_message"] is True
    assert body["add_generation_prompt"] is False
    assert text_of(events) == " 3"


def test_the_context_that_the_server_tells_is_kept_to(remote: RemoteEngine, stop):
    said = []
    for number in range(40):
        parent = said[-1].id if said else None
        said.append(user_message(f"question {number} " + "word " * 50, parent))
        parts = (Part(PartKind.TEXT, "answer " * 50),)
        said.append(Message(Role.ASSISTANT, parts, parent_id=said[-1].id))
    said.append(user_message("the last one", said[-1].id))
    with fake() as server:
        server.models = {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 2000}]}
        request = request_to(server.address, *said)
        assert remote.count_prompt(request).limit == 0
        events = list(remote.generate(request, stop))
        sent = server.asked[0].body["messages"]
        assert sent[-1]["content"] == "the last one"
        assert 1 < len(sent) < 20
        unseen = last(events, Started).provenance.unseen
        assert len(unseen) + len(sent) == len(said)
        count = remote.count_prompt(request)
        assert (count.limit, count.unseen, count.estimated) == (2000, unseen, True)
        with pytest.raises(Known, match="1,500 fit"):
            list(remote.generate(replace(request, policy=Policy.ASK), stop))
        assert len(server.asked) == 1, "nothing is sent"


@pytest.mark.parametrize("kind", [kind for kind in ServerKind if kind is not ServerKind.AUTO])
def test_every_setting_is_sent_or_named(kind):
    wanted = GenerationSettings(
        temperature=0.5,
        top_p=0.9,
        top_k=20,
        min_p=0.1,
        repetition_penalty=1.1,
        presence_penalty=0.2,
        seed=7,
        thinking_budget=100,
        stop_strings="END",
    )
    body, left = body_of("m", [], wanted, kind, thinking=True, continued=False)
    names = {"repetition_penalty": ("repetition_penalty", "repeat_penalty")}
    for name in ("top_k", "min_p", "repetition_penalty", "thinking_budget"):
        there = any(one in body for one in names.get(name, (name,)))
        assert there is (name not in left)
    assert body["temperature"] == 0.5
    assert (body["seed"], body["stop"], body["presence_penalty"]) == (7, ["END"], 0.2)


def test_a_title(remote: RemoteEngine, stop):
    with fake(answer("A title")) as server:
        assert remote.write_title(request_to(server.address), stop) == "A title"
        told = server.asked[0].body["chat_template_kwargs"]
    assert told == {"enable_thinking": False}


def test_waiting_is_told(remote: RemoteEngine, stop):
    gate = threading.Event()

    def slow(x: Exchange):
        gate.wait(20)
        x.stream(chunk("late"), chunk(finish="stop"))

    with fake(slow) as server:
        found = []
        for event in remote.generate(request_to(server.address, timeouts=Timeouts(5, 60)), stop):
            found.append(event)
            if len(found) == 2:  # the second word of the wait
                assert event == Progress(Stage.PREFILL)
                gate.set()
    assert text_of(found) == "late"
