"""Quantised checkpoints made by hand from float ones, and the floats that they stand for.

The packing is written out here in numpy, apart from the program's code, after the published
formats: each word of 32 bits is put together code by code.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

# Sizes that the kernels like, so that something is packed: tiny ones else are all too small.
WIDE = {"hidden_size": 64, "intermediate_size": 128, "head_dim": 16}
WIDE_EXPERTS = {"moe_intermediate_size": 64, "shared_expert_intermediate_size": 64}

MATRIX = re.compile(r"layers\.\d+\.(self_attn|mlp|linear_attn)\..*(?:_proj|_qkv|_z|_qkvz)\.weight$")


@dataclass(frozen=True)
class Scheme:
    """One way of integer quantisation."""

    method: str = "gptq"
    bits: int = 4
    group: int = 32  # -1: all inputs
    sym: bool = True
    desc_act: bool = False
    v2: bool = False
    g_idx: bool = True  # older files lack it
    extra_bias: bool = False  # zeros, as AutoGPTQ writes for linears that have no bias
    seed: int = 0
    config: dict = field(default_factory=dict)  # more keys of quantization_config

    def written(self) -> dict:
        found = {"quant_method": self.method, "bits": self.bits, "group_size": self.group}
        if self.method == "awq":
            found |= {"version": "gemm", "zero_point": not self.sym}
        else:
            found |= {"desc_act": self.desc_act, "sym": self.sym}
        if self.v2:
            found["checkpoint_format"] = "gptq_v2"
        return found | self.config


def quantise(weight: np.ndarray, scheme: Scheme) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The stored tensors of float `weight` [out, in] and the floats [out, in] they stand for."""
    outputs, inputs = weight.shape
    group = inputs if scheme.group == -1 else scheme.group
    place = np.arange(inputs) // group
    if scheme.desc_act:
        place = place[np.random.default_rng(scheme.seed + inputs).permutation(inputs)]
    top = 2**scheme.bits - 1
    groups = -(-inputs // group)
    codes = np.zeros((inputs, outputs), np.int64)
    zeros = np.zeros((groups, outputs), np.int64)
    scales = np.zeros((groups, outputs), np.float16)
    exact = np.zeros((outputs, inputs), np.float32)
    for g in range(groups):
        some = weight[:, place == g].astype(np.float64)  # [out, members]
        if scheme.sym:
            scale = 2 * np.abs(some).max(axis=1) / top
            zero = np.full(outputs, (top + 1) // 2)
        else:
            scale = (some.max(axis=1) - some.min(axis=1)) / top
            lowest = 0 if scheme.v2 or scheme.method == "awq" else 1
            zero = np.rint(-some.min(axis=1) / np.maximum(scale, 1e-9))
            zero = np.clip(zero, lowest, top + 1 if lowest else top).astype(np.int64)
        scale = np.maximum(scale, 1e-6).astype(np.float16)
        wide = scale.astype(np.float32)[:, None]
        code = np.clip(np.rint(some / wide + zero[:, None]), 0, top).astype(np.int64)
        codes[place == g] = code.T
        zeros[g], scales[g] = zero, scale
        exact[:, place == g] = (code - zero[:, None]).astype(np.float32) * wide
    tensors = {"scales": scales}
    if scheme.method == "awq":
        tensors["qweight"] = awq_words(codes)
        tensors["qzeros"] = awq_words(zeros)
    else:
        tensors["qweight"] = words(codes, scheme.bits)
        stored = zeros if scheme.v2 else zeros - 1
        tensors["qzeros"] = words(stored.T, scheme.bits).T.copy()
        if scheme.g_idx:
            tensors["g_idx"] = place.astype(np.int32)
    if scheme.extra_bias:
        tensors["bias"] = np.zeros(outputs, np.float16)
    return tensors, exact


def words(codes: np.ndarray, bits: int) -> np.ndarray:
    """Codes [n, m] in words [n * bits / 32, m], the first in the lowest bits."""
    per_word = 32 // bits
    found = np.zeros((codes.shape[0] // per_word, codes.shape[1]), np.uint32)
    for row in range(found.shape[0]):
        for i in range(per_word):
            found[row] |= codes[row * per_word + i].astype(np.uint32) << np.uint32(bits * i)
    return found.view(np.int32)


def awq_words(codes: np.ndarray) -> np.ndarray:
    """Codes [n, m] of 4 bits in words [n, m / 8], in AWQ's order."""
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    found = np.zeros((codes.shape[0], codes.shape[1] // 8), np.uint32)
    for column in range(found.shape[1]):
        for i in range(8):
            code = codes[:, column * 8 + order[i]].astype(np.uint32)
            found[:, column] |= code << np.uint32(4 * i)
    return found.view(np.int32)


def quantised(
    floats: Path, folder: Path, scheme: Scheme, matrix: re.Pattern[str] = MATRIX
) -> tuple[Path, Path]:
    """Quantise the checkpoint `floats`; the quantised folder and one with the floats it means."""
    return _written(
        floats,
        folder,
        scheme.written(),
        lambda name, weight: (
            quantise(weight.float().numpy(), scheme) if matrix.search(name) else None
        ),
    )


def in_fp8(floats: Path, folder: Path, block: tuple[int, int] = (128, 128)) -> tuple[Path, Path]:
    """As `quantised`, in 8-bit floats with a scale per block."""

    def blocks(name: str, weight: torch.Tensor):
        if not MATRIX.search(name):
            return None
        codes, scales, exact = to_fp8(weight.float(), block)
        return {"weight": codes, "weight_scale_inv": scales}, exact.numpy()

    written = {
        "quant_method": "fp8",
        "fmt": "e4m3",
        "activation_scheme": "dynamic",
        "weight_block_size": list(block),
    }
    return _written(floats, folder, written, blocks)


def to_fp8(
    weight: torch.Tensor, block: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """`weight` [..., out, in] as codes, scales per block and the floats these mean."""
    *before, outputs, inputs = weight.shape
    high, wide = -(-outputs // block[0]), -(-inputs // block[1])
    scales = torch.zeros(*before, high, wide)
    codes = torch.zeros(weight.shape, dtype=torch.float8_e4m3fn)
    exact = torch.zeros(weight.shape)
    for i in range(high):
        for j in range(wide):
            rows = slice(i * block[0], (i + 1) * block[0])
            columns = slice(j * block[1], (j + 1) * block[1])
            some = weight[..., rows, columns]
            scale = some.abs().amax(dim=(-2, -1), keepdim=True) / 448
            scales[..., i, j] = scale[..., 0, 0]
            codes[..., rows, columns] = (some / scale).to(torch.float8_e4m3fn)
            exact[..., rows, columns] = codes[..., rows, columns].float() * scale
    return codes, scales, exact


def _written(floats: Path, folder: Path, config: dict, convert) -> tuple[Path, Path]:
    stored: dict[str, torch.Tensor] = {}
    meant: dict[str, torch.Tensor] = {}
    for name, weight in load_file(floats / "model.safetensors").items():
        found = convert(name, weight)
        if found is None:
            stored[name], meant[name] = weight.half(), weight.half().float()
            continue
        prefix = name.rpartition(".")[0]
        for part, tensor in found[0].items():
            stored[f"{prefix}.{part}"] = torch.as_tensor(tensor)
        meant[name] = torch.from_numpy(found[1])
    for target, tensors, more in (
        ("quantised", stored, {"quantization_config": config, "torch_dtype": "float16"}),
        ("floats", meant, {}),
    ):
        shutil.copytree(floats, folder / target)
        save_file(tensors, folder / target / "model.safetensors", metadata={"format": "pt"})
        path = folder / target / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | more))
    return folder / "quantised", folder / "floats"
