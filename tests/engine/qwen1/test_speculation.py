"""Guessing ahead with the first Qwen, whose keys turn with the length of the prompt."""

from __future__ import annotations

import pytest

from qwen_desktop.engine.prompt import Prompt
from qwen_desktop.engine.sampling import Sampler, Sampling
from qwen_desktop.engine.session import Session
from tests.engine.guessing import guessing
from tests.engine.helpers import steps_of


@pytest.mark.parametrize("tokens", [40, 150])  # below and above what the tiny model was trained to
@pytest.mark.parametrize("name", ["s-plain", "s-ntk-logn"])
def test_greedy_ids_are_those_without(runner, name, tokens):
    model = runner(name)
    ids = tuple([40, 41, 42, 43, 40, 41, 90, 91, 40, 41] * (tokens // 10))
    found = []
    for guess in (False, True):
        session = Session("c", model)
        found.append(
            steps_of(
                model,
                Prompt(ids, 0, thinking_open=False),
                Sampler(Sampling(0.0), ids, model.capabilities.device),
                max_new_tokens=80,
                session=session,
                feeding=guessing(session, model, ids) if guess else None,
            )
        )
        assert session.cache.length == len(session.ids)
    assert found[0] == found[1]
