"""The model that config.json describes, built without memory, and whether the weights fit it.

What would be left random (a missing or misshapen weight) is refused here, before a byte of
weights has been read. Both steps can be cancelled between any two modules or weights.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.modules import module as torch_module
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from qwen_desktop.engine.arrangement import place_of
from qwen_desktop.engine.checkpoint import CONFIG, Checkpoint
from qwen_desktop.engine.qwen1 import QWEN1
from qwen_desktop.engine.qwen1.model import register as register_qwen1
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known

# Keys that would choose code, other files or another kind of output; what is run is decided here,
# not by the folder.
_UNTRUSTED = frozenset(
    ("auto_map", "attn_implementation", "experts_implementation", "transformers_weights",
     "fusion_config", "kernel_config", "use_kernels", "quantization_config", "torchscript",
     "custom_generate", "dtype", "torch_dtype", "return_dict", "output_attentions",
     "output_hidden_states", "is_encoder_decoder", "chunk_size_feed_forward", "num_labels",
     "id2label", "label2id", "per_layer_config")
)  # fmt: skip

_WIDTHS = ("hidden_size", "head_dim", "kv_channels", "linear_key_head_dim", "linear_value_head_dim")
_PACKED = 8  # codes of a quantised matrix in one stored number


def sanitised(config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` without the keys that choose code, at every level."""
    kept: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):  # what kind its parts are follows from the whole
            kept[key] = {k: v for k, v in sanitised(value).items() if k != "model_type"}
        else:
            kept[key] = value
    return {k: v for k, v in kept.items() if k not in _UNTRUSTED and not k.startswith("_")}


def configuration(checkpoint: Checkpoint) -> Any:
    """config.json as transformers' configuration. Nonsense in it raises any kind of exception."""
    _refuse_boundless(checkpoint)
    if checkpoint.family == QWEN1:
        register_qwen1()
    config = CONFIG_MAPPING[checkpoint.family].from_dict(sanitised(checkpoint.config))
    text = config.get_text_config(decoder=True)
    tied = checkpoint.config.get("tie_word_embeddings")
    if text is not config and isinstance(tied, bool):
        text.tie_word_embeddings = tied  # of a model that sees, too, the outer one counts
    config._attn_implementation = "sdpa"
    return config


def _refuse_boundless(checkpoint: Checkpoint) -> None:
    """Raise ValueError for numbers that no weight bears out: building with them might never end.

    Layers are built one by one, and tables of positions are computed for the width of a head.
    """
    entries = checkpoint.tensors.values()
    widest = max((size for entry in entries for size in entry.shape), default=0) * _PACKED
    for config in (checkpoint.config, checkpoint.config.get("text_config")):
        if not isinstance(config, Mapping):
            continue
        rope = config.get("rope_parameters") or config.get("rope_scaling")
        inner = rope.values() if isinstance(rope, Mapping) else ()
        for found in (config, rope, *inner):
            share = found.get("partial_rotary_factor") if isinstance(found, Mapping) else None
            if isinstance(share, (int, float)) and not 0 <= share <= 1:
                raise ValueError(f"partial_rotary_factor {share}")
        limits = {"num_hidden_layers": len(checkpoint.tensors)} | dict.fromkeys(_WIDTHS, widest)
        for key, limit in limits.items():
            size = config.get(key)
            if isinstance(size, (int, float)) and not size <= limit:
                raise ValueError(f"{key} is {size}, the weights allow for {limit}")


@contextmanager
def cancellable(cancel: threading.Event) -> Iterator[None]:
    """Within this, what builds modules in this thread raises Cancelled once `cancel` is set."""
    thread = threading.get_ident()

    def look(*_: Any) -> None:
        if cancel.is_set() and threading.get_ident() == thread:  # the hooks are everybody's
            raise Cancelled

    look()
    hooks = [
        torch_module.register_module_module_registration_hook(look),
        torch_module.register_module_parameter_registration_hook(look),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
    look()


def empty_model(config: Any, dtype: torch.dtype, cancel: threading.Event) -> Any:
    """The model of `config`, a configuration of transformers, without memory for its weights."""
    with cancellable(cancel), torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, dtype=dtype)


class Shape:
    """Stands for a weight of the right shape and dtype, which takes no memory."""

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype, cancel: threading.Event) -> None:
        self.shape = torch.Size(shape)
        self.dtype = dtype
        self._cancel = cancel

    def __getitem__(self, _everything: Any) -> Shape:
        return self

    def to(self, device: Any = None, dtype: torch.dtype | None = None) -> torch.Tensor:
        """An empty tensor, wherever it is wanted: some are joined in main memory first."""
        if self._cancel.is_set():
            raise Cancelled
        return torch.empty(self.shape, dtype=dtype or self.dtype, device="meta")

    def get_shape(self) -> list[int]:
        """The shape as a list."""
        return list(self.shape)


def match(
    model_class: Any,
    config: Any,
    shapes: Mapping[str, tuple[tuple[int, ...], torch.dtype]],
    dtype: torch.dtype,
    cancel: threading.Event,
) -> set[str]:
    """Load `shapes` instead of weights, and refuse what does not fit; the names not used.

    Raises Known, Cancelled.
    """
    described = {name: Shape(shape, of, cancel) for name, (shape, of) in shapes.items()}
    try:
        with cancellable(cancel):
            _, info = model_class.from_pretrained(
                None,
                config=config,
                state_dict=described,
                dtype=dtype,
                device_map={"": "meta"},
                ignore_mismatched_sizes=True,  # to hear of them here; refused below
                output_loading_info=True,
                local_files_only=True,
            )
    except RuntimeError as error:
        raise _unfit("?", f"{type(error).__name__}: {error}") from error
    # Also raised for a package that is not there, and where weights to be joined are not all there.
    except Exception as error:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "The weights cannot be matched with {file}: {reason}."),
            QT_TRANSLATE_NOOP("errors", "Get config.json and weights of the same checkpoint."),
            details=f"{type(error).__name__}: {error}",
            file=CONFIG,
            reason=str(error).strip().partition("\n")[0].rstrip("."),
        ) from error
    refuse_unfit(info)
    return set(info["unexpected_keys"])


def refuse_strangers(unused: Iterable[str]) -> None:
    """Raise Known where matrices of decoder layers are among the weights that no model takes.

    They would say that config.json describes a smaller or another model. What is left over
    besides (tables of old versions, the head that guesses ahead) is no part of the answer.
    """
    strangers = sorted(
        name
        for name in unused
        if name.endswith(".weight") and place_of(name) and not name.startswith("mtp.")
    )
    if strangers:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{count} weights have no place in {file}, first {tensor}."),
            QT_TRANSLATE_NOOP("errors", "Get config.json and weights of the same checkpoint."),
            details="\n".join(strangers[:100]),
            count=len(strangers),
            file=CONFIG,
            tensor=strangers[0],
        )


def refuse_unfit(info: Mapping[str, Any]) -> None:
    """Raise Known where transformers' account of a load speaks of weights missing or misshapen."""
    missing = sorted(info["missing_keys"])
    shapes = [str(key[0] if isinstance(key, tuple) else key) for key in info["mismatched_keys"]]
    if missing:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{count} weights are missing, first {tensor}."),
            QT_TRANSLATE_NOOP("errors", "Download the weights again; config.json asks for them."),
            details="\n".join(missing[:100]),
            count=len(missing),
            tensor=missing[0],
        )
    if shapes or info["error_msgs"]:
        raise _unfit(min(shapes, default="?"), "\n".join([*shapes[:100], *info["error_msgs"]]))


def _unfit(tensor: str, details: str) -> Known:
    return Known(
        QT_TRANSLATE_NOOP("errors", "The weight {tensor} does not have the shape in {file}."),
        QT_TRANSLATE_NOOP("errors", "Get config.json and weights of the same checkpoint."),
        details=details,
        tensor=tensor,
        file=CONFIG,
    )
