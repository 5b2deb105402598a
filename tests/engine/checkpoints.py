"""Tiny random checkpoints in the layout of real Qwen folders, made on the spot.

The tokenizer is byte-level with a few merges; the templates are written here and behave like those
of Qwen2.5 (no thinking), Qwen3 (the model opens its think block) and Qwen3.5 (the prompt does).
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    GenerationConfig,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from qwen_desktop.engine.families import text_families

PLAIN = """\
{%- if messages[0].role != 'system' -%}
<|im_start|>system
You help.<|im_end|>
{% endif -%}
{%- for m in messages -%}
<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""

_THINKING = """\
{%- set last = namespace(user=0) -%}
{%- for m in messages -%}
  {%- if m.role == 'user' -%}{%- set last.user = loop.index0 -%}{%- endif -%}
  {%- if m.role == 'system' and not loop.first -%}
    {{- raise_exception('The system message comes first.') -}}
  {%- endif -%}
{%- endfor -%}
{%- for m in messages -%}
<|im_start|>{{ m.role }}
{% if m.role == 'assistant' and m.reasoning_content is defined and loop.index0 > last.user -%}
<think>
{{ m.reasoning_content }}
</think>

{% endif -%}
{{ m.content }}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% if enable_thinking is defined and not enable_thinking -%}
<think>

</think>

OPENED{% endif -%}
{%- endif -%}
"""

THINKING = _THINKING.replace("OPENED{% endif", "{% endif")
THINKING_OPEN = _THINKING.replace("OPENED{% endif", "{% else -%}\n<think>\n{% endif")

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
ADDED = ("<think>", "</think>", "<tool_call>", "</tool_call>")
MERGES = (("t", "h"), ("th", "e"), ("i", "n"), ("Ġ", "the"), ("e", "r"))

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
}
LINEAR = {
    "num_hidden_layers": 4,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
# Sparse attention, and tables of word groups on the first layer.
SPARSE = {
    "hc_count": 2,
    "hc_lowrank": 8,
    "indexer_n_heads": 2,
    "indexer_kv_heads": 1,
    "indexer_head_dim": 8,
    "indexer_budget": 8,
    "indexer_compress_ratio": 4,
    "ple_layer_ids": [1],
    "ngram_vocab_size_base": 50,
    "heads_per_ngram": 2,
    "split_ngram_parts": 2,
}
_FAMILY_SIZES = {
    "qwen2": SIZES,
    "qwen2_moe": SIZES | EXPERTS,
    "qwen3": SIZES | {"head_dim": 8},
    "qwen3_moe": SIZES | EXPERTS | {"head_dim": 8},
    "qwen3_next": SIZES | LINEAR | EXPERTS | {"head_dim": 8},
    "qwen3_5_text": SIZES | LINEAR | {"head_dim": 8},
    "qwen3_5_moe_text": SIZES | LINEAR | EXPERTS | {"head_dim": 8},
    "qwen4_exp_text": SIZES | LINEAR | EXPERTS | SPARSE | {"head_dim": 8},
}
# Not all of them run with the older transformers of Python 3.10.
FAMILY_SIZES = {name: sizes for name, sizes in _FAMILY_SIZES.items() if name in text_families()}
# Checkpoints that see, too: their text model is one of those above.
_VISION_FAMILIES = {
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "qwen4_exp": "qwen4_exp_text",
}
VISION_FAMILIES = {name: text for name, text in _VISION_FAMILIES.items() if name in text_families()}
EYES = {
    "depth": 1,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_heads": 2,
    "patch_size": 4,
    "out_hidden_size": SIZES["hidden_size"],
    "num_position_embeddings": 16,
}


def make_tokenizer(template: str | None, think_tokens: bool = True) -> PreTrainedTokenizerFast:
    vocab = {char: i for i, char in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    for left, right in MERGES:
        vocab[left + right] = len(vocab)
    inner = Tokenizer(models.BPE(vocab=vocab, merges=list(MERGES)))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    if think_tokens:
        inner.add_tokens([AddedToken(t, special=False, normalized=False) for t in ADDED])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=template,
    )


def make_checkpoint(
    folder: Path,
    family: str = "qwen3",
    *,
    template: str | None = THINKING,
    dtype: torch.dtype = torch.float32,
    shards: bool = False,
    seed: int = 0,
    think_tokens: bool = True,
    generation: dict | None = None,
    **config: object,
) -> Path:
    """Write a checkpoint into `folder` and give it back. `config` overrides sizes."""
    tokenizer = make_tokenizer(template, think_tokens)
    sizes = FAMILY_SIZES[VISION_FAMILIES.get(family, family)] | {
        "vocab_size": len(tokenizer) + 5,  # padded, as real ones are
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": False,
    }
    torch.manual_seed(seed)
    # Wide weights: sharp differences between logits, so that greedy answers are no near-ties.
    sizes = {"initializer_range": 0.3} | sizes | config
    if family in VISION_FAMILIES:
        tied = sizes.pop("tie_word_embeddings")
        both = CONFIG_MAPPING[family](
            text_config=sizes, vision_config=EYES, tie_word_embeddings=tied
        )
        model = AutoModelForImageTextToText.from_config(both).to(dtype)
    else:
        model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[family](**sizes)).to(dtype)
    model.generation_config = GenerationConfig()
    model.save_pretrained(folder, max_shard_size="20KB" if shards else "5GB")
    if family in VISION_FAMILIES:
        _add_guesser(folder)
    tokenizer.save_pretrained(folder)
    wanted = {"do_sample": False, "eos_token_id": [tokenizer.eos_token_id, tokenizer.pad_token_id]}
    text = json.dumps(wanted if generation is None else generation)
    (folder / "generation_config.json").write_text(text)
    return folder


def _add_guesser(folder: Path) -> None:
    """Add weights of a head that guesses several tokens at once, as real folders have them."""
    shard = min(folder.glob("*.safetensors"))
    more = {"mtp.fc.weight": torch.ones(4, 8), "mtp.layers.0.mlp.gate.weight": torch.ones(4, 4)}
    save_file(load_file(shard) | more, shard, {"format": "pt"})
    index = folder / "model.safetensors.index.json"
    if index.exists():
        value = json.loads(index.read_text())
        value["weight_map"] |= dict.fromkeys(more, shard.name)
        index.write_text(json.dumps(value))


def edit_json(path: Path, **changes: object) -> None:
    """Set keys of the JSON object in `path`; None removes one."""
    value = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in value.items() if v is not None}))


def chatty_checkpoint(folder: Path, megabytes: int = 0) -> Path:
    """A Qwen2 checkpoint that writes random readable text and never ends an answer by itself.

    With `megabytes`, its weights take about that much on disk (in bfloat16).
    """
    tokenizer = make_tokenizer(PLAIN)
    sizes = SIZES | {"max_position_embeddings": 131072, "vocab_size": len(tokenizer)}
    if megabytes:
        sizes |= {"hidden_size": 1024, "intermediate_size": 4096}
        sizes["num_hidden_layers"] = max(1, megabytes // 31)
    config = CONFIG_MAPPING["qwen2"](
        **sizes, tie_word_embeddings=False, eos_token_id=tokenizer.eos_token_id
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    # One direction that every state shares tells readable tokens (up) from all others (down).
    readable = [i for t, i in tokenizer.get_vocab().items() if t.isalpha() and t.isascii()]
    readable += tokenizer.convert_tokens_to_ids(["Ġ", "Ġthe"])
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 8.0 * (sizes["hidden_size"] / 32) ** 0.5
        model.lm_head.weight.normal_(0, 1.5 / sizes["hidden_size"] ** 0.5)
        model.lm_head.weight[:, 0] = -4.0
        model.lm_head.weight[readable, 0] = 4.0
    model.generation_config = GenerationConfig()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "generation_config.json").write_text("{}")
    return folder
