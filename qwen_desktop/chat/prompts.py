"""The prompt library: texts to be used again, with fields that are filled in each time. Pure.

A field is a name in braces, `{city}`: a letter, then letters, digits, `_` and single spaces. Two
braces are one, `{{`; any other brace is itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from qwen_desktop.chat.text import whole

LONGEST_NAME = 80  # characters
LONGEST_TEXT = 20_000
MOST = 500  # prompts
_FIELD = re.compile(r"\{\{|\}\}|\{([^\W\d_]\w{0,39}(?: \w{1,40}){0,5})\}")


@dataclass(frozen=True)
class SavedPrompt:
    """A text to be used again. `name` is unique in a library, for people."""

    name: str
    text: str

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of its fields, each once, in their order."""
        found = (match[1] for match in _FIELD.finditer(self.text))
        return tuple(dict.fromkeys(name for name in found if name is not None))

    def filled(self, values: Mapping[str, str]) -> str:
        """The text with its fields filled in; one without a value stays as it is written."""

        def fill(match: re.Match[str]) -> str:
            name = match[1]
            if name is None:
                return match[0][0]
            return values.get(name) or match[0]

        return _FIELD.sub(fill, self.text)


def literal(text: str) -> str:
    """What a prompt has to say to become `text`, whatever braces are in it."""
    return text.replace("{", "{{").replace("}", "}}")


def made_of(name: str, text: str) -> SavedPrompt:
    """A prompt for the library, its name on one line.

    Raises ValueError where nothing is left of one of them, or the text is too long.
    """
    name, text = " ".join(whole(name).split())[:LONGEST_NAME].rstrip(), whole(text)
    if not name or not text.strip() or len(text) > LONGEST_TEXT:
        raise ValueError("a prompt needs a name and a text")
    return SavedPrompt(name, text)


def by_name(prompts: Iterable[SavedPrompt]) -> tuple[SavedPrompt, ...]:
    """In the order of a list."""
    return tuple(sorted(prompts, key=lambda prompt: (prompt.name.casefold(), prompt.name)))


def merged(
    there: Iterable[SavedPrompt], more: Iterable[SavedPrompt]
) -> tuple[tuple[SavedPrompt, ...], int]:
    """Both together, and how many are new. One of another text gets a name that is free."""
    kept = {prompt.name: prompt for prompt in there}
    count = 0
    for prompt in more:
        name, number = prompt.name, 1
        while name in kept and kept[name].text != prompt.text:
            number += 1
            name = f"{prompt.name[: LONGEST_NAME - 6]} ({number})"
        if name not in kept and len(kept) < MOST:
            kept[name] = SavedPrompt(name, prompt.text)
            count += 1
    return by_name(kept.values()), count
