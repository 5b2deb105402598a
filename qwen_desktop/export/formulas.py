"""LaTeX formulas drawn as SVG by ziamath. No Qt; ziamath is imported at the first formula.

ziamath takes 10 ms for a usual formula, but twice as long with each level of nesting, and it
draws boxes for letters that its font lacks and words for commands that it does not know. What
would come to that is refused, and the caller shows the source.
"""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from qwen_desktop.export.mathrules import Formula

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

LONGEST = 4_000  # characters
_DEEPEST = 9  # levels of braces, `\left` and `\begin`
_MOST_WORK = 4_000  # tokens, each counted twice for every level it lies in: 2 s at most
_WIDEST, _TALLEST = 20_000, 6_000  # px at 100 %
_MARGIN = 1.0  # px around the ink

_TOKEN = re.compile(r"\\(?:begin|end)\s*\{[^{}]*\}|\\[A-Za-z]+|\\.|\S", re.DOTALL)
_TEXT = re.compile(r"\\(?:text[a-z]*|mbox|hbox|fbox)\s*\{[^{}]*\}")
_TAG = re.compile(r"\\tag(\*?)\s*\{([^{}]*)\}")
_DROPPED = re.compile(r"\\label\s*\{[^{}]*\}|\\(?:nonumber|notag)(?![A-Za-z])")
_ENVIRONMENT = re.compile(r"\\(begin|end)\s*\{([A-Za-z]+\*?)\}(\{\d+\})?")
# The names that latex2mathml has for them; "" stands for nothing.
_ENVIRONMENTS = {
    "equation": "", "align": "align*", "flalign": "align*", "alignat": "align*",
    "aligned": "align*", "alignedat": "align*", "eqnarray": "align*", "split": "align*",
    "gather": "displaylines", "gathered": "displaylines", "multline": "displaylines",
    "cases": "cases", "dcases": "cases", "array": "array", "matrix": "matrix",
    "pmatrix": "pmatrix", "bmatrix": "bmatrix", "Bmatrix": "Bmatrix", "vmatrix": "vmatrix",
    "Vmatrix": "Vmatrix", "smallmatrix": "smallmatrix",
}  # fmt: skip
# Macros could grow without end; the others name addresses and styles, or read text as it is.
_REFUSED = re.compile(
    r"\\(?:(?:re)?newcommand|providecommand|def|let|(?:re)?newenvironment|DeclareMathOperator|href"
    r"|url|class|style|cssId|verb|unicode|require|input|include|includegraphics|genfrac|mathchoice)"
    r"(?![A-Za-z])"
)
# What takes an argument that may be the next command.
_PREFIX = re.compile(
    r"\\(?:sqrt|[cdt]?frac|[dt]?binom|overset|underset|stackrel|hat|bar|vec|d{0,4}dot|tilde|check"
    r"|breve|acute|grave|wide(?:hat|tilde)|(?:over|under)(?:line|brace)|over(?:right|left)arrow"
    r"|boxed|cancel|[hv]?phantom|math(?:op|bin|rel|ord)|bm|boldsymbol|color|[a-z]+style)"
)
_STYLE = re.compile(r"\\(?:color|(?:display|text|script|scriptscript)style)")
_MATHOP = re.compile(r"\\mathop\s*\{\s*\\(?:mathrm|text|rm|operatorname)\s*\{?([A-Za-z ]+)\}?\s*\}")
_DELIMITED = re.compile(r"\\(begin|end)\{(?:[pbBvV]matrix|cases)\}")
_MOST_STYLES = 6  # each encloses all that comes after it
_LETTERS = {"mo", "mi", "mn", "mtext"}  # elements of MathML that hold no others
_SHAPES = {"path", "rect", "ellipse", "polygon"}
_ELEMENTS = {"svg", "g", "defs", "marker", *_SHAPES}


class Unfit(Exception):  # noqa: N818 - reads as what the formula is
    """The formula cannot be drawn, or not as it is meant."""


@dataclass(frozen=True)
class Drawing:
    """An SVG picture. Lengths in px; the baseline lies `depth` above its lower edge."""

    svg: bytes
    width: float
    ascent: float
    depth: float


def draw(formula: Formula, size: float, colour: str) -> Drawing:
    """The picture of a formula, its letters `size` px high, in a colour as `#rrggbb`.

    Raises Unfit. For worker threads: it may take two seconds.
    """
    from xml.etree.ElementTree import tostring

    tex = _prepared(formula.tex)
    library = _library()
    try:
        drawn = library.Latex(
            tex, size=size, color=colour, inline=not formula.display, margin=_MARGIN
        )
        box = drawn.node.bbox
        picture = drawn.svgxml()
    except Exception as error:
        raise Unfit(str(error)) from error
    if "\\" in "".join(drawn.mathml.itertext()).replace("\\\\", ""):
        raise Unfit("an unknown command")
    if any(len(part) for part in drawn.mathml.iter() if part.tag in _LETTERS):
        raise Unfit("an operator made of others")
    if any(glyph.index == 0 for glyph in _glyphs(drawn.node)):
        raise Unfit("a letter that the font lacks")
    _check(picture)
    _colour(picture, colour)
    width = box.xmax - box.xmin + 2 * _MARGIN
    ascent, depth = box.ymax + _MARGIN, -box.ymin + _MARGIN
    if not (all(map(math.isfinite, (width, ascent, depth))) and 0 < width < _WIDEST):
        raise Unfit("no width, or too much")
    if not 0 < ascent + depth < _TALLEST:
        raise Unfit("no height, or too much")
    return Drawing(tostring(picture), width, ascent, depth)


def _prepared(tex: str) -> str:
    """`tex` in the words of latex2mathml. Raises Unfit where it should not be tried."""
    if len(tex) > LONGEST:
        raise Unfit("too long")
    if _REFUSED.search(tex):
        raise Unfit("a command that is not followed")
    tex = _DROPPED.sub("", tex)
    tex = _TAG.sub(lambda tag: rf"\qquad\text{{{tag[2] if tag[1] else f'({tag[2]})'}}}", tex)
    tex = _ENVIRONMENT.sub(_environment, tex)
    tex = _MATHOP.sub(r"\\operatorname*{\1}", tex)
    _weigh(tex)
    # What stands beside a matrix, an exponent say, would be that of its last bracket.
    tex = _DELIMITED.sub(
        lambda found: f"{{{found[0]}" if found[1] == "begin" else f"{found[0]}}}", tex
    )
    # latex2mathml hands these signs on as they are, into XML.
    at, parts = 0, []
    for text in _TEXT.finditer(tex):
        parts.append(tex[at : text.start()].replace("<", r"\lt ").replace(">", r"\gt "))
        parts.append(html.escape(html.unescape(text[0]), quote=False))
        at = text.end()
    parts.append(tex[at:].replace("<", r"\lt ").replace(">", r"\gt "))
    return "".join(parts)


def _environment(found: re.Match[str]) -> str:
    kind, name, columns = found[1], found[2].removesuffix("*"), found[3] or ""
    if name not in _ENVIRONMENTS:
        raise Unfit("an unknown environment")
    known = _ENVIRONMENTS[name]
    if not known:
        return ""
    return rf"\{kind}{{{known}}}" + ("" if "alignat" in name or "alignedat" in name else columns)


def _weigh(tex: str) -> None:
    """Refuse what would take long. Raises Unfit."""
    depth = run = styles = 0
    work = 0
    for token in _TOKEN.findall(tex):
        if token == "$":
            raise Unfit("a formula within a formula")
        closes = token in ("}", "\\right") or token.startswith("\\end")
        opens = token in ("{", "\\left") or token.startswith("\\begin")
        styles += _STYLE.fullmatch(token) is not None
        # `\sqrt\sqrt x` nests without braces.
        run = run + 1 if _PREFIX.fullmatch(token) else 0
        depth += opens - closes
        if depth < 0:
            raise Unfit("it closes what is not open")
        work += 1 << min(depth + run, 16)
        if depth + run > _DEEPEST or work > _MOST_WORK or styles > _MOST_STYLES:
            raise Unfit("too much work")
    if depth:
        raise Unfit("it is still open")


@lru_cache(maxsize=1)
def _library() -> Any:
    """ziamath, set up so that Qt can show what it draws."""
    import ziamath
    from ziamath.config import config

    config.svg2 = False  # Qt knows no <symbol> in <use>
    return ziamath


def _glyphs(node: Any) -> Iterator[Any]:
    for child in getattr(node, "nodes", ()):
        glyph = getattr(child, "glyph", None)
        if glyph is not None:
            yield glyph
        yield from _glyphs(child)


def _check(picture: Element) -> None:
    """Shapes only: nothing that refers to anything else. Raises Unfit."""
    for element in picture.iter():
        if element.tag not in _ELEMENTS or (element.text and element.text.strip()):
            raise Unfit("more than shapes")
        for name, value in element.attrib.items():
            refers = "url(" in value and value != "url(#arrowhead)"
            if "href" in name or refers or name in ("style", "class"):
                raise Unfit("more than shapes")


def _colour(picture: Element, colour: str) -> None:
    """Give the formula's colour to rules and others that were left black."""
    for element in picture.iter():
        if element.tag in _SHAPES and element.get("fill", "black") == "black":
            element.set("fill", colour)
        if element.get("stroke") == "black":
            element.set("stroke", colour)
