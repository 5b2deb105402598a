"""Longer contexts than a model was trained for, by YaRN. No torch.

Qwen's instructions: rope_parameters of type "yarn" with the factor and the length of training in
the configuration, everything else as it is. Only for families they are written for, and where the
folder does not scale positions by itself. Short texts may be answered a little worse: the scale is
the same for every length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FAMILIES = ("qwen2", "qwen2_moe", "qwen3", "qwen3_moe")
FACTORS = (2.0, 4.0)

# Qwen3 was trained with 32,768 tokens; its max_position_embeddings adds room for an answer.
_QWEN3_LENGTH, _QWEN3_TRAINED = 40_960, 32_768


def rope_factors(config: Mapping[str, Any]) -> tuple[float, ...]:
    """How far YaRN may stretch the context that config.json describes; 1 is not at all."""
    length = config.get("max_position_embeddings")
    plain = (
        config.get("model_type") in FAMILIES
        and "text_config" not in config
        and type(length) is int
        and length > 0
        and not config.get("use_sliding_window")
        and all(_is_plain(config.get(key)) for key in ("rope_parameters", "rope_scaling"))
    )
    return (1.0, *FACTORS) if plain else (1.0,)


def _is_plain(rope: Any) -> bool:
    """Whether positions are as they are counted."""
    if rope is None:
        return True
    if not isinstance(rope, Mapping):
        return False
    return rope.get("rope_type", rope.get("type", "default")) == "default" and "factor" not in rope


def trained_length(config: Mapping[str, Any]) -> int:
    """Tokens of the longest texts in training."""
    length = int(config["max_position_embeddings"])
    of_qwen3 = str(config.get("model_type", "")).startswith("qwen3")
    return _QWEN3_TRAINED if of_qwen3 and length == _QWEN3_LENGTH else length


def stretched_config(config: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """config.json with its context stretched `factor` times; as it is where that is 1.

    Raises ValueError where `rope_factors` does not have `factor`.
    """
    if factor == 1.0:
        return dict(config)
    if factor not in rope_factors(config):
        raise ValueError(f"the context cannot be stretched {factor:g} times")
    kept = {key: value for key, value in config.items() if key != "rope_scaling"}
    rope = {
        **(config.get("rope_parameters") or {}),
        "rope_type": "yarn",
        "factor": factor,
        "original_max_position_embeddings": trained_length(config),
    }
    return {**kept, "rope_parameters": rope}
