"""Answers: what they came from, their tokens, going on after a stop, and what a crash leaves."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_desktop.chat.context import ChatOptions, Policy
from qwen_desktop.chat.messages import (
    AnswerTrace,
    Part,
    PartKind,
    Provenance,
    Status,
    TokenScore,
    pending_answer,
    user_message,
)
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.errors import Known
from qwen_desktop.storage.store import Store
from tests.listed import listed

from .strategies import TRACES

PROVENANCE = Provenance(fingerprint="f", seed=7, sampling=(("top_k", 20.0),))
SCORES = (TokenScore(3, "a", -0.5, ((3, "a", -0.5), (4, "🙂", float("-inf")))),)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "conversations.db"


@pytest.fixture
def store(file):
    opened = Store.open(file)
    yield opened
    opened.close()


@pytest.fixture
def answer(store):
    """A streaming answer in the stored conversation "c"."""
    question = user_message("Why?", None)
    answer = pending_answer(question.id, "Qwen3-4B")
    store.create(Conversation(id="c", tree=Tree.of([question, answer])))
    return answer


def after_a_crash(store, file):
    """The same file opened by a new run; the old one is gone without a word."""
    store.database.connection.close()
    return Store.open(file)


def count(file, table):
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_a_crash_leaves_the_start_the_text_and_the_tokens_of_an_answer(store, file, answer):
    prompt = tuple(range(1500))
    store.save_start(answer.id, PROVENANCE, prompt)
    store.journal(answer.id, PartKind.REASONING, "Hm", (151667, 5))
    store.journal(answer.id, PartKind.REASONING, "", (6,))  # half a character
    store.journal(answer.id, PartKind.TEXT, "🙂", (7,))
    store.journal(answer.id, PartKind.TEXT, "!")
    again = after_a_crash(store, file)
    read = again.load("c").tree.path()[-1]
    assert read == replace(
        answer,
        parts=(Part(PartKind.REASONING, "Hm"), Part(PartKind.TEXT, "🙂!")),
        token_ids=(151667, 5, 6, 7),
        provenance=PROVENANCE,
        status=Status.INTERRUPTED,
    )
    assert again.trace(answer.id) == AnswerTrace(prompt)
    again.close()


def test_a_crash_keeps_what_an_answer_has_not_seen(store, file, answer, caplog):
    """Only the streaming answer is written again; what names its ancestors stays as it is."""
    question = answer.parent_id
    more = user_message("more", answer.id)
    late = pending_answer(more.id, "Qwen3-4B")
    for message in (more, late):
        store.add_message("c", message)
    unseen = replace(PROVENANCE, unseen=(question, answer.id))
    store.save_start(late.id, unseen, ())
    store.journal(late.id, PartKind.TEXT, "Half")
    again = after_a_crash(store, file)
    assert again.load("c").tree.path()[-1].provenance == unseen
    assert not caplog.records
    again.close()


def test_nothing_new_writes_nothing(store, file, answer):
    store.journal(answer.id, PartKind.TEXT, "", ())
    assert count(file, "answer_journal") == 0


def test_a_stopped_answer_goes_on_and_a_crash_folds_what_is_new_behind(store, file, answer):
    stopped = replace(
        answer,
        parts=(Part(PartKind.TEXT, "One "),),
        token_ids=(1, 2),
        status=Status.STOPPED,
        provenance=PROVENANCE,
    )
    trace = AnswerTrace((9, 9), SCORES)
    store.finish("c", stopped, trace)
    store.reopen("c", stopped)
    assert store.load("c").tree.path()[-1] == replace(stopped, status=Status.STREAMING)
    store.journal(answer.id, PartKind.TEXT, "two", (3,))
    again = after_a_crash(store, file)
    read = again.load("c").tree.path()[-1]
    assert read == replace(
        stopped,
        parts=(Part(PartKind.TEXT, "One two"),),
        token_ids=(1, 2, 3),
        status=Status.INTERRUPTED,
    )
    assert again.trace(answer.id) == trace
    again.reopen("c", read)
    again.journal(answer.id, PartKind.TEXT, " three", (4,))
    done = replace(
        read.appended(PartKind.TEXT, " three"), token_ids=(1, 2, 3, 4), status=Status.COMPLETE
    )
    again.finish("c", done)
    assert again.load("c").tree.path()[-1] == done
    assert listed(again)[0].preview == "One two three"
    assert again.trace(answer.id) == trace
    again.close()
    assert count(file, "answer_journal") == 0


def test_a_new_start_keeps_the_scores_and_a_new_trace_replaces_all(store, answer):
    store.finish("c", answer, AnswerTrace((1,), SCORES))
    store.save_start(answer.id, PROVENANCE, (1, 2))
    assert store.trace(answer.id) == AnswerTrace((1, 2), SCORES)
    store.finish("c", answer, AnswerTrace())
    assert store.trace(answer.id) == AnswerTrace()


def test_ending_an_answer_leaves_its_pin(store, answer):
    store.set_pinned("c", answer.id, True)
    store.finish("c", replace(answer, status=Status.COMPLETE))
    assert store.load("c").tree.path()[-1].pinned
    store.set_pinned("c", answer.id, False)
    assert not store.load("c").tree.path()[-1].pinned


def test_pins_and_options_do_not_make_a_conversation_the_newest(store, answer):
    newer = Conversation()
    store.create(newer)
    store.set_pinned("c", answer.id, True)
    store.set_options("c", ChatOptions(Policy.ASK, {"thinking": False}))
    assert [summary.id for summary in listed(store)] == [newer.id, "c"]


def test_options_of_a_conversation_are_replaced_whole(store, file, answer):
    store.set_options("c", ChatOptions(Policy.ASK, {"temperature": 0.5, "top_k": None}))
    store.set_options("c", ChatOptions(None, {"thinking": False}))
    assert store.load("c").options == ChatOptions(None, {"thinking": False})
    store.set_options("c", ChatOptions())
    assert store.load("c").options == ChatOptions()
    with pytest.raises(TypeError):
        store.load("c").options.values["thinking"] = True  # type: ignore[index]


def test_values_that_the_settings_refuse_are_left_out(store, answer):
    bad = {"temperature": 9.0, "top_k": True, "nonsense": 1, "seed": float("nan"), "min_p": 0.5}
    store.set_options("c", ChatOptions(Policy.ASK, bad))
    assert store.load("c").options == ChatOptions(Policy.ASK, {"min_p": 0.5})


def test_half_characters_in_options_and_traces_are_stored_as_well_as_utf8_can(store, answer):
    store.set_options("c", ChatOptions(None, {"system_prompt": "\ud83d\ude42 \ud800"}))
    assert store.load("c").options.values["system_prompt"] == "🙂 \ufffd"
    halves = (TokenScore(4, "\ud83d\ude42 \ud800", -1.0),)
    store.finish(
        "c", replace(answer, provenance=Provenance(device="\ud800")), AnswerTrace((), halves)
    )
    assert store.load("c").tree.path()[-1].provenance == Provenance(device="\ufffd")
    assert store.trace(answer.id).scores[0].text == "🙂 \ufffd"


def test_mistakes_of_a_caller_change_nothing(store, answer):
    other = Conversation(tree=Tree.of([user_message("a", None)]))
    store.create(other)
    before = store.load("c"), store.load(other.id)
    for use in (
        lambda: store.save_start("nobody", PROVENANCE, (1,)),
        lambda: store.save_start(answer.id, PROVENANCE, (-1,)),
        lambda: store.journal(answer.id, PartKind.TEXT, "a", (2**32,)),
        lambda: store.journal("nobody", PartKind.TEXT, "", (1,)),
        lambda: store.reopen(other.id, answer),
        lambda: store.finish("c", replace(answer, token_ids=(-1,))),
        lambda: store.finish("c", answer, AnswerTrace((2**32,))),
        lambda: store.set_pinned(other.id, answer.id, True),
    ):
        with pytest.raises(ValueError):
            use()
    for use in (
        lambda: store.set_pinned("nowhere", answer.id, True),
        lambda: store.set_options("nowhere", ChatOptions()),
        lambda: store.reopen("nowhere", answer),
    ):
        with pytest.raises(Known, match="no longer there"):
            use()
    assert (store.load("c"), store.load(other.id)) == before
    assert store.trace(answer.id) == store.trace("nobody") == AnswerTrace()


def test_prompts_that_repeat_each_other_do_not_fill_the_disk(store, file):
    """A hundred turns that end at 40,000 tokens: 2 million numbers, mostly the same ones."""
    tree = Tree()
    conversation = Conversation(id="long")
    store.create(conversation)
    prompts = {}
    for turn in range(100):
        question = user_message("more", tree.head)
        answer = pending_answer(question.id, "Qwen3-4B")
        tree = tree.added(question).added(answer)
        for message in (question, answer):
            store.add_message("long", message)
        dropped = 10_000 if turn > 90 else 0  # the oldest turns, once
        prompts[answer.id] = tuple(range(dropped, 400 * (turn + 1)))
        store.save_start(answer.id, PROVENANCE, prompts[answer.id])
    for message_id, prompt in prompts.items():
        assert store.trace(message_id).prompt_ids == prompt
    store.close()
    assert file.stat().st_size < 1_500_000  # 8 MB otherwise


def test_what_is_kept_of_answers_goes_with_the_conversation(store, file, answer):
    store.finish("c", answer, AnswerTrace(tuple(range(2000)), SCORES))
    assert (count(file, "answer_traces"), count(file, "prompt_pieces")) == (1, 3)
    store.listing.delete(["c"])
    assert store.listing.empty_bin() == 1
    store.close()
    for table in ("messages", "answer_traces", "prompt_pieces", "answer_journal"):
        assert count(file, table) == 0


def test_equal_prompts_of_two_conversations_are_apart(store, file, answer):
    other = pending_answer("", "Qwen3-4B")
    other = replace(other, parent_id=None)
    store.create(Conversation(id="other", tree=Tree.of([other])))
    for message_id in (answer.id, other.id):
        store.save_start(message_id, PROVENANCE, (5,) * 600)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM conversations WHERE id = 'c'")
    assert store.trace(other.id).prompt_ids == (5,) * 600
    assert store.trace(answer.id) == AnswerTrace()


@settings(deadline=None, max_examples=25)
@given(st.lists(TRACES, min_size=1, max_size=4))
def test_every_trace_comes_back(tmp_path_factory, traces):
    store = Store.open(tmp_path_factory.mktemp("traces") / "conversations.db")
    messages = [user_message("a", None) for _ in traces]
    store.create(Conversation(id="c", tree=Tree.of(messages)))
    for message, trace in zip(messages, traces, strict=True):
        store.finish("c", message, trace)
    for message, trace in zip(messages, traces, strict=True):
        assert store.trace(message.id) == trace
    store.close()


@settings(deadline=None, max_examples=15)
@given(st.data(), st.integers(2, 20))
def test_every_set_of_unseen_messages_comes_back(tmp_path_factory, data, size):
    """Several answers in a tree with branches, each with some stretches of its path unseen."""
    tree = Tree()
    for _ in range(size):
        parent = data.draw(st.sampled_from([*tree.messages][-4:])) if tree.messages else None
        message = user_message("a", parent)
        path = [*(m.id for m in tree.path(parent))] if parent else []
        cuts = sorted(data.draw(st.lists(st.integers(0, len(path)), min_size=4, max_size=4)))
        unseen = (*path[cuts[0] : cuts[1]], *path[cuts[2] : cuts[3]])
        tree = tree.added(replace(message, provenance=Provenance(unseen=unseen)))
    folder = tmp_path_factory.mktemp("unseen")
    store = Store.open(folder / "whole.db")
    store.create(Conversation(id="c", tree=tree))
    assert store.load("c").tree == tree
    store.close()
    store = Store.open(folder / "grown.db")
    store.create(Conversation(id="c"))
    for message in tree.messages.values():
        store.add_message("c", replace(message, provenance=None))
        store.finish("c", message)
    assert store.load("c").tree == tree
    store.close()


def test_long_stretches_of_unseen_messages_take_no_room(store, file):
    tree = Tree()
    for number in range(400):
        message = user_message("a", tree.head)
        if number > 300:
            message = replace(
                message, provenance=Provenance(unseen=tuple(tree.messages)[: number - 9])
            )
        tree = tree.added(message)
    store.create(Conversation(id="c", tree=tree))
    assert store.load("c").tree == tree
    store.close()
    assert file.stat().st_size < 300_000  # 1.3 MB as lists of ids
