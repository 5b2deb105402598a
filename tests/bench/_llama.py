"""What `decode.py` lets an interpreter with llama-cpp-python do: write GGUF files, measure them.

    write FOLDER FILE KIND            the weights of a Qwen2 folder as f16, q8_0 or q4_0
    measure FILE THREADS PLAN         decode and prefill, by llama.cpp's own functions

Needs llama_cpp, gguf and numpy; knows nothing of this program.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from _quiet import Groups  # beside this file

# Names of the tensors of a layer: in the folder, in the file.
LAYER = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}  # fmt: skip


def tensors(folder: Path) -> dict[str, Any]:
    """The weights of a safetensors file in bfloat16, as float32 by name, each read when asked."""
    path = folder / "model.safetensors"
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    header.pop("__metadata__", None)
    data = np.memmap(path, np.uint8, "r", 8 + size)

    def reader(entry: Any) -> Any:
        begin, end = entry["data_offsets"]

        def read() -> Any:
            halves = np.frombuffer(data[begin:end].tobytes(), np.uint16)
            return (halves.astype(np.uint32) << 16).view(np.float32).reshape(entry["shape"])

        return read

    return {name: reader(entry) for name, entry in header.items()}


def write(folder: Path, target: Path, kind: str) -> None:
    """Write a GGUF file without a vocabulary; the head, which is the embedding, never in 4 bits."""
    import gguf

    config = json.loads((folder / "config.json").read_text())
    kinds = gguf.GGMLQuantizationType
    of_matrices = {"f16": kinds.F16, "q8_0": kinds.Q8_0, "q4_0": kinds.Q4_0}[kind]
    of_head = kinds.F16 if kind == "f16" else kinds.Q8_0
    partial = target.with_suffix(".part")
    writer = gguf.GGUFWriter(partial, "qwen2")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    for name, read in tensors(folder).items():
        values, stem, suffix = read(), *name.rsplit(".", 1)
        if stem == "model.embed_tokens":
            to, of = "token_embd", of_head
        elif stem == "model.norm":
            to, of = "output_norm", kinds.F32
        else:
            _, _, number, rest = stem.split(".", 3)
            to, of = f"blk.{number}.{LAYER[rest]}", of_matrices
        if values.ndim == 1:
            of = kinds.F32
        writer.add_tensor(f"{to}.{suffix}", gguf.quants.quantize(values, of), raw_dtype=of)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.rename(target)


class Model:
    """A file in llama.cpp's hands, with one sequence."""

    def __init__(self, file: Path, threads: int, context: int) -> None:
        import llama_cpp

        self.api = llama_cpp
        llama_cpp.llama_backend_init()
        self._quiet = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(self._quiet, ctypes.c_void_p(0))
        model = llama_cpp.llama_model_load_from_file(
            str(file).encode(), llama_cpp.llama_model_default_params()
        )
        given = llama_cpp.llama_context_default_params()
        given.n_ctx, given.n_batch, given.n_ubatch = context, 512, 512
        given.n_threads = given.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(model, given)
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))

    def feed(self, ids: list[int]) -> int:
        """Append `ids`; the likeliest next one."""
        for first in range(0, len(ids), 512):
            piece = ids[first : first + 512]
            array = (self.api.llama_token * len(piece))(*piece)
            if self.api.llama_decode(self.context, self.api.llama_batch_get_one(array, len(piece))):
                raise RuntimeError("llama.cpp refused a batch")
        logits = self.api.llama_get_logits_ith(self.context, -1)
        return int(np.ctypeslib.as_array(logits, shape=(self.vocabulary,)).argmax())

    def forget(self, keep: int) -> None:
        """Hold the first `keep` tokens."""
        memory = self.api.llama_get_memory(self.context)
        if not self.api.llama_memory_seq_rm(memory, 0, keep, -1):
            raise RuntimeError("llama.cpp cannot go back")


def measure(file: Path, threads: int, plan: Any) -> dict[str, float]:
    """Tokens a second: see `decode.py`, which measures this program by the same plan."""
    model = Model(file, threads, max(plan["contexts"]) + plan["tokens"] + 8)
    ids = [1000 + n % 7919 for n in range(max(plan["contexts"]))]
    model.feed(ids[:32])
    found: dict[str, float] = {}
    if plan["prefill"]:
        model.forget(0)
        began = time.perf_counter()
        model.feed(ids[: plan["prefill"]])
        found["prefill"] = plan["prefill"] / (time.perf_counter() - began)
    held = plan["prefill"] or 32
    for context in plan["contexts"]:
        keep = min(context, held)
        model.forget(keep)
        token = model.feed(ids[keep:context]) if context > keep else 7
        held = context
        groups = Groups()
        for _ in range(plan["tokens"]):
            began = time.perf_counter()
            token = model.feed([token])
            groups.add(time.perf_counter() - began)
            if groups.enough:
                break
        found[str(context)] = 1 / groups.median
        found[f"quiet_{context}"] = groups.quiet
    return found


def main() -> int:
    command, *given = sys.argv[1:]
    if command == "write":
        write(Path(given[0]), Path(given[1]), given[2])
        return 0
    print(json.dumps(measure(Path(given[0]), int(given[1]), json.loads(given[2]))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
