"""Whatever is done to conversations, the answer is that of a model that reads everything anew.

Random walks over everything that touches a cache: asking, editing an earlier message, writing an
answer anew, branching, stopping in the prompt, in the answer or in the idle reading, changing
between conversations, giving caches up, writing them to files and starting again from there.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_desktop.chat.messages import Message, Part, PartKind, Role, user_message
from qwen_desktop.chat.model import EngineOptions
from qwen_desktop.engine import sessions
from qwen_desktop.engine.idle import next_prefix, read_ahead
from qwen_desktop.engine.prompt import Prompt, build_prompt
from qwen_desktop.engine.relief import Relief
from qwen_desktop.engine.runner import Logits
from qwen_desktop.engine.session import Session
from qwen_desktop.engine.sessions import Sessions
from qwen_desktop.engine.spill import CacheKey
from qwen_desktop.engine.tokenizer import Tokenizer
from qwen_desktop.errors import Cancelled
from tests.engine.checkpoints import PLAIN, THINKING, THINKING_OPEN
from tests.engine.helpers import NEVER, runner_of, tokenizer_of
from tests.engine.qwen1.checkpoints import make as make_first
from tests.engine.qwen1.conftest import golden
from tests.engine.test_runner import CancelAfter, ignore

NEW = 5  # tokens of an answer
CLOSE = {"atol": 2e-3, "rtol": 1e-3}
KEY = CacheKey("print", "FP32", "float32", "model", 1.0)
WORDS = st.lists(st.sampled_from(["the", "inner", "other", " 7", "?\n", "。"]), max_size=4)


class Model:
    """A loaded checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.runner: Any = runner_of(folder)
        self.tokenizer: Tokenizer = tokenizer_of(folder)


@pytest.fixture(
    params=["qwen2", "qwen3", "qwen3_5_text", "qwen"], ids=lambda family: family, scope="module"
)
def model(request, made, tmp_path_factory) -> Model:
    if request.param == "qwen":  # its scale of positions changes every 64 tokens and more
        spec = importlib.util.find_spec("dashscope")
        assert spec is not None
        assert spec.origin is not None
        folder = tmp_path_factory.mktemp("first") / "model"
        vocabulary = Path(spec.origin).parent / "resources" / "qwen.tiktoken"
        make_first(folder, golden("specs")["s-ntk-logn"], vocabulary)
        return Model(folder)
    template = {"qwen2": PLAIN, "qwen3": THINKING, "qwen3_5_text": THINKING_OPEN}[request.param]
    return Model(made(request.param, template=template, max_position_embeddings=2048))


@pytest.fixture(scope="module", autouse=True)
def copied_however_short():
    """These conversations are short; what they have in common is taken over all the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "WORTH_COPYING", 1)
        yield


@dataclass
class Walk:
    """Conversations in one `Sessions`, each a path of messages."""

    model: Model
    sessions: Sessions
    options: EngineOptions
    paths: list[list[Message]] = field(default_factory=lambda: [[], []])
    chunk: int = 8

    def relief(self, keep: str) -> Relief:
        return Relief(torch.device("cpu"), lambda: self.sessions.drop_others(keep))

    def generated(
        self, session: Session, prompt: Prompt, stop: int
    ) -> Iterator[tuple[int, Logits]]:
        """Greedy tokens, each with the logits it was chosen from. Raises Cancelled at `stop`."""
        cancel = CancelAfter(stop) if stop >= 0 else NEVER
        relief = self.relief(session.conversation_id)
        session.rewind(prompt.ids)
        for _, logits in session.prefill(
            prompt.ids, prompt.boundary, cancel, chunk=self.chunk, relief=relief
        ):
            last = logits
        for _ in range(NEW):
            if cancel.is_set():
                raise Cancelled
            token = int(last.argmax())
            yield token, last.clone()
            if token in self.model.tokenizer.end_ids:
                return
            last = session.append(token, cancel, relief)

    def anew(self, prompt: Prompt) -> Iterator[tuple[int, Logits]]:
        """The same without anything that remembers: one forward, then token by token."""
        runner, ids = self.model.runner, list(prompt.ids)
        cache = runner.new_cache(runner.rope_scale(len(ids)))
        last = runner.prefill(cache, ids, chunk=len(ids), on_progress=ignore, cancel=NEVER)
        for _ in range(NEW):
            token = int(last.argmax())
            yield token, last.clone()
            if token in self.model.tokenizer.end_ids:
                return
            last = runner.decode(cache, token, cancel=NEVER)

    def answer(self, number: int, stop: int) -> None:
        """Answer the path of conversation `number`; compare with a model that reads it anew."""
        path, name = self.paths[number], f"c{number}"
        prompt = build_prompt(self.model.tokenizer, path, "", thinking=True)
        session = self.sessions.take(name, prompt.ids)
        tokens = []
        steps = zip(self.generated(session, prompt, stop), self.anew(prompt), strict=True)
        try:
            for (token, logits), (wanted, expected) in steps:
                torch.testing.assert_close(logits, expected, **CLOSE)
                if token != wanted:  # only where two are as good as each other
                    assert expected[wanted] - expected[token] < 2 * CLOSE["atol"]
                    break
                tokens.append(token)
        except Cancelled:
            pass
        self.check(session)
        parts = self.parts(tokens)
        path.append(Message(role=Role.ASSISTANT, parts=parts, token_ids=tuple(tokens)))

    def parts(self, tokens: list[int]) -> tuple[Part, ...]:
        """Text of an answer: the first half was thought where the model can think."""
        kept = [token for token in tokens if token not in self.model.tokenizer.end_ids]
        half = len(kept) // 2 if self.model.tokenizer.can_think else 0
        texts = (self.model.tokenizer.decode(kept[:half]), self.model.tokenizer.decode(kept[half:]))
        kinds = (PartKind.REASONING, PartKind.TEXT)
        return tuple(Part(kind, text) for kind, text in zip(kinds, texts, strict=True) if text)

    def check(self, session: Session) -> None:
        assert session.cache.length == len(session.ids)
        assert session.nbytes >= session.cache.nbytes

    # What can be done

    def ask(self, number: int, text: str, stop: int) -> None:
        self.paths[number].append(user_message(text, None))
        self.answer(number, stop)

    def edit(self, number: int, back: int, text: str, stop: int) -> None:
        """Another message in place of an earlier one: what followed is gone from the path."""
        path = self.paths[number]
        users = [at for at, message in enumerate(path) if message.role is Role.USER]
        if users:
            del path[users[-1 - back % len(users)] :]
        self.ask(number, text, stop)

    def again(self, number: int, stop: int) -> None:
        """The last answer anew."""
        if self.paths[number]:
            self.paths[number].pop()
            self.answer(number, stop)

    def branch(self, number: int) -> None:
        """The other conversation begins as this one."""
        self.paths[1 - number] = list(self.paths[number])

    def idle(self, number: int, stop: int) -> None:
        """Read ahead, perhaps not to the end."""
        session = self.sessions.find(f"c{number}")
        if session is None or not self.paths[number]:
            return
        prefix = next_prefix(self.model.tokenizer, self.paths[number], "", thinking=True)
        cancel = CancelAfter(stop) if stop >= 0 else NEVER
        relief = self.relief(session.conversation_id)
        list(read_ahead(session, prefix, cancel, chunk=self.chunk, relief=relief))
        self.check(session)
        if stop < 0:
            assert session.holds(prefix)

    def evict(self, number: int) -> None:
        self.sessions.drop_others(f"c{number}")

    def rest(self) -> None:
        list(self.sessions.rest())

    def restart(self) -> None:
        self.sessions = Sessions(self.model.runner, KEY, self.options)


STOPS = st.one_of(st.just(-1), st.just(-1), st.integers(0, 40))
NUMBERS = st.integers(0, 1)
TEXTS = WORDS.map("".join)
ACTIONS = st.one_of(
    st.tuples(st.just("ask"), NUMBERS, TEXTS, STOPS),
    st.tuples(st.just("ask"), NUMBERS, TEXTS, STOPS),
    st.tuples(st.just("edit"), NUMBERS, st.integers(0, 3), TEXTS, STOPS),
    st.tuples(st.just("again"), NUMBERS, STOPS),
    st.tuples(st.just("branch"), NUMBERS),
    st.tuples(st.just("idle"), NUMBERS, STOPS),
    st.tuples(st.just("evict"), NUMBERS),
    st.tuples(st.just("rest")),
    st.tuples(st.just("restart")),
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(actions=st.lists(ACTIONS, min_size=4, max_size=9), limit=st.sampled_from([None, 0, 10**7]))
def test_reuse_shows_in_nothing_but_time(model, tmp_path_factory, actions, limit):
    folder = tmp_path_factory.mktemp("kv")
    options = EngineOptions(kv_memory=limit, kv_disk=2**30, kv_folder=folder)
    walk = Walk(model, Sessions(model.runner, KEY, options), options)
    walk.ask(0, "the other", -1)
    for name, *values in actions:
        getattr(walk, name)(*values)
    for number in (0, 1):
        walk.ask(number, "the end", -1)
