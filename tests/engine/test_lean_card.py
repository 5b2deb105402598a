"""Steps in rooms of few sizes on a simulated card: plans, ledger and relief hold for them too.

Captured they are on a real card alone (tests/gpu); here each step is computed anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from qwen_desktop.chat.checkpoint import Precision
from qwen_desktop.chat.events import Finished, Started
from qwen_desktop.engine import engine as engine_module
from qwen_desktop.engine.engine import Engine
from qwen_desktop.engine.lean.runner import LeanRunner
from qwen_desktop.errors import Known
from tests.engine.helpers import NEVER, ask, load, request, text_of
from tests.engine.simulated_card import MIB, SimulatedCard
from tests.engine.test_simulated_card import (
    WIDE,
    card,
    leave_free,
    test_a_card_is_let_go_of_with_its_model,
    test_a_card_that_others_fill_is_one_sentence_and_no_end,
    test_a_plan_never_counts_on_what_the_allocator_refuses,
    test_a_refusal_in_an_answer_costs_other_chats_and_nothing_else,
    test_the_forecast_is_right_at_the_end_of_memory,
    test_the_ledger_of_a_card_adds_up,
    test_the_peak_of_an_answer_is_measured,
    test_what_is_to_come_is_what_a_full_context_takes,
)

__all__ = [
    "card",
    "test_a_card_is_let_go_of_with_its_model",
    "test_a_card_that_others_fill_is_one_sentence_and_no_end",
    "test_a_plan_never_counts_on_what_the_allocator_refuses",
    "test_a_refusal_in_an_answer_costs_other_chats_and_nothing_else",
    "test_the_forecast_is_right_at_the_end_of_memory",
    "test_the_ledger_of_a_card_adds_up",
    "test_the_peak_of_an_answer_is_measured",
    "test_what_is_to_come_is_what_a_full_context_takes",
]


@pytest.fixture
def engine(card, made, monkeypatch) -> Iterator[Engine]:
    monkeypatch.setattr(engine_module, "LeanRunner", partial(LeanRunner, graphs=True))
    engine = Engine()
    with card:
        load(engine, made("qwen3", **WIDE), placement="cuda", precision=Precision.BF16)
        assert "CUDA graphs" in engine.card().runner
        yield engine
        engine.unload()


@pytest.mark.parametrize("free", [0, 12 * MIB])
def test_a_card_that_runs_full_before_a_room_does(
    card: SimulatedCard, engine: Engine, free: int
) -> None:
    """What was said stands, and the next answer is the right one."""
    asked = request("hello " * 245, max_new_tokens=40, temperature=2.0, top_k=0, seed=1)
    engine.forget("c")
    expected = text_of(ask(engine, asked))
    rooms = engine._loaded.runner.capabilities.rooms
    session = engine._answering._sessions.find("c")
    assert rooms.size(len(session.ids) - 39) < rooms.size(len(session.ids))
    engine.forget("c")
    events, trouble = [], ""
    try:
        for event in engine.generate(asked, NEVER):
            events.append(event)
            if isinstance(event, Started):
                leave_free(card, free)
    except Known as known:
        trouble = str(known)
    assert "Memory ran out" in trouble or isinstance(events[-1], Finished)
    assert expected.startswith(text_of(events))
    card.other = 0
    assert text_of(ask(engine, asked)) == expected


def test_a_title_and_a_chat_have_steps_of_their_own(card: SimulatedCard, engine: Engine) -> None:
    first = text_of(ask(engine, request("hello", conversation="a")))
    other = text_of(ask(engine, request("the inner question", conversation="b")))
    assert text_of(ask(engine, request("hello", conversation="c"))) == first
    engine.forget("b")
    assert text_of(ask(engine, request("the inner question", conversation="b"))) == other
    runner = engine._loaded.runner
    held = [engine._answering._sessions.find(name) for name in ("a", "b", "c")]
    assert [runner._graphs.ready(session.cache) for session in held] == [True] * 3
