"""Tiny checkpoints in the layout of the first Qwen, of its GPTQ variants and of Qwen2's GPTQ ones.

Every byte of model.safetensors follows from a spec in goldens/specs.json: the random numbers are
splitmix64 of a counter turned into float32 by one multiplication, so they depend on no library's
generator, and the file is written by hand. The goldens hold for these bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

Tensors = dict[str, tuple[np.ndarray, str]]  # values (bits for BF16) and dtype as in headers

STEP = 1 << 22


def _random_bits(seed: int, name: str, count: int) -> np.ndarray:
    key = int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "little")
    bits = np.empty(count, np.uint64)
    with np.errstate(over="ignore"):
        for first in range(0, count, STEP):
            last = min(count, first + STEP)
            z = np.arange(first + 1, last + 1, dtype=np.uint64)
            z = z * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            bits[first:last] = z ^ (z >> np.uint64(31))
    return bits


def _normal(
    seed: int, name: str, shape: tuple[int, ...], std: float, mean: float = 0.0
) -> np.ndarray:
    """Sums of four 16-bit numbers, nearly normal: exact integers times one float32."""
    count = int(np.prod(shape))
    bits = _random_bits(seed, name, count)
    total = np.zeros(count, np.int32)
    for index in range(4):
        total += ((bits >> np.uint64(16 * index)) & np.uint64(0xFFFF)).astype(np.int32)
    values = (total - 131070).astype(np.float32) * np.float32(std / 37837.23)
    return (values + np.float32(mean) if mean else values).reshape(shape)


def _integers(seed: int, name: str, shape: tuple[int, ...], low: int, high: int) -> np.ndarray:
    bits = _random_bits(seed, name, int(np.prod(shape))) >> np.uint64(32)
    return (low + ((bits * np.uint64(high - low)) >> np.uint64(32)).astype(np.int64)).reshape(shape)


def _stored(values: np.ndarray, dtype: str) -> tuple[np.ndarray, str]:
    values = np.ascontiguousarray(values, np.float32)
    if dtype == "fp32":
        return values, "F32"
    if dtype == "fp16":
        return values.astype(np.float16), "F16"
    bits = values.view(np.uint32)
    bits = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (bits >> np.uint32(16)).astype(np.uint16), "BF16"


def write_safetensors(path: Path, tensors: Tensors) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name in sorted(tensors):
        values, dtype = tensors[name]
        place = [offset, offset + values.nbytes]
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": place}
        offset += values.nbytes
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for name in sorted(tensors):
            file.write(np.ascontiguousarray(tensors[name][0]).tobytes())


def _packed_rows(values: np.ndarray, bits: int) -> np.ndarray:
    """[in, out] small numbers to int32 [in * bits / 32, out], the lowest bits first."""
    per = 32 // bits
    words = np.zeros((values.shape[0] // per, values.shape[1]), np.uint32)
    for index in range(per):
        words |= values[index::per].astype(np.uint32) << np.uint32(bits * index)
    return words.view(np.int32)


class _Maker:
    """The tensors of one spec."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.spec = spec
        self.seed = spec["seed"]
        self.dtype = spec.get("dtype", "fp16")
        self.tensors: Tensors = {}

    def put(self, name: str, values: np.ndarray) -> None:
        self.tensors[name] = _stored(values, self.dtype)

    def plain(self, name: str, source: str, shape: tuple[int, ...], std: float) -> None:
        self.put(name, _normal(self.seed, source, shape, std))

    def norm(self, name: str, source: str) -> None:
        self.put(name, _normal(self.seed, source, (self.spec["hidden_size"],), 0.2, 1.0))

    def head(self, std: float) -> None:
        """Rows without a token are damped so that they never win; those that end are louder."""
        shape = (self.spec["vocab_size"], self.spec["hidden_size"])
        values = _normal(self.seed, "lm_head", shape, std)
        for first, last, factor in self.spec.get("boost", []):
            values[first:last] *= np.float32(factor)
        self.put("lm_head.weight", values)

    def gptq(self, name: str, inputs: int, outputs: int, std: float, *, bias: bool) -> None:
        """A linear layer in the first GPTQ format, which stores zeros less one.

        Every layer has a bias: a real one for `bias`, else zeros, as those who quantised wrote it.
        """
        spec, seed = self.spec, self.seed
        bits, group, top = spec["bits"], spec["group_size"], 1 << spec["bits"]
        assert spec["sym"]
        assert not spec["desc_act"]
        groups = inputs // group
        scales = _normal(seed, f"{name}.s", (groups, outputs), 0.15, 1.0)
        scales = scales * np.float32(std / (top / 12**0.5))
        zeros = np.full((groups, outputs), top // 2 - 1, np.int64)
        values = _integers(seed, f"{name}.q", (inputs, outputs), 0, top)
        own = _normal(seed, f"{name}.bias", (outputs,), 0.5) if bias else np.zeros(outputs)
        self.tensors |= {
            f"{name}.qweight": (_packed_rows(values, bits), "I32"),
            f"{name}.qzeros": (_packed_rows(zeros.T, bits).T, "I32"),
            f"{name}.scales": (scales.astype(np.float16), "F16"),
            f"{name}.g_idx": ((np.arange(inputs) // group).astype(np.int32), "I32"),
            f"{name}.bias": (own.astype(np.float16), "F16"),
        }


def _first_qwen(spec: Mapping[str, Any]) -> Tensors:
    maker = _Maker(spec)
    hidden, vocabulary, inner = spec["hidden_size"], spec["vocab_size"], spec["intermediate_size"]
    inner //= 2
    quantised = "bits" in spec

    def linear(
        name: str, source: str, inputs: int, outputs: int, std: float, bias: bool = False
    ) -> None:
        if quantised:
            maker.gptq(name, inputs, outputs, std, bias=bias)
            return
        maker.plain(f"{name}.weight", source, (outputs, inputs), std)
        if bias:
            maker.plain(f"{name}.bias", f"{source}.bias", (outputs,), 0.5)

    maker.plain("transformer.wte.weight", "wte", (vocabulary, hidden), 0.6)
    root = hidden**0.5
    for layer in range(spec["num_hidden_layers"]):
        p = f"transformer.h.{layer}."
        maker.norm(f"{p}ln_1.weight", f"{p}ln_1")
        maker.norm(f"{p}ln_2.weight", f"{p}ln_2")
        linear(f"{p}attn.c_attn", f"{p}c_attn", hidden, 3 * hidden, 1.2 / root, bias=True)
        linear(f"{p}attn.c_proj", f"{p}c_proj", hidden, hidden, 0.8 / root)
        linear(f"{p}mlp.w1", f"{p}w1", hidden, inner, 1.0 / root)
        linear(f"{p}mlp.w2", f"{p}w2", hidden, inner, 1.0 / root)
        linear(f"{p}mlp.c_proj", f"{p}mlp_c_proj", inner, hidden, 0.8 / inner**0.5)
    maker.norm("transformer.ln_f.weight", "ln_f")
    maker.head(3.0 / root)
    return maker.tensors


def _second_qwen(spec: Mapping[str, Any]) -> Tensors:
    maker = _Maker(spec)
    hidden, vocabulary, inner = spec["hidden_size"], spec["vocab_size"], spec["intermediate_size"]
    keys = hidden // spec["num_attention_heads"] * spec["num_key_value_heads"]
    root = hidden**0.5
    maker.plain("model.embed_tokens.weight", "wte", (vocabulary, hidden), spec.get("wte_std", 0.6))
    for layer in range(spec["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        maker.norm(f"{p}input_layernorm.weight", f"{p}ln_1")
        maker.norm(f"{p}post_attention_layernorm.weight", f"{p}ln_2")
        for which, outputs in (("q", hidden), ("k", keys), ("v", keys)):
            maker.gptq(f"{p}self_attn.{which}_proj", hidden, outputs, 1.2 / root, bias=True)
        maker.gptq(f"{p}self_attn.o_proj", hidden, hidden, 0.8 / root, bias=False)
        maker.gptq(f"{p}mlp.gate_proj", hidden, inner, 1.0 / root, bias=False)
        maker.gptq(f"{p}mlp.up_proj", hidden, inner, 1.0 / root, bias=False)
        maker.gptq(f"{p}mlp.down_proj", inner, hidden, 0.8 / inner**0.5, bias=False)
    maker.norm("model.norm.weight", "ln_f")
    maker.head(3.0 / root)
    return maker.tensors


def _quantisation(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "bits": spec["bits"], "group_size": spec["group_size"], "damp_percent": 0.01,
        "desc_act": spec["desc_act"], "static_groups": False, "sym": spec["sym"],
        "true_sequential": True, "model_name_or_path": None, "model_file_base_name": "model",
        "quant_method": "gptq",
    }  # fmt: skip


def _first_config(spec: Mapping[str, Any]) -> dict[str, Any]:
    code = "modeling_qwen.QWenLMHeadModel"
    return {
        "architectures": ["QWenLMHeadModel"],
        "auto_map": {"AutoConfig": "configuration_qwen.QWenConfig", "AutoModelForCausalLM": code},
        "attn_dropout_prob": 0.0, "bf16": False, "emb_dropout_prob": 0.0, "fp16": "bits" in spec,
        "fp32": False, "hidden_size": spec["hidden_size"],
        "intermediate_size": spec["intermediate_size"], "initializer_range": 0.02,
        "kv_channels": spec["hidden_size"] // spec["num_attention_heads"],
        "layer_norm_epsilon": 1e-6,
        # More than the length of training, as in the first releases of the 7B.
        "max_position_embeddings": 512,
        "model_type": "qwen", "no_bias": True, "num_attention_heads": spec["num_attention_heads"],
        "num_hidden_layers": spec["num_hidden_layers"], "onnx_safe": None,
        "rotary_emb_base": spec["rotary_emb_base"], "rotary_pct": 1.0, "scale_attn_weights": True,
        "seq_length": spec["seq_length"], "tie_word_embeddings": False,
        "tokenizer_class": "QWenTokenizer", "transformers_version": "4.32.0", "use_cache": True,
        "use_dynamic_ntk": spec["use_dynamic_ntk"], "use_flash_attn": "auto",
        "use_logn_attn": spec["use_logn_attn"], "vocab_size": spec["vocab_size"],
    }  # fmt: skip


def _second_config(spec: Mapping[str, Any]) -> dict[str, Any]:
    same = (
        "hidden_size", "intermediate_size", "max_position_embeddings", "num_attention_heads",
        "num_hidden_layers", "num_key_value_heads", "rope_theta", "tie_word_embeddings",
        "vocab_size",
    )  # fmt: skip
    return {
        "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "hidden_act": "silu",
        "initializer_range": 0.02, "max_window_layers": spec["num_hidden_layers"],
        "model_type": "qwen2", "rms_norm_eps": 1e-6, "sliding_window": 32768,
        "transformers_version": "4.37.0", "use_cache": True, "use_sliding_window": False,
        **{name: spec[name] for name in same},
    }  # fmt: skip


GENERATION = {
    "chat_format": "chatml", "eos_token_id": 151643, "pad_token_id": 151643,
    "max_window_size": 6144, "max_new_tokens": 512, "do_sample": True, "top_k": 0, "top_p": 0.8,
    "repetition_penalty": 1.1, "transformers_version": "4.31.0",
}  # fmt: skip


def make(folder: Path, spec: Mapping[str, Any], vocabulary: Path | None) -> None:
    """Write the checkpoint of `spec` into `folder`, with `vocabulary` as its qwen.tiktoken."""
    folder.mkdir()
    first = spec["kind"].startswith("qwen1")
    config = _first_config(spec) if first else _second_config(spec)
    if "bits" in spec:
        config |= {"quantization_config": _quantisation(spec), "torch_dtype": "float16"}
        _dump(folder / "quantize_config.json", _quantisation(spec))
    _dump(folder / "config.json", config)
    write_safetensors(
        folder / "model.safetensors", _first_qwen(spec) if first else _second_qwen(spec)
    )
    if first:
        _dump(folder / "generation_config.json", GENERATION)
        _dump(folder / "tokenizer_config.json", {"tokenizer_class": "QWenTokenizer"})
    else:
        _dump(folder / "tokenizer.json", {})  # there, and never read
    if vocabulary:
        shutil.copyfile(vocabulary, folder / "qwen.tiktoken")


def _dump(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
