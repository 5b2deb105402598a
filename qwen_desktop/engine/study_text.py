"""What the prompts of a study say: plain sentences in two languages, numbered, without end."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from qwen_desktop.engine.tokenizer import Tokenizer
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

_PARTS = (
    "Question {n}: why does a long conversation take more memory than a short one? "
    "The keys and values of every token stay in the cache, so each turn adds a little to it.\n",
    "问题 {n}:为什么长对话比短对话占用更多显存?每个词元的键和值都留在缓存里,"
    "所以每一轮都会增加一点。\n",
    "Answer {n}: the weights stay as they are. What grows is the cache, in a straight line, and "
    "what a forward pass takes for a moment, which depends on how many tokens it reads at once.\n",
    "回答 {n}:权重不变,缓存随长度成正比增长;一次前向计算暂时占用的内存取决于一次读入多少词元。\n",
)


def study_ids(tokenizer: Tokenizer, vocabulary: int, tokens: int) -> list[int]:
    """The ids of the longest prompt; a shorter one is its beginning. Raises Known."""
    ids: list[int] = []
    for text in _texts():
        made = tokenizer.encode(text)
        ids += made
        if len(ids) >= tokens:
            break
        if not made:
            break
    if len(ids) < tokens or max(ids) >= vocabulary:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "The tokenizer has tokens that the weights do not know."),
            QT_TRANSLATE_NOOP("errors", "Get tokenizer and weights of the same checkpoint."),
            details=f"vocabulary of {vocabulary}",
        )
    return ids[:tokens]


def _texts() -> Iterator[str]:
    for number in count(1):
        for part in _PARTS:
            yield part.format(n=number)
