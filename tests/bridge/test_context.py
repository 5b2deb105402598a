"""Options of a conversation, what is counted while one types, and what does not fit."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from qwen_desktop.bridge import counting
from qwen_desktop.chat.attached import attached
from qwen_desktop.chat.context import ChatOptions, Policy
from qwen_desktop.chat.draft import Draft
from qwen_desktop.chat.events import Alarm, AlarmKind, PromptCount
from qwen_desktop.errors import Report
from qwen_desktop.storage.store import Store
from tests.bridge.conftest import Desk
from tests.listed import listed


@pytest.fixture(scope="session")
def short(tmp_path_factory, endless):
    """The same checkpoint with a context of 512 tokens."""
    folder = tmp_path_factory.mktemp("short") / "Short-Chat"
    shutil.copytree(endless, folder)
    config = json.loads((folder / "config.json").read_text())
    config["max_position_embeddings"] = 512
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def small(qtbot, tmp_path, short):
    made = Desk(qtbot, tmp_path / "data" / "conversations.db")
    made.set(max_new_tokens=8)
    made.load(short)
    yield made
    made.close()


@pytest.fixture
def counts(desk):
    return listen(desk)


def listen(desk):
    told = []
    desk.chats.counted.connect(told.append)
    return told


# Options


def test_options_hold_for_one_conversation_and_the_next_start(desk):
    told = []
    desk.chats.options_changed.connect(told.append)
    options = ChatOptions(Policy.KEEP_FIRST, {"temperature": 0.0, "system_prompt": "Be brief."})
    desk.ask_and_wait("one")
    talk = desk.chats.current.id

    desk.chats.set_options(options)

    assert desk.chats.options == options
    assert told[-1] == options
    assert desk.chats.values["temperature"] == 0.0
    assert desk.chats.values["max_new_tokens"] == 40
    desk.chats.new()
    assert told[-1] == ChatOptions()
    assert desk.chats.values["temperature"] == 1.0
    desk.chats.open(talk)
    desk.wait(lambda: desk.chats.current.id == talk)
    assert told[-1] == options
    desk.close()
    again = Desk(desk.qtbot, desk.file)
    again.chats.start(talk)
    again.wait(lambda: again.opened)
    assert again.chats.options == options
    again.close()


def test_a_new_chat_keeps_its_options_until_its_first_message(desk):
    desk.chats.set_options(ChatOptions(values={"seed": 7}))

    answer = desk.ask_and_wait("one")

    assert answer.provenance.seed == 7
    talk = desk.chats.current.id
    desk.chats.new()
    desk.chats.open(talk)
    desk.wait(lambda: desk.chats.current.id == talk)
    assert desk.chats.options == ChatOptions(values={"seed": 7})
    desk.chats.new()
    assert desk.chats.options == ChatOptions()


@pytest.mark.parametrize("moment", ["checked", "written"])
def test_options_chosen_while_the_first_message_is_on_its_way_are_kept(desk, moment):
    options = ChatOptions(values={"temperature": 0.5})

    def choose(*_):
        desk.chats.set_options(options)

    if moment == "written":
        desk.engine.accepted.connect(choose)
    desk.chats.ask("one")
    if moment == "checked":
        choose()
    desk.wait(lambda: desk.saved)

    assert desk.chats.options == options
    desk.close()
    store = Store.open(desk.file)
    assert store.load(listed(store)[0].id).options == options
    store.close()


def test_values_that_the_table_refuses_are_not_used(desk):
    desk.chats.set_options(ChatOptions(values={"temperature": 99.0, "nonsense": 1}))

    assert desk.chats.values["temperature"] == 1.0
    assert "nonsense" not in desk.chats.values


def test_a_general_setting_is_told_as_far_as_it_counts_here(desk):
    told = []
    desk.chats.options_changed.connect(told.append)

    desk.set(temperature=0.3)
    desk.set(theme="dark")

    assert told == [ChatOptions()]
    assert desk.chats.values["temperature"] == 0.3


# Counting


def test_what_is_typed_is_counted_after_a_pause(desk, counts):
    desk.chats.count("he")
    desk.chats.count("hello")

    desk.wait(lambda: counts)
    first = counts[-1]
    assert len(counts) == 1  # the first text was never counted
    assert 0 < first.draft < first.prompt
    desk.chats.count("hello hello hello")
    desk.wait(lambda: len(counts) == 2)
    assert counts[-1].draft > first.draft
    assert counts[-1].prompt - first.prompt == counts[-1].draft - first.draft


def test_the_count_is_that_of_the_prompt_which_is_sent(desk, counts):
    desk.ask_and_wait("first")
    desk.chats.count("second")
    desk.wait(lambda: counts and counts[-1] and counts[-1].draft == 6)  # the letters
    count = counts[-1]

    answer = desk.ask_and_wait("second")

    assert answer.stats.prompt_tokens == count.prompt


def test_a_late_count_is_dropped(desk, counts, monkeypatch):
    desk.chats.count("the first text")
    desk.wait(lambda: counts)
    sent = []
    monkeypatch.setattr(desk.engine, "count", lambda job, *_: sent.append(job))
    desk.chats.count("another")
    desk.wait(lambda: sent)
    desk.chats.count("and another")
    desk.wait(lambda: len(sent) == 2)

    desk.engine.counted.emit(sent[0], replace(counts[0], prompt=1))
    assert len(counts) == 1
    desk.engine.counted.emit(sent[1], replace(counts[0], prompt=2))
    assert counts[-1].prompt == 2


def test_everything_that_is_counted_makes_it_count_again(desk, counts):
    def counted_again(change):
        before = len(counts)
        change()
        desk.wait(lambda: len(counts) > before and counts[-1] is not None)
        return counts[-1].prompt

    desk.chats.count("hello")
    desk.wait(lambda: counts)
    alone = counts[-1].prompt
    system = {"system_prompt": "You are a bee."}
    own = counted_again(lambda: desk.chats.set_options(ChatOptions(values=system)))
    assert own > alone
    assert counted_again(lambda: desk.chats.set_options(ChatOptions())) == alone
    assert counted_again(lambda: desk.set(system_prompt="You are an ant, too.")) > own
    assert counted_again(lambda: desk.set(system_prompt="")) == alone
    first = counted_again(lambda: desk.ask_and_wait("a question"))
    assert first > alone
    longer = counted_again(lambda: desk.chats.edit(desk.path()[0].id, "a longer question"))
    assert longer > first
    assert counted_again(lambda: desk.chats.show_version(desk.path()[0].id, -1)) == first
    assert counted_again(desk.chats.new) == alone - 5  # the composer is empty there


def test_while_an_answer_is_written_nothing_is_counted(desk, counts, monkeypatch):
    desk.chats.count("hello")
    desk.wait(lambda: counts)
    asked = []
    monkeypatch.setattr(desk.engine, "count", lambda *args: asked.append(args))
    desk.set(max_new_tokens=100_000)
    desk.chats.ask("hello")
    assert counts[-1] is None  # it says nothing any more
    desk.chats.count("typed meanwhile")
    desk.qtbot.wait(2 * counting.COUNT_MS)
    desk.wait(lambda: desk.path()[-1].text)
    assert asked == []

    desk.chats.stop()
    desk.wait(lambda: asked)

    assert asked[-1][1].messages[-1].text == "typed meanwhile"


def test_what_can_never_fit_is_told_in_place_of_a_count(small):
    counts = listen(small)
    small.chats.count("hello")
    small.wait(lambda: counts)

    small.chats.count("word " * 200)

    small.wait(lambda: isinstance(counts[-1], Report))
    assert counts[-1].values["limit"] == "512"
    assert small.problems == []  # nobody has sent it yet
    small.chats.count("hello")
    small.wait(lambda: isinstance(counts[-1], PromptCount))


# Overflow


def fill(desk, turns=6):
    """Ask until the context of 512 tokens is well used."""
    for turn in range(turns):
        desk.ask_and_wait(f"question {turn} " + "word " * 10)


def test_a_message_that_overflows_comes_back_with_its_files(small):
    overflowed = []
    small.chats.overflowed.connect(overflowed.append)
    small.chats.set_options(ChatOptions(Policy.ASK))
    typed = Draft("Sum it up.", (attached("long.txt", "word " * 600), attached("b", "two")))
    assert small.chats.ask(typed.written())
    small.wait(lambda: overflowed)
    assert Draft.read(small.drafts[-1]) == typed
    assert small.path() == ()


def test_under_ask_a_message_that_overflows_comes_back_with_the_numbers(small):
    overflowed = []
    small.chats.overflowed.connect(overflowed.append)
    fill(small, 5)
    small.chats.set_options(ChatOptions(policy=Policy.ASK))
    before = small.chats.current
    text = "and then " + "word " * 40

    small.chats.set_draft(text)
    assert small.chats.ask(text)
    small.chats.set_draft("")  # the composer empties itself
    small.wait(lambda: overflowed)

    assert overflowed[0].overflows
    assert overflowed[0].prompt > overflowed[0].budget
    assert small.problems == []
    assert small.chats.current == before
    assert small.opened[-1] == before
    assert small.drafts[-1] == text
    assert not small.chats.run.running

    small.chats.set_options(ChatOptions(policy=Policy.DROP_OLDEST))
    answer = small.ask_and_wait(text)
    assert answer.provenance.unseen


def test_the_general_policy_holds_where_the_conversation_has_none(small):
    overflowed = []
    small.chats.overflowed.connect(overflowed.append)
    fill(small, 5)
    small.set(context_policy="ask")

    small.chats.ask("and then " + "word " * 40)
    small.wait(lambda: overflowed)

    small.chats.set_options(ChatOptions(policy=Policy.KEEP_FIRST))
    assert small.ask_and_wait("and then " + "word " * 40).provenance.unseen
    assert len(overflowed) == 1


def test_what_the_model_does_not_see_is_told(small):
    unseen = []
    small.chats.unseen_changed.connect(unseen.append)
    fill(small, 9)
    path, talk = small.path(), small.chats.current.id

    small.wait(lambda: unseen and unseen[-1])  # as counted for the next one

    ids = [m.id for m in path]
    assert list(unseen[-1]) == ids[: len(unseen[-1])]
    seen_by_last = set(path[-1].provenance.unseen)
    assert seen_by_last
    small.chats.set_pinned(path[0].id, True)
    small.wait(lambda: path[0].id not in unseen[-1])
    small.chats.new()
    assert unseen[-1] == ()
    # Without a model, as the last answer remembers it.
    small.close()
    again = Desk(small.qtbot, small.file)
    later = []
    again.chats.unseen_changed.connect(later.append)
    again.chats.start(talk)
    again.wait(lambda: again.opened)
    assert set(later[-1]) == seen_by_last
    again.close()


# Alarms, provenance, traces


def test_an_answer_knows_where_it_came_from(desk):
    desk.set(logprobs=2)
    answer = desk.ask_and_wait("hello")
    traces = []
    desk.chats.trace_read.connect(lambda *args: traces.append(args))

    desk.chats.read_trace(answer.id)
    desk.wait(lambda: traces)

    provenance = answer.provenance
    assert provenance.seed == 1
    assert provenance.stop_reason == "length"
    assert len(answer.token_ids) == 40
    ((told, trace),) = traces
    assert told == answer.id
    assert len(trace.prompt_ids) == answer.stats.prompt_tokens
    assert [score.id for score in trace.scores] == list(answer.token_ids)
    assert all(len(score.top) == 2 for score in trace.scores)


def test_a_crash_leaves_where_the_answer_came_from_and_its_tokens(desk, tmp_path):
    desk.set(max_new_tokens=100_000)
    desk.chats.ask("a long one")
    desk.wait(lambda: desk.path() and len(desk.path()[-1].text) > 200)
    copies = iter(range(1000))

    def crashed():
        store = desk.on_disk(tmp_path / f"copy{next(copies)}")
        message = store.load(listed(store)[0].id).tree.path()[-1]
        trace = store.trace(message.id)
        store.close()
        return message, trace

    desk.wait(lambda: crashed()[0].token_ids)
    message, trace = crashed()
    live = desk.path()[-1]
    assert message.provenance == live.provenance
    assert message.provenance.stop_reason == ""
    assert live.token_ids[: len(message.token_ids)] == message.token_ids
    assert trace.prompt_ids
    desk.chats.stop()
    desk.wait(lambda: desk.saved)


def test_alarms_of_a_run_are_relayed_and_end_with_the_model(desk, endless):
    told = []
    desk.chats.alarm.connect(told.append)
    slow = Alarm(AlarmKind.SLOW_AND_FULL, values=(("speed", "1"), ("usual", "9")))
    desk.set(max_new_tokens=100_000)
    desk.chats.ask("hello")
    desk.wait(lambda: desk.path() and desk.path()[-1].text)
    run = desk.chats._answering.run

    desk.engine.generated.emit(run.id, slow)
    desk.engine.generated.emit(run.id, slow)
    desk.wait(lambda: told)
    desk.chats.stop()
    desk.wait(lambda: desk.saved)
    assert told == [slow]

    desk.load(endless)
    assert told == [slow, replace(slow, on=False)]


def test_a_model_that_had_to_take_the_cpu_raises_an_alarm(desk, endless):
    told = []
    desk.chats.alarm.connect(told.append)
    state = desk.models.state
    info = replace(state.info, cpu_fallback="The card has no memory left.")

    desk.models.changed.emit(replace(state, info=info))
    desk.models.changed.emit(replace(state, info=info))

    alarm = Alarm(AlarmKind.CPU_FALLBACK, values=(("reason", "The card has no memory left."),))
    assert told == [alarm]
    desk.models.changed.emit(state)
    assert told == [alarm, replace(alarm, on=False)]
