"""A prompt that was taken apart, as what is copied: text, ids, JSON, Python. Pure.

docs/formats.md tells the form of the JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from qwen_desktop.chat.inspected import Inspected, Maker, Recipe

FORMAT, VERSION = "qwen-desktop-prompt", 1
_WIDTH = 96  # characters of a line of ids


def as_text(found: Inspected) -> str:
    """What the model reads, control tokens by their names."""
    return found.tokens.text()


def as_ids(found: Inspected) -> str:
    """The ids, as Python and JSON write a list."""
    return f"[{', '.join(map(str, found.tokens.ids))}]"


def as_json(found: Inspected) -> str:
    """All that is known of it."""
    segments = [
        {
            **asdict(segment),
            "kind": segment.kind.value,
            "text": found.tokens.text(segment.start, segment.end) if found.has_text else None,
        }
        for segment in found.segments
    ]
    told = {
        "format": FORMAT,
        "version": VERSION,
        "model": found.model,
        "conversation_id": found.conversation_id,
        "answer_id": found.answer_id or None,
        "tokens": len(found.tokens),
        "reused": found.reused,
        "budget": found.budget or None,
        "limit": found.limit or None,
        "policy": found.policy.value,
        "overflows": found.overflows,
        "thinking": found.thinking,
        "doubts": [doubt.value for doubt in found.doubts],
        "left_out": [
            {**asdict(one), "why": one.why.value, "role": one.role.value} for one in found.left_out
        ],
        "pinned": found.pinned,
        "lookalikes": found.lookalikes,
        "segments": segments,
        "ids": found.tokens.ids,
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")) + "\n"


def as_python(found: Inspected) -> str:
    """A program that makes these ids from the checkpoint's files, and asserts that they are.

    Empty where it cannot be told how they came about.
    """
    recipe = found.recipe
    if recipe is None:
        return ""
    body = {
        Maker.TEMPLATE: _by_template,
        Maker.TEXT: _by_text,
        Maker.TIKTOKEN: _by_tiktoken,
    }[recipe.maker](recipe)
    return "\n".join([*body, *_mended(recipe), *_asserted(found.tokens.ids), ""])


def _by_template(recipe: Recipe) -> Iterable[str]:
    yield '"""Makes the ids of a prompt with transformers."""'
    yield ""
    yield "from transformers import AutoTokenizer"
    yield ""
    yield from _messages(recipe, "reasoning_content")
    yield f"tokenizer = AutoTokenizer.from_pretrained({recipe.folder!r})"
    yield "# Nothing that was typed becomes a control token, though it may read like one."
    yield "added = tokenizer.added_tokens_decoder.values()"
    yield "tokenizer.chat_control_tokens = [t.content for t in added if t.content.strip()]"
    yield "ids = tokenizer.apply_chat_template("
    yield "    messages,"
    yield "    add_generation_prompt=True,"
    yield f"    enable_thinking={recipe.thinking},"
    yield "    tokenize=True,"
    yield "    return_dict=False,"
    yield "    sanitize_control_tokens=True,"
    yield ")"


def _by_text(recipe: Recipe) -> Iterable[str]:
    yield '"""Makes the ids of a text to go on from with transformers."""'
    yield ""
    yield "from transformers import AutoTokenizer"
    yield ""
    yield f"text = {recipe.text!r}"
    yield f"tokenizer = AutoTokenizer.from_pretrained({recipe.folder!r})"
    yield "ids = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)"


def _by_tiktoken(recipe: Recipe) -> Iterable[str]:
    """transformers has no code for the first Qwen: its chat format is a few lines."""
    yield '"""Makes the ids of a prompt of the first Qwen with tiktoken, as its own code did."""'
    yield ""
    yield "import base64"
    yield "import unicodedata"
    yield "from pathlib import Path"
    yield ""
    yield "import tiktoken"
    yield ""
    yield from _messages(recipe, "")
    yield f"lines = (Path({recipe.folder!r}) / 'qwen.tiktoken').read_bytes().splitlines()"
    yield "ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, lines)}"
    yield "pattern = ("
    yield "    r\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}\""
    yield '    r"| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"'
    yield ")"
    yield "start, end = len(ranks) + 1, len(ranks) + 2  # <|im_start|>, <|im_end|>"
    yield "qwen = tiktoken.Encoding("
    yield '    "qwen", pat_str=pattern, mergeable_ranks=ranks, special_tokens={}'
    yield ")"
    yield ""
    yield ""
    yield "def encode(text):"
    yield '    return qwen.encode_ordinary(unicodedata.normalize("NFC", text))'
    yield ""
    yield ""
    yield "if messages[0]['role'] != 'system':"
    yield "    messages.insert(0, {'role': 'system', 'content': 'You are a helpful assistant.'})"
    yield "newline, ids = encode('\\n'), []"
    yield "for message in messages:"
    yield "    ids += newline if ids else []"
    yield "    ids += [start, *encode(message['role']), *newline]"
    yield "    ids += [*encode(message['content']), end]"
    yield "ids += [*newline, start, *encode('assistant'), *newline]"


def _messages(recipe: Recipe, reasoning: str) -> Iterable[str]:
    yield "messages = ["
    for row in recipe.rows:
        told = {"role": row.role, "content": row.content}
        if reasoning and row.reasoning is not None:
            told[reasoning] = row.reasoning
        yield f"    {told!r},"
    yield "]"


def _mended(recipe: Recipe) -> Iterable[str]:
    if recipe.patches:
        yield "# Answers stand in the tokens that the model wrote: a tokenizer would take others."
        for start, end, new in reversed(recipe.patches):
            yield f"ids[{start}:{end}] = {list(new)!r}"
    if recipe.given:
        yield "# What the answer says so far."
        yield from _list("ids += [", recipe.given)


def _asserted(ids: Sequence[int]) -> Iterable[str]:
    yield ""
    yield from _list("expected = [", ids)
    yield "assert list(ids) == expected"
    yield 'print(f"{len(ids)} tokens, the same")'


def _list(head: str, numbers: Sequence[int]) -> Iterable[str]:
    """A list of numbers in lines that editors bear."""
    yield head
    line = "   "
    for number in numbers:
        word = f" {number},"
        if len(line) + len(word) > _WIDTH:
            yield line
            line = "   "
        line += word
    yield line
    yield "]"
