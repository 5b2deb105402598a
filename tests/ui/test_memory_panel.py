"""The memory panel says in words what it paints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QLocale, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest

from qwen_desktop.bridge.models import ModelState, Phase
from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.chat.events import Progress, Stage
from qwen_desktop.chat.ledger import (
    Bound,
    Forecast,
    Ledger,
    MemoryKind,
    MemorySample,
    Way,
    WayKind,
)
from qwen_desktop.chat.model import ModelInfo
from qwen_desktop.ui import theme
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


def card(**sizes: int) -> Ledger:
    """A card of 16 GiB, and what of it is used; the rest is free."""
    held = {
        "weights": 4 * GIB,
        "kv": 1 * GIB,
        "kv_others": 512 * MIB,
        "activations": 256 * MIB,
        "slack": 256 * MIB,
        "runtime": 512 * MIB,
        "other": 2 * GIB,
    }
    coming = {"kv_to_come": 2 * GIB, "working": 1 * GIB}
    total = 16 * GIB
    ledger = Ledger(
        MemoryKind.CUDA,
        "cuda:0",
        "A card",
        total,
        total - sum(held.values()),
        **(held | coming),
    )
    return replace(ledger, **sizes)


def ram(**sizes: int) -> Ledger:
    """Main memory of 16 GiB, half of it free."""
    held = {"weights": 4 * GIB, "kv": 512 * MIB, "runtime": 512 * MIB, "other": 3 * GIB}
    more = {"mapped": 100 * MIB, "swap_own": 20 * MIB, "swap_used": GIB, "swap_total": 2 * GIB}
    return Ledger(MemoryKind.RAM, "cpu", "RAM", 16 * GIB, 8 * GIB, **(held | more | sizes))


def sample(*ledgers: Ledger, window: int = 4096) -> MemorySample:
    return MemorySample(ledgers or (card(),), window)


def shown(panel: MemoryPanel, device: int = 0) -> dict[str, str]:
    """Names and amounts of the rows one sees."""
    rows = panel.ledgers[device].rows.values()
    return {row.name: row.value for row in rows if row.isVisible()}


def test_a_card_is_told_in_all_its_parts(panel):
    panel.set_sample(sample())
    view = panel.ledger
    assert (view.title.text(), view.number.text(), view.of.text()) == (
        "GPU memory",
        "8.5 GiB",
        "of 16.0 GiB",
    )
    assert shown(panel) == {
        "Weights": "4.0 GiB",
        "KV cache": "1.0 GiB",
        "KV cache, other chats": "0.5 GiB",
        "Activations": "0.3 GiB",
        "Allocator slack": "0.3 GiB",
        "This program": "0.5 GiB",
        "Other programs": "2.0 GiB",
        "Free": "7.5 GiB",
        "KV cache to come": "2.0 GiB",
        "Activations, peak": "1.0 GiB",
    }


def test_main_memory_is_told_with_files_and_swap(panel):
    panel.set_sample(sample(ram()))
    assert panel.ledger.title.text() == "Memory (RAM)"
    told = shown(panel)
    assert (told["Mapped files"], told["Swap"]) == ("100 MiB", "20 MiB")
    assert not {"Allocator slack", "Activations"} & set(told)
    assert "1.0 GiB of 2.0 GiB" in panel.ledger.rows["swap"].toolTip()


def test_the_bar_has_every_number_in_words(panel):
    panel.set_sample(sample())
    bar = panel.ledger.gauge
    assert bar.accessibleName() == "GPU memory"
    assert bar.value() == 53
    words = bar.accessibleDescription()
    assert words.startswith("GPU memory: 8.5 GiB of 16.0 GiB in use, ")
    for name, amount in shown(panel).items():
        assert f"{name} {amount}" in words


def test_every_row_says_what_it_is(panel):
    for one in (card(runtime_estimated=True, peak=300 * MIB), ram()):
        panel.set_sample(sample(one))
        tips = [row.toolTip() for row in panel.ledger.rows.values() if row.isVisible()]
        assert all(tips)
        assert len(set(tips)) == len(tips)
    panel.set_sample(sample(card(runtime_estimated=True, peak=300 * MIB)))
    assert "estimate" in panel.ledger.rows["runtime"].toolTip()
    assert "0.3 GiB, as measured" in panel.ledger.rows["working"].toolTip()
    assert "4,096 tokens" in panel.ledger.rows["kv_to_come"].toolTip()


def test_without_a_plan_nothing_is_foreseen(panel):
    panel.set_sample(sample(ram(), window=0))
    assert not {"KV cache to come", "Activations, peak"} & set(shown(panel))


@pytest.mark.parametrize("look", [theme.LIGHT, theme.DARK, theme.HIGH_LIGHT, theme.HIGH_DARK])
def test_the_bar_paints_its_bands_in_proportion(panel, look):
    theme.use(look)
    panel.set_sample(sample())
    bar = panel.ledger.gauge
    image = bar.grab().toImage()
    ratio = image.width() / bar.width()

    def colour(share: float) -> str:
        x = min(int(share * bar.width() * ratio), image.width() - 1)
        return image.pixelColor(x, 3).name()

    assert colour(2 / 16) == look.weights
    assert colour(5.5 / 16) == look.kv
    assert colour(15 / 16) == look.other  # other programs stand at the right
    assert colour(12.5 / 16) == look.track
    # Beyond the cache what is to come lies over what passes and what is free.
    found = {
        image.pixelColor(int(x * ratio), 3).name()
        for x in range(int(7 / 16 * bar.width()), int(8.9 / 16 * bar.width()))
    }
    assert look.kv in found or len(found) > 1


def test_bands_lie_within_the_bar_and_do_not_overlap(panel):
    ledgers = [card(), ram(), card(kv_to_come=40 * GIB), card(weights=0, kv=1, free=12 * GIB)]
    for one in ledgers:
        panel.set_sample(sample(one))
        bar = panel.ledger.gauge
        solid = [box for band, box in bar.boxes() if not band.hatched]
        for left, right in zip(
            sorted(solid, key=lambda b: b.left()),
            sorted(solid, key=lambda b: b.left())[1:],
            strict=False,
        ):
            assert left.right() <= right.left() + 2.1  # bands of nothing are lines of 2 px


def test_what_does_not_fit_is_amber(panel):
    panel.set_sample(sample(card(kv_to_come=12 * GIB)))
    image = panel.ledger.gauge.grab().toImage()
    amber = QColor(theme.current().warning)
    colours = [
        image.pixelColor(x, y) for x in range(image.width()) for y in range(4, image.height() - 4)
    ]
    assert any(
        abs(c.red() - amber.red()) + abs(c.green() - amber.green()) + abs(c.blue() - amber.blue())
        < 60
        for c in colours
    )


def test_arrows_go_from_band_to_band(panel, qtbot):
    panel.set_sample(sample())
    bar = panel.ledger.gauge
    told = []
    bar.pointed.connect(told.append)
    bar.setFocus()
    for key in (
        Qt.Key.Key_Right,
        Qt.Key.Key_Right,
        Qt.Key.Key_Left,
        Qt.Key.Key_End,
        Qt.Key.Key_Home,
    ):
        QTest.keyClick(bar, key)
    assert told == ["weights", "kv", "weights", "working", "weights"]
    bar.clearFocus()
    assert told[-1] == ""


def test_the_mouse_points_at_the_band_under_it(panel):
    panel.set_sample(sample())
    bar = panel.ledger.gauge
    for share, name in (
        (1 / 16, "weights"),
        (15.5 / 16, "other"),
        (12.8 / 16, "free"),
        (7 / 16, "kv_to_come"),
    ):
        assert bar.band_at(share * bar.width()) == name


def test_several_devices_have_a_ledger_each_that_folds(panel):
    second = replace(card(weights=GIB), device="cuda:1", name="Another card")
    panel.set_sample(sample(card(), second))
    assert [view.title.text() for view in panel.ledgers] == ["GPU 0: A card", "GPU 1: Another card"]
    assert shown(panel)
    assert not shown(panel, 1)  # its bar alone
    assert "Weights 1.0 GiB" in panel.ledgers[1].gauge.accessibleDescription()
    QTest.mouseClick(panel.ledgers[1].fold, Qt.MouseButton.LeftButton)
    assert shown(panel, 1)["Weights"] == "1.0 GiB"
    panel.set_sample(sample(second, card()))  # another checkpoint, the other way round
    assert [view.title.text() for view in panel.ledgers] == ["GPU 1: Another card", "GPU 0: A card"]
    panel.set_sample(sample(card()))
    assert not panel.ledgers[1].isVisible()
    assert panel.ledger.title.text() == "GPU memory"
    assert not panel.ledger.fold.isVisible()


FORECAST = Forecast(
    used=4_000,
    limit=22_528,
    context=24_576,
    bound=Bound.MEMORY,
    turn=800,
    turns=23,
    ways=(
        Way(WayKind.KV8, 40_000),
        Way(WayKind.PRECISION, 38_000, "int4"),
        Way(WayKind.SHORTER, 24_064, "512"),
        Way(WayKind.STRETCH, 23_900, "2"),
    ),
)


def test_the_forecast_says_where_the_chat_ends_and_what_moves_it(panel, qtbot):
    assert not panel.forecast.isVisible()
    panel.set_forecast(FORECAST)
    assert panel.forecast.text == (
        "This chat meets the end of memory at about 22,528 tokens (≈ 23 more turns)."
    )
    ways = panel.forecast.ways
    assert [way.text() for way in ways] == [
        "8-bit KV cache",
        "Weights in 4-bit",
        "Answers of 512 tokens",
        "Context stretched ×2",
    ]
    assert "40,000 tokens" in ways[0].accessibleName()
    with qtbot.waitSignal(panel.way_chosen) as caught:
        ways[2].setFocus()
        QTest.keyClick(ways[2], Qt.Key.Key_Space)
    assert caught.args == [FORECAST.ways[2]]
    panel.set_forecast(replace(FORECAST, ways=()))
    assert not panel.forecast.ways
    panel.set_forecast(None)
    assert not panel.forecast.isVisible()


@pytest.mark.parametrize("bound", list(Bound))
def test_the_forecast_says_what_binds(panel, bound):
    said = []
    panel.forecast.told.connect(said.append)
    for one in (FORECAST, replace(FORECAST, turn=0), replace(FORECAST, met=True)):
        panel.set_forecast(replace(one, bound=bound))
    word = {"model": "model's context", "memory": "memory", "tokenizer": "tokenizer"}[bound.value]
    assert len(set(said)) == 3
    assert all(word in text and "22,528" in text for text in said)
    assert ["turns" in text for text in said] == [True, False, False]


def test_a_low_window_scrolls(panel):
    panel.set_sample(sample())
    panel.set_forecast(FORECAST)
    panel.set_model(ModelState(Phase.READY, info=INFO))
    panel.resize(288, 400)
    QTest.qWait(0)
    assert panel.area.verticalScrollBar().maximum() > 0
    assert panel.area.widget().width() <= 288
    panel.card.setFocus(Qt.FocusReason.TabFocusReason)


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
