"""Predicted and measured peak of memory for prompts of 64 to 8,192 tokens.

The checkpoint of `bench load` (the shape of Qwen2.5-0.5B, random weights) is loaded as the program
would, and reads one prompt in the program's own pieces, then writes a few tokens. Predicted: bytes
of the weights and what engine/budget.py plans for the request, without its reserve. Measured: the
highest memory of the process, less what it had before the load, with all libraries imported.

On a CPU that is anonymous memory (RssAnon on Linux: no files that are mapped, no pages of the file
cache; elsewhere what psutil calls unique), looked at once a millisecond by a thread. On a card it
is what torch's allocator says (max_memory_allocated). Each figure comes from a process of its own,
as allocators keep what they once had. On Linux the C library keeps up to 64 MiB of what was freed
(the threshold above which it gives memory back rises to that with what was freed before): half of
it is predicted, the rest is the unrest of the figures from run to run.

For contrast the same prompts as the document that this program grew from fed them: eager
attention, logits of every position, no cache, all tokens in one forward.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from load import make_folder  # beside this file

MIB = 2**20
LENGTHS = (64, 256, 1024, 2048, 4096, 8192)
CONTRAST = (64, 256, 1024, 2048)
HEAP = 32 * MIB  # of freed memory that glibc keeps, see above
ANSWER = 4  # tokens written after the prompt


@dataclass(frozen=True)
class Point:
    """One prompt. Bytes; `weights` are in both of the others."""

    tokens: int
    weights: int
    predicted: int
    measured: int

    @property
    def error(self) -> float:
        """Percent that the prediction is off."""
        return 100 * abs(self.predicted - self.measured) / self.measured

    @property
    def own_error(self) -> float:
        """The same of everything but the weights."""
        own = self.measured - self.weights
        return 100 * abs(self.predicted - self.measured) / own if own > 0 else 0.0


def held() -> int:
    """Bytes that only this process holds and that are no file's."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    import psutil

    return int(psutil.Process().memory_full_info().uss)


class Peak:
    """The highest `held` while it is entered, by a thread that looks once a millisecond."""

    def __enter__(self) -> Peak:
        self.highest = held()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()
        self.highest = max(self.highest, held())

    def _look(self) -> None:
        while not self._end.wait(0.001):
            self.highest = max(self.highest, held())


def one(folder: Path, placement: str, tokens: int, eager: bool) -> Point:
    """The figure of one prompt, in a process that has done nothing else."""
    import torch

    from qwen_desktop.chat.model import LoadRequest
    from qwen_desktop.engine import loader
    from qwen_desktop.engine.checkpoint import inspect
    from qwen_desktop.engine.device import give_back, use_threads_for
    from qwen_desktop.engine.start import create_engine
    from qwen_desktop.engine.transformers_runner import TransformersRunner

    create_engine(lambda _: None)
    never = threading.Event()
    plan = loader.plan(inspect(folder), LoadRequest(folder, placement=placement))
    give_back(torch.device("cpu"))
    before = held()
    runner = TransformersRunner(loader.load(plan, never, lambda _: None))
    use_threads_for(plan.parameters)

    def read(cache: Any, ids: list[int], chunk: int) -> None:
        runner.prefill(cache, ids, chunk=chunk, on_progress=lambda _: None, cancel=never)

    read(runner.new_cache(), [0], 1)  # as after every load
    device = runner.capabilities.device
    give_back(device)
    ids = [7 + n % 1000 for n in range(tokens)]
    on_card = device.type == "cuda"
    if on_card:
        torch.cuda.reset_peak_memory_stats(device)
    with Peak() as peak:
        if eager:
            _eager(runner.module, ids)
        else:
            cache = runner.new_cache()
            read(cache, ids, runner.capabilities.prefill_chunk)
            for _ in range(ANSWER):
                runner.decode(cache, 7, cancel=never)
    measured = peak.highest - before
    if on_card:
        measured = torch.cuda.max_memory_allocated(device)
    weights = runner.capabilities.weight_bytes
    return Point(tokens, weights, weights + _planned(runner, plan.checkpoint, tokens), measured)


def _planned(runner: Any, checkpoint: Any, tokens: int) -> int:
    """Bytes that the request is planned to take beside the weights."""
    from qwen_desktop.engine.architecture import architecture
    from qwen_desktop.engine.budget import Costs

    made, capabilities = architecture(checkpoint.config), runner.capabilities
    on_cpu = capabilities.device.type == "cpu"
    costs = Costs(
        made=made,
        item=capabilities.dtype.itemsize,
        kv=capabilities.kv_format,
        layers=tuple(range(made.layers)),
        on_cpu=on_cpu,
        reserve=HEAP if on_cpu and sys.platform == "linux" else 0,
    )
    return costs.need(tokens, tokens + ANSWER, capabilities.prefill_chunk)


def _eager(model: Any, ids: list[int]) -> None:
    """One forward over everything, as the document's script did it."""
    import torch

    model.set_attn_implementation("eager")
    with torch.inference_mode():
        model(input_ids=torch.tensor([ids], device=model.device), use_cache=False)


def in_a_process(folder: Path, placement: str, tokens: int, eager: bool) -> Point:
    """`one` in a process of its own."""
    command = [sys.executable, __file__, "--one", str(tokens)]
    command += ["--folder", str(folder), "--placement", placement, *(["--eager"] if eager else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8")
    return Point(**json.loads(done.stdout.splitlines()[-1]))


def line_through(points: list[Point]) -> tuple[float, float]:
    """Slope (bytes per token) of the straight line through the measured peaks, and its R²."""
    xs, ys = [float(p.tokens) for p in points], [float(p.measured) for p in points]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    left = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in zip(xs, ys, strict=True))
    return slope, 1 - left / sum((y - mean_y) ** 2 for y in ys)


def measure(folder: Path, placement: str) -> dict[str, object]:
    """All prompts on one device; prints a table."""
    print(f"{'tokens':>8} {'predicted':>10} {'measured':>10} {'off':>7}   beside the weights")
    points = []
    for tokens in LENGTHS:
        point = in_a_process(folder, placement, tokens, eager=False)
        points.append(point)
        print(
            f"{tokens:8,} {point.predicted / MIB:7,.0f} MiB {point.measured / MIB:6,.0f} MiB"
            f" {point.error:5.1f} %   {(point.predicted - point.weights) / MIB:,.0f} and"
            f" {(point.measured - point.weights) / MIB:,.0f} MiB",
            flush=True,
        )
    slope, r2 = line_through(points)
    print(f"growth: {slope / 1024:.1f} KiB a token, R² of the straight line {r2:.4f}")
    contrast = {}
    for tokens in CONTRAST:
        point = in_a_process(folder, placement, tokens, eager=True)
        contrast[tokens] = round(point.measured / MIB)
        print(f"{tokens:8,} eager, all logits, no cache: {contrast[tokens]:,} MiB", flush=True)
    return {
        "worst_error_percent": round(max(point.error for point in points), 2),
        "worst_error_without_weights_percent": round(max(p.own_error for p in points), 1),
        "linear_r2": round(r2, 4),
        "kib_per_token": round(slope / 1024, 1),
        "predicted_mib": {p.tokens: round(p.predicted / MIB) for p in points},
        "measured_mib": {p.tokens: round(p.measured / MIB) for p in points},
        "eager_mib": contrast,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py bench memory", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--folder", type=Path, help="another checkpoint")
    parser.add_argument("--placement", help="cpu or cuda; without it, all there are")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--eager", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    base = Path(tempfile.gettempdir()) / "qwen-desktop-bench" / "half-a-billion"
    folder = given.folder or base
    if folder == base and not (folder / "tokenizer_config.json").exists():
        print("making the folder …", flush=True)
        make_folder(folder)
    if given.one:
        point = one(folder, given.placement or "cpu", given.one, given.eager)
        print(json.dumps(asdict(point)))
        return 0
    from qwen_desktop.engine.gpus import cuda_gpus

    here = [given.placement] if given.placement else ["cpu", *(["cuda"] if cuda_gpus() else [])]
    result: dict[str, object] = {}
    for placement in here:
        print(f"on {placement}:", flush=True)
        found = measure(folder, placement)
        suffix = "" if placement == here[0] else f"_{placement}"
        result |= {key + suffix: value for key, value in found.items()}
    if given.json:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
