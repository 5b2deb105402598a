"""The first Qwen as a native model of transformers: Qwen2 with logn attention and dynamic NTK.

Takes an original config.json and weights by Qwen2's names (names.py). `register` makes it known
to transformers' auto classes.

The rotary base is a state of the model that its caller sets before a forward: which base is right
depends on the prompt that a cache began with, not on the tokens of one forward.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.qwen2.configuration_qwen2 import Qwen2Config
from transformers.models.qwen2.modeling_qwen2 import (
    Qwen2Attention,
    Qwen2ForCausalLM,
    Qwen2Model,
    Qwen2RotaryEmbedding,
    eager_attention_forward,
    rotate_half,
)

from qwen_desktop.engine.qwen1 import QWEN1
from qwen_desktop.engine.qwen1.facts import ntk_alpha, translated

# Cosine and sine [1, tokens, head_dim] in float32; the factor of each query [1, tokens] or None.
Positions = tuple[torch.Tensor, torch.Tensor, "torch.Tensor | None"]


class QwenConfig(Qwen2Config):  # type: ignore[misc]
    """Qwen2's configuration and what the first Qwen has besides. `from_dict` takes the original."""

    model_type = QWEN1

    seq_length: int = 8192  # tokens of the texts it was trained with
    use_dynamic_ntk: bool = True
    use_logn_attn: bool = True

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], **kwargs: Any) -> Any:
        """The configuration of a config.json. Raises ValueError for what no Qwen has."""
        config = translated(config_dict)
        channels, share = config.pop("kv_channels", None), config.pop("rotary_pct", 1.0)
        width, heads = config["hidden_size"], config["num_attention_heads"]
        if share != 1 or (channels is not None and channels * heads != width):
            raise ValueError(f"kv_channels {channels}, rotary_pct {share} for {width}/{heads}")
        base = config["rope_parameters"]["rope_theta"]
        if not (config["seq_length"] >= 2 and base > 0):
            raise ValueError(f"seq_length {config['seq_length']}, rotary_emb_base {base}")
        if not {type(config["use_dynamic_ntk"]), type(config["use_logn_attn"])} <= {bool}:
            raise ValueError("use_dynamic_ntk or use_logn_attn is neither true nor false")
        return super().from_dict(config, **kwargs)


class QwenRotaryEmbedding(Qwen2RotaryEmbedding):  # type: ignore[misc]
    """Angles of positions under the present base, and the logn factors of queries.

    transformers restores the frequencies after a load by this kind of class name and attributes.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.scale = 1.0

    def set_scale(self, scale: float) -> None:
        """Use the base for the NTK alpha `scale`, on the device of the frequencies."""
        if scale == self.scale:
            return
        dim = 2 * self.inv_freq.shape[0]
        base = self.config.rope_parameters["rope_theta"] * scale ** (dim / (dim - 2))
        exponents = torch.arange(0, dim, 2, dtype=torch.float) / dim
        self.inv_freq.copy_(1.0 / (base**exponents))
        self.scale = scale

    def forward(self, x: torch.Tensor, position_ids: torch.Tensor) -> Positions:
        """For `position_ids` [1, tokens]; in float32 whatever `x` is, as the original did."""
        places = position_ids.to(x.device).float()
        angles = places[..., None] * self.inv_freq.to(x.device, torch.float)
        angles = torch.cat((angles, angles), dim=-1)
        factor = None
        if self.config.use_logn_attn:
            factor = (places + 1).log() / math.log(self.config.seq_length)
            factor = factor.clamp_min(1.0)
        return angles.cos(), angles.sin(), factor


class QwenAttention(Qwen2Attention):  # type: ignore[misc]
    """Qwen2's attention with rotation in float32 and logn on the queries after it."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        position_embeddings: Positions,
        attention_mask: torch.Tensor | None,
        past_key_values: Any = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """`hidden_states` [1, tokens, hidden_size] to the same shape, and maybe the weights."""
        shape = hidden_states.shape[:-1]
        heads = (*shape, -1, self.head_dim)
        cos, sin, factor = position_embeddings
        query = _rotated(self.q_proj(hidden_states).view(heads).transpose(1, 2), cos, sin)
        key = _rotated(self.k_proj(hidden_states).view(heads).transpose(1, 2), cos, sin)
        value = self.v_proj(hidden_states).view(heads).transpose(1, 2)
        if factor is not None:
            query = query * factor[:, None, :, None].to(query.dtype)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        attend: Callable[..., Any] = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        output, weights = attend(
            self,
            query,
            key,
            value,
            attention_mask,
            dropout=0.0,
            scaling=self.scaling,
            sliding_window=None,
            **kwargs,
        )
        return self.o_proj(output.reshape(*shape, -1).contiguous()), weights


def _rotated(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """`states` [1, heads, tokens, head_dim] turned by their positions, in their own dtype."""
    exact = states.float()
    turned: torch.Tensor = exact * cos[:, None] + rotate_half(exact) * sin[:, None]
    return turned.to(states.dtype)


class QwenModel(Qwen2Model):  # type: ignore[misc]
    """Qwen2's decoder with the attention and positions of the first Qwen."""

    config_class = QwenConfig

    def __init__(self, config: QwenConfig) -> None:
        super().__init__(config)
        for index, layer in enumerate(self.layers):
            layer.self_attn = QwenAttention(config, index)
        self.rotary_emb = QwenRotaryEmbedding(config)
        self.post_init()


class QwenForCausalLM(Qwen2ForCausalLM):  # type: ignore[misc]
    """The first Qwen with its language head."""

    config_class = QwenConfig

    def __init__(self, config: QwenConfig) -> None:
        super().__init__(config)
        self.model = QwenModel(config)
        self.post_init()

    def rope_scale(self, tokens: int) -> float:
        """The NTK alpha for a prompt of `tokens`."""
        if not self.config.use_dynamic_ntk:
            return 1.0
        return float(ntk_alpha(tokens, self.config.seq_length))

    def set_rope_scale(self, scale: float) -> None:
        """Compute with the NTK alpha `scale` from now on."""
        self.model.rotary_emb.set_scale(scale)


def register() -> None:
    """Make the auto classes of transformers know "qwen". Harmless to repeat."""
    CONFIG_MAPPING.register(QWEN1, QwenConfig, exist_ok=True)
    AutoModelForCausalLM.register(QwenConfig, QwenForCausalLM, exist_ok=True)
