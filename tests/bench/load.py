"""Loading a checkpoint of 1 GB beside the pure reading of its file; cancelling; giving memory back.

A folder in the shape of Qwen2.5-0.5B with random weights in bfloat16 is made once and kept in the
folder for temporary files. It is loaded on the CPU in bfloat16, in turn with the control: the same
file read once into fresh memory, from the same state of the cache. Memory is that of this process
alone, before, with the model, and after it was closed.
"""

from __future__ import annotations

import argparse
import base64
import gc
import importlib.util
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil

SHAPE = {
    "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "vocab_size": 151936,
    "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
    "num_attention_heads": 14, "num_key_value_heads": 2, "max_position_embeddings": 32768,
    "rope_theta": 1000000.0, "rms_norm_eps": 1e-6, "tie_word_embeddings": True,
    "torch_dtype": "bfloat16", "eos_token_id": 151645, "bos_token_id": 151643,
}  # fmt: skip
BLOCK = 8 * 2**20
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def make_folder(folder: Path, shape: Mapping[str, Any] = SHAPE) -> None:
    """Write the checkpoint, its tokenizer included: Qwen's own vocabulary where it is installed."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM

    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(dict(shape)))
    (folder / "generation_config.json").write_text('{"do_sample": false}')
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(folder), dtype=torch.bfloat16
        )
    torch.manual_seed(0)
    weights = {
        name: torch.empty(parameter.shape, dtype=torch.bfloat16).normal_(0, 0.02)
        for name, parameter in empty.named_parameters()
    }
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    make_tokenizer(folder)


def make_tokenizer(folder: Path) -> None:
    """A tokenizer.json of real size, from the vocabulary of the first Qwen."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = bytes_to_unicode()
    spec = importlib.util.find_spec("dashscope")
    ranks: dict[bytes, int] = {bytes([byte]): byte for byte in range(256)}
    if spec is not None and spec.origin is not None:
        file = Path(spec.origin).parent / "resources" / "qwen.tiktoken"
        for line in file.read_bytes().splitlines():
            token, rank = line.split()
            ranks[base64.b64decode(token)] = int(rank)
    merges = []
    for token in sorted(ranks, key=lambda token: ranks[token]):
        if len(token) > 1 and (parts := last_merge(token, ranks)):
            merges.append(tuple("".join(letters[byte] for byte in part) for part in parts))
    vocabulary = {"".join(letters[byte] for byte in token): rank for token, rank in ranks.items()}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>"})
    )


def last_merge(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes] | None:
    """The two tokens that are merged to `token`."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        best = min(
            range(len(parts) - 1),
            key=lambda i: ranks.get(parts[i] + parts[i + 1], 10**9),
        )
        if parts[best] + parts[best + 1] not in ranks:
            return None
        parts[best : best + 2] = [parts[best] + parts[best + 1]]
    return parts[0], parts[1]


def read_over(path: Path) -> float:
    """Seconds to read the file into one small buffer again and again: what the cache can give."""
    buffer = memoryview(bytearray(BLOCK))
    began = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    return time.perf_counter() - began


def read_once(path: Path) -> float:
    """Seconds to read the file into memory that was not used before, as a load has to."""
    began = time.perf_counter()
    buffer = np.empty(path.stat().st_size, dtype=np.uint8)
    with path.open("rb", buffering=0) as file:
        have = 0
        while count := file.readinto(buffer.data[have : have + BLOCK]):
            have += count
    seconds = time.perf_counter() - began
    del buffer
    return seconds


def drop_from_cache(path: Path) -> bool:
    """Let the system forget the file's pages; False where it cannot be asked to."""
    if not hasattr(os, "posix_fadvise"):
        return False
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def own_memory() -> int:
    """Bytes that only this process holds."""
    gc.collect()
    return int(psutil.Process().memory_full_info().uss)


class Loads:
    """Loads of one folder, each timed by its stages."""

    def __init__(self, folder: Path) -> None:
        from qwen_desktop.chat.checkpoint import Precision
        from qwen_desktop.chat.model import LoadRequest
        from qwen_desktop.engine.start import create_engine

        self.engine = create_engine(lambda _: None)
        self.request = LoadRequest(folder, Precision.BF16, "cpu")

    def once(self, cancel: threading.Event, tell: Callable[[Any], None]) -> None:
        self.engine.load(self.request, cancel, tell)

    def timed(self) -> dict[str, float]:
        """Seconds of checking, of the weights (reading and placing), and of everything."""
        marks: list[tuple[float, str]] = []
        began = time.perf_counter()
        self.once(
            threading.Event(), lambda event: marks.append((time.perf_counter(), event.stage.value))
        )
        ended = time.perf_counter()
        reading = next(at for at, stage in marks if stage == "reading")
        warming = next(at for at, stage in marks if stage == "warming_up")
        self.engine.unload()
        return {
            "checking": reading - began,
            "weights": warming - reading,
            "all": ended - began,
        }

    def cancelled(self, seconds: float) -> tuple[float, str]:
        """Milliseconds from setting cancel, `seconds` into a load, to its end; and the stage."""
        from qwen_desktop.errors import Cancelled

        cancel, stages, at = threading.Event(), ["start"], [0.0]

        def stop() -> None:
            at[0] = time.perf_counter()
            cancel.set()

        timer = threading.Timer(seconds, stop)
        timer.start()
        try:
            self.once(cancel, lambda event: stages.append(event.stage.value))
        except Cancelled:
            return (time.perf_counter() - at[0]) * 1000, stages[-1]
        finally:
            timer.cancel()
            timer.join()
        self.engine.unload()
        return 0.0, "ended before"


def measure(folder: Path, runs: int, cancels: int) -> dict[str, object]:
    """Everything; prints a table."""
    weights = folder / "model.safetensors"
    size = weights.stat().st_size
    loads = Loads(folder)
    loads.timed()  # imports what only a first load imports
    result: dict[str, object] = {"gigabytes": round(size / 1e9, 2), "runs": runs}
    for cache in ("warm", "cold"):
        if cache == "cold" and not drop_from_cache(weights):
            print("the cache of this system cannot be emptied: no cold figures")
            continue
        times: dict[str, list[float]] = {"read": [], "checking": [], "weights": [], "all": []}
        if cache == "warm":
            read_once(weights)
        for _ in range(runs):
            if cache == "cold":
                drop_from_cache(weights)
            times["read"].append(read_once(weights))
            if cache == "cold":
                drop_from_cache(weights)
            for name, seconds in loads.timed().items():
                times[name].append(seconds)
        medians = {name: statistics.median(values) for name, values in times.items()}
        if cache == "warm":
            result["read_over_ms"] = round(
                statistics.median(read_over(weights) for _ in range(runs)) * 1000
            )
            print(f"warm, into one small buffer: {result['read_over_ms']} ms")
        ratio = medians["weights"] / medians["read"]
        whole = medians["all"] / medians["read"]
        print(
            f"{cache}: read {medians['read']:.2f} s, weights {medians['weights']:.2f} s"
            f" ({ratio:.2f} times), checking {medians['checking']:.2f} s,"
            f" in all {medians['all']:.2f} s ({whole:.2f} times)"
        )
        suffix = "" if cache == "warm" else "_cold"
        result[f"load_over_read{suffix}"] = round(ratio, 3)
        result[f"all_over_read{suffix}"] = round(whole, 3)
        result[f"read_ms{suffix}"] = round(medians["read"] * 1000)
        result[f"checking_ms{suffix}"] = round(medians["checking"] * 1000)

    before = own_memory()
    loads.once(threading.Event(), lambda _: None)
    loaded = own_memory()
    loads.engine.unload()
    after = own_memory()
    left = 100 * (after - before) / size
    print(
        f"memory of this process: {before / 2**20:.0f} MiB before, {loaded / 2**20:.0f} loaded,"
        f" {after / 2**20:.0f} after ({left:.1f} % of the weights left)"
    )
    result |= {
        "unload_left_percent": round(left, 2),
        "loaded_mib": round((loaded - before) / 2**20),
    }

    rng = random.Random(0)
    whole_load = loads.timed()["all"]
    by_stage: dict[str, list[float]] = {}
    for _ in range(cancels):
        took, stage = loads.cancelled(rng.uniform(0, whole_load))
        by_stage.setdefault(stage, []).append(took)
    for stage, values in by_stage.items():
        print(
            f"cancelled while {stage}: {len(values)} times, median"
            f" {statistics.median(values):.0f} ms, most {max(values):.0f} ms"
        )
    result["cancel_ms"] = round(max(max(values) for values in by_stage.values()))
    leftover = 100 * (own_memory() - before) / size
    print(f"after {cancels} cancelled loads: {leftover:.1f} % of the weights left")
    result["cancel_left_percent"] = round(leftover, 2)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py bench load", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cancels", type=int, default=40)
    given = parser.parse_args()
    folder = Path(tempfile.gettempdir()) / "qwen-desktop-bench" / "half-a-billion"
    if not (folder / "tokenizer_config.json").exists():
        print("making the folder …", flush=True)
        make_folder(folder)
    result = measure(folder, given.runs, given.cancels)
    if given.json:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
