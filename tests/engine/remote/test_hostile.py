"""Servers that mean harm, or have lost their way: nothing without end, nothing that is our bug."""

from __future__ import annotations

import threading
import zlib
from itertools import repeat

import pytest

from qwen_desktop.chat.connection import Connection, Timeouts
from qwen_desktop.chat.events import Delta, Finished, FinishReason, Scored, Started, Usage
from qwen_desktop.engine.remote.trouble import said_by
from qwen_desktop.errors import Known
from tests.engine.remote.conftest import request_to
from tests.engine.remote.fakeserver import Exchange, chunk, fake, usage

LIMIT = 60  # seconds after which a stop ends what would not end by itself


@pytest.fixture
def heard(remote):
    """The events of an answer of the server that is given, and the trouble it ended in."""
    stops = []

    def ask(talk, **options):
        stop = threading.Event()
        timer = threading.Timer(LIMIT, stop.set)
        timer.start()
        stops.append(timer)
        events = []
        with fake(talk) as server:
            try:
                for event in remote.generate(request_to(server.address, **options), stop):
                    events.append(event)
            except Known as known:
                return events, known
        return events, None

    yield ask
    for timer in stops:
        timer.cancel()


def text(events):
    return "".join(event.text for event in events if isinstance(event, Delta))


def lines(*raw: bytes):
    """`so far`, then these lines and a proper end."""

    def talk(x: Exchange):
        x.begin()
        x.event(chunk("so far"))
        for line in raw:
            x.line(b"data: " + line + b"\n\n")
        x.event(chunk(finish="stop"))
        x.line(b"data: [DONE]\n\n")

    return talk


def test_nested_without_end(heard):
    events, known = heard(lines(b'{"a":' * 20_000 + b"1" + b"}" * 20_000))
    assert (text(events), known.code) == ("so far", "remote-nonsense")


def test_words_of_trouble_are_not_looked_for_without_end():
    body: object = "deep down"
    for _ in range(100_000):
        body = {"error": body}
    assert said_by(body, None) == ""
    assert said_by({"error": {"detail": [{"msg": "here"}]}}, None) == "here"


def test_words_of_trouble_steer_no_terminal():
    assert said_by({"error": "a\x1b]0;b\x07c\u202ed\ud800"}, None) == "a ]0;b c d\ufffd"


@pytest.mark.parametrize("field", ["content", "reasoning_content"])
def test_counts_that_nobody_can_count(heard, field):
    def talk(x: Exchange):
        x.stream(chunk(**{field: "so far"}), usage(10**30, 10**400), chunk(finish="stop"))

    events, known = heard(talk)
    assert known is None
    assert events[-1] == Finished(FinishReason.STOP, estimated=True)
    last = [event for event in events if isinstance(event, Usage)][-1]
    assert last.stats.new_tokens == 1


SCORES = {
    "no list": b"5",
    "no number": b'[{"token": "a", "logprob": "x"}]',
    "NaN": b'[{"token": "a", "logprob": NaN}]',
    "no list of others": b'[{"token": "a", "logprob": -1, "top_logprobs": 7}]',
    "more than a float holds": b'[{"token": "a", "logprob": -' + b"9" * 400 + b"}]",
}


@pytest.mark.parametrize("name", SCORES)
def test_scores_of_no_use(heard, name):
    row = b'{"choices": [{"delta": {"content": "!"}, "logprobs": {"content": %s}}]}' % SCORES[name]
    events, known = heard(lines(row))
    assert (text(events), known) == ("so far!", None)
    scores = [score for event in events if isinstance(event, Scored) for score in event.tokens]
    assert all(abs(score.logprob) <= 1e6 and not score.top for score in scores)


def test_a_character_in_two_pieces_is_one_and_half_of_one_is_none(heard):
    def piece(escaped: bytes):
        return b'{"choices": [{"delta": {"content": "%s"}}]}' % escaped

    events, _ = heard(lines(piece(rb"1\ud83d"), piece(rb"\ude00 2\ude00 3\ud83d"), piece(b"4")))
    assert text(events) == "so far1\U0001f600 2\ufffd 3\ufffd4"


def test_a_line_without_end(heard):
    def talk(x: Exchange):
        x.begin()
        x.event(chunk("so far"))
        x.line(b"data: ")
        while not x.ended.is_set():
            x.line(b"a" * 1_000_000)

    events, known = heard(talk)
    assert (text(events), known.code) == ("so far", "remote-nonsense")


def test_many_events_are_not_one_long_one(heard):
    long = ("word " * 200_000, "other " * 200_000)
    events, known = heard(
        lambda x: x.stream(*(chunk(long[n % 2]) for n in range(10)), chunk(finish="stop")),
        loop_guard=False,
        max_new_tokens=1_000_000,
    )
    assert known is None
    assert len(text(events)) == 5 * sum(map(len, long))


def refuse(pieces, **headers):
    """A refusal whose body is these pieces, without an end of its own."""

    def talk(x: Exchange):
        h = x._handler
        h.send_response(500)
        for name, value in {"Connection": "close", **headers}.items():
            h.send_header(name.replace("_", "-"), value)
        h.end_headers()
        h.close_connection = True
        for piece in pieces:
            if x.ended.is_set():
                return
            x.line(piece)

    return talk


def packed():
    """Gzip without end; one that unfolds to more would only take longer."""
    packer = zlib.compressobj(0, zlib.DEFLATED, 31)
    while True:
        yield packer.compress(bytes(1 << 16)) + packer.flush(zlib.Z_SYNC_FLUSH)


REFUSALS = {
    "no end": (refuse(repeat(b"a" * 1_000_000)), "remote-nonsense"),
    "no gzip": (refuse([b"no gzip"], Content_Encoding="gzip"), "remote-cut"),
    "cut": (refuse([b"so"], Content_Length="100"), "remote-cut"),
    "packed without end": (refuse(packed(), Content_Encoding="gzip"), "remote-nonsense"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_of_no_use(heard, name):
    talk, code = REFUSALS[name]
    events, known = heard(talk)
    assert known.code == code
    assert not any(isinstance(event, Started) for event in events)


def test_nothing_is_packed_that_nobody_can_see_through(heard):
    seen = []

    def talk(x: Exchange):
        seen.append(x.headers["Accept-Encoding"])
        x.stream(chunk("Hi", finish="stop"))

    heard(talk)
    assert seen == ["identity"]


def test_a_stream_that_is_kept_open_and_says_nothing_is_silent(heard):
    def talk(x: Exchange):
        x.begin()
        while not x.ended.wait(0.01):
            x.event(chunk("", role="assistant"))

    events, known = heard(talk, timeouts=Timeouts(0.2, 0.2, 20))
    assert (text(events), known.code) == ("", "remote-silent")


def test_an_answer_far_beyond_the_length_that_was_asked_for_is_ended(heard):
    def talk(x: Exchange):
        x.begin()
        while not x.ended.is_set():
            x.event(chunk("all work and no play " * 5000))

    events, known = heard(talk, loop_guard=False, max_new_tokens=10)
    assert (known, events[-1].reason) == (None, FinishReason.LENGTH)
    assert len(text(events)) > 1_000_000


def test_a_list_of_models_without_end(remote):
    names = [
        "good",
        "",
        "x" * 10_000,
        "\x1b[31mred",
        "two\nlines",
        "\u202etxet",
        *map(str, range(5000)),
    ]
    with fake() as server:
        server.models = {"data": [{"id": name} for name in names]}
        found = remote.models(Connection("Lab", server.address))
    assert [model.name for model in found[:3]] == ["good", "0", "1"]
    assert len(found) == 1000
