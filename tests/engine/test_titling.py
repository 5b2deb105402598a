"""A title is written in a session of its own: the conversation's cache never hears of it."""

from __future__ import annotations

import threading

import pytest

from qwen_desktop.engine.lean.forward import Layer
from tests.engine.helpers import NEVER, ask, request, text_of, usage_of

FAMILIES = ["qwen3", "qwen3_5_text"]  # a cache that can be cropped, and one that cannot


def written(engine, asked, cancel=NEVER, after_steps=None):
    """What is said for a title; `cancel` is set after some steps."""
    work = engine.write_title(asked, cancel)
    steps = 0
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value, steps
        steps += 1
        if steps == after_steps:
            cancel.set()


def title_request(**settings):
    return request("give this a title", conversation="c", temperature=0.0, **settings)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_next_turn_finds_the_cache_as_it_was(opened, family):
    alone, disturbed = opened(family), opened(family)
    first = [ask(engine, request("hello", temperature=0.0)) for engine in (alone, disturbed)]
    held = disturbed._answering.kv_bytes

    said, steps = written(disturbed, title_request())

    assert said
    assert steps > 2
    assert disturbed._answering.kv_bytes == held
    following = request("hello", text_of(first[0]), "go on", temperature=0.0)
    second = [ask(engine, following) for engine in (alone, disturbed)]
    assert usage_of(second[1]).stats.reused_tokens == usage_of(second[0]).stats.reused_tokens
    assert usage_of(second[1]).stats.reused_tokens > 0
    assert text_of(second[1]) == text_of(second[0])


def test_it_says_what_an_answer_would_say(opened):
    engine = opened("qwen3")
    said, _ = written(engine, title_request(max_new_tokens=24))
    assert said == text_of(ask(engine, title_request(max_new_tokens=24)))


def test_its_memory_is_shown_while_it_lasts(opened):
    engine = opened("qwen3")
    work = engine.write_title(title_request(), NEVER)
    next(work)
    next(work)
    assert engine._answering.kv_bytes > 0
    work.close()
    assert engine._answering.kv_bytes == 0


@pytest.mark.parametrize("after", [1, 3])
def test_stop_ends_it_before_the_next_token(opened, after):
    said, steps = written(opened("qwen3"), title_request(), threading.Event(), after)
    assert said == ""
    assert steps <= after + 1


def test_stop_ends_it_within_a_forward(opened, monkeypatch):
    engine, cancel, layers = opened("qwen3"), threading.Event(), []
    original = Layer.forward

    def press_stop(layer, *args, **kwargs):
        layers.append(layer)
        cancel.set()  # while the first layer works
        return original(layer, *args, **kwargs)

    monkeypatch.setattr(Layer, "forward", press_stop)
    said, _ = written(engine, title_request(), cancel)
    assert said == ""
    assert len(layers) == 1


def test_no_title_is_worth_another_chats_cache(opened, monkeypatch):
    engine = opened("qwen3")
    ask(engine, request("hello", conversation="other"))
    held = engine._answering.kv_bytes
    monkeypatch.setattr("qwen_desktop.engine.planning.free_memory", lambda _device: 0)
    said, steps = written(engine, title_request())
    assert (said, steps) == ("", 0)
    assert engine._answering.kv_bytes == held


def test_without_a_checkpoint_there_is_no_title(engine):
    assert written(engine, title_request()) == ("", 0)


def test_a_prompt_that_was_counted_is_not_built_again_for_it(opened, monkeypatch):
    engine = opened("qwen3")
    asked = request("hello")
    engine.count_prompt(asked)
    written(engine, title_request())
    built = []
    prompting = engine._answering._prompting
    original = prompting._built
    monkeypatch.setattr(prompting, "_built", lambda *a: built.append(a) or original(*a))
    ask(engine, asked)
    assert not built
