"""The KV cache of the transformers runner: several kinds of layers as one `Cache` of the seam.

Layers of full attention grow in place (grow.py) or keep 8-bit codes (kv8.py); the others are
transformers' own.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers.cache_utils import (
    DynamicCache,
    DynamicIndexedLayer,
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionCacheLayerMixin,
)

from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.engine.architecture import KV_BLOCK
from qwen_desktop.engine.grow import GrowLayer
from qwen_desktop.engine.kv8 import SCALE, CodedLayer
from qwen_desktop.engine.rooms import STEPS, Rooms
from qwen_desktop.engine.runner import CacheFileError, Snapshot
from qwen_desktop.engine.tensor_file import write_tensors
from qwen_desktop.errors import Cancelled

_FORMAT = "qwen-desktop kv 3"
_INDEXED = ("indexer_keys", "indexer_position_ids")  # of layers that choose what to attend to
_DAMAGES = (SafetensorError, KeyError, IndexError, ValueError, TypeError, RuntimeError)


def new_layers(config: Any, kv: KvFormat = KvFormat.MODEL, rooms: Rooms = STEPS) -> DynamicCache:
    """transformers' cache for `config` with layers of our own for full attention."""
    kind = CodedLayer if kv is KvFormat.INT8 else GrowLayer
    cache = DynamicCache(config=config)
    cache.layers = [kind(rooms) if type(la) is DynamicLayer else la for la in cache.layers]
    return cache


def head_dim(config: Any) -> int:
    """Width of one attention head."""
    width = getattr(config, "head_dim", None)
    return int(width or config.hidden_size // config.num_attention_heads)


def _is_linear(layer: Any) -> bool:
    return isinstance(layer, LinearAttentionCacheLayerMixin)


def _can_crop(layer: Any) -> bool:
    """Whether the layer remembers each token separately, so that the end can be cut off.

    Indexed layers do, but not all at one moment: an interrupted forward leaves them at odds.
    """
    kinds = (DynamicSlidingWindowLayer, DynamicIndexedLayer)
    return not _is_linear(layer) and not isinstance(layer, kinds)


def _bytes(tensor: torch.Tensor | None) -> int:
    return 0 if tensor is None else tensor.numel() * tensor.element_size()


def _layer_bytes(layer: Any) -> int:
    if isinstance(layer, (GrowLayer, CodedLayer)):
        return sum(_bytes(room) for room in layer.rooms())
    return sum(_bytes(tensor) for _, tensor in _parts(layer))


def _parts(layer: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """A layer's tensors by the name they are saved under."""
    if _is_linear(layer):
        for kind, states in (("conv", layer.conv_states), ("recurrent", layer.recurrent_states)):
            for state, tensor in list(states.items()):
                if tensor is not None:
                    yield f"{kind}.{state}", tensor
    elif isinstance(layer, CodedLayer):
        if layer.length:
            yield from zip(("codes", "scales"), layer.parts(), strict=True)
    elif layer.keys is not None:
        yield "keys", layer.keys
        yield "values", layer.values
        for name in _INDEXED:
            if getattr(layer, name, None) is not None:
                yield name, getattr(layer, name)


def _positions(config: Any) -> str:
    """What keys are turned by, besides the scale of a prompt: YaRN stretches them."""
    return json.dumps(getattr(config, "rope_parameters", None), sort_keys=True, default=str)


def _copied(state: dict[str, Any]) -> dict[str, Any]:
    """A linear layer's attributes with dictionaries and tensors of their own."""
    return {
        name: {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in value.items()}
        if isinstance(value, dict)
        else value
        for name, value in state.items()
    }


class TransformersCache:
    """A `Cache` of the seam around a transformers cache.

    Full-attention layers are cropped. Linear-attention states and sliding windows forget as they
    go, so that going back needs a snapshot: their attributes are copied.
    """

    def __init__(
        self,
        config: Any,
        devices: Sequence[torch.device],
        dtype: torch.dtype,
        rope_scale: float = 1.0,
        kv: KvFormat = KvFormat.MODEL,
        rooms: Rooms = STEPS,
    ) -> None:
        """`devices` are those of the model's layers: a layer's cache is where its weights are.

        `kv` is what layers of full attention keep, in `rooms`; the others keep `dtype`.
        """
        self.rope_scale = rope_scale
        self._config, self._devices, self._dtype, self._kv = config, devices, dtype, kv
        self._rooms = rooms
        self.inner = new_layers(config, kv, rooms)
        self.croppable = all(_can_crop(layer) for layer in self.inner.layers)

    @property
    def length(self) -> int:
        """Tokens held."""
        return int(self.inner.get_seq_length())

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers, spare room included."""
        return sum(_layer_bytes(layer) for layer in self.inner.layers)

    def crop(self, n_keep: int) -> None:
        """Forget all but the first `n_keep` tokens. Raises ValueError as the protocol says."""
        length = self.length
        if not 0 <= n_keep <= length:
            raise ValueError(f"cannot keep {n_keep} of {length} tokens")
        if n_keep == length:
            return
        if n_keep == 0:
            self.inner = new_layers(self._config, self._kv, self._rooms)
        elif self.croppable:
            self._level(n_keep)
        else:
            raise ValueError("this cache needs a snapshot to go back")

    def copied(self, n_keep: int) -> TransformersCache:
        """A cache of its own with the first `n_keep` tokens. Raises ValueError like `crop`."""
        if not (self.croppable and 0 <= n_keep <= self.length):
            raise ValueError(f"cannot copy {n_keep} of {self.length} tokens")
        made = TransformersCache(
            self._config, self._devices, self._dtype, self.rope_scale, self._kv, self._rooms
        )
        if not n_keep:
            return made
        with torch.inference_mode():
            for layer, fresh in zip(self.inner.layers, made.inner.layers, strict=True):
                parts = dict(_parts(layer))
                count = layer.get_seq_length()
                if not any(name in parts for name in _INDEXED):  # whose tokens lie elsewhere
                    count = n_keep
                    parts = {name: tensor[..., :n_keep, :] for name, tensor in parts.items()}
                made._fill(fresh, {"kind": type(fresh).__name__, "tokens": count}, parts)
        made._level(n_keep)
        return made

    def _level(self, n_keep: int) -> None:
        """Cut each layer that can be cropped to `n_keep`, also where layers disagree."""
        for layer in self.inner.layers:
            if _can_crop(layer) and (surplus := layer.get_seq_length() - n_keep) > 0:
                layer.crop(-surplus)

    def snapshot(self) -> Snapshot:
        """The state now; layers that can be cropped are not copied."""
        kept = [la for la in self.inner.layers if not _can_crop(la)]
        with torch.inference_mode():
            states = [None if _can_crop(la) else _copied(la.__dict__) for la in self.inner.layers]
        return Snapshot(self.length, states, sum(_layer_bytes(layer) for layer in kept))

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to `snapshot`, also from within an interrupted forward. It stays usable."""
        if snapshot.length > self.length:
            raise ValueError(f"snapshot of {snapshot.length} tokens, cache of {self.length}")
        self._level(snapshot.length)
        with torch.inference_mode():
            for layer, state in zip(self.inner.layers, snapshot.state, strict=True):
                if state is not None:
                    layer.__dict__.update(_copied(state))

    def save(self, path: Path, cancel: threading.Event | None = None) -> None:
        """Write all layers to `path` as safetensors; Cancelled leaves a part of it there."""
        tensors: dict[str, torch.Tensor] = {}
        facts: list[dict[str, Any]] = []
        for index, layer in enumerate(self.inner.layers):
            for name, tensor in _parts(layer):
                tensors[f"{index}.{name}"] = tensor
            fact = {"kind": type(layer).__name__}
            if not _is_linear(layer):
                fact["tokens"] = layer.get_seq_length()
            facts.append(fact)
        metadata = {"format": _FORMAT, "length": str(self.length), "layers": json.dumps(facts)}
        metadata |= {"rope_scale": str(self.rope_scale), "rope": _positions(self._config)}
        write_tensors(path, tensors, metadata, cancel)

    def load(self, path: Path, cancel: threading.Event | None = None) -> None:
        """Replace the content by what `save` wrote for the same architecture, dtype and format.

        Cancelled, between two tensors, leaves it as it was.
        """
        if not path.is_file():
            raise FileNotFoundError(path)
        fresh = new_layers(self._config, self._kv, self._rooms)
        try:
            with torch.inference_mode(), safe_open(str(path), framework="pt") as file:
                metadata = file.metadata() or {}
                facts = json.loads(metadata["layers"])
                if metadata["format"] != _FORMAT or len(facts) != len(fresh.layers):
                    raise CacheFileError(f"{path.name} is of another model or version")
                if float(metadata["rope_scale"]) != self.rope_scale:
                    raise CacheFileError(f"{path.name} is of a prompt of another length")
                if metadata["rope"] != _positions(self._config):
                    raise CacheFileError(f"{path.name} is of another stretch of the context")
                parts: dict[int, dict[str, torch.Tensor]] = {}
                for key in file.keys():  # noqa: SIM118 - not a mapping
                    if cancel is not None and cancel.is_set():
                        raise Cancelled
                    index, _, name = key.partition(".")
                    tensor = file.get_tensor(key).to(self._devices[int(index)])
                    parts.setdefault(int(index), {})[name] = tensor
                for index, layer in enumerate(fresh.layers):
                    self._fill(layer, facts[index], parts.get(index, {}))
            if fresh.get_seq_length() != int(metadata["length"]):
                raise CacheFileError(f"{path.name} does not hold what it says")
        except _DAMAGES as error:
            raise CacheFileError(f"{path.name}: {error}") from error
        self.inner = fresh

    def _fill(self, layer: Any, fact: dict[str, Any], parts: dict[str, torch.Tensor]) -> None:
        if fact["kind"] != type(layer).__name__:
            raise CacheFileError(f"layer {fact['kind']} for {type(layer).__name__}")
        if _is_linear(layer):
            for name, tensor in parts.items():
                kind, _, number = name.partition(".")
                state = int(number)
                layer.lazy_initialization(**{f"{kind}_states": tensor}, state_idx=state)
                getattr(layer, f"{kind}_states")[state].copy_(tensor)
                layer.has_previous_state[state] = True
        elif isinstance(layer, CodedLayer):
            if fact["tokens"]:
                self._fill_codes(layer, parts["codes"], parts["scales"])
        elif fact["tokens"]:
            keys, values = parts["keys"], parts["values"]
            heads = (1, self._config.num_key_value_heads, keys.shape[-2], head_dim(self._config))
            if keys.dtype != self._dtype or keys.shape != heads or values.shape != heads:
                raise CacheFileError(f"states {tuple(keys.shape)} {keys.dtype} for {heads}")
            layer.update(keys, values)
            if isinstance(layer, DynamicIndexedLayer):
                layer.update_indexer(parts["indexer_keys"])
                layer.indexer_position_ids = parts.get("indexer_position_ids")
            if isinstance(layer, DynamicSlidingWindowLayer):
                layer.cumulative_length = int(fact["tokens"])

    def _fill_codes(self, layer: CodedLayer, codes: torch.Tensor, scales: torch.Tensor) -> None:
        width = head_dim(self._config)
        shape = (2, self._config.num_key_value_heads, codes.shape[-2])
        fits = codes.shape == (*shape, width) and scales.shape == (*shape, width // KV_BLOCK)
        if not fits or codes.dtype != torch.int8 or scales.dtype != SCALE:
            raise CacheFileError(f"codes {tuple(codes.shape)} {codes.dtype} for {shape}")
        layer.dtype, layer.device, layer.is_initialized = self._dtype, codes.device, True
        layer.append(codes, scales)
