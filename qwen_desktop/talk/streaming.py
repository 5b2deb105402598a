"""An answer on the terminal while it is written: Markdown that is rendered block by block.

What is finished is printed for good; only the last block is drawn again. Without a terminal the
text comes as it is.
"""

from __future__ import annotations

import time

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment
from rich.text import Text

from qwen_desktop.chat.messages import PartKind
from qwen_desktop.talk.clean import clean

REDRAW_S = 0.1
_FENCES = ("```", "~~~")


class SafeMarkdown:
    """Markdown of somebody else: no links to follow, and nothing that commands the terminal.

    Entities such as `&#27;` are only told by rendering: what comes out is cleaned once more.
    """

    def __init__(self, text: str) -> None:
        self._markdown = Markdown(clean(text), hyperlinks=False)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._markdown, options):
            if segment.control:
                continue
            yield Segment(clean(segment.text), segment.style)


def blocks(text: str) -> tuple[str, str]:
    """`text` as what is finished, up to a blank line outside of fences and lists, and the rest."""
    end, fence = 0, ""
    at = 0
    before_is_blank = False
    for line in text.splitlines(keepends=True):
        stripped = line.strip()
        begins = bool(stripped) and line[0] not in " \t" and not _is_item(stripped)
        if before_is_blank and begins and not fence:
            end = at
        if fence:
            if stripped == fence:
                fence = ""
        elif stripped.startswith(_FENCES):
            fence = stripped[: len(stripped) - len(stripped.lstrip(stripped[0]))]
        before_is_blank = not stripped
        at += len(line)
    return text[:end], text[end:]


def _is_item(line: str) -> bool:
    """Whether a line goes on with a list: its numbers and looseness are those of the whole."""
    return line[:2] in ("- ", "* ", "+ ") or line.split(" ", 1)[0].rstrip(".)").isdigit()


class AnswerView:
    """Shows one answer. Use it as a context; `add` takes what is new."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._pending = ""
        self._kind: PartKind | None = None
        self._live: Live | None = None
        self._drawn = 0.0

    def __enter__(self) -> AnswerView:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_part()

    def add(self, kind: PartKind, text: str) -> None:
        """Show more of the answer."""
        if not text:
            return
        if kind is not self._kind:
            self._end_part()
            self._kind = kind
        if kind is not PartKind.TEXT or not self._console.is_terminal:
            style = "dim italic" if kind is PartKind.REASONING else ""
            self._console.print(Text(clean(text), style=style), end="", soft_wrap=True)
            return
        self._pending += text
        done, self._pending = blocks(self._pending)
        if done:
            self._stop_live()
            self._console.print(SafeMarkdown(done))
            self._console.print()
        if time.monotonic() - self._drawn >= REDRAW_S:
            self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        # Only the end of a block that is higher than the screen can be drawn again.
        lines = self._pending.splitlines()[-max(3, self._console.height - 4) :]
        view = SafeMarkdown("\n".join(lines))
        if self._live is None:
            self._live = Live(
                view,
                console=self._console,
                auto_refresh=False,
                transient=True,
                vertical_overflow="crop",
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        self._live.update(view, refresh=True)

    def _stop_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _end_part(self) -> None:
        self._stop_live()
        if self._pending:
            self._console.print(SafeMarkdown(self._pending))
            self._pending = ""
        elif self._kind is not None:
            self._console.print()
            if self._kind is PartKind.REASONING:
                self._console.print()
        self._kind = None
