"""An answer that grows: only its end is touched, and it ends as the whole text would."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_desktop.chat.messages import PartKind, Status
from qwen_desktop.ui.timeline.code import CodeBlock
from tests.ui.timeline.conftest import answer, button, click, has_button, settle, shown_text, user
from tests.ui.timeline.test_markdown import FRAGMENTS

TEXT = """One *paragraph*.

- a list
- of two

```python
def f(x):
    return x
```

| a | b |
|---|---|
| 1 | 2 |

> quoted

Last [words](https://a.b).
"""


def streamed(timeline, text, size=7):
    """Stream all of `text`; the view and the message at its end."""
    return list(stream(timeline, text, size))[-1]


def stream(timeline, text, size=7):
    """Stream `text` in pieces; yields the view after each."""
    message = answer(status=Status.STREAMING)
    timeline.add(message)
    for at in range(0, len(text), size):
        message = message.appended(PartKind.TEXT, text[at : at + size])
        timeline.change(message)
        yield timeline.view_at(len(timeline.messages()) - 1), message


def test_only_the_last_block_changes_its_widget(timeline):
    before = []
    for view, _ in stream(timeline, TEXT):
        now = view.block_views
        assert all(old is new for old, new in zip(before[:-1], now, strict=False))
        before = now
    assert len(before) == 6


def test_earlier_widgets_are_not_even_told(timeline, monkeypatch):
    touched = []
    view, message = streamed(timeline, TEXT)
    for number, widget in enumerate(view.block_views):
        monkeypatch.setattr(
            widget, "update_block", lambda block, live, number=number: touched.append(number)
        )
    timeline.change(message.appended(PartKind.TEXT, "More."))
    assert touched == [len(view.blocks) - 1]


def test_the_end_leaves_finished_widgets_alone(timeline, monkeypatch):
    view, message = streamed(timeline, TEXT)
    before = view.block_views
    touched = []
    for number, widget in enumerate(before):
        monkeypatch.setattr(
            widget, "update_block", lambda block, live, number=number: touched.append(number)
        )
    timeline.change(replace(message, status=Status.COMPLETE))
    assert view.block_views == before
    assert touched == [len(before) - 1]  # which is told that no more will come
    assert "def f(x):\n    return x" in shown_text(view)


def test_a_late_definition_reaches_earlier_text_at_the_end(timeline):
    view, message = streamed(timeline, "See [it][x].\n\nMore.\n\n[x]: https://a.b\n")
    assert "[x]" in shown_text(view)
    timeline.change(replace(message, status=Status.COMPLETE))
    assert shown_text(view).startswith("See it.")


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=10).map("".join), st.integers(1, 5)
)
def test_streamed_and_opened_messages_read_the_same(timeline, source, size):
    timeline.clear()
    message = answer(status=Status.STREAMING)
    timeline.add(message)
    _, message = streamed(timeline, source, size)
    done = replace(message, status=Status.COMPLETE)
    timeline.change(done)
    grown = timeline.view_at(len(timeline.messages()) - 1)
    expected = [(type(v), v.geometry()) for v in grown.block_views], shown_text(grown)
    timeline.clear()
    timeline.set_messages([answer(), replace(done, id="other")])
    opened = timeline.view_at(1)
    assert ([(type(v), v.geometry()) for v in opened.block_views], shown_text(opened)) == expected


def test_code_grows_at_its_end_and_gets_its_colours(timeline, qtbot):
    text = "```python\ndef f():\n    return 'x'\n\n\ny = 1\n"
    codes = set()
    for view, message in stream(timeline, text):
        codes.update(block for block in view.block_views if isinstance(block, CodeBlock))
        last = message
    (code,) = codes
    assert code.code == "def f():\n    return 'x'\n\n\ny = 1"
    qtbot.waitUntil(lambda: not code.colouring)
    assert code.body.document().firstBlock().layout().formats()
    timeline.change(last.appended(PartKind.TEXT, "```\n"))
    qtbot.waitUntil(lambda: not code.colouring)
    assert code.body.document().lastBlock().layout().formats()
    assert code.body.document().blockCount() * 19 <= code.body.height()


def test_the_caret_stands_behind_the_text_only_while_streaming(timeline):
    def caret():
        found = [c for c in view.children() if type(c).__name__ == "Caret"]
        assert len(found) == 1
        return found[0]

    view, message = streamed(timeline, "Some words.")
    assert caret().isVisible()
    assert caret().x() > view.block_views[0].x() + 40
    timeline.change(replace(message, status=Status.STOPPED))
    assert not caret().isVisible()


def test_prefill_is_shown_until_the_text_begins(timeline):
    message = answer(status=Status.STREAMING)
    timeline.set_messages([user("q"), message])
    timeline.set_prefill(message.id, 512, 2048)
    view = timeline.view_at(1)
    labels = [child.text() for child in view.children() if hasattr(child, "setTextFormat")]
    assert "Reading the prompt, 512 of 2,048 tokens" in labels
    timeline.set_prefill(message.id, 0, 0, pause=7)
    labels = [child.text() for child in view.children() if hasattr(child, "setTextFormat")]
    assert "The server is busy; asked again in 7 s" in labels
    timeline.set_prefill(message.id, 0, 0)
    labels = [child.text() for child in view.children() if hasattr(child, "setTextFormat")]
    assert "Waiting for the server…" in labels
    timeline.change(message.appended(PartKind.TEXT, "Hi"))
    shown = [c for c in view.children() if hasattr(c, "setTextFormat") and c.isVisible()]
    assert [label.text() for label in shown] == ["Qwen-7B-Chat"]


def test_unknown_messages_are_ignored(timeline):
    timeline.change(answer("x"))
    timeline.set_prefill("no such id", 1, 2)
    assert timeline.messages() == []


def test_reasoning_is_open_while_it_streams_and_folds_for_the_answer(timeline):
    message = answer(status=Status.STREAMING).appended(PartKind.REASONING, "Let me *see*.")
    timeline.set_messages([user("q"), message])
    view = timeline.view_at(1)
    assert button(view, "Thinking…").isChecked()
    assert shown_text(view) == "Let me see."
    message = message.appended(PartKind.TEXT, "Yes.")
    timeline.change(message)
    assert shown_text(view) == "Yes."
    assert not button(view, "Thought").isChecked()


def test_reasoning_opens_and_folds_by_a_click(timeline):
    timeline.set_messages([user("q"), answer("Yes.", reasoning="Why?", reasoning_tokens=1234)])
    view = timeline.view_at(1)
    height = view.height()
    click(button(view, "Thought for 1,234 tokens"))
    assert shown_text(view) == "Why?\nYes."
    assert timeline.view_at(1).height() > height
    click(button(view, "Thought for 1,234 tokens"))
    assert shown_text(view) == "Yes."
    assert timeline.view_at(1).height() == height


def test_what_the_reader_unfolded_stays_unfolded_while_the_answer_grows(timeline):
    message = answer("Y", Status.STREAMING, reasoning="Why?")
    timeline.set_messages([user("q"), message])
    click(button(timeline, "Thought"))
    timeline.change(message.appended(PartKind.TEXT, "es."))
    assert shown_text(timeline.view_at(1)) == "Why?\nYes."


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.STREAMING])
def test_every_ending_can_be_copied(timeline, status):
    timeline.set_messages([user("q"), answer("Text.", status, error="It broke.")])
    settle()
    assert has_button(timeline.view_at(1), "Copy message")
