"""The lean forward computes what the module does, on the same weights and the same caches."""

from __future__ import annotations

import threading

import pytest
import torch

from qwen_desktop.chat.checkpoint import KvFormat, Precision
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.engine import loader
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.layers import TransformersCache
from qwen_desktop.engine.lean.facts import why_not
from qwen_desktop.engine.lean.runner import LeanRunner
from qwen_desktop.engine.transformers_runner import TransformersRunner
from qwen_desktop.errors import Cancelled
from tests.engine.helpers import NEVER, ask, request

IDS = [7 + 13 * n % 250 for n in range(37)]
DENSE = [
    ("qwen2", {}),
    ("qwen2", {"tie_word_embeddings": True}),
    ("qwen3", {}),
    ("qwen3", {"head_dim": 32, "num_key_value_heads": 1}),
]


def load(folder, precision=Precision.FP32, **options):
    asked = LoadRequest(folder, precision=precision, placement="cpu", **options)
    return loader.load(loader.plan(inspect(folder), asked), NEVER, lambda _: None)


def pair(folder, precision=Precision.FP32, kv=KvFormat.MODEL, **options):
    """The lean runner, one by steps of fixed shapes, and the module's, each with its own model."""
    models = [load(folder, precision, kv=kv, **options) for _ in range(3)]
    return (
        LeanRunner(models[0], kv),
        LeanRunner(models[1], kv, graphs=True),
        TransformersRunner(models[2], kv),
    )


def filled(runner, ids=IDS, chunk=16):
    cache = runner.new_cache(runner.rope_scale(len(ids)))
    logits = runner.prefill(cache, ids, chunk=chunk, on_progress=lambda _: None, cancel=NEVER)
    return cache, logits.clone()


def greedy(runner, ids=IDS, count=24):
    """The ids of an answer and the logits of each."""
    cache, logits = filled(runner, ids)
    found, rows = [], [logits]
    for _ in range(count):
        found.append(int(logits.argmax()))
        logits = runner.decode(cache, found[-1], cancel=NEVER)
        rows.append(logits.clone())
    return found, torch.stack(rows)


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.BF16, Precision.FP16])
@pytest.mark.parametrize(("family", "options"), DENSE, ids=str)
def test_logits_and_greedy_ids_are_the_modules(made, family, options, precision):
    lean, steps, module = pair(made(family, **options), precision)
    wanted, rows = greedy(module)
    found, ours = greedy(lean)
    assert found == wanted
    # On a CPU it rounds as often as the module does, so that 16 bits give the very same numbers.
    torch.testing.assert_close(ours, rows, atol=5e-5, rtol=1e-5)
    _, by_steps = greedy(steps, count=0)
    torch.testing.assert_close(by_steps, rows[:1], atol=5e-5, rtol=1e-5)
    cache, _ = filled(steps)
    for index, token in enumerate(wanted, 1):  # fed the same, however near a tie may be
        row = steps.decode(cache, token, cancel=NEVER)
        off = 1e-4 if precision is Precision.FP32 else 0.03 * float(rows.abs().max())
        torch.testing.assert_close(row, rows[index], atol=off, rtol=1e-4)


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.INT4])
@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
def test_packed_weights(made, family, precision):
    lean, _, module = pair(made(family), precision)
    wanted, rows = greedy(module)
    found, ours = greedy(lean)
    assert found == wanted
    torch.testing.assert_close(ours, rows, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
def test_codes_of_keys_and_values(made, family):
    wide = {"hidden_size": 128} if family == "qwen2" else {"head_dim": 32}
    lean, steps, module = pair(made(family, **wide), kv=KvFormat.INT8)
    wanted, rows = greedy(module)
    for runner in (lean, steps):
        found, ours = greedy(runner)
        assert found == wanted
        torch.testing.assert_close(ours, rows, atol=1e-3, rtol=1e-3)


def test_a_stretched_context(made):
    folder = made("qwen3", max_position_embeddings=64)
    lean, steps, module = pair(folder, rope_factor=4.0)
    ids = [5 + n % 200 for n in range(150)]
    wanted, rows = greedy(module, ids)
    for runner in (lean, steps):
        found, ours = greedy(runner, ids)
        assert found == wanted
        torch.testing.assert_close(ours, rows, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_pieces_of_a_prompt(made, chunk):
    lean, _, module = pair(made("qwen2"))
    _, wanted = filled(module, chunk=37)
    torch.testing.assert_close(filled(lean, chunk=chunk)[1], wanted, atol=5e-5, rtol=1e-5)


def test_weights_are_held_once(made):
    """What is joined is one tensor, of which the module's parameters are views."""
    model = load(made("qwen3"))
    before = sum(p.nbytes for p in model.parameters())
    runner = LeanRunner(model)
    storages = {p.untyped_storage().data_ptr(): p.untyped_storage() for p in model.parameters()}
    assert sum(storage.nbytes() for storage in storages.values()) == before
    assert runner.capabilities.weight_bytes == before
    attention = model.model.layers[0].self_attn
    whole = attention.q_proj.weight.untyped_storage().data_ptr()
    assert attention.k_proj.weight.untyped_storage().data_ptr() == whole
    assert attention.v_proj.weight.untyped_storage().data_ptr() == whole


def test_the_module_still_computes_the_same(made):
    model = load(made("qwen2"))
    with torch.inference_mode():
        before = model(torch.tensor([IDS])).logits
        LeanRunner(model)
        torch.testing.assert_close(model(torch.tensor([IDS])).logits, before)


@pytest.mark.parametrize(
    ("family", "options", "why"),
    [
        ("qwen3_moe", {}, "qwen3_moe"),
        ("qwen3_5_text", {}, "qwen3_5_text"),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 24, "max_window_layers": 1}, ""),
    ],
)
def test_what_it_does_not_cover_runs_on_the_module(made, family, options, why):
    model = load(made(family, **options))
    assert why in why_not(model) != ""
    runner = LeanRunner(model)
    assert runner.capabilities.name == "transformers"
    wanted, rows = greedy(TransformersRunner(load(made(family, **options))))
    found, ours = greedy(runner)
    assert found == wanted
    assert torch.equal(ours, rows)


def test_a_cache_goes_from_one_way_to_another_by_file_and_in_memory(made, tmp_path):
    lean, steps, module = pair(made("qwen3"))
    runners = {"lean": lean, "steps": steps, "module": module}
    _, rows = greedy(module)
    for name, runner in runners.items():
        cache, _ = filled(runner)
        cache.save(tmp_path / name)
        for other in runners.values():
            again = other.new_cache()
            again.load(tmp_path / name)
            row = other.decode(again, int(rows[0].argmax()), cancel=NEVER)
            torch.testing.assert_close(row, rows[1], atol=1e-4, rtol=1e-4)
    cache, _ = filled(lean)
    for runner in (module, steps, lean):
        cache.crop(len(IDS))
        row = runner.decode(cache, int(rows[0].argmax()), cancel=NEVER)
        torch.testing.assert_close(row, rows[1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("graphs", [False, True])
def test_several_tokens_in_one_step(made, graphs):
    runner = LeanRunner(load(made("qwen3")), graphs=graphs)
    wanted, rows = greedy(runner)
    cache, _ = filled(runner)
    runner.decode(cache, wanted[0], cancel=NEVER)
    runner.expect(torch.tensor(wanted[1]))
    found = runner.verify(cache, wanted[1:5], cancel=NEVER)
    torch.testing.assert_close(found, rows[2:6], atol=1e-4, rtol=1e-4)
    cache.crop(len(IDS) + 3)  # two of them are taken
    row = runner.decode(cache, wanted[3], cancel=NEVER)
    torch.testing.assert_close(row, rows[4], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("graphs", [False, True])
def test_cancelling(made, graphs):
    runner = LeanRunner(load(made("qwen2")), graphs=graphs)
    cache, _ = filled(runner)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        runner.decode(cache, 5, cancel=cancel)
    assert cache.length == len(IDS)

    class InAMoment(threading.Event):
        """Set when it has been looked at so many times."""

        looks = 4

        def is_set(self) -> bool:
            self.looks -= 1
            return self.looks < 0

    with pytest.raises(Cancelled):
        runner.prefill(cache, IDS, chunk=64, on_progress=lambda _: None, cancel=InAMoment())
    assert {layer.get_seq_length() for layer in cache.inner.layers} == {len(IDS)}
    wanted = filled(runner, [*IDS, 9])[1]
    row = runner.decode(cache, 9, cancel=NEVER)
    torch.testing.assert_close(row, wanted, atol=1e-4, rtol=1e-4)


def test_the_card_of_a_model_says_which_way_computes(opened):
    engine = opened("qwen3")
    assert engine.card().runner.split(";")[0] == "lean forward"
    ask(engine, request("hello"))
    assert opened("qwen3_moe").card().runner.split(";")[0] == "transformers"


# -- steps of fixed shapes ---------------------------------------------------------------------


@pytest.fixture
def steps(made) -> LeanRunner:
    return LeanRunner(load(made("qwen3")), graphs=True)


def test_steps_go_on_over_the_border_of_a_room(steps, made):
    module = TransformersRunner(load(made("qwen3")))
    ids = [11 + n % 200 for n in range(230)]
    cache, _ = filled(steps, ids)
    other, _ = filled(module, ids)
    sizes = set()
    for token in range(3, 43):
        row = steps.decode(cache, token, cancel=NEVER)
        wanted = module.decode(other, token, cancel=NEVER)
        torch.testing.assert_close(row, wanted, atol=2e-4, rtol=2e-4)
        sizes.add(cache.inner.layers[0].key_room.shape[-2])
        assert sizes <= {256, 512}
        assert steps._graphs.ready(cache)  # the next size is there before the last is full
    assert sizes == {256, 512}


def test_a_step_that_was_begun_with_is_the_same(steps):
    wanted, rows = greedy(steps)
    cache, logits = filled(steps)
    logits = steps.decode(cache, wanted[0], cancel=NEVER)
    for index, token in enumerate(wanted[1:], 2):
        kept = logits.clone()
        steps.expect(torch.tensor(token))
        assert steps._begun is not None
        assert torch.equal(logits, kept)  # what was given out stays until the next call
        logits = steps.decode(cache, token, cancel=NEVER)
        torch.testing.assert_close(logits, rows[index])
        assert cache.length == len(IDS) + index


def test_a_step_begun_in_vain_does_not_show(steps):
    wanted, rows = greedy(steps)
    cache, _ = filled(steps)
    steps.decode(cache, wanted[0], cancel=NEVER)
    steps.expect(torch.tensor(200))
    torch.testing.assert_close(steps.decode(cache, wanted[1], cancel=NEVER), rows[2])
    steps.expect(torch.tensor(wanted[2]))
    cache.crop(len(IDS) + 1)  # the length has changed: not what was begun with
    torch.testing.assert_close(steps.decode(cache, wanted[1], cancel=NEVER), rows[2])
    steps.expect(torch.tensor(201))
    cache.crop(len(IDS))
    row = steps.decode(cache, 201, cancel=NEVER)  # the very token, but in another place
    torch.testing.assert_close(row, filled(steps, [*IDS, 201])[1], atol=1e-4, rtol=1e-4)
    cache.crop(len(IDS))
    steps.prefill(cache, wanted[:1], chunk=4, on_progress=lambda _: None, cancel=NEVER)
    torch.testing.assert_close(steps.decode(cache, wanted[1], cancel=NEVER), rows[2])


def test_a_prompt_ends_what_was_begun_with(steps):
    """The same length and the same token, behind another one."""
    cache, _ = filled(steps)
    steps.decode(cache, 40, cancel=NEVER)
    steps.expect(torch.tensor(77))
    cache.crop(len(IDS))
    steps.prefill(cache, [50], chunk=4, on_progress=lambda _: None, cancel=NEVER)
    row = steps.decode(cache, 77, cancel=NEVER)
    torch.testing.assert_close(row, filled(steps, [*IDS, 50, 77])[1], atol=1e-4, rtol=1e-4)


def test_conversations_take_turns(steps):
    other_ids = IDS[::-1]
    (wanted, rows), (other_wanted, other_rows) = greedy(steps), greedy(steps, other_ids)
    caches = [filled(steps)[0], filled(steps, other_ids)[0]]
    for index in range(8):
        row = steps.decode(caches[0], wanted[index], cancel=NEVER)
        torch.testing.assert_close(row, rows[index + 1])
        steps.expect(torch.tensor(wanted[index + 1]))  # and then the other one is asked
        row = steps.decode(caches[1], other_wanted[index], cancel=NEVER)
        torch.testing.assert_close(row, other_rows[index + 1])


def test_steps_of_many_caches_are_given_up_by_age(steps):
    caches = [filled(steps)[0] for _ in range(7)]
    for cache in caches:
        steps.decode(cache, 5, cancel=NEVER)
    ready = [steps._graphs.ready(cache) for cache in caches]
    assert ready == [False] * 3 + [True] * 4
    row = steps.decode(caches[0], 6, cancel=NEVER)
    torch.testing.assert_close(row, filled(steps, [*IDS, 5, 6])[1], atol=1e-4, rtol=1e-4)


def test_where_a_step_cannot_be_captured_it_is_computed_eagerly(made, monkeypatch):
    def refuse(*_):
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")

    wanted, rows = greedy(LeanRunner(load(made("qwen3"))))
    monkeypatch.setattr("qwen_desktop.engine.lean.graphs.Graphs.prepare", refuse)
    runner = LeanRunner(load(made("qwen3")), graphs=True)
    name = runner.capabilities.name
    assert name.startswith("lean forward, eager: CUDA error: operation not permitted")
    assert "more" not in name
    runner.expect(torch.tensor(3))
    found, ours = greedy(runner)
    assert found == wanted
    torch.testing.assert_close(ours, rows, atol=1e-4, rtol=1e-4)


def test_without_memory_for_a_graph_that_conversation_is_computed_eagerly(
    steps, monkeypatch, caplog
):
    wanted, rows = greedy(steps)
    real = type(steps._graphs).prepare
    tried = []

    def short(graphs, cache: TransformersCache) -> None:
        tried.append(cache)
        if len(tried) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        real(graphs, cache)

    monkeypatch.setattr(type(steps._graphs), "prepare", short)
    found, ours = greedy(steps)
    assert len(tried) == 1  # not again for the same room
    assert found == wanted
    torch.testing.assert_close(ours, rows, atol=1e-4, rtol=1e-4)
    assert "no memory for a graph" in caplog.text
    assert "CUDA graphs" in steps.capabilities.name
    assert greedy(steps)[0] == wanted
    assert len(tried) == 2
