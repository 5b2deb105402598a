"""The demo checkpoint's own byte-level BPE vocabulary, in the form of Qwen2's tokenizer.

Knows texts only: neither the guide nor torch.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.trainers import BpeTrainer

END_OF_TEXT = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
SPECIAL = (END_OF_TEXT, TURN_START, TURN_END)

# ChatML. Reasoning, `enable_thinking` and tools mean nothing to this checkpoint and are ignored.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)

# Qwen2's own rule for cutting text before BPE.
_QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_HAN_RUN = re.compile(r"([一-鿿]+)")
_WORD = re.compile(r"[一-鿿]+| ?[^\s一-鿿]+|\s+")
_MIN_FREQUENCY = 6


def learn(texts: Iterable[str], size: int, rng: random.Random) -> Tokenizer:
    """A tokenizer of at most `size` tokens, special ones included, learned from `texts`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=size - len(SPECIAL),
        min_frequency=_MIN_FREQUENCY,
        # Sorted: the order decides the ids, and the library gives it in no fixed order.
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    pieces = [piece for text in texts for piece in _pieces(text, rng)]
    tokenizer.train_from_iterator(pieces, trainer)
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in SPECIAL]
    )
    return tokenizer


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a text as the finished checkpoint sees it."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def encode_broken(tokenizer: Tokenizer, text: str, rng: random.Random) -> list[int]:
    """Ids of a text with some words cut in two at a random place.

    Teaches that a word may arrive in other tokens than usual, as it does with a typing error or an
    ending never seen. (The library's own BPE dropout cannot be seeded.)
    """
    ids: list[int] = []
    whole = ""
    for word in _WORD.findall(text):
        whole += word
        likely = 0.5 if _HAN_RUN.match(word) else 0.12
        if len(word) > 2 and rng.random() < likely:
            at = len(whole) - len(word) + rng.randint(1, len(word) - 1)
            ids += encode(tokenizer, whole[:at])
            whole = whole[at:]
    return ids + encode(tokenizer, whole)


def save(tokenizer: Tokenizer, folder: Path, longest: int) -> None:
    """Write the tokenizer's files; `longest` is the context length in tokens."""
    tokenizer.save(str(folder / "tokenizer.json"))
    model = json.loads(tokenizer.to_str())["model"]
    _write(folder / "vocab.json", json.dumps(model["vocab"], ensure_ascii=False))
    merges = (pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"])
    _write(folder / "merges.txt", "\n".join(["#version: 0.2", *merges]))
    config = {
        "add_prefix_space": False,
        "additional_special_tokens": [TURN_START, TURN_END],
        "bos_token": None,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": TURN_END,
        "model_max_length": longest,
        "pad_token": END_OF_TEXT,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    _write(folder / "tokenizer_config.json", json.dumps(config, indent=2, ensure_ascii=False))


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text + "\n")


def _pieces(text: str, rng: random.Random) -> Iterator[str]:
    """Han runs cut to two characters at most.

    The split rule above does not cut Chinese sentences, and BPE would learn whole ones as tokens.
    """
    for part in _HAN_RUN.split(text):
        if not _HAN_RUN.match(part):
            yield part
            continue
        start = rng.randint(0, 1)
        yield part[:start]
        for at in range(start, len(part), 2):
            yield part[at : at + 2]
