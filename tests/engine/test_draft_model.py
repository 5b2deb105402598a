"""A smaller model that guesses: its vocabulary, its memory, and that answers stay what they are."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from qwen_desktop.chat.events import Delta
from qwen_desktop.chat.model import EngineOptions
from qwen_desktop.engine.engine import Engine
from qwen_desktop.engine.speculation import offer
from qwen_desktop.engine.speculation.draft_model import Drafting
from tests.engine.checkpoints import edit_json
from tests.engine.guessing import Free
from tests.engine.helpers import ask, load, request

LARGE = {"num_hidden_layers": 4}
SMALL = {"num_hidden_layers": 1}


def engine_of(folder, draft=None) -> Engine:
    engine = Engine()
    engine.configure(EngineOptions(draft_folder=draft))
    load(engine, folder)
    return engine


def ids_of(events) -> list[int]:
    return [i for e in events if isinstance(e, Delta) for i in e.ids]


@pytest.fixture
def free(monkeypatch):
    monkeypatch.setattr(offer, "Costs", Free)


@pytest.mark.parametrize("new", [2, 60])
def test_answers_are_those_without(made, free, new):
    alone = engine_of(made("qwen3", **LARGE))
    helped = engine_of(made("qwen3", **LARGE), made("qwen2", **SMALL))
    values = {"temperature": 0.0, "max_new_tokens": new, "loop_guard": False}
    asked = request("what is in the window", **values)
    off = ask(alone, replace(asked, settings=replace(asked.settings, speculation="off")))
    on = ask(helped, asked)
    assert ids_of(on) == ids_of(off)
    assert on[0].provenance.draft_model == helped.card().draft != ""
    assert on[-1].drafted >= on[-1].accepted
    assert new == 2 or on[-1].drafted > 0
    following = request("what is in the window", "the", "go on", **values)
    assert ids_of(ask(helped, following)) == ids_of(ask(alone, following))


def test_what_it_says_comes_true_where_it_is_the_same_model(made, free):
    engine = engine_of(made("qwen3", **LARGE), made("qwen2", **SMALL))
    speculation, runner = engine._answering._speculation, engine._loaded.runner
    twin = replace(engine._loaded.draft, runner=runner)
    speculation._drafting = Drafting(twin, runner.capabilities.vocab_size)
    end = ask(engine, request("hello", temperature=0.0, max_new_tokens=40))[-1]
    assert end.accepted == end.drafted > 10


def test_its_memory_counts_and_goes_with_the_model(made, free):
    alone = engine_of(made("qwen3", **LARGE))
    engine = engine_of(made("qwen3", **LARGE), made("qwen2", **SMALL))
    draft = engine._loaded.draft
    more = engine.held()["cpu"] - alone.held()["cpu"]
    assert more == pytest.approx(draft.weight_bytes, rel=0.1)
    for one in (alone, engine):
        ask(one, request("hello there", temperature=0.0, max_new_tokens=40))
    held = engine._answering._speculation.nbytes
    assert held > 0
    assert engine._answering.kv_bytes == alone._answering.kv_bytes + held
    counted, plain = (one._answering.counted()["cpu"] for one in (engine, alone))
    assert counted.kv_others == plain.kv_others + held
    planned, before = (one._answering._planner.peak(100, 200, 100) for one in (engine, alone))
    assert planned == before + 200 * draft.runner.capabilities.kv_bytes_per_token
    card = engine.card()
    assert (card.draft, card.no_draft) == (draft.name, None)
    engine.unload()
    assert engine.held() == {}


def test_another_vocabulary_is_refused_with_a_reason(made, copied):
    folder = copied("qwen2", **SMALL)
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    words = model["vocab"]
    first, second = list(words)[20:22]
    words[first], words[second] = words[second], words[first]
    edit_json(folder / "tokenizer.json", model=model)
    engine = engine_of(made("qwen3", **LARGE), folder)
    card = engine.card()
    assert card.draft == ""
    assert "its tokens differ" in card.no_draft.text()
    assert engine.held().keys() == {"cpu"}
    assert ask(engine, request("hello", temperature=0.0))[0].provenance.draft_model == ""


@pytest.mark.parametrize(
    ("large", "draft", "why"),
    [
        (("qwen3", {}), ("qwen3", LARGE), "not smaller"),
        (("qwen3", {}), ("qwen3", {}), "not smaller"),
        (("qwen3", {"num_hidden_layers": 9}), ("qwen3_5_text", {}), "cannot take back"),
    ],
)
def test_what_cannot_guess_is_told(made, large, draft, why):
    engine = engine_of(made(large[0], **large[1]), made(draft[0], **draft[1]))
    assert why in engine.card().no_draft.text()
    assert engine._loaded.draft is None


def test_a_folder_that_is_none_does_not_keep_a_model_from_opening(made, tmp_path):
    engine = engine_of(made("qwen3"), tmp_path / "gone")
    assert engine.info is not None
    assert engine.card().no_draft is not None


def test_a_model_that_cannot_go_back_gets_none(made):
    engine = engine_of(made("qwen3_5_text"), made("qwen2", **SMALL))
    assert engine._loaded.draft is None
    assert engine.card().no_draft is None
