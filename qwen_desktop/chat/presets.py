"""Presets: sampling and system prompt under a name. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from qwen_desktop.chat.settings import BY_NAME, Value
from qwen_desktop.chat.text import whole

# What a preset holds. Thinking is not part of it: the recommended values follow its switch.
NAMES = (
    "system_prompt",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "max_new_tokens",
    "thinking_budget",
    "stop_strings",
)


@dataclass(frozen=True)
class Preset:
    """Settings by name, of those in `NAMES`; what is missing has its default.

    `name` is unique, for people; "" is the built-in one, which recommends nothing of its own and
    so takes what Qwen and the checkpoint recommend.
    """

    name: str
    values: Mapping[str, Value]

    def full(self) -> dict[str, Value]:
        """Every name with a value the settings table accepts."""
        found: dict[str, Value] = {}
        for name in NAMES:
            value = self.values.get(name, BY_NAME[name].default)
            found[name] = value if BY_NAME[name].accepts(value) else BY_NAME[name].default
        return found

    def is_like(self, values: Mapping[str, Value]) -> bool:
        """Whether the settings `values` are what this preset sets."""
        return all(values.get(name, BY_NAME[name].default) == v for name, v in self.full().items())


RECOMMENDED = Preset("", {})


def made_of(name: str, values: Mapping[str, Any]) -> Preset:
    """A preset of what is fit for one in `values`: those in `NAMES` that the table accepts.

    White space in `name` is tidied. Raises ValueError where nothing is left of it.
    """
    name = " ".join(whole(name).split())
    if not name:
        raise ValueError("a preset needs a name")
    good = {
        key: values[key] for key in NAMES if key in values and BY_NAME[key].accepts(values[key])
    }
    return Preset(name, MappingProxyType(good))
