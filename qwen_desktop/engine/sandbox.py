"""The sandbox chat templates run in: jinja's own, with limits on what one step can make.

Whoever waits for a template can leave it between two steps of Python (aside.py), but not within
one: "a" * 10**12, or the text of a list that holds itself forty times over, is a single step that
takes all memory. So every value a template makes is measured before or right after it is made,
and filters that search with regular expressions, which no chat template needs, are not there.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_TEXT = 8 * 2**20  # characters of one string; more than the longest context has
MAX_NODES = 1_000_000  # values within a value, shared ones counted each time
MAX_NUMBER = 1_000_000  # as a width, a count or an index
MAX_BITS = 4096  # of a whole number
_CONTAINERS = (list, tuple, dict, set, frozenset)
_FILTERS_LEFT_OUT = frozenset(("pprint", "striptags", "urlize", "wordcount", "wordwrap", "xmlattr"))
_WIDE = re.compile(r"\d{5}|%[^%a-zA-Z]*\*|\{[^}]*\{")  # a width within a format


def _check(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise SecurityError(f"a chat template may not make {what} of {count:,} parts")


def _size(value: Any) -> int:
    """Characters and values in `value`, those shared counted each time. Raises SecurityError."""
    if isinstance(value, str):
        return len(value)
    if not isinstance(value, _CONTAINERS):
        return 1
    count, text = 0, 0
    waiting: list[Any] = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            waiting.extend(found)
            waiting.extend(found.values())
            count += 2 * len(found)
        elif isinstance(found, _CONTAINERS):
            waiting.extend(found)
            count += len(found)
        elif isinstance(found, str):
            text += len(found)
        _check(count, MAX_NODES, "a list")
        _check(text, MAX_TEXT, "a list")
    return count + text


def measure(value: Any) -> Any:
    """`value` itself. Raises SecurityError where its text or its parts are too many."""
    if isinstance(value, int):
        _check(value.bit_length(), MAX_BITS, "a number")
    else:
        _check(_size(value), MAX_TEXT + MAX_NODES, "a text")
    return value


def _joined(parts: Iterable[Any]) -> str:
    """What "".join does, for no more than MAX_TEXT characters."""
    texts = [str(measure(part)) for part in parts]
    _check(sum(map(len, texts)), MAX_TEXT, "a text")
    return "".join(texts)


def _check_numbers(values: Iterable[Any]) -> None:
    for value in values:
        if isinstance(value, int):
            _check(abs(value), MAX_NUMBER, "a row")


def _check_format(text: str, mark: str, given: Any) -> None:
    """Refuse a format with a wide or computed width, or with much text for each of its places."""
    if _WIDE.search(text):
        raise SecurityError("a chat template may not format with such a width")
    _check(text.count(mark) * _size(given), 8 * MAX_TEXT, "a text")


def _check_replace(text: str, old: str, new: str) -> None:
    _check(len(text) + text.count(old) * len(new), MAX_TEXT, "a text")


def _check_method(text: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse a method of a string whose result would be too long."""
    if name == "replace" and len(args) > 1:
        _check_replace(text, str(args[0]), str(args[1]))
    elif name == "join" and args:
        _check(len(args[0]) * len(text), MAX_TEXT, "a text")
    elif name in ("expandtabs", "translate"):
        raise SecurityError(f"a chat template may not use {name}")
    elif name in ("format", "format_map"):
        _check_format(text, "{", [*args, kwargs])


def _check_filter(name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Refuse a filter whose result would be too long. `args` begin with what is filtered."""
    value, given = args[0], [*args[1:], *kwargs.values()]
    if name in ("indent", "tojson"):
        widths = [len(v) if isinstance(v, str) else v for v in given if isinstance(v, (int, str))]
        _check(max(widths, default=0), 1000, "a row")
        lines = value.count("\n") + 1 if isinstance(value, str) else 1
        _check(lines * max(widths, default=0), MAX_TEXT, "a text")
    elif name == "format":
        _check_format(str(value), "%", given)
    elif name == "replace" and len(given) > 1:
        _check_replace(str(value), str(given[0]), str(given[1]))
    elif name == "join" and given:
        _check(len(value) * len(str(given[0])), MAX_TEXT, "a text")


class _CodeGenerator(CodeGenerator):
    """Compiles what makes a new value to a call that measures it."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def _measured(self, visit: Callable[[Any, Frame], None], node: Any, frame: Frame) -> None:
        self.write("environment.measure(")
        visit(node, frame)
        self.write(")")

    def visit_List(self, node: nodes.List, frame: Frame) -> None:
        self._measured(super().visit_List, node, frame)

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:
        self._measured(super().visit_Dict, node, frame)

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:
        if node.ctx == "load":
            self._measured(super().visit_Tuple, node, frame)
        else:
            super().visit_Tuple(node, frame)


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox in which no single step takes long or much memory."""

    intercepted_binops = frozenset(("+", "*", "**", "%"))
    code_generator_class = _CodeGenerator
    concat = staticmethod(_joined)
    joined = staticmethod(_joined)
    measure = staticmethod(measure)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.filters = _Filters(self.filters)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """One of the operators that can make much of little."""
        if operator == "**":
            if not all(isinstance(side, (int, float)) for side in (left, right)):
                raise SecurityError("a chat template raises numbers only")
            if isinstance(left, int) and isinstance(right, int):
                _check(left.bit_length() * abs(right), MAX_BITS, "a number")
        elif operator == "*":
            for one, other in ((left, right), (right, left)):
                if isinstance(other, int) and isinstance(one, (str, bytes, list, tuple)):
                    _check(len(one) * max(other, 0), MAX_TEXT, "a text")
            if isinstance(left, int) and isinstance(right, int):
                _check(left.bit_length() + right.bit_length(), MAX_BITS, "a number")
        elif operator == "%" and isinstance(left, str):
            _check_format(left, "%", right)
        return measure(super().call_binop(context, operator, left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Call `__obj`, a function, macro or method, with arguments of a measure."""
        owner = getattr(__obj, "__self__", None)
        if owner is None:  # str.format comes wrapped
            owner = getattr(getattr(__obj, "__wrapped__", None), "__self__", None)
        if isinstance(owner, str) and __obj.__name__ == "join":
            args = tuple(list(part) for part in args)
        measure([*args, kwargs])
        _check_numbers([*args, *kwargs.values()])
        if isinstance(owner, str):
            _check_method(owner, __obj.__name__, args, kwargs)
        return measure(super().call(__context, __obj, *args, **kwargs))


class _Filters(dict[str, Any]):
    """Filters by name, each wrapped so that arguments and result are measured."""

    def __init__(self, filters: Mapping[str, Any]) -> None:
        super().__init__()
        for name in filters.keys() - _FILTERS_LEFT_OUT:
            self[name] = filters[name]

    def __setitem__(self, name: str, function: Any) -> None:
        hidden = 1 if hasattr(function, "jinja_pass_arg") else 0  # jinja's own first argument

        @functools.wraps(function)  # also takes over what jinja marked it with
        def measured(*args: Any, **kwargs: Any) -> Any:
            own, plain = args[:hidden], list(args[hidden:])
            if name == "join" and plain:
                plain[0] = list(plain[0])
            measure([*plain, kwargs])
            _check_numbers([*plain[1:], *kwargs.values()])
            _check_filter(name, plain, kwargs)
            return measure(function(*own, *plain, **kwargs))

        super().__setitem__(name, measured)


def bound_templates() -> None:
    """Let transformers compile chat templates for this sandbox; it looks the name up each time."""
    from transformers.utils import chat_template_utils

    chat_template_utils.ImmutableSandboxedEnvironment = BoundedEnvironment
