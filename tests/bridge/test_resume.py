"""Going on with an answer that was cut: what is joined, and what a failure must not change."""

from __future__ import annotations

import pytest
import torch

from qwen_desktop.chat.messages import Status
from qwen_desktop.storage.store import Store
from tests.listed import listed


def on_disk(desk, message_id):
    desk.close()
    store = Store.open(desk.file)
    tree = store.load(listed(store)[0].id).tree
    trace = store.trace(message_id)
    store.close()
    return tree.messages[message_id], trace


def resume(desk, answer, *penalty):
    count = len(desk.saved)
    desk.chats.resume(answer.id, *penalty)
    desk.wait(lambda: len(desk.saved) == count + 1)
    return desk.saved[-1]


def test_what_is_new_stands_behind_what_was_said(desk):
    desk.set(logprobs=1)
    cut = desk.ask_and_wait("a long story")
    assert cut.status is Status.LENGTH
    seen = []
    desk.chats.message_changed.connect(seen.append)

    desk.set(seed=5)
    longer = resume(desk, cut)

    assert longer.id == cut.id
    assert longer.status is Status.LENGTH
    assert longer.text.startswith(cut.text)
    assert longer.token_ids[:40] == cut.token_ids
    assert len(longer.token_ids) == 80
    assert longer.stats.new_tokens == 80
    assert longer.stats.prompt_tokens == cut.stats.prompt_tokens
    assert longer.stats.first_token_seconds == cut.stats.first_token_seconds
    assert longer.stats.decode_seconds > cut.stats.decode_seconds
    assert longer.provenance.seed == 5
    assert longer.provenance.stop_reason == "length"
    assert seen[0].status is Status.STREAMING
    assert all(m.text.startswith(cut.text) for m in seen)
    assert len(desk.path()) == 2
    kept, trace = on_disk(desk, cut.id)
    assert kept == longer
    assert [score.id for score in trace.scores] == list(longer.token_ids)
    assert trace.prompt_ids[-40:] == cut.token_ids


def test_a_stopped_answer_goes_on_and_can_be_stopped_again(desk):
    desk.set(max_new_tokens=100_000)
    desk.chats.ask("go on")
    desk.wait(lambda: desk.path() and desk.path()[-1].text)
    desk.chats.stop()
    desk.wait(lambda: desk.saved)
    cut = desk.saved[-1]

    desk.chats.resume(cut.id)
    desk.wait(lambda: len(desk.path()[-1].text) > len(cut.text))
    desk.chats.stop()
    desk.wait(lambda: len(desk.saved) == 2)

    assert desk.saved[-1].status is Status.STOPPED
    assert desk.saved[-1].text.startswith(cut.text)
    assert on_disk(desk, cut.id)[0] == desk.saved[-1]


def test_a_penalty_holds_for_this_answer_alone(desk):
    cut = desk.ask_and_wait("again and again")

    longer = resume(desk, cut, 1.5)

    assert dict(longer.provenance.sampling)["presence_penalty"] == 1.5
    assert desk.chats.values["presence_penalty"] is None


@pytest.mark.parametrize("moment", ["first forward", "later"])
def test_a_failure_keeps_the_text(desk, monkeypatch, moment):
    cut = desk.ask_and_wait("a story")
    calls = iter(range(1000))
    rand = torch.rand  # by which a token is drawn

    def failing(*args, **kwargs):
        if moment == "later" and next(calls) < 10:
            return rand(*args, **kwargs)
        raise RuntimeError("the card fell off")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "rand", failing)
        after = resume(desk, cut)

    if moment == "later":
        assert after.status is Status.FAILED
        assert "fell off" in after.error
        assert after.text.startswith(cut.text)
        assert len(after.token_ids) == 50
        assert desk.chats.report_for(cut.id).is_bug
        assert desk.problems == []
        assert after.provenance.stop_reason == ""
    else:
        assert after == cut  # nothing came of it: it is what it was
        assert "fell off" in desk.problems[0].text()
    assert desk.path()[-1] == after
    kept, trace = on_disk(desk, cut.id)
    assert kept == after
    assert trace.prompt_ids[: cut.stats.prompt_tokens]


def test_a_refused_continuation_leaves_the_answer_as_it_was(desk):
    desk.set(logprobs=0, max_new_tokens=10)
    cut = desk.ask_and_wait("a story")
    before = desk.chats.current
    desk.set(system_prompt="word " * 40_000)

    desk.chats.resume(cut.id)
    assert desk.path()[-1].status is Status.STREAMING
    desk.wait(lambda: desk.problems)

    assert "131,072" in desk.problems[0].text()
    assert desk.chats.current == before
    assert desk.opened[-1] == before
    assert on_disk(desk, cut.id)[0] == cut


def test_stop_before_the_first_new_word_changes_nothing(desk):
    cut = desk.ask_and_wait("a story")
    for _ in range(2):
        desk.chats.resume(cut.id)
        desk.chats.stop()  # while the prompt is checked
        assert desk.path()[-1] == cut
    desk.engine.accepted.connect(lambda *_: desk.chats.stop())  # on its way to the disk
    desk.chats.resume(cut.id)
    assert desk.chats.run.running
    desk.wait(lambda: not desk.chats.run.running)

    assert desk.path()[-1] == cut
    assert on_disk(desk, cut.id)[0] == cut


def test_closing_in_the_middle_keeps_old_and_new_text(desk):
    cut = desk.ask_and_wait("a story")
    desk.set(max_new_tokens=100_000)
    desk.chats.resume(cut.id)
    desk.wait(lambda: len(desk.path()[-1].text) > len(cut.text))
    text = desk.path()[-1].text

    kept, _ = on_disk(desk, cut.id)

    assert kept.status is Status.INTERRUPTED
    assert kept.text.startswith(text)


def test_a_crash_in_the_middle_loses_nothing_of_the_text_before(desk, tmp_path):
    cut = desk.ask_and_wait("a story")
    desk.set(max_new_tokens=100_000)
    desk.chats.resume(cut.id)
    desk.wait(lambda: len(desk.path()[-1].text) > len(cut.text) + 400)
    shown = desk.path()[-1].text
    copies = iter(range(1000))

    def journalled():
        store = desk.on_disk(tmp_path / f"copy{next(copies)}")
        message = store.load(listed(store)[0].id).tree.messages[cut.id]
        store.close()
        return message

    desk.wait(lambda: len(journalled().text) >= len(shown))
    kept = journalled()
    assert kept.status is Status.INTERRUPTED
    assert kept.text.startswith(shown)
    assert kept.token_ids[:40] == cut.token_ids
    assert len(kept.token_ids) > 40
    desk.chats.stop()
    desk.wait(lambda: not desk.chats.run.running)


def test_only_the_last_answer_and_only_a_cut_one_goes_on(desk):
    first = desk.ask_and_wait("first")
    desk.ask_and_wait("second")

    desk.chats.resume(first.id)
    desk.chats.resume(desk.path()[0].id)
    desk.chats.resume("nobody")

    assert len(desk.problems) == 1
    assert "last answer" in desk.problems[0].text()
    assert not desk.chats.run.running


def test_an_answer_that_never_began_is_answered_from_the_start(desk, monkeypatch):
    def failing(*_args, **_kwargs):
        raise RuntimeError("the card fell off")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "rand", failing)
        failed = desk.ask_and_wait("a story")
    assert failed.status is Status.FAILED
    assert failed.text == ""

    answer = resume(desk, failed)

    assert answer.id == failed.id
    assert answer.status is Status.LENGTH
    assert answer.error == ""
    assert len(answer.token_ids) == 40
    assert desk.chats.report_for(answer.id) is None
