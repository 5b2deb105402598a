"""The first Qwen's tokenizer: `qwen.tiktoken`, computed by the tiktoken package.

The file is read here: tiktoken's own reader would keep copies of it in a folder of its own.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tiktoken

from qwen_desktop.engine.qwen1.prompt import WINDOW, ChatFormat
from qwen_desktop.engine.tokenizer import Rendered

RANKS = 151_643  # of every release: with fewer, the ids of the control tokens would shift

# How text is cut before pairs are joined; digits one by one.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<|extra_{n}|>" for n in range(205)))

# Longer runs of white space exhaust the stack of tiktoken's regular expressions.
_LONG_SPACE = re.compile(r"\s{500000}")


class Qwen1Tokenizer:
    """Text to ids and back. No special token shows as text; ids that no token has are empty."""

    template: str | None = None
    think_open: int | None = None
    think_close: int | None = None
    can_think = has_think_tokens = thinks_in_text = False

    def __init__(self, ranks: dict[bytes, int], *, chat: bool, window: int = WINDOW) -> None:
        ids = {mark: len(ranks) + index for index, mark in enumerate(SPECIAL)}
        self.encoding = tiktoken.Encoding(
            "qwen", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=ids
        )
        self.added: Mapping[int, str] = {number: mark for mark, number in ids.items()}
        self.special = frozenset(self.added)
        self.has_template = chat
        self.message_start: int | None = ids["<|im_start|>"]
        # Also the beginning of a message ends an answer: it would be the user's next one.
        self.end_ids = frozenset(ids[mark] for mark in SPECIAL[:3])
        self.format = ChatFormat(self.encode, ids["<|im_start|>"], ids["<|im_end|>"], window)

    @property
    def kind(self) -> str:
        """The class that does the work, for people."""
        return "tiktoken.Encoding"

    @property
    def prompt_window(self) -> int | None:
        """The max_window_size of its chat format."""
        return self.format.window

    @property
    def vocabulary(self) -> int:
        """Number of tokens, special ones included."""
        return self.encoding.n_vocab

    def encode(self, text: str) -> list[int]:
        """The ids of `text` in NFC, in which nothing becomes a control token."""
        text = unicodedata.normalize("NFC", text)
        ids: list[int] = []
        start = 0
        for run in _LONG_SPACE.finditer(text):
            ids += self.encoding.encode_ordinary(text[start : run.end()])
            start = run.end()
        return ids + self.encoding.encode_ordinary(text[start:])

    def decode(self, ids: list[int]) -> str:
        """The text of `ids`, special tokens left out, bad bytes replaced."""
        return b"".join(map(self.piece, ids)).decode("utf-8", "replace")

    def render(self, messages: list[dict[str, str]], *, answer: bool, thinking: bool) -> Rendered:
        """The ids of `messages` as far as they fit into the window. There is no thinking."""
        return self.format.make(messages, answer=answer)

    def piece(self, token: int) -> bytes:
        """The UTF-8 bytes of one token, maybe a part of a character."""
        if token in self.special:
            return b""
        try:
            return self.encoding.decode_single_token_bytes(token)
        except KeyError:  # rows of the embedding that no token uses
            return b""


def read_tokenizer(file: Path, generation: Mapping[str, Any]) -> Qwen1Tokenizer:
    """The tokenizer of `file`, chatting as generation_config.json says. Raises ValueError."""
    window = generation.get("max_window_size")
    return Qwen1Tokenizer(
        read_ranks(file),
        chat=generation.get("chat_format") == "chatml",
        window=window if type(window) is int else WINDOW,
    )


def read_ranks(file: Path) -> dict[bytes, int]:
    """The tokens of `file` with their ranks: a line each, base64 and number. Raises ValueError."""
    ranks: dict[bytes, int] = {}
    lines = file.read_bytes().splitlines()
    for line in lines:
        token, rank = line.split()
        ranks[base64.b64decode(token, validate=True)] = int(rank)
    if not len(lines) == len(ranks) == RANKS or set(ranks.values()) != set(range(RANKS)):
        raise ValueError(f"{len(lines)} lines, {len(ranks)} tokens instead of {RANKS}")
    return ranks
