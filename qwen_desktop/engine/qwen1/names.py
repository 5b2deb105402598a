"""Names of the first Qwen's weights in transformers' names of Qwen2. No torch.

Works on what the headers say, of plain weights and of quantised ones alike: a GPTQ layer is the
same module with other tensors in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from qwen_desktop.engine.shards import TensorEntry

_MODULES = {
    "ln_1": "input_layernorm",
    "ln_2": "post_attention_layernorm",
    "attn.c_proj": "self_attn.o_proj",
    "mlp.w1": "mlp.up_proj",
    "mlp.w2": "mlp.gate_proj",  # the activation is applied to w2
    "mlp.c_proj": "mlp.down_proj",
}
_TOP = {"transformer.wte": "model.embed_tokens", "transformer.ln_f": "model.norm"}
_IN_LAYER = re.compile(r"transformer\.h\.(\d+)\.(.+)\.([^.]+)")

# Along which dimension the outputs lie; what is not here is the same for all outputs.
_OUTPUTS = {"weight": 0, "bias": 0, "qweight": 1, "qzeros": 1, "scales": 1}

# Buffers that old files carry, and the other senses of Qwen-VL and Qwen-Audio.
_UNUSED = re.compile(r"\.attn\.(?:masked_)?bias$|\.inv_freq$|^transformer\.(?:visual|audio)\.")


def renamed(tensors: Mapping[str, TensorEntry]) -> dict[str, TensorEntry]:
    """`tensors` by Qwen2's names, c_attn in its three parts; unknown names stay as they are."""
    found: dict[str, TensorEntry] = {}
    for name, entry in tensors.items():
        if not _UNUSED.search(name):
            for part in _parts(name, entry):
                found[part.name] = part
    return found


def _parts(name: str, entry: TensorEntry) -> Iterator[TensorEntry]:
    """What the tensor `name` is to Qwen2."""
    module, _, kind = name.rpartition(".")
    if module in _TOP:
        yield entry.renamed(f"{_TOP[module]}.{kind}")
        return
    match = _IN_LAYER.fullmatch(name)
    layer = f"model.layers.{match[1]}" if match else ""
    if match and match[2] in _MODULES:
        yield entry.renamed(f"{layer}.{_MODULES[match[2]]}.{kind}")
    elif match and match[2] == "attn.c_attn":
        yield from _split(f"{layer}.self_attn.", kind, entry)
    else:
        yield entry


def _split(attention: str, kind: str, entry: TensorEntry) -> Iterator[TensorEntry]:
    """Queries, keys and values, which c_attn holds as three equal blocks of outputs."""
    dim = _OUTPUTS.get(kind)
    names = [f"{attention}{which}_proj.{kind}" for which in "qkv"]
    if dim is None:
        yield from map(entry.renamed, names)
        return
    width = entry.shape[dim] // 3 if dim < len(entry.shape) else 0
    if not width or width * 3 != entry.shape[dim] or (dim == 1 and len(entry.shape) != 2):
        yield entry  # cannot be right; under its own name it is missed, and the load refused
        return
    for index, name in enumerate(names):
        yield entry.part(name, dim, width * index, width * (index + 1))
