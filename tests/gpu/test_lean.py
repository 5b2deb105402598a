"""The lean forward on a CUDA card: graphs, kernels, draws with one wait, memory.

Skipped as a whole where there is no card. Needs no Qt. Run it alone with
`python3 dev.py test tests/gpu/test_lean.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from qwen_desktop.chat.checkpoint import KvFormat, Precision
from qwen_desktop.chat.events import GenerationEvent, Started
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.engine import loader
from qwen_desktop.engine.architecture import architecture
from qwen_desktop.engine.budget import Costs
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.device import has_bfloat16, unlimit_memory
from qwen_desktop.engine.engine import Engine
from qwen_desktop.engine.lean.attention import OVER_ROOMS, Piece, Used
from qwen_desktop.engine.lean.graphs import Graphs
from qwen_desktop.engine.lean.linears import Int8Product
from qwen_desktop.engine.lean.runner import LeanRunner
from qwen_desktop.engine.precision import Form
from qwen_desktop.engine.quant.linear import packed_linear
from qwen_desktop.engine.quant.pack import round_off
from qwen_desktop.engine.sampling import Sampler, Sampling
from qwen_desktop.engine.transformers_runner import TransformersRunner
from qwen_desktop.errors import Cancelled, Known
from tests.engine.helpers import NEVER, ask, load, request, text_of
from tests.engine.test_lean import DENSE, IDS, filled, greedy
from tests.gpu.test_memory import CHUNK, WIDE

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA card on this machine"
)

CUDA = torch.device("cuda", 0)
HALVES = [Precision.BF16, Precision.FP16]


def model_of(folder: Path, placement: str, precision: Precision, kv: KvFormat = KvFormat.MODEL):
    asked = LoadRequest(folder, precision, placement, kv=kv)
    return loader.load(loader.plan(inspect(folder), asked), NEVER, lambda _: None)


def noise(*shape: int, dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).to(CUDA, dtype)


@contextmanager
def no_waiting() -> Iterator[None]:
    """Within, every call of torch that waits for the card is an error."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


# -- exactness ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "options"), DENSE, ids=str)
@pytest.mark.parametrize("kv", list(KvFormat))
def test_ids_and_logits_are_those_of_the_module_on_a_cpu(
    made: Callable[..., Path], family: str, options: dict[str, object], kv: KvFormat
) -> None:
    wide = {"hidden_size": 128} if family == "qwen2" else {"head_dim": 32}
    folder = made(family, **{**wide, **options})
    module = TransformersRunner(model_of(folder, "cpu", Precision.FP32, kv), kv)
    wanted, rows = greedy(module)
    for graphs in (True, False):
        runner = LeanRunner(model_of(folder, "cuda", Precision.FP32, kv), kv, graphs=graphs)
        if graphs:
            assert runner.capabilities.name == "lean forward, CUDA graphs"
        found, ours = greedy(runner)
        assert found == wanted
        off = 1e-3 if kv is KvFormat.MODEL else 5e-3
        torch.testing.assert_close(ours.cpu(), rows, atol=off, rtol=off)


@pytest.mark.parametrize("precision", [*HALVES, Precision.INT8, Precision.INT4])
@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
def test_graphs_compute_what_is_computed_eagerly(
    made: Callable[..., Path], family: str, precision: Precision
) -> None:
    """Fed the same tokens: near ties of random weights may fall either way."""
    sizes = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 8}
    folder = made(family, **sizes)
    model = model_of(folder, "cuda", precision)
    by_graphs, eager = LeanRunner(model), LeanRunner(model, graphs=False)
    assert "CUDA graphs" in by_graphs.capabilities.name
    wanted, rows = greedy(eager)
    cache, _ = filled(by_graphs)
    for index, token in enumerate(wanted, 1):
        row = by_graphs.decode(cache, token, cancel=NEVER)
        assert torch.cosine_similarity(row, rows[index], dim=0) > 0.999
    exact = LeanRunner(model_of(folder, "cpu", Precision.FP32))
    assert torch.cosine_similarity(rows[0].cpu(), greedy(exact, count=0)[1][0], dim=0) > 0.98


@pytest.mark.parametrize("heads", [(14, 2), (16, 16), (8, 1)])
@pytest.mark.parametrize("capacity", [256, 1536, 4096])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_kinds_of_attention_agree(
    heads: tuple[int, int], capacity: int, dtype: torch.dtype
) -> None:
    position = torch.zeros(1, dtype=torch.long, device=CUDA)
    used = Used(position, capacity)
    query = noise(1, heads[0], 64, dtype=dtype)
    keys, values = (noise(heads[1], capacity, 64, dtype=dtype, seed=n) for n in (1, 2))
    for at in (0, 99, capacity - 1):
        position.fill_(at)
        used.refresh()
        piece = Piece(1, at + 1, CUDA)
        wanted = piece.attend(query, keys[:, : at + 1], values[:, : at + 1], 0.125)
        for name, way in OVER_ROOMS.items():
            if name == "flash" and (dtype is torch.float32 or not has_bfloat16(CUDA)):
                continue
            found = way(query, keys, values, 0.125, used)
            torch.testing.assert_close(found, wanted, atol=0.02, rtol=0.02, msg=name)


@pytest.mark.skipif(
    torch.cuda.is_available() and not has_bfloat16(CUDA), reason="the card has no flash kernel"
)
@pytest.mark.parametrize(("tokens", "held"), [(64, 64), (64, 300), (1, 200)])
@pytest.mark.parametrize("heads", [(14, 2), (16, 16)])
def test_the_flash_kernel_needs_no_mask(tokens: int, held: int, heads: tuple[int, int]) -> None:
    query = noise(tokens, heads[0], 64, dtype=torch.bfloat16)
    keys, values = (noise(heads[1], held, 64, dtype=torch.bfloat16, seed=n) for n in (1, 2))
    ways = [Piece(tokens, held, CUDA, flash=flash) for flash in (False, True)]
    found = [way.attend(query, keys, values, 0.125) for way in ways]
    torch.testing.assert_close(found[1], found[0], atol=0.02, rtol=0.02)


@pytest.mark.parametrize("rows", [1, 8])
def test_products_of_integers(rows: int) -> None:
    weight = torch.randn(512, 2048, generator=torch.Generator().manual_seed(0)) * 0.05
    form = Form(8, 2048)
    made = packed_linear((512, 2048), None, form, torch.bfloat16, torch.device("cpu"))
    for name, part in round_off(weight, form, torch.bfloat16, lambda: None).items():
        getattr(made, name).data = part
    exact = made.codes[0].double() * made.scales[0].double().unsqueeze(1)
    made = made.to(CUDA)
    made.place()
    x = noise(rows, 2048, dtype=torch.bfloat16)
    found = Int8Product(made).product(x)
    wanted = x.cpu().double() @ exact.T
    torch.testing.assert_close(found.cpu().double(), wanted, atol=1e-3, rtol=1e-3)


# -- steps -------------------------------------------------------------------------------------


@pytest.fixture
def runner(made: Callable[..., Path]) -> LeanRunner:
    return LeanRunner(model_of(made("qwen3", max_position_embeddings=4096), "cuda", Precision.FP32))


def test_steps_go_on_over_the_border_of_a_room(runner: LeanRunner) -> None:
    eager = LeanRunner(runner.module, graphs=False)
    ids = [11 + n % 200 for n in range(470)]
    cache, other = filled(runner, ids)[0], filled(eager, ids)[0]
    sizes = set()
    for token in range(3, 103):
        row = runner.decode(cache, token, cancel=NEVER)
        wanted = eager.decode(other, token, cancel=NEVER)
        torch.testing.assert_close(row, wanted, atol=1e-3, rtol=1e-3)
        sizes.add(cache.inner.layers[0].key_room.shape[-2])
    assert sizes == {512, 1024}


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(0.0),
        Sampling(0.7, 20, 0.8, 0.0, 1.1, 0.5, seed=3),
        Sampling(0.9, 0, 0.9, seed=5),
        Sampling(1.3, seed=5),
    ],
)
def test_an_answer_waits_once_for_each_token(runner: LeanRunner, sampling: Sampling) -> None:
    """The next step is begun before the token is read, and nothing else waits for the card."""

    def answer(*, ahead: bool) -> list[int]:
        cache, logits = filled(runner)
        sampler = Sampler(sampling, IDS, CUDA, expect=runner.expect if ahead else None)
        logits = runner.decode(cache, sampler(logits), cancel=NEVER)  # a graph is captured here
        found = []
        for _ in range(20):
            if ahead:
                with no_waiting():
                    found.append(sampler(logits))
                    assert runner._begun is not None
                    logits = runner.decode(cache, found[-1], cancel=NEVER)
            else:
                found.append(sampler(logits))
                logits = runner.decode(cache, found[-1], cancel=NEVER)
        return found

    assert answer(ahead=True) == answer(ahead=False)


def test_a_step_begun_in_vain_does_not_show(runner: LeanRunner) -> None:
    wanted, rows = greedy(runner)
    cache, _ = filled(runner)
    runner.decode(cache, wanted[0], cancel=NEVER)
    for index, token in enumerate(wanted[1:8], 2):
        runner.expect(torch.tensor(200 + index, device=CUDA))
        row = runner.decode(cache, token, cancel=NEVER)
        torch.testing.assert_close(row, rows[index], atol=1e-4, rtol=1e-4)


def test_conversations_take_turns(runner: LeanRunner) -> None:
    prompts = [IDS, IDS[::-1], IDS[5:], IDS[:9], IDS[3:30], IDS[1:]]
    expected = [greedy(runner, ids, 6) for ids in prompts]
    caches = [filled(runner, ids)[0] for ids in prompts]
    for index in range(6):
        for cache, (wanted, rows) in zip(caches, expected, strict=True):
            row = runner.decode(cache, wanted[index], cancel=NEVER)
            torch.testing.assert_close(row, rows[index + 1], atol=1e-4, rtol=1e-4)


def test_cancelling(runner: LeanRunner) -> None:
    cache, _ = filled(runner)
    runner.decode(cache, 5, cancel=NEVER)
    cancel = threading.Event()
    cancel.set()
    runner.expect(torch.tensor(6, device=CUDA))
    with pytest.raises(Cancelled):
        runner.decode(cache, 6, cancel=cancel)
    assert cache.length == len(IDS) + 1
    wanted = filled(runner, [*IDS, 5, 6])[1]
    row = runner.decode(cache, 6, cancel=NEVER)
    torch.testing.assert_close(row, wanted, atol=1e-3, rtol=1e-3)


def test_a_failed_capture_leaves_the_card_usable(
    made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for the card cannot be captured: the real refusal of the driver."""
    from qwen_desktop.engine.lean import step

    real = step.Step.run

    def waits(self: step.Step) -> None:
        real(self)
        self._fed.logits.sum().item()

    monkeypatch.setattr(step.Step, "run", waits)
    folder = made("qwen3")
    runner = LeanRunner(model_of(folder, "cuda", Precision.FP32))
    assert runner.capabilities.name.startswith("lean forward, eager: ")
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    wanted, rows = greedy(TransformersRunner(model_of(folder, "cpu", Precision.FP32)))
    found, ours = greedy(runner)
    assert found == wanted
    torch.testing.assert_close(ours.cpu(), rows, atol=1e-3, rtol=1e-3)
    monkeypatch.undo()
    again = LeanRunner(runner.module)
    assert "CUDA graphs" in again.capabilities.name
    assert greedy(again)[0] == wanted


# -- memory ------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [64, 1024, 4096, 8192])
@pytest.mark.parametrize("kv", list(KvFormat))
def test_the_peak_is_the_planned_one(made: Callable[..., Path], kv: KvFormat, tokens: int) -> None:
    folder = made("qwen2", **WIDE)
    asked = LoadRequest(folder, Precision.BF16, "cuda", kv=kv)
    plan = loader.plan(inspect(folder), asked)
    runner = LeanRunner(loader.load(plan, NEVER, lambda _: None), kv)
    able = runner.capabilities

    def read(count: int) -> int:
        cache = runner.new_cache()
        ids = [7] * count
        runner.prefill(cache, ids, chunk=CHUNK, on_progress=lambda _: None, cancel=NEVER)
        return cache.nbytes

    read(8 * CHUNK)  # workspaces come with the first products, tables with the first length
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    at_rest = torch.cuda.memory_allocated()
    held = read(tokens)
    torch.cuda.synchronize()
    shape = architecture(plan.checkpoint.config)
    costs = Costs(
        shape,
        2,
        kv,
        tuple(range(shape.layers)),
        on_cpu=False,
        reserve=0,
        rooms=able.rooms,
        forward=able.forward,
    )
    assert held == costs.cache(tokens)
    planned = at_rest + costs.need(tokens, tokens, CHUNK)
    assert torch.cuda.max_memory_allocated() == pytest.approx(planned, rel=0.02)


def test_graphs_take_no_more_than_is_kept_for_them(made: Callable[..., Path]) -> None:
    folder = made("qwen2", **WIDE)
    runner = LeanRunner(model_of(folder, "cuda", Precision.BF16))
    cache, _ = filled(runner, [7] * 4000, chunk=1024)
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    before = torch.cuda.mem_get_info()[0]
    runner.decode(cache, 5, cancel=NEVER)
    torch.cuda.synchronize()
    shape = architecture(runner.module.config.to_dict())
    costs = Costs(
        shape,
        2,
        KvFormat.MODEL,
        tuple(range(shape.layers)),
        on_cpu=False,
        reserve=0,
        rooms=runner.capabilities.rooms,
        forward=runner.capabilities.forward,
    )
    taken = before - torch.cuda.mem_get_info()[0]
    assert taken <= runner.capabilities.kept + costs.working(1, 4001) + 8 * 2**20


def test_a_card_that_runs_full_in_an_answer_is_no_end(made: Callable[..., Path]) -> None:
    """From the first token on the allocator gives nothing; graphs that are there go on."""
    engine = Engine()
    load(engine, made("qwen2", **WIDE), placement="cuda", precision=Precision.BF16)
    assert engine.card().runner == "lean forward, CUDA graphs"
    asked = request("hello " * 400, max_new_tokens=600)
    expected = text_of(ask(engine, asked))
    engine.forget("c")
    events: list[GenerationEvent] = []
    try:
        for event in engine.generate(asked, NEVER):
            events.append(event)
            if isinstance(event, Started):
                torch.cuda.empty_cache()
                torch.cuda.set_per_process_memory_fraction(0.0)
    except Known:
        pass
    finally:
        unlimit_memory([CUDA])
    assert expected.startswith(text_of(events))
    assert text_of(ask(engine, asked)) == expected
    engine.unload()


def test_without_memory_for_a_graph_the_answer_goes_on(
    made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = LeanRunner(model_of(made("qwen3"), "cuda", Precision.FP32))
    wanted, _ = greedy(runner)
    real = Graphs.prepare

    def starved(graphs: Graphs, cache: object) -> None:
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(0.0)
        try:
            ballast = [torch.empty(2**21, device=CUDA) for _ in range(64)]
            real(graphs, cache)
            del ballast
        finally:
            unlimit_memory([CUDA])

    monkeypatch.setattr(Graphs, "prepare", starved)
    assert greedy(runner)[0] == wanted
    assert "CUDA graphs" in runner.capabilities.name


def test_memory_comes_back(made: Callable[..., Path]) -> None:
    folder = made("qwen2", **WIDE)
    engine = Engine()
    for round_ in range(3):  # the first time makes workspaces, which stay
        load(engine, folder, placement="cuda", precision=Precision.BF16)
        ask(engine, request("hello"))
        engine.unload()
        if round_ == 0:
            before = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
    assert torch.cuda.memory_allocated() - before[0] < 2**20
    assert torch.cuda.memory_reserved() - before[1] < 8 * 2**20
