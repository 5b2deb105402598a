"""Tokens a second beside llama.cpp and generate(), in the shape of Qwen2.5-0.5B, random weights.

On a CPU, all in fresh processes that take turns, `--rounds` of each; ratios are medians of the
rounds' own. Tokens count that were made while other programs left the CPU alone (`_quiet.py`). The
folder of `load`, the same weights as GGUF files, and llama.cpp in an environment of its own,
compiled once for this machine, are kept in the folder for temporary files. This program answers by
the engine's whole loop, up to the events that a window gets; generate() begins on a cache of noise,
llama.cpp is called by its own functions, without its sampler.

With `--device cuda`: random checkpoints in three shapes and precisions on a card.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from load import SHAPE, make_folder  # beside this file

HERE = Path(__file__).resolve().parent
ROOM = Path(tempfile.gettempdir()) / "qwen-desktop-bench"
LLAMA = "llama-cpp-python==0.3.36"
CONTEXTS = (2048, 64)  # in this order each is reached by the fewest tokens
PREFILL = 512
KINDS = {"16bit": ("bf16", "f16"), "8bit": ("int8", "q8_0"), "4bit": ("int4", "q4_0")}
SIZES: dict[str, dict[str, Any]] = {
    "0.5B": {},
    "1.8B": {
        "hidden_size": 2048, "intermediate_size": 5504, "num_hidden_layers": 24,
        "num_attention_heads": 16, "num_key_value_heads": 16, "tie_word_embeddings": False,
    },
    "7B": {
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "tie_word_embeddings": False,
        "vocab_size": 152064,
    },
}  # fmt: skip
CUDA_CONTEXTS, CUDA_PREFILL = (8192, 2048, 64), 2048


def quietly(command: list[str], **more: Any) -> str:
    """What a process prints, which nothing else may wait for. Raises CalledProcessError."""
    done = subprocess.run(command, capture_output=True, check=True, encoding="utf-8", **more)
    return done.stdout


def worker(what: str, plan: dict[str, Any]) -> dict[str, Any]:
    """Figures of a fresh process; see `_decoding.py`."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent)}
    command = [sys.executable, str(HERE / "_decoding.py"), what, json.dumps(plan)]
    found: dict[str, Any] = json.loads(quietly(command, env=environment).splitlines()[-1])
    return found


# -- llama.cpp ---------------------------------------------------------------------------------


def llama_python() -> Path | None:
    """An interpreter that has llama.cpp, compiled for this machine; None where there is none."""
    place = ROOM / "llama-cpp"
    python = place / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    done = place / "done"
    if done.exists():
        return python
    print(f"compiling {LLAMA} into {place}: takes 10 to 40 minutes, once …", flush=True)
    nice = ["nice", "-n", "15"] if sys.platform != "win32" else []
    install = [*nice, str(python), "-m", "pip", "install", "--no-input"]
    environment = {**os.environ, "CMAKE_ARGS": "-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF"}
    try:
        quietly([sys.executable, "-m", "venv", str(place)])
        quietly([*install, "gguf", "numpy"])
        quietly([*install, "--no-binary", "llama-cpp-python", LLAMA], env=environment)
        quietly([str(python), "-c", "import llama_cpp, gguf"])
    except (OSError, subprocess.CalledProcessError) as error:
        why = str(getattr(error, "stderr", "") or error).strip().splitlines() or [""]
        print(f"llama.cpp could not be built, so there is nothing beside us: {why[-1]}", flush=True)
        return None
    done.touch()
    return python


def gguf_file(python: Path, folder: Path, kind: str) -> Path:
    """The weights of `folder` in llama.cpp's format, written once."""
    file = ROOM / f"{folder.name}.{kind}.gguf"
    if not file.exists():
        print(f"writing {file.name} …", flush=True)
        quietly([str(python), str(HERE / "_llama.py"), "write", str(folder), str(file), kind])
    return file


def llama(python: Path, file: Path, plan: dict[str, Any]) -> dict[str, Any]:
    """Figures of a fresh process of llama.cpp."""
    given = [str(file), str(plan["threads"]), json.dumps(plan)]
    found: dict[str, Any] = json.loads(
        quietly([str(python), str(HERE / "_llama.py"), "measure", *given]).splitlines()[-1]
    )
    return found


# -- the sampler -------------------------------------------------------------------------------


def sampler_ms() -> dict[str, float]:
    """Milliseconds of CPU of one draw from 151,936 tokens, by what is switched on."""
    import torch

    from qwen_desktop.engine.sampling import Sampler, Sampling

    device, size = torch.device("cpu"), SHAPE["vocab_size"]
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randn(size, generator=generator) * 3 for _ in range(8)]
    prompt = torch.randint(0, size, (2000,), generator=generator).tolist()
    found = {}
    for name, sampling in (
        ("greedy", Sampling(0.0)),
        ("top-k, top-p", Sampling(0.7, 20, 0.8)),
        ("with min-p and penalties", Sampling(0.7, 20, 0.8, 0.05, 1.05, 1.5)),
        ("top-p alone", Sampling(0.7, 0, 0.8)),
        ("temperature alone", Sampling(0.7)),
    ):
        sampler, seconds = Sampler(sampling, prompt, device, given=300), []
        for number in range(64):
            began = time.thread_time()
            sampler(rows[number % len(rows)])
            seconds.append(time.thread_time() - began)
        found[name] = statistics.median(seconds) * 1000
    return found


# -- on a CPU ----------------------------------------------------------------------------------


class Rounds:
    """Figures by who, kind and what, one of each round."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], list[float]] = {}

    def add(self, who: str, kind: str, figures: dict[str, Any]) -> None:
        for name, value in figures.items():
            if isinstance(value, (int, float)):
                self._found.setdefault((who, kind, name), []).append(value)

    def median(self, who: str, kind: str, name: str) -> float | None:
        values = self._found.get((who, kind, name))
        return statistics.median(values) if values else None

    @property
    def quiet(self) -> bool:
        """Whether other programs left each process two groups of tokens at each context."""
        of_groups = [v for key, v in self._found.items() if key[2].startswith("quiet_")]
        return all(value >= 2 for values in of_groups for value in values)

    def ratio(self, kind: str, name: str, over: str) -> float | None:
        """Ours over that of `over`, round by round, the median."""
        return self._ratio(("ours", kind, name), (over, kind, name))

    def of_reading(self, kind: str, name: str) -> float | None:
        """Ours over the bytes a second that reading gave in the same round, the median."""
        return self._ratio(("ours", kind, name), ("reading", "", "bytes"))

    def _ratio(self, ours: tuple[str, str, str], other: tuple[str, str, str]) -> float | None:
        pairs = list(zip(self._found.get(ours, []), self._found.get(other, []), strict=False))
        return statistics.median(a / b for a, b in pairs) if pairs else None


def on_cpu(given: argparse.Namespace) -> dict[str, object]:
    """All of the CPU; prints a table."""
    folder = ROOM / "half-a-billion"
    if not (folder / "tokenizer_config.json").exists():
        print("making the folder …", flush=True)
        make_folder(folder)
    python = given.llama or (None if given.no_llama else llama_python())
    kinds = {name: KINDS[name] for name in given.only or KINDS}
    files = {kind: gguf_file(python, folder, kind) for _, kind in kinds.values()} if python else {}
    threads = given.threads or (os.cpu_count() or 1)
    plan = {
        "folder": str(folder), "device": "cpu", "threads": threads, "contexts": CONTEXTS,
        "tokens": given.tokens, "prefill": PREFILL,
    }  # fmt: skip
    rounds, names = Rounds(), {}
    for number in range(given.rounds):
        print(f"round {number + 1} of {given.rounds}, load {load_now()}", flush=True)
        rounds.add("reading", "", worker("bandwidth", plan))
        for name, (precision, kind) in kinds.items():
            figures = worker("ours", {**plan, "precision": precision})
            names[name] = figures["name"]
            rounds.add("ours", name, figures)
            if python:
                rounds.add("llama.cpp", name, llama(python, files[kind], plan))
            if name == "16bit":
                rounds.add("generate()", name, worker("generate", plan))
    result = told(rounds, names, kinds)
    print("the sampler, CPU time of one token:")
    draws = sampler_ms()
    for name, value in draws.items():
        print(f"  {name}: {value:.2f} ms")
    result["sampler_ms"] = round(draws["with min-p and penalties"], 3)
    result["sampler_top_p_ms"] = round(draws["top-p alone"], 3)
    result.update(quality())
    return result


def quality() -> dict[str, object]:
    """What precisions cost on the demo checkpoint, see `_quality.py`; prints a table."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent)}
    command = [sys.executable, str(HERE / "_quality.py"), str(ROOM / "code")]
    found: dict[str, Any] = json.loads(quietly(command, env=environment).splitlines()[-1])
    print(f"quality, {found.pop('tokens')} tokens of answers to held-out questions")
    print(f"{'':<12}{'perplexity':>12}{'at once':>10}{'logits differ by':>18}{'at once':>10}")
    print(f"{'32bit':<12}{found['perplexity_32bit']:>12.5f}")
    for name in KINDS:
        values = [
            found[f"{what}_{name}{suffix}"]
            for what in ("perplexity", "logits_error")
            for suffix in ("", "_prompt")
        ]
        print(f"{name:<12}{values[0]:>12.5f}{values[1]:>10.5f}{values[2]:>18.5f}{values[3]:>10.5f}")
        print(f"  {found.pop(f'quality_{name}_by')}")
    return {key: round(value, 6) for key, value in found.items()}


def load_now() -> str:
    """How many programs want the CPU, for people."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def told(rounds: Rounds, names: dict[str, str], kinds: dict[str, Any]) -> dict[str, object]:
    """The table, and the keys of the result."""
    result: dict[str, object] = {"quiet": rounds.quiet}

    def keep(key: str, value: float | None, digits: int = 3) -> None:
        if value is not None:
            result[key] = round(value, digits)

    if not rounds.quiet:
        print("OTHER PROGRAMS WERE AT WORK: speeds and ratios are not settled")
    print(f"{'tok/s':<24}{'at 64':>9}{'at 2,048':>10}{'prefill 512':>13}")
    for name in kinds:
        for who in ("ours", "llama.cpp", "generate()"):
            values = [rounds.median(who, name, what) for what in ("64", "2048", "prefill")]
            if any(values):
                cells = [f"{value:.1f}" if value else "" for value in values]
                print(f"{name + ' ' + who:<24}{cells[0]:>9}{cells[1]:>10}{cells[2]:>13}")
        print(f"  {names[name]}")
        for who in ("ours", "llama.cpp"):
            quiet = [rounds.median(who, name, f"quiet_{context}") for context in ("64", "2048")]
            if None not in quiet:
                print(f"  quiet groups of {who}: {quiet[0]:.0f} and {quiet[1]:.0f}")
        for context in ("64", "2048"):
            ratio = rounds.ratio(name, context, "llama.cpp")
            keep(f"cpu_{name}_over_llamacpp_{context}", ratio)
        keep(f"cpu_{name}_outside_kernels_ms", rounds.median("ours", name, "outside_ms"))
        keep(f"cpu_{name}_outside_kernels_share", rounds.median("ours", name, "outside_share"))
        keep(f"cpu_{name}_prefill_over_llamacpp", rounds.ratio(name, "prefill", "llama.cpp"))
        for context in ("64", "2048"):
            keep(f"cpu_{name}_tokens_{context}", rounds.median("ours", name, context), 1)
    keep("cpu_16bit_over_generate_2048", rounds.ratio("16bit", "2048", "generate()"))
    keep("cpu_16bit_over_generate_64", rounds.ratio("16bit", "64", "generate()"))
    keep("cpu_prefill_over_llamacpp", rounds.ratio("16bit", "prefill", "llama.cpp"))
    reading = rounds.median("reading", "", "bytes")
    for name in kinds:
        size, kv = rounds.median("ours", name, "bytes"), rounds.median("ours", name, "kv")
        per_byte = rounds.of_reading(name, "64")
        if size and kv and per_byte:
            keep(f"cpu_{name}_share_of_bandwidth", per_byte * (size + 64 * kv))
    if "cpu_16bit_share_of_bandwidth" in result:
        result["cpu_share_of_bandwidth"] = result["cpu_16bit_share_of_bandwidth"]
    if reading:
        result["read_gb"] = round(reading / 1e9, 1)
    for key, value in result.items():
        print(f"  {key}: {value}")
    return result


# -- on a card ---------------------------------------------------------------------------------


def on_cuda(given: argparse.Namespace) -> dict[str, object]:
    """Three shapes in three precisions on the first card; prints a line for each."""
    import torch

    if not torch.cuda.is_available():
        print("no CUDA device")
        return {"cuda": None}
    result: dict[str, object] = {"cuda": torch.cuda.get_device_name(0)}
    print(result["cuda"])
    for size in given.size or SIZES:
        folder = ROOM / f"random-{size}"
        if not (folder / "tokenizer_config.json").exists():
            print(f"making {folder.name} …", flush=True)
            make_folder(folder, {**SHAPE, **SIZES[size]})
        plan = {
            "folder": str(folder), "device": "cuda", "threads": 1, "contexts": CUDA_CONTEXTS,
            "tokens": given.tokens, "prefill": CUDA_PREFILL,
        }  # fmt: skip
        read = worker("bandwidth", plan)["bytes"]
        stock = worker("generate", plan)
        for precision in ("bf16", "int8", "int4"):
            figures = worker("ours", {**plan, "precision": precision})
            for context in CUDA_CONTEXTS:
                speed = figures[str(context)]
                moved = figures["bytes"] + figures["kv"] * context
                key = f"cuda_{size}_{precision}_{context}"
                result[key] = round(speed, 1)
                result[f"{key}_share"] = round(speed * moved / read, 3)
                result[f"{key}_over_generate"] = round(speed / stock[str(context)], 2)
            flops = 2 * parameters(folder) * figures["prefill"] / 1e12
            result[f"cuda_{size}_{precision}_prefill_tflops"] = round(flops, 1)
            result[f"cuda_{size}_{precision}_first_token_ms"] = round(
                figures["first_token"] * 1000, 1
            )
            told_now = {k: v for k, v in result.items() if k.startswith(f"cuda_{size}_{precision}")}
            print(f"{size} {precision}, {figures['name']}: {json.dumps(told_now)}", flush=True)
    return result


def parameters(folder: Path) -> int:
    """Those of the layers, which each token of a prompt meets."""
    config = json.loads((folder / "config.json").read_text())
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    width = hidden // config["num_attention_heads"]
    of_kv = 2 * config["num_key_value_heads"] * width * hidden
    return int(config["num_hidden_layers"] * (2 * hidden * hidden + of_kv + 3 * hidden * inner))


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py bench decode", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=100, help="at most, at each context")
    parser.add_argument("--threads", type=int, help="of all sides; as many as there are cores")
    parser.add_argument("--only", action="append", choices=tuple(KINDS))
    parser.add_argument("--size", action="append", choices=tuple(SIZES), help="on a card")
    parser.add_argument("--no-llama", action="store_true", help="nothing to compare with is built")
    parser.add_argument("--llama", type=Path, help="an interpreter with llama_cpp and gguf")
    given = parser.parse_args()
    try:
        result = on_cuda(given) if given.device == "cuda" else on_cpu(given)
    except subprocess.CalledProcessError as error:
        print(error.stderr[-2000:] if error.stderr else error)
        return 1
    if given.json:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
