"""What answers keep of their memory on a CUDA card, against the card's own figures.

Skipped as a whole where there is no card.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from qwen_desktop.chat.checkpoint import Precision
from qwen_desktop.chat.events import Finished
from qwen_desktop.engine.device import unlimit_memory
from qwen_desktop.engine.engine import Engine
from tests.engine.helpers import ask, load, request, usage_of
from tests.gpu.test_memory import WIDE

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA card on this machine"
)


@pytest.mark.parametrize("words", [60, 1000, 4000, 8000])
def test_answers_lie_on_the_predicted_lines(made: Callable[..., Path], words: int) -> None:
    engine = Engine()
    load(engine, made("qwen2", **WIDE), precision=Precision.BF16, placement="cuda")
    try:
        ask(engine, request("hello", max_new_tokens=4))  # the libraries' workspaces come with it
        events = ask(engine, request("the " * words, max_new_tokens=8))
        (finished,) = [event for event in events if isinstance(event, Finished)]
        assert finished.held_bytes == torch.cuda.memory_allocated()
        assert finished.held_bytes <= finished.peak_bytes <= finished.used_bytes
        assert finished.used_bytes <= finished.device_bytes
        assert finished.planned_bytes == pytest.approx(finished.peak_bytes, rel=0.02)
        predicted = engine.predict("c", 0)
        assert predicted is not None
        steady, peak = predicted.at(usage_of(events).context_tokens)
        assert finished.held_bytes == pytest.approx(steady, rel=0.02)
        assert finished.peak_bytes == pytest.approx(peak, rel=0.02)
    finally:
        engine.unload()
        unlimit_memory([torch.device("cuda:0")])
