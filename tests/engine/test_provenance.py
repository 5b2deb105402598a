"""Each answer says where it came from, before its first word."""

from __future__ import annotations

import hashlib

import torch
import transformers

from qwen_desktop.chat.events import Delta, Started, Usage
from qwen_desktop.engine.recommended import THINKING
from tests.engine.checkpoints import PLAIN, THINKING_OPEN
from tests.engine.helpers import ask, request, usage_of


def begun(events) -> Started:
    kinds = [type(event) for event in events]
    assert kinds.count(Started) == 1
    assert kinds.index(Started) < min(kinds.index(Delta), kinds.index(Usage))
    return next(event for event in events if isinstance(event, Started))


def test_what_is_told(opened):
    engine = opened("qwen3", template=THINKING_OPEN)
    settings = {
        "thinking": True,
        "seed": 11,
        "top_k": 7,
        "presence_penalty": 0.5,
        "stop_strings": "END\n\nSTOP",
        "thinking_budget": 100,
    }
    events = ask(engine, request("hello", **settings))
    started = begun(events)
    found = started.provenance
    assert found.fingerprint == engine.info.fingerprint
    assert found.template == hashlib.sha256(THINKING_OPEN.encode()).hexdigest()
    assert (found.family, found.precision) == ("qwen3", engine.info.dtype)
    assert (found.device, found.kv_format) == (engine.info.device, "model")
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    assert found.engine == f"{versions}, lean forward"
    assert found.thinking
    assert dict(found.sampling) == {
        "temperature": THINKING["temperature"],
        "top_k": 7,
        "top_p": THINKING["top_p"],
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.5,
    }
    assert found.seed == 11
    assert found.thinking_budget == 100
    assert found.stop_strings == ("END", "STOP")
    assert found.context_limit == usage_of(events).context_length
    assert len(started.prompt_ids) == usage_of(events).stats.prompt_tokens


def test_a_model_that_cannot_think_does_not(opened):
    found = begun(ask(opened("qwen2", template=PLAIN), request("hello", thinking=True))).provenance
    assert not found.thinking
    assert found.thinking_budget is None
    assert dict(found.sampling)["temperature"] == 0.0  # as its file says


def test_base_models_have_no_template(opened):
    assert begun(ask(opened("qwen2", template=None), request("hello"))).provenance.template == ""
