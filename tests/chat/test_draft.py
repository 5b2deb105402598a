"""Drafts as one string: nothing of text and files is lost, and other strings stay text."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from qwen_desktop.chat.attached import attached
from qwen_desktop.chat.draft import MARK, Draft, joined
from qwen_desktop.chat.messages import user_message

TEXT = st.text(max_size=30) | st.text(MARK + '{}"\\\nna', max_size=20)
FILES = st.lists(st.builds(attached, TEXT, TEXT), max_size=3).map(tuple)
DRAFTS = st.builds(Draft, TEXT, FILES)


@given(DRAFTS)
@example(Draft(MARK * 3, (attached(MARK, MARK),)))
@example(Draft(f'{MARK}{{"name": "a", "text": "b"}}{MARK}'))
def test_what_is_written_is_read_again(draft):
    assert Draft.read(draft.written()) == draft


@given(TEXT)
def test_any_string_can_be_read(written):
    draft = Draft.read(written)
    assert Draft.read(draft.written()) == draft


@given(st.text().filter(lambda text: MARK not in text))
def test_a_text_without_files_is_its_own_draft(text):
    assert Draft(text).written() == text
    assert Draft.read(text) == Draft(text)


@given(DRAFTS, DRAFTS)
def test_what_is_put_below_can_be_taken_apart(first, then):
    if set(first.files) & set(then.files):
        return
    both = Draft.read(joined(first.written(), then.written()))
    assert both == first.then(then)
    if both.text:
        assert both.without(first) == then


def test_what_is_in_both_is_there_once():
    file = attached("a.txt", "one")
    assert Draft("a", (file,)).then(Draft("b", (file,))) == Draft("a\nb", (file,))


def test_only_what_begins_with_a_draft_is_taken_apart():
    assert Draft("abc").without(Draft("ab")) is None
    assert Draft("abc").without(Draft("abc")) == Draft()
    assert Draft("abc").without(Draft("", (attached("a", "b"),))) is None


def test_a_message_can_be_said_again():
    file = attached("a.txt", "one")
    assert Draft.of(user_message("hello", None, [file])) == Draft("hello", (file,))
