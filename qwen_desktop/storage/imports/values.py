"""What is taken out of JSON that anybody may have written. Nothing here raises for what it meets.

Another program's field of a wrong type is as good as a missing one: the text, the number or the
list that should be there, or the empty one.
"""

from __future__ import annotations

import hashlib
import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from qwen_desktop.chat.messages import Part, PartKind
from qwen_desktop.chat.text import whole

LONGEST_NAME = 500  # characters of a title, a model, a folder, a tag
_LAST_SECOND = 2**33  # in the year 2242; larger numbers are of a finer unit
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def text(value: object) -> str:
    """Text, as UTF-8 can hold it."""
    return whole(value) if isinstance(value, str) else ""


def name(value: object) -> str:
    """A title, model, folder or tag: one line of a sensible length."""
    return " ".join(_CONTROL.sub(" ", text(value)[: LONGEST_NAME * 4]).split())[:LONGEST_NAME]


def fields(value: object) -> Mapping[str, Any]:
    """The fields of an object."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> Sequence[Any]:
    """The elements of a list."""
    return value if isinstance(value, list) else ()


def count(value: object) -> int | None:
    """A whole number that is no truth; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def key(value: object) -> str:
    """An id: text, or a whole number as text; "" where there is none."""
    if isinstance(value, str):
        return value
    number = count(value)
    return "" if number is None else str(number)


def seconds(value: object) -> float:
    """Unix seconds of a time in seconds, milliseconds or finer, or as text; 0.0 where it is none.

    Times before 1970 are as good as none.
    """
    if isinstance(value, str):
        return _seconds_in(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0.0
    if not 0 < value < 1e30 or not math.isfinite(value):
        return 0.0
    found = float(value)
    while found > _LAST_SECOND:
        found /= 1000
    return found


def _seconds_in(value: str) -> float:
    if len(value) > 40:
        return 0.0
    try:
        # Python 3.10 does not know the Z.
        when = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
        if when.tzinfo is None:
            when = when.replace(tzinfo=timezone.utc)
        return max(when.timestamp(), 0.0)
    except (ValueError, OverflowError, OSError):
        pass
    try:
        return seconds(float(value))
    except ValueError:
        return 0.0


def digest(*pieces: str) -> str:
    """32 characters that are the same for the same texts, in this order."""
    sha = hashlib.sha256()
    for piece in pieces:
        raw = piece.encode("utf-8", "surrogatepass")
        sha.update(b"%d:" % len(raw))
        sha.update(raw)
    return sha.hexdigest()[:32]


# -- text and thoughts -------------------------------------------------------------------------

_THOUGHT = re.compile(r"\s*<think(?:ing)?>\n?(.*?)(?:</think(?:ing)?>\s*|\Z)", re.DOTALL)
# Templates of Qwen put the opening into the prompt: the answer then only has the closing.
_ONLY_CLOSED = re.compile(r"((?:(?!<think>|```).)*?)\n</think>\s*", re.DOTALL)
# Found one by one: a pattern of both would look for the end again from each beginning.
_DETAILS, _DETAILS_END = re.compile(r'<details type="reasoning"[^<>]*>'), "</details>"
_SUMMARY = re.compile(r"\s*<summary>.*?</summary>", re.DOTALL)


def said(content: str, *, by_model: bool = True) -> tuple[Part, ...]:
    """The parts of a text: what a model wrote between its marks of thinking is reasoning."""
    if not by_model:
        return parts((PartKind.TEXT, content))
    match = _THOUGHT.match(content)
    if match is None and "</think>" in content[: 2**20]:
        match = _ONLY_CLOSED.match(content)
    if match is None:
        return _with_details(content)
    rest = _with_details(content[match.end() :])
    return (*parts((PartKind.REASONING, match[1].strip("\n"))), *rest)


def _with_details(content: str) -> tuple[Part, ...]:
    """Open WebUI shows thoughts as details in the text of an answer, quoted line by line."""
    found: list[tuple[PartKind, str]] = []
    at = 0
    while (opening := _DETAILS.search(content, at)) is not None:
        end = content.find(_DETAILS_END, opening.end())
        if end < 0:
            break
        before = content[at : opening.start()].rstrip()
        found.append((PartKind.TEXT, before.lstrip() if at else before))
        summary = _SUMMARY.match(content, opening.end(), end)
        thought = content[opening.end() if summary is None else summary.end() : end]
        lines = _unescaped(thought.strip()).split("\n")
        found.append((PartKind.REASONING, "\n".join(_unquoted(line) for line in lines)))
        at = end + len(_DETAILS_END)
    found.append((PartKind.TEXT, content[at:].lstrip() if at else content))
    return parts(*found)


def _unescaped(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:  # the number of a character with thousands of digits
        return text


def _unquoted(line: str) -> str:
    return line[2:] if line.startswith("> ") else line[1:] if line.startswith(">") else line


def parts(*found: tuple[PartKind, str]) -> tuple[Part, ...]:
    """Parts of what is not blank."""
    return tuple(Part(kind, whole(said)) for kind, said in found if said.strip())


def joined(first: Iterable[Part], then: Iterable[Part]) -> tuple[Part, ...]:
    """One message of two: parts of one kind that meet are one, with an empty line between."""
    kept = list(first)
    for part in then:
        if kept and kept[-1].kind is part.kind:
            kept[-1] = Part(part.kind, f"{kept[-1].text.rstrip()}\n\n{part.text.lstrip()}")
        else:
            kept.append(part)
    return tuple(kept)


def fenced(content: str, language: str = "") -> str:
    """`content` as a block of code that ends where it ends."""
    longest = max((len(run) for run in re.findall(r"`{3,}", content)), default=2)
    fence = "`" * (longest + 1)
    language = re.sub(r"[^\w+#.-]", "", language)[:30]
    end = "" if content.endswith("\n") else "\n"
    return f"{fence}{language}\n{content}{end}{fence}"
