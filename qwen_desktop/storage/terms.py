"""What the index of words keeps of a text, and what it is asked for. No SQL.

Words are kept whole, those joined of several ("ConversationList", "Qwen3") in parts as well. Of
writing without spaces every pair of neighbours is kept and the last character of a run, so that
a word of one character is the beginning of a term. A text that `chat/matching.py` finds something
in has all the terms of it; the reverse is for the text itself to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from operator import add

from qwen_desktop.chat import folding
from qwen_desktop.chat.folding import LONGEST, TOKEN, is_unspaced
from qwen_desktop.chat.matching import Needle

# Terms that say what a message is. No text has them: these characters belong to no word.
USER = "\ue000user"
ASSISTANT = "\ue000model"
REASONING = "\ue000thought"
_MODEL = "\ue001"


def terms_of(text: str) -> set[str]:
    """The terms of a text."""
    terms: set[str] = set()
    # Few of the words of a text are different ones.
    for token in set(TOKEN.findall(folding.plain(text))):
        if is_unspaced(token[0]):
            terms.update(map(add, token, token[1:]))
            terms.add(token[-1])
        else:
            terms.update(_of_word(token))
    return terms


@lru_cache(maxsize=1 << 16)
def _of_word(word: str) -> tuple[str, ...]:
    lower = word.casefold()
    joined = folding.parts(word)
    return (lower[:LONGEST], *(lower[begin:end] for begin, end in joined))


def model_term(model: str) -> str:
    """The term of the name of a model."""
    # The tokenizer of the index parts terms at what is no letter of ASCII.
    name = "".join(c if c.isalnum() else "\ue002" for c in folding.folded(model))
    return _MODEL + name[:LONGEST] if name else ""


def is_term_of_model(term: str, part: str) -> bool:
    """Whether `term` names a model with `part` in its name."""
    wanted = model_term(part)[1:]
    return term.startswith(_MODEL) and wanted in term


MODELS = (_MODEL, chr(ord(_MODEL) + 1))  # all terms of models lie between


def asked_for(needle: Needle) -> tuple[str, ...]:
    """What to ask the index for: phrases of its query language, each a term that all texts have
    in which the needle is found. Empty where the needle has neither words nor writing.
    """
    tokens = [found.span() for found in TOKEN.finditer(needle.text)]
    asked: dict[str, None] = {}
    for begin, end in tokens:
        token = needle.text[begin:end]
        at_end = end == len(needle.text)
        if is_unspaced(token[0]):
            if len(token) == 1:
                asked[_quoted(token) + (" *" if at_end else "")] = None
            for pair in map(add, token, token[1:]):
                asked[_quoted(pair)] = None
        elif at_end and needle.prefix and len(token) < LONGEST:
            asked[_quoted(token) + " *"] = None
        else:
            asked[_quoted(token[:LONGEST])] = None
    return tuple(asked)


def joined(terms: Iterable[str]) -> str:
    """Terms as the index takes them."""
    return " ".join(terms)


def _quoted(term: str) -> str:
    return f'"{term}"'
