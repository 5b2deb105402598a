"""Messages as HTML that Qt's text documents understand: the one style sheet, and pieces short
enough to be laid out one after the other. No Qt.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from html import escape

from qwen_desktop.chat.messages import Role
from qwen_desktop.chat.record import Record
from qwen_desktop.export import body, turns
from qwen_desktop.export.turns import Turn
from qwen_desktop.export.words import Words

_PIECE = 20_000  # characters of plain text that are laid out at once
_STYLE = """
h1, h2, h3, h4 { margin-top: 8px; margin-bottom: 4px; }
p, ul, ol { margin-top: 4px; margin-bottom: 4px; }
p.title { font-size: 22px; font-weight: 600; margin: 0 0 4px 0; }
p.who { font-size: 13px; font-weight: 600; color: #5e6875; margin: 0 0 4px 0; }
p.facts { color: #5e6875; font-size: 11px; margin: 0 0 4px 0; }
p.note { color: #9a6200; font-size: 11px; }
p.plain { white-space: pre-wrap; margin: 0; }
p.said { white-space: pre-wrap; margin: 0; background-color: #eef3ff; }
.thought { color: #5e6875; }
pre { white-space: pre-wrap; margin: 0; background-color: #f6f7f9;
  font-family: "JetBrains Mono", "Cascadia Mono", Consolas, "DejaVu Sans Mono",
  "Noto Sans Mono CJK SC", monospace; font-size: 11px; }
code { background-color: #f6f7f9; font-size: 12px;
  font-family: "JetBrains Mono", "Cascadia Mono", Consolas, "DejaVu Sans Mono",
  "Noto Sans Mono CJK SC", monospace; }
pre code { font-size: 11px; }
.language { color: #5e6875; font-size: 11px; }
blockquote { color: #5e6875; margin-left: 16px; }
a { color: #2563eb; }
table { border-collapse: collapse; border-style: solid; border-width: 1px; border-color: #e2e5ea; }
th, td { padding: 3px 8px; border-style: solid; border-width: 1px; border-color: #e2e5ea; }
"""


@lru_cache(maxsize=1)
def style() -> str:
    """The style sheet of all pieces: black on white, whatever the window looks like."""
    from pygments.formatters import HtmlFormatter

    made = HtmlFormatter(style="default")
    colours = made.get_token_style_defs(".code")  # type: ignore[no-untyped-call]
    return "\n".join((_STYLE, *colours))


def heading(record: Record, words: Words) -> str:
    """What stands above the messages."""
    top = turns.heading(record, words)
    return f'<p class="title">{escape(top.title)}</p>{_line("facts", top.facts)}'


def pieces(turn: Turn, words: Words) -> Iterator[str]:
    """One message, in pieces that stand below each other."""
    yield (
        f'<p class="who">{escape(turn.heading)}</p>'
        f"{_line('facts', (turn.version,))}{_line('facts', turn.facts)}"
    )
    if turn.reasoning.strip():
        yield f'<p class="facts">{escape(words.reasoning)}</p>'
        for text in _said(turn.reasoning, is_plain=False, kind="plain"):
            yield f'<div class="thought">{text}</div>'
    for file in turn.files:
        yield f'<p class="facts">{escape(file.heading)}</p>'
        for piece in _cut(file.text.strip("\n")):
            yield f"<pre>{escape(piece)}</pre>"
    is_plain = turn.role is not Role.ASSISTANT  # as the application shows it
    if turn.text.strip():
        yield from _said(turn.text, is_plain=is_plain, kind="said" if is_plain else "plain")
    if turn.note:
        yield _line("note", (turn.note,))


def _said(text: str, *, is_plain: bool, kind: str) -> Iterator[str]:
    if not is_plain and len(text) <= body.LONGEST:
        yield body.markdown(text)
        return
    for piece in _cut(text.strip("\n")):
        yield f'<p class="{kind}">{escape(piece)}</p>'


def _cut(text: str) -> Iterator[str]:
    """`text` in pieces, at ends of lines wherever there are some."""
    at = 0
    while len(text) - at > _PIECE:
        line = text.rfind("\n", at, at + _PIECE)
        end = line if line > at else at + _PIECE
        yield text[at:end]
        at = end + 1 if end == line else end
    yield text[at:]


def _line(kind: str, facts: tuple[str, ...]) -> str:
    text = " · ".join(fact for fact in facts if fact)
    return f'<p class="{kind}">{escape(text)}</p>' if text else ""
