"""Text of a model on the terminal: what may be there, and that nothing of it is lost."""

import io
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from qwen_desktop.chat.messages import PartKind
from qwen_desktop.talk.commands import read
from qwen_desktop.talk.streaming import AnswerView, SafeMarkdown, Tail, blocks

HOSTILE = (
    "a\x1b]0;owned\x07b &#27;[2J &#x9b;31m \x9b2J \u202egnp.exe "
    "[link](https://evil.example/\x1b)\n\n```\n\x1b[31m\x08\r\n```\n"
)


def shown(text: str, size: int, *, terminal: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, color_system=None, width=80)
    with AnswerView(console) as view:
        for kind in (PartKind.REASONING, PartKind.TEXT):
            for at in range(0, len(text), size):
                view.add(kind, text[at : at + size])
    return out.getvalue()


def test_hostile_text_commands_nothing():
    plain = shown(HOSTILE, 7, terminal=False)
    assert not [c for c in plain if unicodedata.category(c) == "Cc" and c not in "\n\t"]
    drawn = shown(HOSTILE, 7, terminal=True)
    for bad in ("\x07", "\x9b", "\x08", "\x1b]", "\x1b[31m", "\u202e"):
        assert bad not in drawn


def test_an_entity_is_no_way_to_the_terminal():
    assert "\x1b[2J" not in shown("x &#27;[2J y", 100, terminal=True)


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet="ab \n`-1.#", max_size=200))
def test_blocks_lose_nothing(text):
    done, rest = blocks(text)
    assert done + rest == text


def test_a_fence_is_not_cut():
    assert blocks("one\n\n```\ntwo\n\nthree") == ("one\n\n", "```\ntwo\n\nthree")


def test_what_is_said_is_no_command():
    assert read(":-) hello") is None
    assert read("a :h") is None
    assert read(":Q").name == "exit"
    assert not read(":nonsense").known


def test_the_end_of_a_paragraph_higher_than_the_screen_is_seen():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system=None, width=20, height=10)
    console.print(Tail(SafeMarkdown(" ".join(f"雨{number}" for number in range(200)))))
    lines = out.getvalue().splitlines()
    assert "雨199" in lines[-1]
    assert len(lines) == 8
    assert all(cell_len(line) <= 20 for line in lines)
