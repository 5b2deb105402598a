"""Markdown to blocks: what they hold, and that growing text gives the same as whole text."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qwen_desktop.ui.timeline.markdown import (
    MarkdownTail,
    normalized,
    parse,
    steady,
    web_address,
)

# Pieces that meet in unlucky ways: starts, ends and halves of every construct.
FRAGMENTS = [
    "# h\n", "para *a* `b`", "\n", "\n\n", "- a", "- [ ] t", "1. x", "2", "2.", "10)", "> q",
    "```", "```py\n", "~~~", "    code\n", "  ", "a|b\n", "-|-\n", "|a|b|\n", "|-|-|", "---",
    "===", "=", "-", "$$", "\\[", "\\]", "$x$", "\\(y\\)", "*", "* i\n", "text", "\t", "<div>\n",
    "\\begin{align}", "\\end{align}", "<!--", "-->", "</div>", "<br>", "[^1]: ", "[^1]: n\n",
    "\\", "`", "x\ny\n", "+ ", ":-", "# ", "中文。", "🎉", "&amp;", "![a](http://b)", "[l](http://c)",
]  # fmt: skip


BEFORE_NOTE = re.compile(r"(?:^|(?<=\]))([^\n]*?)\[\^1\]", re.MULTILINE)
NO_TEXT = re.compile(r"(?:[ \t>]|[-+*] |\d+[.)] )*")


@settings(max_examples=200)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join), st.data())
def test_growing_text_gives_the_blocks_of_the_whole_text(source, data):
    # A note that is defined after it is referred to needs the parse at the end.
    assume(all(NO_TEXT.fullmatch(before) for before in BEFORE_NOTE.findall(source)))
    tail = MarkdownTail()
    at = 0
    while at < len(source):
        at += data.draw(st.integers(1, 6))
        before = list(tail.blocks)
        first = tail.feed(source[:at])
        assert tail.blocks == parse(source[:at])
        assert tail.blocks[:first] == before[:first]  # those are final, as it said


@pytest.mark.parametrize(
    "source",
    [
        "1. a\n\n2. b",  # "2" is a paragraph until its dot comes
        "- a\n\n--\n\n---\n- b",
        "x\na|b\n-|-x\ny",  # a table for a moment
        "```$$-|-\n-|-\n",  # code until the second line
        "text\n$$\nx\n\ny",  # a formula until the blank line
        "Title\n=\n==",
        "> q\nlazy\n- b",
        "```\n``\n`````\nafter",
        "~~~\n \n  ~~~ x\n~~~",
    ],
)
def test_no_prefix_of_a_text_is_misread(source):
    tail = MarkdownTail()
    for end in range(len(source) + 1):
        tail.feed(source[:end])
        assert tail.blocks == parse(source[:end])


def test_a_growing_text_is_parsed_from_its_last_block_only():
    tail = MarkdownTail()
    text = "one\n\ntwo\n\n```py\nx = 1\n"
    tail.feed(text)
    assert tail.feed(text + "y = 2\n") == 2
    assert tail.blocks[2].code == "x = 1\ny = 2\n"
    assert tail.feed(text + "y = 2\n```\nafter") == 2
    assert [block.kind for block in tail.blocks] == ["text", "text", "code", "text"]


def test_a_definition_before_its_use_is_known_while_growing():
    tail = MarkdownTail()
    for text in (
        "[a]: https://a.b\n\n",
        "[a]: https://a.b\n\none\n\nt",
        "[a]: https://a.b\n\none\n\nt [a]",
    ):
        tail.feed(text)
    assert 'href="https://a.b"' in tail.blocks[-1].html


def test_another_text_starts_over():
    tail = MarkdownTail()
    tail.feed("# one\n\ntwo")
    assert tail.feed("other") == 0
    assert tail.blocks == parse("other")


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        ("text\n\n# head\n\n- a\n- b", ["text", "text", "text"]),
        ("```py\nx\n```", ["code"]),
        ("    indented", ["code"]),
        ("> q", ["quote"]),
        ("a|b\n-|-\n1|2", ["table"]),
        ("---", ["rule"]),
        ("$$\nx\n$$", ["math"]),
        ("\\[ x \\]", ["math"]),
        ("- [x] done\n- [ ] open", ["list"]),
        ("1. a\n   ```\n   x\n   ```", ["list"]),
        ("", []),
    ],
)
def test_kinds(source, kinds):
    assert [block.kind for block in parse(source)] == kinds


def test_a_list_with_code_keeps_it_in_its_item():
    (block,) = parse("3. a\n   ```sh\n   ls\n   ```\n4. b")
    assert [item.marker for item in block.children] == ["3.", "4."]
    code = block.children[0].children[1]
    assert (code.kind, code.language, code.code) == ("code", "sh", "ls\n")


def test_tasks_lose_their_brackets_and_keep_their_state():
    (block,) = parse("- [x] one\n- [ ] two\n- three")
    assert [item.marker for item in block.children] == ["done", "todo", "•"]
    assert "[" not in block.children[0].children[0].html


@pytest.mark.parametrize(
    "formula", ["\\(a_1 * b_1 * c\\)", "\\[a_1 \\\\ b_1\\]", "$a_1*b*c_1$", "$$a_1*b*c_1$$"]
)
def test_formulas_survive_markdown(formula):
    html = parse(f"see {formula} there")[0].html
    assert f'<code class="math">{formula}</code>' in html


@pytest.mark.parametrize("text", ["It costs $5 and $10.", "$ 5$", "a \\$5 b$", "5$-10$"])
def test_prices_are_no_formulas(text):
    assert "<code" not in parse(text)[0].html


def test_an_unclosed_formula_ends_with_its_paragraph():
    assert [block.kind for block in parse("$$\nx\n\n# after")] == ["text", "text"]
    assert [block.kind for block in parse("$$\nx")] == ["math"]


@pytest.mark.parametrize("end", ["-", "--", "=", "|", "``", "```", "~~", " - ", "$$"])
def test_a_line_that_may_still_become_anything_is_held_back(end):
    assert steady("text\n" + end) == "text\n"


@pytest.mark.parametrize("end", ["- a", "text", "```py", "-- a", "a|"])
def test_other_lines_are_not_held_back(end):
    assert steady("text\n" + end) == "text\n" + end


def test_line_ends_are_one():
    assert normalized("a\r\nb\rc\0") == "a\nb\nc\ufffd"


@pytest.mark.parametrize(
    ("address", "offered"),
    [
        ("https://a.b", True),
        ("HTTP://a.b", True),
        ("mailto:a@b.c", True),
        ("javascript:alert(1)", False),
        ("file:///etc/passwd", False),
        ("data:text/html,x", False),
        ("\\\\host\\share", False),
        ("//host/share", False),
        ("vbscript:x", False),
        ("C:\\x", False),
        ("page.html", False),
        ("https://", False),
        ("", False),
    ],
)
def test_only_web_addresses_are_links(address, offered):
    assert web_address(address) is offered
    for source in (f"[x](<{address}>)", f"[x][a]\n\n[a]: <{address}>", f"<{address}>"):
        assert offered or "<a" not in "".join(block.html for block in parse(source))


def test_the_view_does_not_bring_the_parser_with_it():
    code = (
        "import sys, qwen_desktop.ui.timeline.view\n"
        "print([m for m in ('markdown_it', 'pygments', 'torch', 'sqlite3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
