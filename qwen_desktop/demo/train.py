"""Trains the demo checkpoint on a CPU and writes it as an ordinary Qwen3 folder.

The number of steps, the seed and the number of threads are fixed, so the same guide gives the same
answers on the same machine; nothing is decided by the clock.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

from . import corpus, vocabulary
from .corpus import Corpus, Sample
from .guide import LANGUAGES, Guide

CONTEXT = 2048


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the result, besides the guide."""

    seed: int = 1
    # One: a second hardly helps with matrices this small, and spins when the machine is busy.
    threads: int = 1
    steps: int = 6600
    # Tokens of a batch, padding included; every n-th batch is one of conversations.
    batch_tokens: int = 1024
    conversation_every: int = 3
    vocabulary: int = 3840
    layers: int = 3
    hidden: int = 192
    intermediate: int = 704
    heads: int = 3
    head_dim: int = 64
    learning_rate: float = 3e-3
    last_learning_rate: float = 0.02  # as a share of the above
    warm_up: int = 100
    weight_decay: float = 0.1
    dropout: float = 0.05  # of the embeddings
    # Then again from the weights as they are saved: shorter, lower waves, other questions.
    refining_steps: tuple[int, ...] = (1500, 4000)
    refining_rate: float = 1e-3

    @property
    def all_steps(self) -> int:
        """Steps of all waves."""
        return self.steps + sum(self.refining_steps)

    def refinings(self) -> Iterator[Recipe]:
        """The waves after the first."""
        for n, steps in enumerate(self.refining_steps, 1):
            yield replace(self, seed=self.seed + n, steps=steps, learning_rate=self.refining_rate)


def train(
    guide: Guide, folder: Path, recipe: Recipe, report: Callable[[str], None] = print
) -> None:
    """Train by `recipe` and write the checkpoint into `folder`, which is made if missing.

    `report` receives a line of progress now and then.
    """
    began = time.monotonic()
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(recipe.seed)
    tokenizer = vocabulary.learn(
        corpus.texts(guide, random.Random(recipe.seed)),
        recipe.vocabulary,
        random.Random(recipe.seed),
    )
    model = Qwen3ForCausalLM(_config(tokenizer, recipe))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    report(f"{len(guide.topics)} topics, {tokenizer.get_vocab_size()} tokens, {parameters} numbers")
    _fit(model, guide, tokenizer, recipe, report)
    for refining in recipe.refinings():
        model.to(torch.bfloat16).to(torch.float32)
        torch.manual_seed(refining.seed)
        _fit(model, guide, tokenizer, refining, report)
    seconds = time.monotonic() - began
    _save(model, tokenizer, folder)
    _describe(folder, guide, parameters, recipe, seconds)
    report(f"{folder}: written after {seconds / 60:.1f} minutes")


def _config(tokenizer: Tokenizer, recipe: Recipe) -> Qwen3Config:
    return Qwen3Config(
        # A multiple of 64 suits matrix kernels; the surplus rows are never used.
        vocab_size=-(-tokenizer.get_vocab_size() // 64) * 64,
        hidden_size=recipe.hidden,
        intermediate_size=recipe.intermediate,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=1,
        head_dim=recipe.head_dim,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(vocabulary.TURN_END),
        pad_token_id=tokenizer.token_to_id(vocabulary.END_OF_TEXT),
        attn_implementation="sdpa",
    )


def _fit(
    model: Any, guide: Guide, tokenizer: Tokenizer, recipe: Recipe, report: Callable[[str], None]
) -> None:
    rng = random.Random(recipe.seed)
    samples = Corpus(guide, tokenizer, rng)
    heads = _batches(samples.head, recipe.batch_tokens, rng)
    conversations = _batches(samples.conversation, recipe.batch_tokens, rng)
    optimizer = _optimizer(model, recipe)
    padding = model.config.pad_token_id
    model.train()
    losses: dict[str, list[float]] = {"heads": [], "conversations": []}
    began = time.monotonic()
    for step in range(1, recipe.steps + 1):
        kind = "heads" if step % recipe.conversation_every else "conversations"
        batch = next(heads if kind == "heads" else conversations)
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(step, recipe)
        loss = _loss(model, batch, padding, recipe.dropout)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses[kind].append(loss.item())
        if step % 200 == 0 or step == recipe.steps:
            means = ", ".join(f"{k} {sum(v) / max(1, len(v)):.4f}" for k, v in losses.items())
            seconds = time.monotonic() - began
            report(f"step {step} of {recipe.steps}, {seconds:.0f} s, loss on {means}")
            losses = {name: [] for name in losses}


def _optimizer(model: Any, recipe: Recipe) -> torch.optim.Optimizer:
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    gains = [parameter for parameter in model.parameters() if parameter.dim() == 1]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": recipe.weight_decay},
            {"params": gains, "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )


def _learning_rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then half a cosine."""
    wave = 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    share = recipe.last_learning_rate + (1 - recipe.last_learning_rate) * wave
    return recipe.learning_rate * share * min(1.0, step / recipe.warm_up)


def _batches(draw: Callable[[], Sample], tokens: int, rng: random.Random) -> Iterator[list[Sample]]:
    """Batches of at most `tokens` with padding, from a pool sorted by length to need little."""
    while True:
        pool: list[Sample] = []
        while sum(len(sample.ids) for sample in pool) < 8 * tokens:
            pool.append(draw())
        pool.sort(key=lambda sample: len(sample.ids))
        batches: list[list[Sample]] = [[]]
        for sample in pool:
            if batches[-1] and len(sample.ids) * (len(batches[-1]) + 1) > tokens:
                batches.append([])
            batches[-1].append(sample)
        rng.shuffle(batches)
        yield from batches


def _loss(model: Any, batch: list[Sample], padding: int, dropout: float) -> torch.Tensor:
    """The weighted mean cross entropy of the tokens to predict; a scalar."""
    longest = max(len(sample.ids) for sample in batch)
    fill = [longest - len(sample.ids) for sample in batch]
    rows = list(zip(batch, fill, strict=True))
    ids = torch.tensor([sample.ids + [padding] * n for sample, n in rows])
    weights = torch.tensor([sample.weights + [0.0] * n for sample, n in rows])[:, 1:]
    # Padding is on the right and attention is causal: no mask is needed.
    embedded = functional.dropout(model.model.embed_tokens(ids), dropout)
    states = model.model(inputs_embeds=embedded, use_cache=False).last_hidden_state[:, :-1]
    # Logits only where something is to be predicted: the vocabulary is the widest matrix here.
    predicted = weights > 0
    entropy = functional.cross_entropy(
        model.lm_head(states[predicted]), ids[:, 1:][predicted], reduction="none"
    )
    return (entropy * weights[predicted]).sum() / weights.sum()


def _save(model: Any, tokenizer: Tokenizer, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    model.eval()
    model.to(torch.bfloat16)
    model.config.dtype = torch.bfloat16
    model.generation_config = GenerationConfig(
        do_sample=False,
        bos_token_id=None,
        eos_token_id=model.config.eos_token_id,
        pad_token_id=model.config.pad_token_id,
    )
    model.save_pretrained(folder)
    # The library writes the weights for the owner alone.
    (folder / "model.safetensors").chmod(0o644)
    vocabulary.save(tokenizer, folder, CONTEXT)


def _describe(folder: Path, guide: Guide, parameters: int, recipe: Recipe, seconds: float) -> None:
    suggestions = {language: guide.suggestions(language) for language in LANGUAGES}
    demo = {"parameters": parameters, "questions": suggestions}
    text = json.dumps(demo, indent=2, ensure_ascii=False) + "\n"
    _write(folder / "demo.json", text)
    _write(
        folder / "README.md",
        _README.format(
            parameters=parameters,
            topics=len(guide.topics),
            steps=recipe.all_steps,
            seed=recipe.seed,
            minutes=round(seconds / 60),
            threads=recipe.threads,
        ),
    )


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)


_README = """\
# The demo checkpoint

An ordinary Qwen3 checkpoint folder, but of only {parameters:,} parameters and with a vocabulary of
its own. It knows the {topics} topics of `../demo-guide`, in English and Simplified Chinese, and
nothing else; to other questions it says so. It holds no weights and no data of any other model.

`python3 dev.py demo-model` makes this folder from that guide: {steps} steps with seed {seed}, which
took {minutes} minutes on a CPU (threads: {threads}). `python3 dev.py demo-model --evaluate`
measures it. Change the guide, not these files.

`demo.json` holds the number of parameters and the questions that the application suggests.
"""
