"""An answer anew from a token on: a version beside it, on disk, with what is known of its start."""

from __future__ import annotations

import dataclasses

from qwen_desktop.bridge import asking
from qwen_desktop.bridge.forking import refusal
from qwen_desktop.chat.forking import Fork
from qwen_desktop.chat.messages import Message, Part, PartKind, Provenance, Role, Status
from qwen_desktop.storage.store import Store
from tests.engine.checkpoints import chatty_checkpoint
from tests.listed import listed


def fork_and_wait(desk, answer, at, token=None):
    count = len(desk.saved)
    assert desk.chats.fork(answer.id, at, token)
    desk.wait(lambda: len(desk.saved) == count + 1)
    return desk.saved[-1]


def trace_of(desk, message):
    found = []
    desk.chats.trace_read.connect(lambda _, trace: found.append(trace))
    desk.chats.read_trace(message.id)
    desk.wait(lambda: found)
    return found[-1]


def test_it_is_a_version_that_begins_with_the_same_tokens(desk):
    desk.set(logprobs=3)
    answer = desk.ask_and_wait("hello")
    scores = trace_of(desk, answer).scores
    at = len(answer.token_ids) // 2
    other = next(number for number, *_ in scores[at].top if number != answer.token_ids[at])

    made = fork_and_wait(desk, answer, at, other)

    assert made.token_ids[: at + 1] == (*answer.token_ids[:at], other)
    assert len(made.token_ids) == 40  # what stays counts for the longest answer
    assert made.status is Status.LENGTH
    tree = desk.chats.current.tree
    assert tree.versions(answer.id) == (answer.id, made.id)
    assert tree.head == made.id
    assert tree.messages[answer.id] == answer
    origin = made.provenance
    assert (origin.forked_from, origin.forked_at, origin.forked_token) == (answer.id, at, other)
    trace = trace_of(desk, made)
    assert tuple(score.id for score in trace.scores) == made.token_ids
    assert trace.scores[:at] == scores[:at]
    assert trace.prompt_ids[-at:] == answer.token_ids[:at]
    assert made.stats.new_tokens == 40 - at
    assert made.stats.reused_tokens >= answer.stats.prompt_tokens + at - 1

    desk.close()
    store = Store.open(desk.file)
    kept = store.load(listed(store)[0].id).tree.messages[made.id]
    store.close()
    assert kept == made


def test_a_greedy_one_says_the_same_again(desk):
    desk.set(temperature=0.0)
    answer = desk.ask_and_wait("hello")
    made = fork_and_wait(desk, answer, 7)
    assert (made.token_ids, made.parts) == (answer.token_ids, answer.parts)


def test_a_version_is_gone_on_with_and_still_says_where_it_came_from(desk):
    answer = desk.ask_and_wait("hello")
    made = fork_and_wait(desk, answer, 5)
    desk.chats.resume(made.id)
    desk.wait(lambda: len(desk.saved) == 3)
    longer = desk.saved[-1]
    assert longer.id == made.id
    assert longer.token_ids[:40] == made.token_ids
    assert len(longer.token_ids) == 80
    assert longer.provenance.forked_from == answer.id
    again = fork_and_wait(desk, longer, 60)  # of a continued answer, behind the seam
    assert again.token_ids[:60] == longer.token_ids[:60]


def test_what_stays_is_seen_and_on_disk_before_the_model_has_read(desk, tmp_path):
    answer = desk.ask_and_wait("hello")
    desk.set(max_new_tokens=100_000)
    assert desk.chats.fork(answer.id, 20)
    desk.wait(lambda: desk.chats.run.running and desk.answer_in_work().token_ids)
    assert desk.answer_in_work().token_ids[:20] == answer.token_ids[:20]
    assert answer.text.startswith(desk.answer_in_work().text[:5])
    desk.chats.stop()
    desk.wait(lambda: len(desk.saved) == 2)
    stopped = desk.saved[-1]
    assert stopped.status is Status.STOPPED
    assert stopped.token_ids[:20] == answer.token_ids[:20]


def test_the_next_message_follows_the_version(desk):
    answer = desk.ask_and_wait("hello")
    made = fork_and_wait(desk, answer, 3)
    desk.ask_and_wait("and then?")
    assert [m.id for m in desk.path()[:2]] == [answer.parent_id, made.id]
    assert desk.saved[-1].provenance.forked_at == -1


def test_where_it_cannot_be_done_it_says_why(desk, tmp_path):
    answer = desk.ask_and_wait("hello")
    info = desk.models.state.info
    assert refusal(answer, info) is None
    bare = dataclasses.replace(answer, token_ids=())
    assert "not kept" in refusal(bare, info).text()
    unknown = dataclasses.replace(answer, provenance=Provenance())
    assert "not known" in refusal(unknown, info).text()
    assert "No checkpoint" in refusal(answer, None).text()
    asked = Message(Role.USER, (Part(PartKind.TEXT, "x"),))
    assert refusal(asked, info) is not None
    assert (
        "being written"
        in refusal(dataclasses.replace(answer, status=Status.STREAMING), info).text()
    )
    for at in (-1, len(answer.token_ids)):
        assert not desk.chats.fork(answer.id, at)
    assert not desk.chats.fork("nobody", 0)
    assert not desk.problems

    desk.load(chatty_checkpoint(tmp_path / "Other-Chat", megabytes=1))
    assert not desk.chats.fork(answer.id, 1)
    assert "Endless-Chat" in desk.problems[-1].text()
    assert desk.chats.current.tree.versions(answer.id) == (answer.id,)


def test_what_is_asked_next_has_no_fork_in_it(desk):
    answer = desk.ask_and_wait("hello")
    run = asking.fork(desk.chats.current, Fork(answer, 3), desk.chats._terms())
    assert run.request.fork == Fork(answer, 3)
    assert run.next_request().fork is None


def test_one_at_a_time(desk):
    answer = desk.ask_and_wait("hello")
    desk.set(max_new_tokens=100_000)
    desk.chats.ask("and on")
    assert not desk.chats.fork(answer.id, 1)
    assert desk.problems
    desk.chats.stop()
    desk.wait(lambda: not desk.chats.run.running)
