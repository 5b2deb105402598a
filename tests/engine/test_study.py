"""The memory study on real tiny checkpoints: three ways, one answer, and every way to end."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from qwen_desktop.chat.checkpoint import Precision
from qwen_desktop.chat.study import (
    Ending,
    SeriesEnd,
    Study,
    StudyOutlook,
    StudyPoint,
    StudyProgress,
    StudySetup,
    Way,
    WayOutlook,
    usual_lengths,
)
from qwen_desktop.engine import planning
from qwen_desktop.engine.engine import Engine
from qwen_desktop.errors import Cancelled, Known
from tests.engine.checkpoints import PLAIN
from tests.engine.helpers import NEVER, ask, load, request, text_of
from tests.engine.refusals import Memory
from tests.engine.simulated_card import NAME, SimulatedCard

LENGTHS = (24, 48, 96)
MIB = 2**20
# Layers that can be cropped, and such that cannot.
FAMILIES = ("qwen2", "qwen3_5_text")


@pytest.fixture(params=FAMILIES)
def engine(request, opened) -> Engine:
    return opened(request.param, template=PLAIN)


@pytest.fixture(autouse=True)
def quick() -> None:
    """Memory is given back at every turn: what is there before is not looked through for it."""
    gc.collect()
    gc.freeze()


def studied(
    engine: Engine,
    study: Study,
    cancel: threading.Event = NEVER,
    tell: Callable[[StudyProgress], None] = lambda _: None,
) -> Study:
    """`study` as far as it goes until `cancel`."""
    try:
        for record in engine.study(study, cancel, tell):
            study = study.with_record(record)
    except Cancelled:
        assert cancel.is_set()
    return study


def begun(engine: Engine, *lengths: int, ways: tuple[Way, ...] = tuple(Way)) -> Study:
    return Study(engine.study_head(StudySetup(lengths or LENGTHS, ways)))


def facts(study: Study) -> set[tuple[object, ...]]:
    """What of the points does not depend on the clock and on other memory of the process."""
    return {(p.way, p.tokens, p.characters, p.read, p.answer) for p in study.points}


def test_all_three_ways_compute_the_same(engine):
    study = studied(engine, begun(engine))
    assert study.is_complete
    assert not study.ends
    assert study.agrees
    assert len(study.points) == 3 * len(LENGTHS)
    longest = {point.tokens: point.answer for point in study.series(Way.APP)}
    for way in Way:
        for point in study.series(way):
            assert len(point.answer) == (3 if way is Way.EAGER else 8)
            assert longest[point.tokens][:3] == point.answer[:3]


def test_a_growing_conversation_reads_only_what_is_new(engine):
    study = studied(engine, begun(engine))
    read = [point.read for point in study.series(Way.APP)]
    assert read[0] == LENGTHS[0]
    # Where a cache cannot be cropped, the last token is read again.
    assert read[1] <= LENGTHS[1] - LENGTHS[0] + 1
    assert read[2] <= LENGTHS[2] - LENGTHS[1] + 1
    assert [point.read for point in study.series(Way.REREAD)] == list(LENGTHS)
    assert [point.read for point in study.series(Way.EAGER)] == list(LENGTHS)


def test_every_figure_is_there(engine):
    study = studied(engine, begun(engine))
    for point in study.points:
        assert point.peak >= study.head.weights
        assert point.steady >= study.head.weights
        assert point.predicted > study.head.weights
        assert 0 < point.prefill_s <= point.first_token_s
        assert point.decode_speed > 0
        assert point.characters > 0


def test_resumed_after_a_cancel_at_any_point_it_is_the_same_study(engine):
    told: list[StudyProgress] = []
    whole = studied(engine, begun(engine, 24, 48), tell=told.append)
    croppable = engine._loaded.runner.capabilities.croppable
    for number in range(1, len(told) + 1, 1 if croppable else 3):  # the others are slow
        cancel, left = threading.Event(), number

        def count(_: StudyProgress, cancel: threading.Event = cancel) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                cancel.set()

        part = studied(engine, begun(engine, 24, 48), cancel, count)
        assert facts(part) <= facts(whole)
        resumed = studied(engine, part)
        assert len(resumed.points) == len(whole.points)
        assert facts(resumed) == facts(whole)


def test_a_cancelled_eager_forward_leaves_the_model_as_it_was(engine):
    config = engine._loaded.runner.module.config
    before = config._attn_implementation
    cancel = threading.Event()

    def stop(progress: StudyProgress) -> None:
        if progress.way is Way.EAGER and progress.total:
            cancel.set()

    study = studied(engine, begun(engine), cancel, stop)
    assert not study.series(Way.EAGER)
    assert len(study.series(Way.REREAD)) == len(LENGTHS)
    assert config._attn_implementation == before


def test_chats_go_on_afterwards(engine):
    first = text_of(ask(engine, request("one")))
    studied(engine, begun(engine, 24))
    assert text_of(ask(engine, request("one"))) == first


@pytest.mark.parametrize("way", list(Way))
def test_memory_that_runs_out_ends_a_way_and_not_the_study(opened, way):
    engine = opened("qwen2", template=PLAIN)
    others = tuple(other for other in Way if other is not way)
    memory = Memory()
    study = begun(engine, ways=(way,))

    def fill(progress: StudyProgress) -> None:
        if progress.tokens == LENGTHS[1]:
            memory._left, memory._always = 1, True  # nothing is given out any more

    with memory:
        study = studied(engine, study, tell=fill)
    assert [point.tokens for point in study.points] == [LENGTHS[0]]
    (end,) = study.ends
    assert (end.way, end.tokens, end.why) == (way, LENGTHS[1], Ending.MEMORY)
    assert study.is_complete
    # What was refused holds on to nothing, and the model goes on.
    assert studied(engine, begun(engine, ways=others)).agrees


def test_what_would_not_fit_is_not_tried(opened, monkeypatch):
    engine = opened("qwen2", template=PLAIN)
    # Room for the first two ways, not for tables of all tokens by all tokens.
    monkeypatch.setattr(planning, "CPU_RESERVE", 0)
    lengths = (64, 256, 480)
    study = begun(engine, *lengths)
    monkeypatch.setattr(planning, "free_memory", lambda _device: 5 * MIB)
    tried: set[tuple[Way, int]] = set()
    study = studied(engine, study, tell=lambda p: p.total and tried.add((p.way, p.tokens)))
    end = study.end_of(Way.EAGER)
    assert end is not None
    assert end.why is Ending.LIMIT
    assert end.need > end.free == 5 * MIB
    assert (Way.EAGER, end.tokens) not in tried
    assert len(study.series(Way.APP)) == 3
    assert study.is_complete


TOTAL = 2048 * MIB
WIDE = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4, "head_dim": 32}


@pytest.fixture
def on_a_card(monkeypatch, made):
    """An engine whose model lies on a simulated card, and the card."""
    card = SimulatedCard(TOTAL)
    card.install(monkeypatch)
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda *_: None)
    monkeypatch.setattr(
        torch.accelerator, "reset_peak_memory_stats", torch.cuda.reset_peak_memory_stats
    )
    engine = Engine()
    with card:
        load(engine, made("qwen3", **WIDE), placement="cuda", precision=Precision.BF16)
        yield engine, card
        engine.unload()


def test_on_a_card_its_allocator_is_measured(on_a_card):
    engine, _ = on_a_card
    study = studied(engine, begun(engine, 64, 256))
    assert study.is_complete
    assert study.head.on_card
    assert study.head.machine.cards == ((NAME, TOTAL),)
    for point in study.points:
        assert point.peak == pytest.approx(point.predicted, rel=0.25)
        assert point.steady < point.peak
    steady = [point.steady for point in study.series(Way.APP)]
    assert steady[1] - steady[0] == pytest.approx(
        192 * engine.info.kv_bytes_per_token, abs=256 * engine.info.kv_bytes_per_token
    )
    assert {point.steady for point in study.series(Way.EAGER)} == {
        min(point.steady for point in study.points)
    }


def test_a_card_that_fills_up_is_the_end_of_a_way(on_a_card):
    engine, card = on_a_card
    study = begun(engine, 64, 400, ways=(Way.EAGER, Way.APP))

    def fill(progress: StudyProgress) -> None:
        full = progress.way is Way.EAGER and progress.tokens == 400 and progress.total
        card.other = TOTAL - card.context - card.reserved if full else 0

    study = studied(engine, study, tell=fill)
    (end,) = study.ends
    assert (end.way, end.tokens, end.why) == (Way.EAGER, 400, Ending.MEMORY)
    assert len(study.series(Way.APP)) == 2


def test_the_context_is_an_end(opened):
    engine = opened("qwen2", template=PLAIN, max_position_embeddings=64)
    # A text of the second length would never be made.
    study = studied(engine, begun(engine, 24, 10**15, ways=(Way.APP, Way.EAGER)))
    assert len(study.points) == 2
    assert {(end.way, end.tokens, end.why) for end in study.ends} == {
        (Way.APP, 10**15, Ending.CONTEXT),
        (Way.EAGER, 10**15, Ending.CONTEXT),
    }
    study = studied(engine, begun(engine, 57, ways=(Way.REREAD,)))
    assert [end.why for end in study.ends] == [Ending.CONTEXT]
    assert studied(engine, begun(engine, 56, ways=(Way.REREAD,))).points


def test_the_usual_lengths_go_as_far_as_the_context(opened):
    head = opened("qwen2", template=PLAIN).study_head(StudySetup())
    assert head.setup.lengths == (64, 128, 256)  # of 512, with room for an answer
    assert usual_lengths(20) == (20,)


def test_the_outlook_knows_what_fits_and_how_long_it_takes(opened, monkeypatch):
    engine = opened("qwen2", template=PLAIN)
    outlook = engine.study_outlook(StudySetup(LENGTHS), NEVER)
    assert [one.longest for one in outlook.ways] == [LENGTHS[-1]] * 3
    assert outlook.seconds() > 0
    assert all(one.need > outlook.head.weights for one in outlook.ways)
    monkeypatch.setattr(planning, "free_memory", lambda _device: 4096)
    outlook = engine.study_outlook(StudySetup(LENGTHS), NEVER)
    assert [one.longest for one in outlook.ways] == [0, 0, 0]
    with pytest.raises(Known, match="Memory ran out"):
        engine.study_head(StudySetup())


def test_the_time_that_is_left_follows_the_speed_there_was(opened):
    head = opened("qwen2", template=PLAIN).study_head(StudySetup((10, 20), (Way.REREAD,), 1))
    outlook = StudyOutlook(head, 0, (WayOutlook(Way.REREAD, 20, 0, (1.0, 2.0)),))
    assert outlook.seconds() == 3
    study = Study(head)
    assert outlook.seconds(study) == 3
    point = StudyPoint(Way.REREAD, 10, 9, 10, 1, 1, 1, 1, 4.0, 4.0, 0.0, (1,))
    assert outlook.seconds(study.with_record(point)) == 8  # four times slower than was thought
    done = study.with_record(point).with_record(SeriesEnd(Way.REREAD, 20, Ending.MEMORY))
    assert outlook.seconds(done) == 0


def test_nothing_open_is_one_sentence():
    with pytest.raises(Known, match="No checkpoint is open"):
        Engine().study_head(StudySetup())


def test_studies_of_other_things_differ(opened):
    head = opened("qwen2", template=PLAIN).study_head(StudySetup(LENGTHS))
    assert not head.differences(replace(head, started=1.0, room=5))
    assert head.differences(replace(head, fingerprint="x", precision="INT4")) == (
        "fingerprint",
        "precision",
    )
    machine = replace(head.machine, torch="1.0", app="0.0")
    assert head.differences(replace(head, machine=machine)) == ("torch",)
