"""The memory panel says in words what it paints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QLocale, Qt
from PySide6.QtTest import QTest

from qwen_desktop.bridge.models import ModelState, Phase
from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.chat.events import Progress, Stage
from qwen_desktop.chat.ledger import Ledger, MemoryKind, MemorySample
from qwen_desktop.chat.model import ModelInfo
from qwen_desktop.ui.memory_panel import MemoryPanel
from qwen_desktop.ui.texts import GIB, MIB, size_text

ENGLISH = QLocale("en_US")
INFO = ModelInfo(
    name="Qwen3-4B",
    folder=Path("/models/Qwen3-4B"),
    family="qwen3",
    parameters=4_000_000_000,
    weight_bytes=8 * GIB,
    context_length=40_960,
    kv_bytes_per_token=147_456,
    device="NVIDIA GeForce RTX 4090",
    dtype="BF16",
    has_chat_template=True,
    can_think=True,
)


@pytest.fixture
def panel(qtbot, looks):
    made = MemoryPanel()
    qtbot.addWidget(made)
    made.setLocale(ENGLISH)
    made.resize(288, 800)
    made.show()
    return made


def sample(kind=MemoryKind.RAM) -> MemorySample:
    total, weights, kv, activations, other = 16 * GIB, 4 * GIB, 512 * MIB, 5 * MIB, 3 * GIB
    ledger = Ledger(
        kind,
        "cpu",
        "This machine",
        total,
        total - weights - kv - activations - other,
        weights=weights,
        kv=kv,
        activations=activations,
        other=other,
    )
    return MemorySample((ledger,))


def test_the_gauge_has_every_number_in_words(panel):
    panel.set_sample(sample())
    assert panel.title.text() == "Memory (RAM)"
    assert panel.number.text() == "7.5 GiB"
    assert panel.of.text() == "of 16.0 GiB"
    assert panel.gauge.accessibleName() == "Memory"
    assert panel.gauge.accessibleDescription() == (
        "Memory (RAM): 7.5 GiB of 16.0 GiB in use, Weights 4.0 GiB, KV cache 0.5 GiB, "
        "Activations 5.0 MiB, Everything else 3.0 GiB"
    )
    assert panel.gauge.value() == 47


def test_it_says_which_memory_it_is(panel):
    panel.set_sample(sample(MemoryKind.CUDA))
    assert panel.title.text() == "GPU memory"


def test_the_gauge_paints_its_parts_in_proportion(panel):
    from qwen_desktop.ui import theme

    panel.set_sample(sample())
    image = panel.gauge.grab().toImage()
    ratio = image.width() / panel.gauge.width()

    def colour(share: float) -> str:
        x = min(int(share * panel.gauge.width() * ratio), image.width() - 1)
        return image.pixelColor(x, image.height() // 2).name()

    t = theme.current()
    assert colour(0.12) == t.weights
    assert colour(0.26) == t.kv
    assert colour(0.40) == t.other
    assert colour(0.70) == t.track


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 MiB"),
        (400_000, "0.4 MiB"),
        (8 * MIB, "8.0 MiB"),
        (40 * MIB, "40 MiB"),
        (GIB // 2, "0.5 GiB"),
        (24 * GIB, "24.0 GiB"),
    ],
)
def test_sizes_for_people(size, text):
    assert size_text(size, ENGLISH) == text


def test_the_model_and_its_speed(panel):
    panel.set_model(ModelState(Phase.READY, info=INFO))
    panel.set_speed(42.13)
    values = {name: fact.value for name, fact in panel.facts.items() if fact.isVisible()}
    assert values == {
        "name": "Qwen3-4B",
        "device": "NVIDIA GeForce RTX 4090",
        "dtype": "BF16",
        "context": "40,960 tokens",
        "speed": "42.1 tok/s",
    }
    assert not panel.loading.isVisible()
    assert not panel.none.isVisible()


def test_without_a_model_it_says_so(panel):
    panel.set_model(ModelState())
    assert panel.none.isVisible()
    assert not panel.facts["name"].isVisible()


def test_loading_shows_file_bytes_and_cancel(panel, qtbot):
    progress = Progress(Stage.READING, 2 * GIB, 8 * GIB, "model-00002-of-00004.safetensors")
    panel.set_model(ModelState(Phase.LOADING, INFO.folder, INFO, progress))
    assert panel.stage.text() == "Reading weights, model-00002-of-00004.safetensors"
    assert panel.bytes.text() == "2.0 GiB of 8.0 GiB"
    assert panel.bar.value() == 250
    assert panel.facts["name"].isVisible()  # the model before is still open
    with qtbot.waitSignal(panel.cancel_requested):
        QTest.mouseClick(panel.cancel, Qt.MouseButton.LeftButton)


@pytest.mark.parametrize("stage", list(Stage))
def test_every_stage_has_words(panel, stage):
    panel.set_model(ModelState(Phase.LOADING, INFO.folder, None, Progress(stage)))
    assert panel.stage.text().endswith("…")
    assert not panel.bar.isVisible()  # nothing is known to measure


def test_shards_are_counted_and_a_cancel_is_seen(panel):
    progress = Progress(Stage.READING, GIB, 8 * GIB, "model-00003-of-00008.safetensors", 3, 8)
    panel.set_model(ModelState(Phase.LOADING, INFO.folder, None, progress))
    assert panel.stage.text() == "Reading shard 3 of 8"
    assert panel.cancel.isEnabled()
    panel.set_model(ModelState(Phase.LOADING, INFO.folder, None, progress, cancelling=True))
    assert panel.cancel.text() == "Cancelling…"
    assert not panel.cancel.isEnabled()


def test_a_load_waits_for_the_answer(panel):
    panel.set_model(ModelState(Phase.LOADING, INFO.folder, INFO), answering=True)
    assert panel.stage.text() == "Waiting for the answer to end…"
    panel.set_model(ModelState(Phase.LOADING, INFO.folder, INFO))
    assert panel.stage.text() == "Loading…"


def test_the_model_that_goes_first_is_named(panel):
    progress = Progress(Stage.FREEING, detail="Qwen3-4B")
    panel.set_model(ModelState(Phase.LOADING, INFO.folder, None, progress))
    assert panel.stage.text() == "Closing the previous model, Qwen3-4B"
    assert not panel.facts["name"].isVisible()


def test_what_is_not_as_usual_is_told(panel):
    info = replace(INFO, kv_format=KvFormat.INT8, rope_factor=2.0, context_length=81_920)
    panel.set_model(ModelState(Phase.READY, info=info))
    assert panel.facts["kv"].isVisible()
    assert panel.facts["kv"].value == "8-bit"
    assert panel.facts["context"].value == "81,920 tokens · YaRN ×2"
