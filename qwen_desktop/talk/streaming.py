"""An answer on the terminal while it is written: Markdown that is rendered block by block.

What is finished is printed for good; only the last block is drawn again. Without a terminal the
text comes as it is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment
from rich.text import Text

from qwen_desktop.chat.events import Delta, GenerationEvent, Progress
from qwen_desktop.chat.messages import PartKind
from qwen_desktop.talk.clean import clean
from qwen_desktop.talk.echo import no_echo

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


class Tail:
    """The last lines of something that may be higher than the screen: no others can be redrawn."""

    def __init__(self, shown: RenderableType) -> None:
        self._shown = shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._shown, options.update(height=None), pad=False)
        for line in lines[-max(1, console.height - 2) :]:
            yield from line
            yield Segment.line()


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
        view = Tail(SafeMarkdown(self._pending))
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


class OneLine:
    """Progress on one line that is gone when it is over; nothing without a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = False

    def show(self, progress: Progress) -> None:
        """Show how far it is. From any thread."""
        if not self._console.is_terminal or self._console.is_dumb_terminal:
            return
        words = progress.stage.value.replace("_", " ")
        if progress.total > 0:
            words += f" {100 * progress.done / progress.total:.0f} %"
        words = f"{words} …"[: max(1, self._console.width - 1)]  # one that is broken stays
        self._console.file.write(f"\r\x1b[2K{words}")
        self._console.file.flush()
        self._shown = True

    def clear(self) -> None:
        """Take it away."""
        if self._shown:
            self._console.file.write("\r\x1b[2K")
            self._console.file.flush()
            self._shown = False


def show_answer(console: Console, events: Iterator[GenerationEvent], line: OneLine) -> None:
    """Show an answer while it comes."""
    with no_echo(), AnswerView(console) as view:
        for event in events:
            if isinstance(event, Progress):
                line.show(event)
            elif isinstance(event, Delta):
                line.clear()
                view.add(event.kind, event.text)
    line.clear()
