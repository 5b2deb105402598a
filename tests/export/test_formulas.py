"""Formulas: which are known in a text, which are drawn, and that none can do harm."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_desktop.export import formulas
from qwen_desktop.export.formulas import Unfit, draw
from qwen_desktop.export.mathrules import Formula, formula
from qwen_desktop.export.parser import make_parser

PARSER = make_parser()


def found(text: str) -> list[str]:
    """The sources of all formulas in a text."""
    return [
        child.content
        for token in PARSER.parse(text)
        for child in (token, *(token.children or ()))
        if child.type in ("math_inline", "math_block")
    ]


def drawn(tex: str, *, display: bool = True):
    return draw(Formula(tex, display), 16, "#123456")


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        ("a $x_1$ b $y*z*w$ c", ["$x_1$", "$y*z*w$"]),
        ("the $n$-th, $k$th, ($x$)", ["$n$", "$k$", "$x$"]),
        ("so \\(a_1\\) and \\[b\\] here", ["\\(a_1\\)", "\\[b\\]"]),
        ("in $$x$$ line", ["$$x$$"]),
        ("$$\nx\n$$", ["$$\nx\n$$"]),
        ("\\[ x \\]\n", ["\\[ x \\]"]),
        ("> $$\n> x\n> $$", ["$$\nx\n$$"]),
        ("- a\n\n  \\[\n  x\n  \\]", ["\\[\nx\n\\]"]),
        ("text\n\\begin{align}\na&=b\\\\\nc&=d\n\\end{align}\nmore", None),
        ("see \\begin{pmatrix}1\\end{pmatrix} there", ["\\begin{pmatrix}1\\end{pmatrix}"]),
        ("\\begin{cases}\n\\begin{cases}1\\end{cases}\n\\end{cases}.", None),
        ("\\begin{equation*}x\\end{equation*},", ["\\begin{equation*}x\\end{equation*},"]),
    ],
)
def test_formulas_are_found(text, sources):
    if sources is None:
        (source,) = found(text)
        assert source.startswith("\\begin{")
        assert source.rstrip(".").endswith("}")
        sources = [source]
    assert found(text) == sources
    assert all(formula(source) is not None for source in sources)


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5 and $10.",
        "between $5 and $10, or $5-$10",
        "US$5/US$10",
        "**$5** and **$10**",
        "$1,000 ($950)",
        "5$-10$",
        "$ 5$",
        "a \\$5 b$",
        "$HOME/$USER",
        "$5、$10",
        "`$x$`",
        "    $x$",
        "```\n$$x$$\n```",
        "\\(\\) and \\[ \\]",
        "$$ $$",
        "\\[no link](x)",
        "\\[a]: x",
        "\\begin{itemize}\n\\item x\n\\end{itemize}",
        "\\begin{align} x",
        "$$\nx\n\n$$",
    ],
)
def test_what_is_no_formula_is_left_alone(text):
    assert [one for one in found(text) if formula(one) is not None] == []


@pytest.mark.parametrize("source", ["$$\nx", "\\[ x", "\\begin{align}\nx", "$x", "$", "$$", "\\("])
def test_what_is_still_open_is_no_formula_yet(source):
    assert formula(source) is None


@pytest.mark.parametrize(
    "tex",
    [
        r"\frac{-b \pm \sqrt{b^2-4ac}}{2a}",
        r"\sum_{i=1}^n i^2 = \frac{n(n+1)(2n+1)}{6}",
        r"\int_0^\infty e^{-x^2}\,dx",
        r"a < b > c",
        r"\text{if } x<0 \text{ a<b & c}",
        r"\begin{cases}x & x>0\\-x & \text{otherwise}\end{cases}",
        r"\begin{dcases}\frac12 & x<0\\1 & x\ge 0\end{dcases}",
        r"\begin{bmatrix} a & b \\ c & d \end{bmatrix}^{-1}",
        r"\begin{pmatrix}1\end{pmatrix}_2^T",
        r"\begin{align*}a&=b\\&=c\end{align*}",
        r"\begin{alignat}{2}a&=b&c&=d\end{alignat}",
        r"\begin{eqnarray}a&=&b\end{eqnarray}",
        r"\begin{gather}a=b\\c\end{gather}",
        r"\begin{equation}x \label{eq:x}\tag{1}\end{equation}",
        r"\begin{array}{c|c}1&2\\\hline 3&4\end{array}",
        r"\mathop{\mathrm{argmax}}_x f(x)",
        r"\operatorname{softmax}\left(\frac{QK^\top}{\sqrt{d_k}}\right)V",
        r"\hat\theta = \arg\max_\theta \sum_i \log p(x_i \mid \theta)",
        r"\forall x \in \mathbb{R}: \|x\| \ge 0",
        r"\text{café}, \alpha, привет",
    ],
)
def test_usual_formulas_are_drawn(tex):
    drawing = drawn(tex)
    root = ElementTree.fromstring(drawing.svg)
    assert len(list(root.iter())) > 3
    assert drawing.width > 5
    assert drawing.ascent + drawing.depth > 5
    assert b"symbol" not in drawing.svg  # Qt draws none
    assert b"#123456" in drawing.svg


def test_the_baseline_is_told():
    x, square = drawn("x"), drawn(r"\frac{x}{y}")
    assert 0 <= x.depth < 2
    assert square.depth > 6
    assert square.ascent > x.ascent


def test_a_formula_in_a_line_is_set_smaller():
    assert drawn(r"\frac12", display=False).ascent < drawn(r"\frac12").ascent


@pytest.mark.parametrize(
    "tex",
    [
        r"\text{面積} = \pi r^2",
        "面",
        "😀",
        r"\ce{H2O}",
        r"\undefinedmacro x",
        r"\begin{tikzpicture}\end{tikzpicture}",
        r"\text{costs $x$}",
        r"\frac{1}",
        r"x^",
        "}",
        "{",
        "{}",
        "",
        r"\left( x",
        "a & b",
        r"\newcommand{\a}{b} \a",
        r"\def\a{\a\a}\a",
        r"\href{file:///etc/passwd}{x}",
        r"\style{background:url(file:///x)}{x}",
        r"\color{url(#a)} x",
        r"\rule{9999em}{9999em}",
        r"\hspace{999999em} x",
        r"\mathop{\sum\sum}",
        "x" * (formulas.LONGEST + 1),
        "x^{" * 12 + "x" + "}" * 12,
        r"\frac{1}{" * 12 + "x" + "}" * 12,
        r"\sqrt" * 12 + " x",
        r"\left(" * 12 + "x" + r"\right)" * 12,
        r"\begin{matrix}" * 12 + "x" + r"\end{matrix}" * 12,
        "{" * 3000 + "}" * 3000,
        r"\displaystyle " * 12 + "x",
    ],
)
def test_what_would_be_drawn_wrongly_or_slowly_is_refused(tex):
    with pytest.raises(Unfit):
        drawn(tex)


PIECES = [
    "x", "1", "^", "_", "{", "}", "{", "}", "\\frac", "\\sqrt", "\\left(", "\\right)", "&", "\\\\",
    "\\begin{matrix}", "\\end{matrix}", "\\text{a<b}", "<", ">", "'", "\\alpha", "\\sum", " ", "$",
    "\\color{red}", "\\tag{1}", "\\", "[", "]", "%", "#", "<image href='file:///x'/>", "&lt;mo&gt;",
    "\\overbrace", "\\limits", "\\middle|", "面", "\\hspace{1em}", "\\not", "\\substack", "\\big",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), st.booleans())
def test_any_formula_is_shapes_or_refused(tex, display):
    try:
        drawing = drawn(tex, display=display)
    except Unfit:
        return
    assert 0 < drawing.width < 20_000
    assert 0 < drawing.ascent + drawing.depth < 6_000
    assert not re.search(rb"<(image|text|use|style|script|a)\b|href|file:", drawing.svg)


@pytest.mark.parametrize("tex", [r"\rule{3em}{3em}", r"\boxed{x}", r"\cancel{x}", r"\frac12"])
def test_nothing_is_left_black(tex):
    root = ElementTree.fromstring(drawn(tex).svg)
    for part in root.iter():
        assert part.get("stroke") in (None, "#123456", "none")
        if part.tag.rpartition("}")[2] in ("path", "rect", "ellipse", "polygon"):
            assert part.get("fill") in ("#123456", "none")
