"""A conversation as one HTML file that needs nothing else, asks nothing of a network and runs
nothing: what was said is hostile, so its policy allows one style sheet and nothing more.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from html import escape

from qwen_desktop.chat.exporting import ExportOptions
from qwen_desktop.chat.messages import Role
from qwen_desktop.chat.record import Record
from qwen_desktop.export import body
from qwen_desktop.export.turns import Turn, heading, turns
from qwen_desktop.export.words import Words

_STYLE = """
:root { color-scheme: light dark; --back: #ffffff; --text: #1b1f24; --dim: #5e6875;
  --line: #e2e5ea; --user: #eef3ff; --code: #f6f7f9; --accent: #2563eb; --note: #9a6200; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 32px 24px; max-width: 808px; background: var(--back);
  color: var(--text); font: 15px/1.6 Inter, "Segoe UI", "Noto Sans", "Noto Sans CJK SC",
  "Microsoft YaHei", "PingFang SC", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 24px; line-height: 1.3; margin: 0 0 4px; }
article { margin: 24px 0; unicode-bidi: isolate; }
article > h2 { font-size: 14px; margin: 0 0 6px; color: var(--dim); }
article.user > .said { background: var(--user); border-radius: 10px; padding: 10px 14px; }
.facts, .version { color: var(--dim); font-size: 13px; margin: 0 0 6px; }
.note { color: var(--note); font-size: 13px; margin: 6px 0 0; }
.footnote { color: var(--dim); font-size: 13px; }
.plain { white-space: pre-wrap; unicode-bidi: isolate; }
.said > :first-child { margin-top: 0; } .said > :last-child { margin-bottom: 0; }
details { border-left: 3px solid var(--line); padding-left: 12px; margin: 0 0 12px;
  color: var(--dim); }
summary { cursor: pointer; }
a { color: var(--accent); }
code, pre { font: 13px/1.5 "JetBrains Mono", "Cascadia Mono", Consolas, "DejaVu Sans Mono",
  "Noto Sans Mono CJK SC", monospace; }
:not(pre) > code { background: var(--code); border-radius: 4px; padding: 1px 4px; }
.code, .said > pre { background: var(--code); border-radius: 8px; padding: 10px 14px;
  margin: 12px 0; }
pre { margin: 0; white-space: pre-wrap; tab-size: 4; }
.language { color: var(--dim); font-size: 12px; margin-bottom: 4px; }
blockquote { margin: 12px 0; padding-left: 12px; border-left: 3px solid var(--line);
  color: var(--dim); }
table { border-collapse: collapse; margin: 12px 0; max-width: 100%; }
th, td { border: 1px solid var(--line); padding: 4px 10px; text-align: left; }
.center { text-align: center; } .right { text-align: right; }
hr { border: 0; border-top: 1px solid var(--line); }
section + section { border-top: 2px solid var(--line); margin-top: 48px; padding-top: 32px; }
@page { margin: 18mm 16mm; }
@media print { body { max-width: none; padding: 0; font-size: 11pt; }
  article > h2, h1 { break-after: avoid; } tr, blockquote { break-inside: avoid; } }
"""
_DARK = """
:root { --back: #1b1d21; --text: #e6e8eb; --dim: #9aa4b1; --line: #2c3037; --user: #242c3d;
  --code: #121417; --accent: #6ea0ff; --note: #e3a93c; }
"""


def rendered(record: Record, options: ExportOptions, words: Words) -> Iterator[str]:
    """The file of one conversation, a message at a time."""
    return several([record], options, words, title=heading(record, words).title)


def several(
    records: Iterable[Record], options: ExportOptions, words: Words, *, title: str
) -> Iterator[str]:
    """The file of several conversations, one below the other."""
    yield _head(title, words)
    for record in records:
        yield from _section(record, options, words)
    yield "</body>\n</html>\n"


def _head(title: str, words: Words) -> str:
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        f'<!DOCTYPE html>\n<html lang="{escape(words.language)}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
    )


@lru_cache(maxsize=1)
def _style() -> str:
    from pygments.formatters import HtmlFormatter

    def colours(style: str) -> list[str]:
        return HtmlFormatter(style=style).get_token_style_defs(".code")  # type: ignore[no-untyped-call, no-any-return]

    light, dark = colours("default"), colours("github-dark")
    on_screen = "\n".join((_DARK, *dark))
    # Paper is white whatever the screen is.
    return "\n".join(
        (_STYLE, *light, f"@media screen and (prefers-color-scheme: dark) {{{on_screen}\n}}\n")
    )


def _section(record: Record, options: ExportOptions, words: Words) -> Iterator[str]:
    top = heading(record, words)
    yield f'<section>\n<h1 dir="auto">{escape(top.title)}</h1>\n{_line("facts", top.facts)}'
    for turn in turns(record, options, words):
        yield message(turn, words)
    yield "</section>\n"


def message(turn: Turn, words: Words) -> str:
    """One message with its heading."""
    said = ""
    if turn.text.strip():
        is_plain = turn.role is not Role.ASSISTANT  # as the application shows it
        text = body.plain(turn.text.strip("\n")) if is_plain else body.markdown(turn.text)
        said = f'<div class="said" dir="auto">\n{text}</div>\n'
    reasoning = ""
    if turn.reasoning.strip():
        thought = body.markdown(turn.reasoning)
        reasoning = (
            f"<details>\n<summary>{escape(words.reasoning)}</summary>\n"
            f'<div dir="auto">\n{thought}</div>\n</details>\n'
        )
    files = "".join(
        f"<details>\n<summary>{escape(file.heading)}</summary>\n"
        f'<div class="code"><pre dir="auto">{escape(file.text)}</pre></div>\n</details>\n'
        for file in turn.files
    )
    return (
        f'<article class="{turn.role.value}">\n<h2>{escape(turn.heading)}</h2>\n'
        f"{_line('version', (turn.version,))}{_line('facts', turn.facts)}"
        f"{reasoning}{files}{said}{_line('note', (turn.note,))}</article>\n"
    )


def _line(kind: str, facts: tuple[str, ...]) -> str:
    text = " · ".join(fact for fact in facts if fact)
    return f'<p class="{kind}">{escape(text)}</p>\n' if text else ""
