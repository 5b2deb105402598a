"""Settings that a conversation has of its own, over the general ones. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from qwen_desktop.chat.context import ChatOptions, Policy
from qwen_desktop.chat.settings import Value

POLICY = "context_policy"  # kept apart from the values of a conversation


def with_value(
    options: ChatOptions, name: str, value: Value, general: Mapping[str, Value]
) -> ChatOptions:
    """`options` with one setting of the table changed; what is as in general is not of its own."""
    as_general = value == general[name] and type(value) is type(general[name])
    if name == POLICY:
        return replace(options, policy=None if as_general else Policy(value))
    values = {key: kept for key, kept in options.values.items() if key != name}
    if not as_general:
        values[name] = value
    return replace(options, values=values)


def own_names(options: ChatOptions) -> set[str]:
    """The settings that a conversation has of its own."""
    return set(options.values) | ({POLICY} if options.policy is not None else set())
