"""How likely each generated token was, where somebody asks for it."""

from __future__ import annotations

import torch

from qwen_desktop.chat.messages import TokenScore
from qwen_desktop.engine.likeliest import likeliest, log_total
from qwen_desktop.engine.tokenizer import Tokenizer


def score(scores: torch.Tensor, token: int, top: int, tokenizer: Tokenizer) -> TokenScore:
    """The natural log probability of `token` and the `top` likeliest ones, at temperature 1.

    `scores` is float32 [vocab]: logits after penalties.
    """
    with torch.inference_mode():
        total = log_total(scores)
        values, ids = likeliest(scores, min(top, len(scores)))
        numbers: list[float] = (torch.cat([scores[token : token + 1], values]) - total).tolist()
        tokens: list[int] = ids.tolist()
    return TokenScore(
        id=token,
        text=text_of(tokenizer, token),
        logprob=numbers[0],
        top=tuple(
            (other, text_of(tokenizer, other), number)
            for other, number in zip(tokens, numbers[1:], strict=True)
        ),
    )


def text_of(tokenizer: Tokenizer, token: int) -> str:
    """`token` for people: control tokens by name, bytes within a character replaced."""
    return tokenizer.added.get(token) or tokenizer.piece(token).decode("utf-8", "replace")
