"""Inspecting a folder in the layout of a 72B checkpoint, beside the pure reading of its headers.

150 shards that hold headers only: the files have the right sizes, but their weights are holes. The
control reads and parses the same 150 headers and nothing else, in the same run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

LAYERS, HIDDEN, INNER, VOCABULARY, KV = 80, 8192, 29568, 152064, 1024
SHARDS = 150
TOKENIZER_BYTES = 7_000_000  # as of a real tokenizer.json


def tensors() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes as in a checkpoint of Qwen2.5-72B."""
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN)
    for layer in range(LAYERS):
        here = f"model.layers.{layer}."
        for name, rows in (("q", HIDDEN), ("k", KV), ("v", KV)):
            yield f"{here}self_attn.{name}_proj.weight", (rows, HIDDEN)
            yield f"{here}self_attn.{name}_proj.bias", (rows,)
        yield f"{here}self_attn.o_proj.weight", (HIDDEN, HIDDEN)
        yield f"{here}mlp.gate_proj.weight", (INNER, HIDDEN)
        yield f"{here}mlp.up_proj.weight", (INNER, HIDDEN)
        yield f"{here}mlp.down_proj.weight", (HIDDEN, INNER)
        yield f"{here}input_layernorm.weight", (HIDDEN,)
        yield f"{here}post_attention_layernorm.weight", (HIDDEN,)
    yield "model.norm.weight", (HIDDEN,)
    yield "lm_head.weight", (VOCABULARY, HIDDEN)


def write_shard(path: Path, held: list[tuple[str, tuple[int, ...]]]) -> None:
    """A header, and a hole of the size of the weights."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in held:
        start, end = end, end + 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


def make_folder(folder: Path) -> list[Path]:
    """Write the checkpoint without weights; the paths of its shards."""
    all_of = list(tensors())
    shards, places = [], {}
    for number in range(SHARDS):
        held = all_of[number * len(all_of) // SHARDS : (number + 1) * len(all_of) // SHARDS]
        shard = folder / f"model-{number + 1:05}-of-{SHARDS:05}.safetensors"
        write_shard(shard, held)
        shards.append(shard)
        places.update({name: shard.name for name, _ in held})
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    config = {
        "model_type": "qwen2",
        "architectures": ["Qwen2ForCausalLM"],
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": False,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text('{"eos_token_id": [151645]}')
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    (folder / "tokenizer.json").write_text('{"added_tokens": []}'.ljust(TOKENIZER_BYTES))
    return shards


def read_headers(shards: list[Path]) -> None:
    """The control: nothing but opening, reading and parsing."""
    for shard in shards:
        with shard.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            json.loads(file.read(length))


def milliseconds(work: Callable[[], object], runs: int) -> list[float]:
    """How long `work` took, each time; once more before that does not count."""
    times = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return times[1:]


def measure(runs: int) -> dict[str, object]:
    """Inspect in this process and as a command, and read the headers alone."""
    from qwen_desktop.engine.doctor import examine

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shards = make_folder(folder)
        report = examine(folder)
        assert report.facts is not None, report.findings
        assert report.opens, report.findings
        assert report.facts.parameters == 72_706_203_648, report.facts.parameters
        command = [sys.executable, "-m", "qwen_desktop", "inspect", str(folder), "--json"]
        rows = {
            "headers alone": milliseconds(lambda: read_headers(shards), runs),
            "inspect": milliseconds(lambda: examine(folder), runs),
            "as a command": milliseconds(
                lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL), runs
            ),
        }
    print(f"{'':<14}{'median ms':>10}{'least ms':>10}{'most ms':>10}")
    for label, values in rows.items():
        print(f"{label:<14}{statistics.median(values):>10.0f}{min(values):>10.0f}", end="")
        print(f"{max(values):>10.0f}")
    headers, inside, outside = (statistics.median(values) for values in rows.values())
    return {
        "inspect_ms": round(inside, 1),
        "headers_ms": round(headers, 1),
        "command_ms": round(outside, 1),
        "runs": runs,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py bench inspect", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--runs", type=int, default=9)
    given = parser.parse_args()
    result = measure(given.runs)
    if given.json:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
