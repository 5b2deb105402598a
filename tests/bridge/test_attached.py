"""Messages with files, from the draft to the disk and back."""

from __future__ import annotations

import pytest

from qwen_desktop.chat.attached import attached, content
from qwen_desktop.chat.draft import Draft
from qwen_desktop.chat.events import PromptCount
from qwen_desktop.chat.messages import Role

TABLE = attached("prices.csv", "name,price\ntea,4\n")
NOTES = attached("notes.md", "Only what is below 5.\n```\nquoted\n```")
DRAFT = Draft("Which may I buy?", (TABLE, NOTES))


def question(desk):
    return next(m for m in reversed(desk.path()) if m.role is Role.USER)


def test_files_are_in_the_prompt_and_on_disk(desk, tmp_path):
    answer = desk.ask_and_wait(DRAFT.written())
    asked = question(desk)
    assert (asked.text, asked.files) == (DRAFT.text, DRAFT.files)
    store = desk.on_disk(tmp_path / "copy")
    kept = store.load(desk.chats.current.id).tree.messages[asked.id]
    assert kept == asked
    assert store.drafts() == {}
    store.close()
    traces = []
    desk.chats.trace_read.connect(lambda _, trace: traces.append(trace))
    desk.chats.read_trace(answer.id)
    desk.wait(lambda: traces)
    desk.ask_and_wait("short")
    desk.chats.read_trace(desk.saved[-1].id)
    desk.wait(lambda: len(traces) == 2)
    # What the first answer was told of the files is what the second one is told.
    shared = len(traces[0].prompt_ids) - 8
    assert traces[1].prompt_ids[:shared] == traces[0].prompt_ids[:shared]


def test_files_are_counted_one_by_one(desk):
    counts = []
    desk.chats.counted.connect(counts.append)
    desk.chats.count(DRAFT.written())
    desk.wait(lambda: counts and isinstance(counts[-1], PromptCount) and counts[-1].files)
    both = counts[-1]
    assert len(both.files) == 2
    assert min(both.files) > 0
    desk.chats.count(Draft(DRAFT.text).written())
    desk.wait(lambda: isinstance(counts[-1], PromptCount) and not counts[-1].files)
    assert both.draft == counts[-1].draft + sum(both.files)
    assert both.prompt > counts[-1].prompt + max(both.files)


def test_an_edit_and_another_answer_keep_the_files(desk):
    desk.ask_and_wait(DRAFT.written())
    asked = question(desk)
    count = len(desk.saved)
    assert desk.chats.edit(asked.id, "And which not?")
    desk.wait(lambda: len(desk.saved) > count)
    edited = question(desk)
    assert (edited.text, edited.files) == ("And which not?", DRAFT.files)
    desk.chats.retry(desk.path()[-1].id)
    desk.wait(lambda: len(desk.saved) > count + 1)
    assert question(desk) == edited
    assert content(edited).endswith("And which not?")


def test_an_edit_may_leave_the_files_alone(desk):
    desk.ask_and_wait(DRAFT.written())
    asked = question(desk)
    count = len(desk.saved)
    assert desk.chats.edit(asked.id, "")
    desk.wait(lambda: len(desk.saved) > count)
    assert (question(desk).text, question(desk).files) == ("", DRAFT.files)
    desk.ask_and_wait("No files here")
    assert not desk.chats.edit(question(desk).id, " ")
    assert desk.problems[-1].text().startswith("There is nothing to send.")


def test_files_are_counted_also_where_they_are_too_long(desk):
    long = attached("long.txt", "word " * 30_000)
    counts = []
    desk.chats.counted.connect(counts.append)
    desk.chats.count(Draft("Sum it up.", (TABLE, long)).written())
    desk.wait(lambda: counts and isinstance(counts[-1], PromptCount))
    told = counts[-1]
    assert "tokens" in told.refusal.text()
    assert 0 < told.files[0] < 100 < 20_000 < told.files[1]
    desk.chats.count(Draft("Sum it up.", (TABLE,)).written())
    desk.wait(lambda: isinstance(counts[-1], PromptCount) and counts[-1].refusal is None)
    assert counts[-1].files == told.files[:1]


def test_drafts_with_files_outlive_the_program(desk, tmp_path):
    desk.chats.set_draft(DRAFT.written())
    desk.chats.flush()
    written = []
    desk.store.submit(lambda store: store.drafts(), written.append)
    desk.wait(lambda: written)
    store = desk.on_disk(tmp_path / "copy")
    assert Draft.read(store.drafts()[""]) == DRAFT
    store.close()


def test_a_file_that_was_read_late_goes_to_its_conversation(desk):
    desk.ask_and_wait("first")
    first, place = desk.chats.current.id, desk.chats.draft_place
    desk.chats.set_draft("typed")
    desk.chats.new()
    desk.chats.add_to_draft(place, Draft("", (TABLE,)).written())
    assert desk.drafts[-1] == ""
    desk.chats.open(first)
    desk.wait(lambda: desk.chats.current.id == first)
    assert Draft.read(desk.drafts[-1]) == Draft("typed", (TABLE,))


@pytest.mark.parametrize("text", ["second", "far too long " * 50_000])
def test_a_file_that_was_read_while_a_message_is_on_its_way_stands_once(desk, text):
    desk.ask_and_wait("first")
    first, place = desk.chats.current.id, desk.chats.draft_place
    desk.chats.set_draft(text)
    assert desk.chats.ask(text)
    desk.chats.new()
    desk.chats.add_to_draft(place, Draft("", (TABLE,)).written())
    desk.wait(lambda: not desk.chats.run.running)
    desk.chats.open(first)
    desk.wait(lambda: desk.chats.current.id == first)
    left = "" if text == "second" else text  # refused
    assert Draft.read(desk.drafts[-1]) == Draft(left, (TABLE,))


def test_a_conversation_of_files_alone_is_named_by_them(desk):
    desk.ask_and_wait(Draft("", (TABLE,)).written())
    assert desk.chats.current.summary().title == "prices.csv"
