"""A checkpoint in numbers: layers, heads, parameters, bytes of weights and of KV cache. No torch.

What config.json leaves out has the default of the installed transformers, which is read from its
source: importing it takes seconds, and a folder is to be judged in milliseconds.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from qwen_desktop.chat.checkpoint import KvFormat, Precision
from qwen_desktop.engine.precision import EMBEDDINGS, HEAD, ITEM_BYTES, packable, source_bytes
from qwen_desktop.engine.quantisation import Quantisation
from qwen_desktop.engine.qwen1 import QWEN1
from qwen_desktop.engine.qwen1.facts import translated
from qwen_desktop.engine.rooms import STEPS, Rooms
from qwen_desktop.engine.sources import FloatSource, Source, foreign_bytes

# Tensors of a checkpoint that its text model does not have: eyes, the head that guesses several
# tokens at once, and tables that old versions saved.
_LEFT_OUT = re.compile(r"mtp\.|(?:model\.)?visual\.")
_TABLES = (".inv_freq", ".masked_bias", ".attn.bias")
_FLOATING = ("F", "BF")
_LAYER = re.compile(r"(?:model\.)?(?:language_model\.)?layers\.(\d+)\.")
_EMBEDDINGS = re.compile(r"(?:^|\.)(?:embed_tokens|wte)\.")
_HEAD = re.compile(r"^lm_head\.")
_PLAIN = ("qwen2", "qwen3")  # whose embeddings and head may be packed: they are named alike

_INPUTS = ("q_proj", "k_proj", "v_proj")

_NAMES = {QWEN1: "Qwen1", "qwen3_next": "Qwen3-Next"}

# Layers that keep keys and values of every token. Those of the first kind grow by steps
# (rooms.py), and are the ones that can keep 8-bit codes (kv8.py).
FULL = "full_attention"
_GROWING = (FULL, "indexed_attention")

# 8-bit keys and values: values of a head that share a scale, and the bytes of a scale.
KV_BLOCK = 32
KV_SCALE = 2


def family_name(family: str) -> str:
    """The value of model_type for people: "qwen3_5_moe_text" is "Qwen3.5 MoE"."""
    family = family.removesuffix("_text")
    if family in _NAMES:
        return _NAMES[family]
    words = re.sub(r"(?<=\d)_(?=\d)", ".", family).split("_")
    return " ".join("MoE" if word == "moe" else word[:1].upper() + word[1:] for word in words)


@dataclass(frozen=True)
class Architecture:
    """What config.json says of the text model, defaults filled in."""

    family: str
    layer_kinds: tuple[str, ...]  # per layer: "full_attention", "linear_attention" …
    hidden_size: int
    intermediate_size: int  # of one expert where there are some
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    context_length: int  # tokens
    window: int  # tokens that a layer of sliding attention looks back
    experts: int  # 0 where there are none
    experts_per_token: int
    tied: bool  # whether the head is the embeddings
    # Of linear attention: elements of the two states of one layer.
    conv_state: int = 0
    recurrent_state: int = 0
    # Of the same: elements of queries, keys and values of a token; heads of its values, to which
    # keys are repeated, and their widths.
    conv_width: int = 0
    linear_heads: int = 0
    linear_key_dim: int = 0
    linear_value_dim: int = 0
    indexer: int = 0  # elements an indexer keeps of a token to find it again
    # Which projections of attention add a bias; no other matrix of a decoder layer does.
    input_biases: bool = False  # of queries, keys and values
    output_bias: bool = False

    def lacks(self, bias: str) -> bool:
        """Whether the model has no place for the weight `bias`, "….mlp.up_proj.bias" for one.

        Quantisers write zeros for every matrix, whether it has a bias or not.
        """
        *_, kind, last = ["", *bias.split(".")]
        if last != "bias":
            return False
        if kind in _INPUTS:
            return not self.input_biases
        return ".mlp." in bias or (kind == "o_proj" and not self.output_bias)

    @property
    def layers(self) -> int:
        """Number of decoder layers."""
        return len(self.layer_kinds)

    @property
    def kv_formats(self) -> tuple[KvFormat, ...]:
        """What keys and values can be kept in."""
        coded = FULL in self.layer_kinds and self.head_dim and self.head_dim % KV_BLOCK == 0
        return (KvFormat.MODEL, KvFormat.INT8) if coded else (KvFormat.MODEL,)

    def kv_bytes_per_token(self, item: int = 2, kv: KvFormat = KvFormat.MODEL) -> int:
        """Bytes each token adds to the KV cache, with `item` bytes per element of the model."""
        return sum(self._row(item, kind, kv) for kind in self.layer_kinds if kind in _GROWING)

    def cache_bytes(
        self,
        tokens: int,
        item: int = 2,
        kv: KvFormat = KvFormat.MODEL,
        rooms: Rooms = STEPS,
    ) -> int:
        """Bytes of a whole KV cache that holds `tokens`, spare room included."""
        return sum(self.layer_cache_bytes(n, tokens, item, kv, rooms) for n in range(self.layers))

    def layer_cache_bytes(
        self,
        layer: int,
        context: int,
        item: int = 2,
        kv: KvFormat = KvFormat.MODEL,
        rooms: Rooms = STEPS,
    ) -> int:
        """Bytes of the cache of one layer after `context` tokens, spare room included."""
        kind = self.layer_kinds[layer]
        if kind == FULL:
            context = rooms.size(context)
        if kind in _GROWING:
            return context * self._row(item, kind, kv)
        if kind == "linear_attention":
            return self.state_bytes_of_layer(item) if context else 0
        return min(context, max(self.window - 1, 0)) * self._row(item)

    def state_bytes_of_layer(self, item: int = 2) -> int:
        """Bytes of what one layer of linear attention remembers, whatever the context."""
        return self.conv_state * item + self.recurrent_state * STATE_ITEM

    @property
    def state_bytes(self) -> int:
        """The same of all layers."""
        return self.layer_kinds.count("linear_attention") * self.state_bytes_of_layer()

    def _row(self, item: int, kind: str = "", kv: KvFormat = KvFormat.MODEL) -> int:
        """Bytes of one token in one layer: keys and values, and what an indexer keeps."""
        values = 2 * self.kv_heads * self.head_dim
        if kind == FULL and kv is KvFormat.INT8:
            return values + values // KV_BLOCK * KV_SCALE
        index = self.indexer * item + _POSITION if kind == "indexed_attention" else 0
        return values * item + index


_POSITION = 3 * 8  # bytes of a token's position, which an indexer keeps in three 64-bit numbers
STATE_ITEM = 4  # bytes per element of a recurrent state, which is summed up in float32


def architecture(config: Mapping[str, Any]) -> Architecture:
    """The numbers of config.json. Raises ValueError where one of them makes no sense."""
    values = _text_values(config)
    family = str(config.get("model_type", ""))
    layers = _count(values, "num_hidden_layers")
    heads = _count(values, "num_attention_heads")
    hidden = _count(values, "hidden_size")
    # None of a name means what its absence means, but for kv heads, where it means all heads.
    kv_heads = (
        heads
        if values.get("num_key_value_heads") is None
        else _count(values, "num_key_value_heads")
    )
    experts = _count(values, "num_experts", 0)
    wide = "moe_intermediate_size" if experts else "intermediate_size"
    kinds = _layer_kinds(values, family, layers)
    key_width = _count(values, "linear_num_key_heads", 0) * _count(values, "linear_key_head_dim", 0)
    value_heads = _count(values, "linear_num_value_heads", 0)
    value_dim = _count(values, "linear_value_head_dim", 0)
    # Families that know no such key have biases of inputs, and none of outputs.
    biased = values.get("attention_bias") if "attention_bias" in _defaults(family) else None
    conv_width = 2 * key_width + value_heads * value_dim
    kernel = _count(values, "linear_conv_kernel_dim", 0)
    return Architecture(
        family=family,
        layer_kinds=kinds,
        hidden_size=hidden,
        intermediate_size=_count(values, wide, 4 * hidden),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=_count(values, "head_dim", 0) or hidden // max(heads, 1),
        vocabulary=_count(values, "vocab_size"),
        context_length=_context_length(values),
        window=_count(values, "sliding_window", 0),
        experts=experts,
        experts_per_token=_count(values, "num_experts_per_tok", 1) if experts else 0,
        tied=bool(values.get("tie_word_embeddings")),
        conv_state=conv_width * kernel,
        conv_width=conv_width,
        indexer=_count(values, "indexer_kv_heads", 1) * _count(values, "indexer_head_dim", 0),
        recurrent_state=value_heads * _count(values, "linear_key_head_dim", 0) * value_dim,
        linear_heads=value_heads,
        linear_key_dim=_count(values, "linear_key_head_dim", 0),
        linear_value_dim=value_dim,
        input_biases=bool(values.get("qkv_bias", True) if biased is None else biased),
        output_bias=bool(biased),
    )


def _text_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of the text model, by the names of today, over the defaults of its family."""
    family = str(config.get("model_type", ""))
    nested = config.get("text_config")
    given = dict(nested) if isinstance(nested, Mapping) else dict(config)
    if family == QWEN1:
        given = translated(given)
        given["head_dim"] = given.get("kv_channels")
    if "num_local_experts" in given:  # what transformers writes for some families
        given["num_experts"] = given["num_local_experts"]
    # The outer configuration decides about the head of a vision checkpoint.
    if "tie_word_embeddings" in config:
        given["tie_word_embeddings"] = config["tie_word_embeddings"]
    return {**_defaults(family), **given}


def _count(values: Mapping[str, Any], name: str, otherwise: int | None = None) -> int:
    value = values.get(name)
    if value is None and otherwise is not None:
        return otherwise
    if type(value) is not int or not 0 <= value < 2**40:
        raise ValueError(f"{name} is {value!r}")
    return value


def _context_length(values: Mapping[str, Any]) -> int:
    """Tokens the model can be used with.

    YaRN reaches `factor` times the length of training. Qwen's own instructions for it leave
    max_position_embeddings as it is.
    """
    length = _count(values, "max_position_embeddings")
    rope = values.get("rope_parameters") or values.get("rope_scaling")
    if not isinstance(rope, Mapping) or "yarn" not in (rope.get("rope_type"), rope.get("type")):
        return length
    factor, trained = rope.get("factor"), rope.get("original_max_position_embeddings")
    if type(trained) is not int or not isinstance(factor, (int, float)):
        return length
    return max(length, int(trained * factor)) if 1 <= factor <= MAX_STRETCH else length


def _layer_kinds(values: Mapping[str, Any], family: str, layers: int) -> tuple[str, ...]:
    if layers > MAX_LAYERS:
        raise ValueError(f"{layers} layers")
    given = values.get("layer_types")
    if isinstance(given, list) and len(given) == layers:
        return tuple(str(kind) for kind in given)
    if values.get("linear_num_value_heads") is not None:
        interval = max(1, _count(values, "full_attention_interval", 4))
        return tuple(
            "linear_attention" if (layer + 1) % interval else "full_attention"
            for layer in range(layers)
        )
    if not values.get("use_sliding_window") or not values.get("sliding_window"):
        return ("full_attention",) * layers
    first = _count(values, "max_window_layers", 0)

    def slides(layer: int) -> bool:
        if family == "qwen2_moe":
            return layer % 2 == 0 and layer < first
        return family == "qwen3_moe" or layer >= first

    return tuple(
        "sliding_attention" if slides(layer) else "full_attention" for layer in range(layers)
    )


MAX_STRETCH = 64  # times the length of training; Qwen's own is 4
MAX_LAYERS = 10_000  # more than any model; what a damaged config.json says may have no end


@lru_cache
def _defaults(family: str) -> Mapping[str, Any]:
    """What transformers' configuration of `family` declares, from its source; {} without it."""
    folder = family.removesuffix("_text")
    spec = PathFinder.find_spec("transformers")
    for place in (spec and spec.submodule_search_locations) or ():
        path = Path(place) / "models" / folder / f"configuration_{folder}.py"
        try:
            source = path.read_text(encoding="utf-8")
        except OSError:
            continue
        for name in (f"{folder}_text", folder):
            _, found, rest = source.partition(f'    model_type = "{name}"\n')
            if found:
                return _declared(re.split(r"\n    def |\n@|\nclass ", rest)[0])
    return {}


def _declared(body: str) -> dict[str, Any]:
    """The literals that lines such as `head_dim: int = 128` set."""
    found: dict[str, Any] = {}
    for name, value in re.findall(r"^    (\w+): [^=\n]+ = (\S+)$", body, re.MULTILINE):
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            continue
    return found


@dataclass
class Part:
    """The weights that go together to one device, ready to be added up for any precision."""

    count: int = 0  # elements of weights that are floats in every precision
    fixed: int = 0  # bytes of weights that a foreign package reads and keeps as they are
    packable: list[Source] = field(default_factory=list)
    _sums: dict[tuple[Precision, bool, bool], int] = field(default_factory=dict, repr=False)

    def add(self, source: Source) -> None:
        """Take one weight in."""
        if packable(source):
            self.packable.append(source)
        else:
            self.count += math.prod(source.shape)

    @property
    def is_empty(self) -> bool:
        """Whether there is no weight."""
        return not (self.count or self.fixed or self.packable)

    def nbytes(self, precision: Precision, own: bool = False, tables: bool = False) -> int:
        """Bytes in `precision` (not AUTO); with `own` the folder's codes are kept in any case.

        `tables`: whether embeddings and head are packed too, see precision.py.
        """
        asked = precision, own, tables
        if asked not in self._sums:
            packed = sum(
                source_bytes(source, precision, own=own, tables=tables) for source in self.packable
            )
            self._sums[asked] = self.count * ITEM_BYTES.get(precision, 2) + packed + self.fixed
        return self._sums[asked]


@dataclass(frozen=True)
class Weights:
    """All weights of the text model by where they go."""

    parameters: int
    active: int  # parameters a token meets
    embeddings: Part
    layers: tuple[Part, ...]
    tail: Part  # final norm and head; the head of a tied model is in `embeddings`
    tables: bool = False  # whether embeddings and head could be packed, on a CPU

    def nbytes(self, precision: Precision, own: bool = False, tables: bool = False) -> int:
        """Bytes of all in `precision` (not AUTO). See `Part.nbytes`."""
        parts = (self.embeddings, *self.layers, self.tail)
        return sum(part.nbytes(precision, own, tables) for part in parts)


def weights(
    sources: Iterable[Source], made: Architecture, *, foreign: Quantisation | None = None
) -> Weights:
    """Sort the weights of a checkpoint. `foreign`: in a form that only another package knows."""
    embeddings, tail = Part(), Part()
    layers = [Part() for _ in made.layer_kinds]
    parameters = experts = 0
    names = set()
    for source in sources:
        name = source.name
        names.add(name)
        is_float = not isinstance(source, FloatSource) or source.dtype.startswith(_FLOATING)
        if name.endswith(_TABLES) or not (is_float or foreign):
            continue
        count = math.prod(source.shape)
        if found := _LAYER.match(name):
            number = int(found.group(1))
            if number >= len(layers) or made.lacks(name):
                continue  # config.json has fewer: transformers leaves these out too
            part = layers[number]
            if ".experts." in name:
                experts += count
        elif _LEFT_OUT.match(name) or (made.tied and _HEAD.match(name)):
            continue
        else:
            part = embeddings if _EMBEDDINGS.search(name) else tail
        if foreign:
            part.fixed += foreign_bytes(source, foreign)
        else:
            part.add(source)
        parameters += count
    idle = 0
    if made.experts:
        idle = experts - experts * min(made.experts_per_token, made.experts) // made.experts
    # A tied model that brings a head nevertheless is left to transformers, which compares the two.
    heads = made.tied is not (HEAD in names)
    tables = made.family in _PLAIN and EMBEDDINGS in names and heads and not foreign
    return Weights(parameters, parameters - idle, embeddings, tuple(layers), tail, tables)
