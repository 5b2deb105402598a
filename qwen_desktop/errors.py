"""What went wrong, said to a person. Standard library only; beside every layer.

Two families. `Known` is trouble we expect (a truncated shard, a full disk): one sentence and a
remedy, never a traceback. Everything else is a bug in this program: the layer border that meets
it makes a `Report` whose details can be copied.

The English templates double as translation keys: they are marked with `QT_TRANSLATE_NOOP`, which
Qt's lupdate collects by name, and the interface translates them before filling in the values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# Context of every sentence of this kind in the translation files.
CONTEXT = "errors"


def QT_TRANSLATE_NOOP(context: str, text: str) -> str:
    """Mark `text` for lupdate under `context` and give it back unchanged."""
    return text


class Known(Exception):  # noqa: N818 - reads as "known trouble"
    """Trouble with a cause outside this program, told in one sentence with a remedy.

    `template` and `remedy` are English format strings wrapped in `QT_TRANSLATE_NOOP("errors", …)`;
    `values` fills both. `details` is optional technical text for the Details button; `code` a
    stable name for scripts, "shard-truncated", where there is use for one.
    """

    def __init__(
        self,
        template: str,
        remedy: str = "",
        *,
        details: str = "",
        code: str = "",
        **values: object,
    ) -> None:
        super().__init__(template, remedy)
        self.template = template
        self.remedy = remedy
        self.details = details
        self.code = code
        self.values: Mapping[str, object] = values

    def __str__(self) -> str:
        return self.report().text()

    def report(self) -> Report:
        """The frozen value that crosses threads in place of the exception."""
        return Report(
            template=self.template,
            remedy=self.remedy,
            values={name: str(value) for name, value in self.values.items()},
            details=self.details,
            is_bug=False,
            code=self.code,
        )


class Cancelled(BaseException):
    """The user stopped a load or a prefill. Not an error; passes through `except Exception`."""


_NUMBER = re.compile(r"[-+]?\d[\d., ]*%?")


@dataclass(frozen=True)
class Report:
    """One error as a value: safe to send between threads, to store and to show."""

    template: str
    remedy: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    details: str = ""
    is_bug: bool = False
    code: str = ""  # of a Known; the window offers ways out for some
    trace: str = ""  # of a bug: its details without words that may quote what was written

    def for_log(self) -> str:
        """The details, else the sentence with its numbers. Names may be private: they stay out."""
        if self.trace:
            return self.trace
        shown = {
            name: value if _NUMBER.fullmatch(value) else f"{{{name}}}"
            for name, value in self.values.items()
        }
        return self.details or self.template.format_map(shown)

    def text(self) -> str:
        """The English sentence followed by the remedy."""
        sentence = self.template.format_map(self.values)
        remedy = self.remedy.format_map(self.values)
        return f"{sentence} {remedy}".strip()


BUG = QT_TRANSLATE_NOOP("errors", "Something went wrong inside Qwen Desktop: {summary}.")
BUG_REMEDY = QT_TRANSLATE_NOOP("errors", "What you wrote is kept. Details has a report to copy.")


def report_of(error: BaseException) -> Report:
    """The report for any exception: the sentence of a `Known`, or a bug report with its trace."""
    if isinstance(error, Known):
        return error.report()
    import traceback  # not needed on the way to the first paint

    from qwen_desktop.redaction import described

    summary = traceback.format_exception_only(type(error), error)[-1].strip()
    return Report(
        template=BUG,
        remedy=BUG_REMEDY,
        values={"summary": summary},
        details="".join(traceback.format_exception(type(error), error, error.__traceback__)),
        is_bug=True,
        trace=described(error),
    )
