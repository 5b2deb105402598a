"""The first Qwen's config.json in the words of Qwen2, and how far its context reaches.

Standard library only, so that a folder can be judged without importing torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Entries of the original's table of logn factors; it could not go on where the table ended.
LOGN_TOKENS = 32767
# How many times its training length NTK is trusted with: the original's own tests end there.
NTK_REACH = 4

# What the original assumed where config.json says nothing.
_DEFAULTS: Mapping[str, Any] = {
    "vocab_size": 151936,
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "intermediate_size": 22016,
    "layer_norm_epsilon": 1e-6,
    "rotary_emb_base": 10000.0,
    "max_position_embeddings": 8192,
    "use_dynamic_ntk": True,
    "use_logn_attn": True,
    "tie_word_embeddings": False,
}


def ntk_alpha(tokens: int, seq_length: int) -> int:
    """What the rotary base is scaled by for a prompt of `tokens`: 1, then 3, 7, 15 as it doubles.

    1 up to `seq_length` tokens, the length of training; 3 up to twice as many; 7 up to four times.
    """
    return int(2 ** (((tokens - 1) // seq_length).bit_length() + 1)) - 1


def translated(config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` of config.json by the names of Qwen2's configuration; nothing else is kept.

    Values of a wrong type are passed on for the configuration class to refuse. A translated
    configuration stays as it is.
    """
    if "rope_parameters" in config:
        return dict(config)
    given = {**_DEFAULTS, **config}
    width = given["intermediate_size"]
    length = given.get("seq_length", given["max_position_embeddings"])
    return {
        "model_type": "qwen",
        "vocab_size": given["vocab_size"],
        "hidden_size": given["hidden_size"],
        "num_hidden_layers": given["num_hidden_layers"],
        "num_attention_heads": given["num_attention_heads"],
        "num_key_value_heads": given["num_attention_heads"],
        # The original counts both halves of the gated layer.
        "intermediate_size": width // 2 if type(width) is int else width,
        "rms_norm_eps": given["layer_norm_epsilon"],
        "rope_parameters": {"rope_type": "default", "rope_theta": given["rotary_emb_base"]},
        "max_position_embeddings": _context_length(given, length),
        "tie_word_embeddings": given["tie_word_embeddings"],
        "use_sliding_window": False,
        "seq_length": length,
        "use_dynamic_ntk": given["use_dynamic_ntk"],
        "use_logn_attn": given["use_logn_attn"],
        "kv_channels": given.get("kv_channels"),
        "rotary_pct": given.get("rotary_pct", 1.0),
    }


def _context_length(given: Mapping[str, Any], length: Any) -> Any:
    """Tokens the model can be used with.

    Without NTK the stated maximum, which is the length of training in most files. With NTK four
    times the length of training, or the stated maximum where that is more. With logn never more
    than the original could.
    """
    limit = given["max_position_embeddings"]
    if type(limit) is not int or type(length) is not int:
        return limit
    if given["use_dynamic_ntk"]:
        limit = max(limit, NTK_REACH * length)
    return min(limit, LOGN_TOKENS) if given["use_logn_attn"] else limit
