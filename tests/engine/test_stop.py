"""Stop at every stage: the event is set from within a forward, and next to nothing runs after it.

On a CPU at most one more matrix product; where a cache cannot be cropped, the token under way is
finished. What was read until then is kept, and the next request is answered as by a fresh model.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch

from qwen_desktop.chat.events import Delta, FinishReason, GenerationEvent, Started
from qwen_desktop.chat.model import EngineOptions, GenerationRequest
from qwen_desktop.engine.answering import AHEAD_SHARE
from qwen_desktop.engine.engine import Engine
from tests.engine.checkpoints import PLAIN, THINKING
from tests.engine.helpers import ask, chat, load, reason_of, request, text_of, usage_of
from tests.engine.test_runner import SLIDING, CancelAfter

KINDS = [("qwen3", {}), ("qwen2", SLIDING), ("qwen3_5_text", {})]
PLACES = ["first", "middle", "last"]
EVEN = {"temperature": 2.0, "top_k": 0, "top_p": 1.0, "seed": 1}  # hardly an end among the tokens
LONG = "the question of the other thinner inner " * 24  # several pieces


class Stop:
    """An event that is set when a matrix product in a layer has been done for the `at`-th time.

    `products` and `steps` are the matrix products and the forwards that came after that.
    """

    def __init__(self, runner: Any, place: str, at: int) -> None:
        self.event = threading.Event()
        self.products = self.steps = 0
        self._left = at
        self._watched: list[Any] = []
        layers = _products_of(runner)
        found = layers[{"first": 0, "middle": len(layers) // 2, "last": -1}[place]]
        chosen = found[{"first": 0, "middle": len(found) // 2, "last": -1}[place]]
        model = runner.module
        products = {id(m): m for m in model.modules() if isinstance(m, torch.nn.Linear)}
        products |= {id(m): m for layer in layers for m in layer}
        for module in products.values():
            self._watch(module, self._product, self._count_down if module is chosen else None)
        self._watch(model.get_input_embeddings(), self._step, None)

    def _watch(self, module: Any, before: Any, after: Any) -> None:
        forward = module.forward

        def watched(*given: Any) -> Any:
            before()
            found = forward(*given)
            if after is not None:
                after()
            return found

        module.forward = watched
        self._watched.append(module)

    def _count_down(self) -> None:
        self._left -= 1
        if self._left == 0:
            self.event.set()

    def _product(self) -> None:
        self.products += self.event.is_set()

    def _step(self) -> None:
        self.steps += self.event.is_set()

    def remove(self) -> None:
        for module in self._watched:
            del module.forward


def _products_of(runner: Any) -> list[list[Any]]:
    """The modules of the matrix products of each layer, whichever way computes."""
    if getattr(runner, "_lean", None) is not None:
        return [layer.products for layer in runner._lean.layers]
    layers = runner.module.get_decoder().layers
    return [[m for m in layer.modules() if isinstance(m, torch.nn.Linear)] for layer in layers]


class Chat:
    """A loaded engine, and a fresh one of the same checkpoint to compare with."""

    def __init__(self, made: Any, family: str, template: str, options: dict[str, Any]) -> None:
        self.folder = made(family, template=template, max_position_embeddings=2048, **options)
        self.engine = Engine()
        load(self.engine, self.folder)
        assert self.chunk < 400  # so that LONG is several of them

    @property
    def runner(self) -> Any:
        assert self.engine._loaded is not None
        return self.engine._loaded.runner

    @property
    def chunk(self) -> int:
        return int(self.runner.capabilities.prefill_chunk)

    @contextmanager
    def stop(self, place: str, at: int, *, whole_steps: bool = False) -> Iterator[Stop]:
        """A Stop within; it does come to that. `whole_steps`: a forward may be finished."""
        stop = Stop(self.runner, place, at)
        try:
            yield stop
        finally:
            stop.remove()
        assert stop.event.is_set()
        assert stop.steps == 0
        if not whole_steps:
            assert stop.products <= 1

    def ids(self) -> list[int]:
        """What the conversation's cache holds."""
        assert self.engine._answering is not None
        session = self.engine._answering._sessions.find("c")
        assert session is not None
        assert session.cache.length == len(session.ids)
        return list(session.ids)

    def check(self, asked: GenerationRequest) -> int:
        """The next answer is right; how many tokens of its prompt had been kept."""
        fresh = Engine()
        load(fresh, self.folder)
        events = ask(self.engine, asked)
        assert text_of(events) == text_of(ask(fresh, asked)) != ""
        self.ids()
        return usage_of(events).stats.reused_tokens


@pytest.fixture(params=KINDS, ids=str)
def talk(request, made) -> Chat:
    family, options = request.param
    return Chat(made, family, PLAIN, options)


@pytest.fixture(params=["qwen3", "qwen3_5_text"])
def thinker(request, made) -> Chat:
    return Chat(made, request.param, THINKING, {})


def answered(asked: GenerationRequest, events: list[GenerationEvent]) -> GenerationRequest:
    """`asked` with the answer that came and a further question."""
    question, answer, last = chat(asked.messages[0].text, text_of(events), "and then?")
    return replace(asked, messages=(question, replace(answer, token_ids=ids_of(events)), last))


def ids_of(events: list[GenerationEvent]) -> tuple[int, ...]:
    return tuple(number for event in events if isinstance(event, Delta) for number in event.ids)


def prompt_of(events: list[GenerationEvent]) -> list[int]:
    (started,) = [event for event in events if isinstance(event, Started)]
    return list(started.prompt_ids)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("piece", [1, 2])
def test_in_the_prompt(talk, place, piece):
    asked = request(LONG, temperature=0.0)
    with talk.stop(place, piece) as stop:
        events = ask(talk.engine, asked, stop.event)
    assert reason_of(events) is FinishReason.STOPPED
    assert text_of(events) == ""
    held = talk.ids()
    assert held == prompt_of(events)[: len(held)]
    # In the last layer's last product the piece is as good as done.
    assert len(held) in {(piece - 1) * talk.chunk, piece * talk.chunk}
    assert talk.check(asked) == len(held)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("token", [1, 3])
def test_in_the_answer(talk, place, token):
    asked = request("the end", **EVEN, max_new_tokens=9)
    whole = ask(talk.engine, asked)
    assert len(ids_of(whole)) > 5
    croppable = talk.runner.capabilities.croppable
    pieces = 1 if croppable else 2  # where it has to be gone back to, the prompt has a boundary
    talk.engine.forget("c")
    with talk.stop(place, pieces + token, whole_steps=not croppable) as stop:
        events = ask(talk.engine, asked, stop.event)
    assert reason_of(events) is FinishReason.STOPPED
    told = ids_of(events)
    assert told == ids_of(whole)[:token]
    held, prompt = talk.ids(), prompt_of(events)
    assert held == [*prompt, *told][: len(held)]
    assert len(held) >= len(prompt) + token - 1
    assert talk.check(asked) > 0
    talk.check(answered(asked, whole))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("piece", [1, 2])
def test_in_the_reading_ahead(thinker, place, piece):
    asked = request("the end", temperature=0.0, thinking=True)
    ask(thinker.engine, asked)
    before = thinker.ids()
    said = request("the end", LONG, temperature=0.0, thinking=True)
    with thinker.stop(place, piece) as stop:
        list(thinker.engine.prepare(said, stop.event))
    held = thinker.ids()
    if place != "last" and piece == 1:
        assert held == before[: len(held)]
    else:
        assert len(held) >= thinker.chunk // AHEAD_SHARE
    follow = request("the end", LONG, "and then?", temperature=0.0, thinking=True)
    assert thinker.check(replace(follow, messages=(*said.messages, follow.messages[-1]))) > 0


@pytest.mark.parametrize("place", PLACES)
def test_before_a_cache_file_is_read(talk, place, tmp_path):
    """A forward tries out what belongs into one; the file stands, and serves the next request."""
    options = EngineOptions(kv_disk=2**30, kv_folder=tmp_path / "kv")
    talk.engine.configure(options)
    first = request(LONG, temperature=0.0)
    follow = answered(first, ask(talk.engine, first))
    kept = len(talk.ids())
    assert len(list(talk.engine.rest())) == 1
    talk.engine = Engine()
    talk.engine.configure(options)
    load(talk.engine, talk.folder)
    with talk.stop(place, 1) as stop:
        events = ask(talk.engine, follow, stop.event)
    assert reason_of(events) is FinishReason.STOPPED
    assert talk.ids() == []
    assert talk.check(follow) >= kept - 1


@pytest.mark.parametrize("family", ["qwen3", "qwen3_5_text"])
def test_while_a_cache_file_is_read_or_written(made, family, tmp_path):
    """Nothing computes there: wherever somebody looks at the event, it was set just before."""
    talk = Chat(made, family, PLAIN, {})
    options = EngineOptions(kv_disk=2**30, kv_folder=tmp_path / "kv")
    talk.engine.configure(options)
    first = request("the end", temperature=0.0)
    follow = answered(first, ask(talk.engine, first))
    looks = 0
    while list(talk.engine.rest(CancelAfter(looks))) == []:
        assert list((tmp_path / "kv").glob("*")) == []
        looks += 1
    assert looks > len(talk.runner.module.get_decoder().layers)
    talk.engine = Engine()
    talk.engine.configure(options)
    load(talk.engine, talk.folder)
    looks = 0
    while reason_of(ask(talk.engine, follow, CancelAfter(looks))) is FinishReason.STOPPED:
        talk.engine.configure(options)  # its layout is tried out anew
        looks += 3
    assert looks > 40
    assert talk.check(follow) > 0
