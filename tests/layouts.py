"""Folders in the layout of large checkpoints: true headers over sparse files that take no room."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

from tests.engine.checkpoints import PLAIN, make_tokenizer

QWEN2_72B = {
    "model_type": "qwen2",
    "architectures": ["Qwen2ForCausalLM"],
    "hidden_size": 8192,
    "intermediate_size": 29568,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "max_position_embeddings": 32768,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}

SIZE_7B = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
}


def qwen2_layout(folder: Path, shards: int = 37, **config: object) -> Path:
    """A Qwen2 folder whose weights are holes; `config` overrides that of the 72B model."""
    made = QWEN2_72B | config
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(made))
    (folder / "generation_config.json").write_text("{}")
    make_tokenizer(PLAIN).save_pretrained(folder)
    tensors = list(_shapes(made).items())
    index = {}
    for number in range(shards):
        name = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        first, end = (len(tensors) * n // shards for n in (number, number + 1))
        part = tensors[first:end]
        _write(folder / name, part)
        index.update({tensor: name for tensor, _ in part})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    return folder


def _shapes(config: dict) -> dict[str, tuple[int, ...]]:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    kv = hidden * config["num_key_value_heads"] // config["num_attention_heads"]
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], hidden)}
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        for name, out in (("q", hidden), ("k", kv), ("v", kv)):
            shapes[f"{layer}self_attn.{name}_proj.weight"] = (out, hidden)
            shapes[f"{layer}self_attn.{name}_proj.bias"] = (out,)
        shapes[f"{layer}self_attn.o_proj.weight"] = (hidden, hidden)
        shapes[f"{layer}mlp.gate_proj.weight"] = (inner, hidden)
        shapes[f"{layer}mlp.up_proj.weight"] = (inner, hidden)
        shapes[f"{layer}mlp.down_proj.weight"] = (hidden, inner)
        shapes[f"{layer}input_layernorm.weight"] = (hidden,)
        shapes[f"{layer}post_attention_layernorm.weight"] = (hidden,)
    shapes["model.norm.weight"] = (hidden,)
    shapes["lm_head.weight"] = (config["vocab_size"], hidden)
    return shapes


def _write(file: Path, tensors: list[tuple[str, tuple[int, ...]]]) -> None:
    header, at = {}, 0
    for name, shape in tensors:
        size = 2
        for n in shape:
            size *= n
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(struct.pack("<Q", len(text)) + text)
    os.truncate(file, 8 + len(text) + at)
