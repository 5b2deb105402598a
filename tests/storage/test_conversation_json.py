"""Conversations as JSON: nothing is lost on the way out and in, and nothing bad comes in."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_desktop.chat.messages import (
    AnswerTrace,
    Message,
    Part,
    PartKind,
    Role,
    Status,
    user_message,
)
from qwen_desktop.chat.record import Record
from qwen_desktop.chat.tree import Conversation, Tree, title_from
from qwen_desktop.errors import Known
from qwen_desktop.storage import conversation_json as cj

from .strategies import IDS, OPTIONS, TEXTS, TIMES, TRACES, messages_below


@st.composite
def records(draw):
    """Any conversation with all that is kept of it."""
    tree = Tree()
    traces = {}
    prompt = ()
    for _ in range(draw(st.integers(0, 5))):
        parent = draw(st.sampled_from([None, *tree.messages]))
        message = draw(messages_below(parent, tree.messages))
        if message.status is Status.STREAMING:
            message = replace(message, status=Status.INTERRUPTED)
        message = replace(message, damaged=draw(st.booleans()))
        trace = draw(TRACES)
        if draw(st.booleans()):  # as a rule a prompt goes on where one before ended
            trace = replace(trace, prompt_ids=prompt[: draw(st.integers(0, 3000))] + draw(IDS))
        if trace != AnswerTrace():
            traces[message.id] = trace
            prompt = trace.prompt_ids + message.token_ids
        tree = tree.added(message)
    if tree.messages:
        tree = tree.with_head(draw(st.sampled_from(list(tree.messages))))
    return Record(
        Conversation(
            title=draw(TEXTS),
            created_at=draw(TIMES),
            updated_at=draw(TIMES),
            tree=tree,
            options=draw(OPTIONS),
        ),
        traces,
        folder=draw(TEXTS),
        tags=tuple(sorted(draw(st.sets(TEXTS, max_size=3)))),
        pinned=draw(st.booleans()),
        archived=draw(st.booleans()),
        source=draw(TEXTS),
    )


def same(one, other):
    return replace(one, traces={}) == replace(other, traces={}) and dict(one.traces) == dict(
        other.traces
    )


@given(records())
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read_again_equal_by_value(record):
    again = cj.from_value(cj.parse(cj.encoded(record)))
    assert same(again, record)
    assert list(again.conversation.tree.messages) == list(record.conversation.tree.messages)
    assert cj.to_value(again) == cj.to_value(record) == json.loads(cj.encoded(record))


@given(st.lists(records(), max_size=3))
@settings(max_examples=25, deadline=None)
def test_several_in_one_file_are_read_again_each(several):
    content = "".join(cj.several_pieces(cj.pieces(record) for record in several)).encode()
    found = cj.entries(cj.parse(content))
    assert all(same(cj.from_value(one), record) for one, record in zip(found, several, strict=True))


def test_a_file_of_one_is_its_only_entry():
    value = cj.to_value(small())
    assert cj.is_ours(value)
    assert cj.entries(value) == [value]


def test_a_derived_title_is_written_for_people_and_does_not_become_an_own_one():
    value = cj.to_value(small())
    assert value["title"] == title_from(small().conversation.tree.path()) == "Hello"
    assert cj.from_value(value).conversation.title == ""


def test_prompts_that_go_on_take_little_room_however_many_there_are():
    record = growing(answers=60, tokens=500)
    assert sum(len(trace.prompt_ids) for trace in record.traces.values()) > 800_000
    content = cj.encoded(record)
    assert len(content) < 60 * 500 * 2 * 8  # each id once in its answer and once at most again
    assert same(cj.from_value(cj.parse(content)), record)


def test_a_long_chain_of_prompts_costs_no_recursion():
    record = growing(answers=3000, tokens=1)
    again = cj.from_value(cj.to_value(record))
    last = list(record.traces)[-1]
    assert again.traces[last] == record.traces[last]


def test_halves_of_characters_are_written_as_utf_8_can_hold_them():
    record = small(text="a\ud800b \ud83d\ude00 \x00\u202e", title="\udc00")
    again = cj.from_value(cj.parse(cj.encoded(record)))
    assert again.conversation.tree.path()[0].text == "a\ufffdb 😀 \x00\u202e"
    assert again.conversation.title == "\ufffd"


def test_an_answer_that_streams_is_written_as_interrupted():
    streaming = Message(Role.ASSISTANT, (), status=Status.STREAMING)
    value = cj.to_value(Record(Conversation(tree=Tree().added(streaming))))
    assert value["messages"][0]["status"] == "interrupted"
    value["messages"][0]["status"] = "streaming"
    assert cj.from_value(value).conversation.tree.path()[0].status is Status.INTERRUPTED


def test_numbers_that_json_cannot_write_do_not_break_the_file():
    record = small()
    record = replace(record, conversation=replace(record.conversation, created_at=float("nan")))
    assert cj.from_value(cj.parse(cj.encoded(record))).conversation.created_at == 0.0


def test_unknown_fields_and_settings_are_passed_over():
    value = cj.to_value(small())
    value["weather"] = {"fine": [1, 2]}
    value["messages"][0]["mood"] = "good"
    value["options"] = {"values": {"of the future": 1, "temperature": 1e9}, "more": 1}
    assert same(cj.from_value(value), small_of(value))


def test_only_id_time_and_messages_are_needed():
    record = cj.from_value(
        {
            "format": "qwen-desktop conversation",
            "version": 1,
            "id": "c",
            "created_at": 5,
            "messages": [
                {
                    "id": "m",
                    "role": "user",
                    "created_at": 6,
                    "parts": [{"kind": "text", "text": "Hi"}],
                }
            ],
        }
    )
    assert record == Record(
        Conversation(
            id="c",
            created_at=5.0,
            updated_at=5.0,
            tree=Tree.of([Message(Role.USER, (Part(PartKind.TEXT, "Hi"),), "m", None, 6.0)]),
        ),
        {},
    )


BAD = [
    (("id",), 7, "id is not text."),
    (("id",), "", "id is empty."),
    (("id",), None, "id is not text."),
    (("title",), ["x"], "title is not text."),
    (("title",), "x" * 2**17, "title is too long."),
    (("title_is_own",), 1, "title_is_own is neither true nor false."),
    (("created_at",), float("inf"), "created_at is not a number."),
    (("created_at",), 10**400, "created_at is not a number."),
    (("updated_at",), True, "updated_at is not a number."),
    (("tags",), {"a": 1}, "tags is not a list."),
    (("tags",), ["a", 2], "tags[1] is not text."),
    (("options",), 3, "options is not an object."),
    (("options",), {"policy": "keep_all"}, "options.policy is 'keep_all', which"),
    (("options",), {"values": {"theme": []}}, "options.values.theme is no value of a setting."),
    (("head",), "nobody", "head names no message of this file."),
    (("messages",), "none", "messages is not a list."),
    (("messages", 1), 5, "messages[1] is not an object."),
    (("messages", 0, "parts", 0, "text"), 12, "messages[0].parts[0].text is not text."),
    (("messages", 0, "parts", 0, "kind"), "video", "messages[0].parts[0].kind is 'video', which"),
    (("messages", 0, "role"), "god", "messages[0].role is 'god', which"),
    (("messages", 0, "status"), "gone", "messages[0].status is 'gone', which"),
    (("messages", 1, "id"), "m0", "messages[1].id is the id of another message."),
    (("messages", 1, "parent"), "m1", "messages[1].parent names no message that stands before it."),
    (("updated_at",), 1e300, "updated_at is not a time that has a date."),
    (("messages", 1, "created_at"), -1e12, "messages[1].created_at is not a time"),
    (("messages", 1, "token_ids"), [1, -1], "messages[1].token_ids[1] is not between 0 and"),
    (("messages", 1, "token_ids"), [True], "messages[1].token_ids[0] is not a whole number."),
    (("messages", 1, "token_ids"), "ids", "messages[1].token_ids is not a list."),
    (
        ("messages", 1, "stats"),
        {"prompt_tokens": 1.5},
        "messages[1].stats.prompt_tokens is not a w",
    ),
    (("messages", 1, "provenance"), [], "messages[1].provenance is not an object."),
    (
        ("messages", 1, "provenance"),
        {"sampling": [["top_p"]]},
        "messages[1].provenance.sampling[0] is not a list of 2 values.",
    ),
    (
        ("messages", 1, "provenance"),
        {"unseen": [["m1", "m0"]]},
        "messages[1].provenance.unseen[0] is no stretch of the chat.",
    ),
    (
        ("messages", 1, "prompt_ids"),
        {"first": 1, "of": "m0", "then": []},
        "messages[1].prompt_ids.of names no message with a prompt that stands before it.",
    ),
    (
        ("messages", 2, "prompt_ids"),
        {"first": 6, "of": "m1", "then": []},
        "messages[2].prompt_ids.first is not between 1 and 5.",
    ),
    (("messages", 1, "scores"), [[1, "a", "b", []]], "messages[1].scores[0][2] is not a number."),
]


@pytest.mark.parametrize(("where", "what", "sentence"), BAD)
def test_what_is_wrong_is_named_with_its_place(where, what, sentence):
    value = cj.to_value(small())
    place = value
    for step in where[:-1]:
        place = place[step]
    place[where[-1]] = what
    with pytest.raises(Known) as caught:
        cj.from_value(value)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("name", ["id", "created_at", "messages", "version"])
def test_what_is_missing_is_named(name):
    value = cj.to_value(small())
    del value[name]
    with pytest.raises(Known, match=f"^{name} is missing"):
        cj.from_value(value)


@pytest.mark.parametrize("value", [None, 3, "x", [], {}, {"format": "chatgpt"}])
def test_what_is_no_conversation_is_refused(value):
    assert not cj.is_ours(value)
    with pytest.raises(Known):
        cj.from_value(value)


def test_a_newer_version_is_refused_with_both_numbers():
    with pytest.raises(Known, match="its version is 3, and this program reads up to 2"):
        cj.from_value({**cj.to_value(small()), "version": 3})


def test_only_what_has_files_asks_for_a_reader_of_them():
    record = small()
    assert cj.to_value(record)["version"] == 1
    tree = record.conversation.tree
    file = Part(PartKind.FILE, "a,b\n1,2\n", "table.csv")
    tree = tree.added(user_message("sum it", tree.head, [file]))
    record = replace(record, conversation=replace(record.conversation, tree=tree))
    value = cj.to_value(record)
    assert value["version"] == 2
    assert value["messages"][-1]["parts"] == [
        {"kind": "file", "name": "table.csv", "text": "a,b\n1,2\n"},
        {"kind": "text", "text": "sum it"},
    ]
    assert same(cj.from_value(value), record)


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b"NaN garbage"])
def test_what_is_no_json_is_one_sentence(content):
    with pytest.raises(Known, match="not JSON"):
        cj.parse(content)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_value_in_any_place_is_read_or_refused_with_a_sentence(data):
    value = cj.to_value(growing(answers=2, tokens=3))
    place = value
    while True:
        step = data.draw(
            st.sampled_from(list(place) if isinstance(place, dict) else list(range(len(place))))
        )
        if not place[step] or not isinstance(place[step], (dict, list)) or data.draw(st.booleans()):
            break
        place = place[step]
    place[step] = data.draw(
        st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.just([]) | st.just({})
    )
    try:
        record = cj.from_value(value)
    except Known:
        return
    assert same(cj.from_value(cj.to_value(record)), record)


def small(text="Hello", title=""):
    """A question with two answers."""
    messages = [
        Message(Role.USER, (Part(PartKind.TEXT, text),), "m0", None, 1.0),
        Message(Role.ASSISTANT, (), "m1", "m0", 2.0, token_ids=(7, 8)),
        Message(Role.ASSISTANT, (), "m2", "m0", 3.0),
    ]
    conversation = Conversation("c", title, 1.0, 2.0, Tree.of(messages))
    return Record(conversation, {"m1": AnswerTrace((1, 2, 3)), "m2": AnswerTrace((1, 2, 3))})


def small_of(value):
    return replace(small(), conversation=replace(small().conversation, id=value["id"]))


def growing(answers, tokens):
    """A conversation whose prompts go on where the answers before ended."""
    tree, traces, prompt = Tree(), {}, ()
    for turn in range(answers):
        tree = tree.added(Message(Role.USER, (), f"q{turn}", tree.head, 1.0))
        ids = tuple(range(1000 + turn, 1000 + turn + tokens))
        tree = tree.added(Message(Role.ASSISTANT, (), f"a{turn}", tree.head, 1.0, token_ids=ids))
        prompt = (*prompt, turn)
        traces[f"a{turn}"] = AnswerTrace(prompt)
        prompt = prompt + ids
    return Record(Conversation("c", "", 1.0, 1.0, tree), traces)


@pytest.mark.parametrize("first", [50_000, 1])
def test_prompts_that_grow_beyond_all_measure_are_refused(first):
    """A small file could keep the store at work for minutes, and an answer waiting."""
    ids = {"prompt_ids": [7] * 50_000}
    messages = [_turn(0, ids)]
    for number in range(1, 4_000):
        shared = {"first": first, "of": f"m{number - 1}", "then": [1]}
        messages.append(_turn(number, {"prompt_ids": shared}))
    value = {**cj.to_value(Record(Conversation(id="c"))), "messages": messages, "head": "m0"}
    with pytest.raises(Known) as caught:
        cj.from_value(value)
    assert "prompt_ids is too long" in str(caught.value)


def _turn(number, more):
    above = {"id": f"m{number}", "parent": f"m{number - 1}" if number else None}
    return {**above, "role": "assistant", "created_at": 1.0, "parts": [], **more}
