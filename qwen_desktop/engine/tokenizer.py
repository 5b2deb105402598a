"""The tokenizer of a checkpoint: ids of text, bytes of ids, and the ids with a meaning.

What the engine asks of any tokenizer, and the one that wraps transformers' fast tokenizers, which
no other module of the engine meets. The first Qwen's is in qwen1/tokenizer.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tokenizers import AddedToken
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from qwen_desktop.engine.checkpoint import TOKENIZER, TOKENIZER_CONFIG, Checkpoint
from qwen_desktop.engine.files import read_head, read_object
from qwen_desktop.engine.qwen1 import QWEN1
from qwen_desktop.engine.tokenizer_limits import check_parts
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
# End an answer in every Qwen, whatever the checkpoint's own configuration says.
END_MARKS = ("<|im_end|>", "<|endoftext|>")

MAX_TOKENIZER_CONFIG = 16 * 2**20  # bytes

# What of tokenizer_config.json has a meaning here.
_NAMED = ("bos_token", "eos_token", "pad_token", "unk_token")
_FLAGS = ("special", "normalized", "lstrip", "rstrip", "single_word")

# Not the tokenizer's trouble. A panic of its Rust library, too, is a BaseException only.
_PASSING = (Cancelled, KeyboardInterrupt, SystemExit)

_BYTES = {char: byte for byte, char in bytes_to_unicode().items()}
_FALLBACK = re.compile("<0x([0-9A-F]{2})>")  # a byte in vocabularies that are not byte-level


@dataclass(frozen=True)
class Rendered:
    """The ids of a conversation without its first `dropped` messages, which did not fit."""

    ids: list[int]
    dropped: int = 0


class Tokenizer(Protocol):
    """Text to ids and back. `special` ids show no text, think markers aside."""

    template: str | None  # the chat template as Jinja, where it is written in that
    special: frozenset[int]
    think_open: int | None
    think_close: int | None

    @property
    def kind(self) -> str:
        """The class that does the work, for people."""

    @property
    def vocabulary(self) -> int:
        """Number of tokens, added ones included."""

    @property
    def added(self) -> Mapping[int, str]:
        """Text of the added tokens by id: special ones, think and tool marks."""

    @property
    def has_template(self) -> bool:
        """Whether the checkpoint is made for chatting, so that `render` works."""

    @property
    def can_think(self) -> bool:
        """Whether the chat template knows of thinking."""

    @property
    def has_think_tokens(self) -> bool:
        """Whether both think markers are tokens of their own."""

    @property
    def thinks_in_text(self) -> bool:
        """Whether answers may hold think markers as mere text."""

    @property
    def message_start(self) -> int | None:
        """The id of <|im_start|>, where there is one."""

    @property
    def prompt_window(self) -> int | None:
        """Tokens from which `render` leaves out turns by itself; None where it never does."""

    @property
    def end_ids(self) -> frozenset[int]:
        """Ids that end an answer as far as the tokenizer knows."""

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, in which nothing can become a control token."""

    def decode(self, ids: list[int]) -> str:
        """The text of `ids`, special tokens left out, bad bytes replaced."""

    def render(self, messages: list[dict[str, str]], *, answer: bool, thinking: bool) -> Rendered:
        """The ids of `messages` by the chat template; control tokens in them stay text.

        `answer` adds the beginning of the answer. Raises Known where the template fails.
        """

    def piece(self, token: int) -> bytes:
        """The UTF-8 bytes of one token, maybe a part of a character.

        Empty for special tokens and for ids that no token has.
        """


class FastTokenizer:
    """transformers' fast tokenizer as a `Tokenizer`."""

    def __init__(self, inner: Any, template: str | None) -> None:
        self._inner = inner
        self._backend = inner.backend_tokenizer
        decoder = self._backend.decoder
        self._by_character = decoder is not None and b'"ByteLevel"' not in decoder.__getstate__()
        self.template = template
        added: Mapping[int, Any] = inner.added_tokens_decoder
        # Typed text must become none of these, whether or not the template mentions them.
        inner.chat_control_tokens = [t.content for t in added.values() if t.content.strip()]
        self._added = {number: token.content for number, token in added.items()}
        self._ids = {content: number for number, content in self._added.items()}
        self.special = frozenset(number for number, token in added.items() if token.special)
        self.think_open = self._ids.get(THINK_OPEN)
        self.think_close = self._ids.get(THINK_CLOSE)
        self._pieces: dict[int, bytes] = {}

    @property
    def kind(self) -> str:
        """The class that does the work, for people."""
        return type(self._inner).__name__

    @property
    def vocabulary(self) -> int:
        """Number of tokens, added ones included."""
        return len(self._inner)

    @property
    def added(self) -> Mapping[int, str]:
        """Text of the added tokens by id: special ones, think and tool marks."""
        return self._added

    @property
    def has_template(self) -> bool:
        """Whether there is a chat template."""
        return self.template is not None

    @property
    def can_think(self) -> bool:
        """Whether the chat template knows of thinking."""
        return self.template is not None and (
            "enable_thinking" in self.template or THINK_OPEN in self.template
        )

    @property
    def has_think_tokens(self) -> bool:
        """Whether both think markers are tokens of their own."""
        return self.think_open is not None and self.think_close is not None

    @property
    def thinks_in_text(self) -> bool:
        """Whether think markers, if the model writes them, are mere text."""
        return self.has_template and not self.has_think_tokens

    @property
    def message_start(self) -> int | None:
        """The id of <|im_start|>, where there is one."""
        return self._ids.get("<|im_start|>")

    @property
    def prompt_window(self) -> int | None:
        """None: templates render everything."""
        return None

    @property
    def end_ids(self) -> frozenset[int]:
        """Ids that end an answer as far as the tokenizer knows."""
        found = {self._ids[mark] for mark in END_MARKS if mark in self._ids}
        eos = self._inner.eos_token_id
        return frozenset(found | ({eos} if isinstance(eos, int) else set()))

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, in which nothing becomes a special token.

        Added tokens that are not special do: base models of code are asked by such marks.
        """
        ids: list[int] = self._inner.encode(
            text, add_special_tokens=False, split_special_tokens=True
        )
        return ids

    def decode(self, ids: list[int]) -> str:
        """The text of `ids`, special tokens left out, bad bytes replaced."""
        text: str = self._inner.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def render(self, messages: list[dict[str, str]], *, answer: bool, thinking: bool) -> Rendered:
        """The ids of `messages` by the chat template; control tokens in them stay text.

        `answer` adds the beginning of the answer. Raises Known where the template fails.
        """
        try:
            ids: list[int] = self._inner.apply_chat_template(
                messages,
                chat_template=self.template,
                add_generation_prompt=answer,
                tokenize=True,
                return_dict=False,
                sanitize_control_tokens=True,
                enable_thinking=thinking,
            )
        except _PASSING:
            raise
        # A template is a program of the checkpoint's author: it can fail in any way.
        except BaseException as error:
            said = str(error).strip().rstrip(".").splitlines()
            raise Known(
                QT_TRANSLATE_NOOP("errors", "The checkpoint's chat template failed: {reason}."),
                QT_TRANSLATE_NOOP("errors", "Download the tokenizer files again."),
                details=f"{type(error).__name__}: {error}",
                reason=said[0][:200] if said else "?",
            ) from error
        return Rendered(ids)

    def piece(self, token: int) -> bytes:
        """The UTF-8 bytes of one token, maybe a part of a character; empty for special ones."""
        found = self._pieces.get(token)
        if found is None:
            found = self._pieces[token] = self._piece(token)
        return found

    def _piece(self, token: int) -> bytes:
        if token in self.special:
            return b""
        if token in self._added:
            return str(self._added[token]).encode()
        text = self._backend.id_to_token(token)
        if text is None:  # rows of the embedding that no token uses
            return b""
        if self._by_character:  # CodeQwen1.5's alone
            if found := _FALLBACK.fullmatch(text):
                return bytes.fromhex(found[1])
            # Not at the beginning of a text, where decoders take a space away.
            return str(self._backend.decoder.decode(["a", text])[1:]).encode()
        try:
            return bytes(_BYTES[char] for char in text)
        except KeyError:
            return str(text).encode()


def load_tokenizer(checkpoint: Checkpoint) -> Tokenizer:
    """The tokenizer of `checkpoint`. Raises Known where its files make no sense."""
    try:
        tokenizer = _open(checkpoint)
        tokenizer.encode("a")  # some nonsense is met at the first use only
        return tokenizer
    except _PASSING:
        raise
    # The files come from anywhere and errors in them surface as every kind of exception.
    except BaseException as error:
        for file in checkpoint.tokenizer_files:
            read_head(file, 0)  # a folder that has gone meanwhile is told as that
        raise Known(
            QT_TRANSLATE_NOOP("errors", "The tokenizer in {file} cannot be loaded."),
            QT_TRANSLATE_NOOP("errors", "Download the tokenizer files again."),
            details=f"{type(error).__name__}: {error}",
            file=checkpoint.tokenizer_files[0].name,
        ) from error


def _open(checkpoint: Checkpoint) -> Tokenizer:
    if checkpoint.family == QWEN1:
        from qwen_desktop.engine.qwen1.tokenizer import read_tokenizer

        return read_tokenizer(checkpoint.tokenizer_files[0], checkpoint.generation)
    file = checkpoint.tokenizer_files[0]
    if file.name == TOKENIZER:
        inner = _from_file(file)
    else:
        inner = AutoTokenizer.from_pretrained(
            str(checkpoint.folder), trust_remote_code=False, local_files_only=True, use_fast=True
        )
    backend = inner.backend_tokenizer
    # A cut or a filling that the file asks for would change prompts without a word.
    backend.no_truncation()
    backend.no_padding()
    check_parts(_states(backend.normalizer, backend.pre_tokenizer))
    check_parts(_states(backend.decoder))
    return FastTokenizer(inner, checkpoint.template)


def _from_file(file: Path) -> Any:
    """The tokenizer of a tokenizer.json and of the tokens that tokenizer_config.json adds.

    The auto class would read the file twice, rebuild the vocabulary by the class that is named
    there, and hold the GIL all the while: seconds where this takes one.
    """
    path = file.with_name(TOKENIZER_CONFIG)
    config = read_object(path, MAX_TOKENIZER_CONFIG) if path.exists() else {}
    added = config.get("added_tokens_decoder") or {}
    named = {key: _token(config[key]) for key in _NAMED if config.get(key) is not None}
    return PreTrainedTokenizerFast(
        tokenizer_file=str(file),
        added_tokens_decoder={int(number): _token(told) for number, told in added.items()},
        **named,
    )


def _token(told: Any) -> str | AddedToken:
    """A token as configurations write it: its text, or an object."""
    if isinstance(told, str):
        return told
    flags = {key: bool(told[key]) for key in _FLAGS if key in told}
    return AddedToken(told["content"], **flags)


def _states(*parts: Any) -> list[bytes]:
    return [part.__getstate__() for part in parts if part is not None]
