"""Reading ahead: what the next prompt begins with is in the cache before it is asked for."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_desktop.chat.messages import Message, Part, PartKind, Role, user_message
from qwen_desktop.engine.idle import next_prefix, read_ahead
from qwen_desktop.engine.prompt import Prompt, build_prompt
from qwen_desktop.engine.relief import Relief
from qwen_desktop.engine.session import Session
from tests.engine.checkpoints import PLAIN, THINKING, THINKING_OPEN
from tests.engine.helpers import NEVER, runner_of, tokenizer_of
from tests.engine.test_runner import CancelAfter
from tests.engine.test_session import RefuseOnce

TEMPLATES = {"plain": PLAIN, "thinking": THINKING, "thinking open": THINKING_OPEN, "none": None}
FAMILIES = ["qwen3", "qwen3_5_text"]
CHUNK = 8


def relief() -> Relief:
    return Relief(torch.device("cpu"), lambda: 0)


def answered(text: str, reasoning: str, ids: list[int]) -> Message:
    parts = (Part(PartKind.REASONING, reasoning),) if reasoning else ()
    parts += (Part(PartKind.TEXT, text),)
    return Message(role=Role.ASSISTANT, parts=parts, token_ids=tuple(ids))


class Chat:
    """A conversation whose answers are what the test says, as if the model had generated them."""

    def __init__(self, folder, *, thinking: bool = True) -> None:
        self.tokenizer, self.runner = tokenizer_of(folder), runner_of(folder)
        self.session = Session("c", self.runner)
        self.thinking = thinking
        self.messages: list[Message] = []
        self.prompt: Prompt | None = None

    def ask(self, text: str) -> int:
        """Feed the prompt for `text`; how many of its tokens had to be fed."""
        self.messages.append(user_message(text, None))
        prompt = build_prompt(self.tokenizer, self.messages, "", thinking=self.thinking)
        reused = self.session.rewind(prompt.ids)
        list(self.session.prefill(prompt.ids, prompt.boundary, NEVER, chunk=CHUNK, relief=relief()))
        self.prompt = prompt
        return len(prompt.ids) - reused

    def answer(self, text: str, reasoning: str = "") -> None:
        """Feed an answer, the mark that ends it left out, as the decode loop does."""
        ids = []
        if reasoning:
            assert self.prompt is not None
            marks = (self.tokenizer.think_open, self.tokenizer.think_close)
            ids = [] if self.prompt.thinking_open else [marks[0], *self.tokenizer.encode("\n")]
            ids += self.tokenizer.encode(reasoning + "\n")
            ids += [marks[1], *self.tokenizer.encode("\n\n")]
        ids += self.tokenizer.encode(text)
        for token in ids:
            self.session.append(token, NEVER, relief())
        self.messages.append(answered(text, reasoning, ids))

    def prefix(self) -> tuple[int, ...]:
        return next_prefix(self.tokenizer, self.messages, "", thinking=self.thinking)

    def read(self, cancel=NEVER, ladder=None) -> int:
        """Read ahead; how many pieces it took."""
        steps = read_ahead(
            self.session, self.prefix(), cancel, chunk=CHUNK, relief=ladder or relief()
        )
        return len(list(steps))

    def consistent(self) -> bool:
        return self.session.cache.length == len(self.session.ids)


@pytest.fixture(params=FAMILIES)
def family(request) -> str:
    return request.param


def after_a_turn(made, family: str, template: str | None, reasoning: str = "") -> Chat:
    chat = Chat(made(family, template=template))
    chat.ask("the first question of them all")
    chat.answer("a long answer, more than one piece of it", reasoning)
    return chat


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_prefix_begins_every_next_prompt(made, template):
    chat = after_a_turn(made, "qwen3", TEMPLATES[template], "x" if "t" in template else "")
    prefix = chat.prefix()
    said = "a long answer"
    assert said in chat.tokenizer.decode(list(prefix))
    for text in ("hi", "the", "\n\n  x", " ", "3", "。", "<|im_end|>", "\N{PILE OF POO}"):
        messages = [*chat.messages, user_message(text, None)]
        prompt = build_prompt(chat.tokenizer, messages, "", thinking=True)
        assert prompt.ids[: len(prefix)] == prefix


@settings(max_examples=30)
@given(text=st.text(min_size=1))
def test_whatever_is_said_next(made, text):
    chat = Chat(made("qwen3"))
    chat.messages = [user_message("hello", None), answered("fine", "hm", [])]
    messages = [*chat.messages, user_message(text, None)]
    prefix = chat.prefix()
    prompt = build_prompt(chat.tokenizer, messages, "", thinking=True)
    assert prompt.ids[: len(prefix)] == prefix


@pytest.mark.parametrize("template", ["thinking", "thinking open"])
def test_thoughts_are_gone_before_the_next_question(made, family, template):
    """Which then costs its own tokens, whatever was thought and said before."""
    chat = after_a_turn(made, family, TEMPLATES[template], "a long thought " * 5)
    assert chat.read() > 1
    assert chat.consistent()
    assert tuple(chat.session.ids) == chat.prefix()
    assert chat.read() == 0
    few = chat.ask("and then?")
    assert few < 40
    chat.answer("indeed", "so it is " * 10)
    lazy = chat.ask("and then?")  # without reading ahead, the last answer again
    assert lazy > few


def test_an_answer_without_thoughts_is_only_closed(made, family):
    chat = after_a_turn(made, family, PLAIN)
    before = list(chat.session.ids)
    assert chat.read() == 1
    assert chat.session.ids[: len(before)] == before
    assert 0 < len(chat.session.ids) - len(before) < CHUNK


def test_a_state_can_come_back_to_where_the_reading_ended(made):
    """To write the next question in other words, and to write the last answer anew."""
    chat = after_a_turn(made, "qwen3_5_text", THINKING, "hm " * 10)
    first = chat.prompt
    chat.read()
    chat.ask("one thing")
    chat.messages.pop()
    assert chat.ask("another thing") < 40
    assert first is not None
    assert chat.session.rewind(first.ids) == first.boundary


@pytest.mark.parametrize("looks", [0, 1, 3, 8, 21, 34])
def test_any_request_ends_it_between_two_layers(made, family, looks):
    chat = after_a_turn(made, family, THINKING, "a long thought " * 3)
    cancel = CancelAfter(looks)
    chat.read(cancel)
    assert chat.consistent()
    assert cancel.left >= -3  # nobody went on after it was set
    assert chat.read() >= 0  # and it can be taken up again
    assert tuple(chat.session.ids) == chat.prefix()
    chat.ask("and then?")
    assert chat.prompt is not None
    fresh = Session("f", chat.runner)
    list(fresh.prefill(chat.prompt.ids, 0, NEVER, chunk=CHUNK, relief=relief()))
    got = chat.session.append(50, NEVER, relief())
    torch.testing.assert_close(got, fresh.append(50, NEVER, relief()), atol=2e-3, rtol=1e-3)


def test_it_does_not_begin_once_cancelled(made):
    chat = after_a_turn(made, "qwen3", THINKING, "hm")
    before = list(chat.session.ids)
    assert chat.read(CancelAfter(0)) == 0
    assert chat.session.ids == before


@pytest.mark.parametrize("times", [1, 100])
def test_memory_that_runs_out_is_no_trouble(made, family, times):
    chat = after_a_turn(made, family, THINKING, "a long thought " * 3)
    with RefuseOnce(chat.runner, 5, times=times):
        chat.read()
    assert chat.consistent()
    prefix = chat.prefix()
    assert tuple(chat.session.ids) == prefix[: len(chat.session.ids)]
    assert (len(chat.session.ids) == len(prefix)) is (times == 1)
