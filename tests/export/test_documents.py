"""Markdown, plain text and HTML of conversations, whatever was said in them."""

import base64
import hashlib
import html as html_
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from qwen_desktop.chat.attached import attached
from qwen_desktop.chat.exporting import ExportOptions
from qwen_desktop.chat.messages import Role, user_message
from qwen_desktop.chat.record import Record
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.export import html, markdown, mathrules, plain, printed
from qwen_desktop.export.turns import clean, turns
from qwen_desktop.export.words import Words

from .conversations import T0, branched, said

WORDS = Words()
ALL = ExportOptions(versions=True, reasoning=True, details=True)
FORMS = (markdown, plain, html)

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</div></article></body></html><h1>out</h1>",
    "<!-- never closed",
    "<details open><summary>x",
    "[click](javascript:alert(1)) [data](data:text/html,x) [file](file:///etc/passwd)",
    '[a](https://e.org/"onmouseover="x) <https://e.org/?a=b&c="d">',
    "![tracked](https://tracker.example/pixel.png)",
    "[ref]\n\n[ref]: javascript:alert(1)",
    "```html\n<script>\n",
    "~~~~\n```\nstill inside",
    "````\n```",
    '```"><script>alert(1)</script>\nx\n```',
    "# You\n\n## Assistant",
    "---\n===",
    "\x00\x07\x1b[31mred\x1b[0m\x9b31m",
    "\u202ereversed\u202c \u2066isolated",
    "half \ud800 and \udfff",
    "one\r\ntwo\rthree",
    "你好，世界 🙂 𝄞",
    "List<String> and a < b && c > d &lt; &#60;",
    "`<b>` and <b>bold</b> and \\<i>",
    "| a | b |\n|---|:-:|\n| <br> | 1 |",
    "$\\frac{a}{b}$ and \\(x<y\\)",
    "x" * 1_000_000,
    "<" * 5000,
    "",
    "   \n\n",
]


def text_of(form, record, options=ALL):
    return "".join(form.rendered(record, options, WORDS))


class Page(HTMLParser):
    """The tags, attributes and text of an HTML document."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.text, self._open = [], [], [], []
        self.feed(source)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in ("meta", "br", "hr"):
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


# fmt: off
SAFE_TAGS = {
    "html", "head", "meta", "title", "style", "body", "section", "article", "h1", "h2", "h3", "h4",
    "h5", "h6", "p", "div", "details", "summary", "pre", "code", "span", "a", "em", "strong", "s",
    "blockquote", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "hr", "br", "sup",
}
SAFE_ATTRIBUTES = {
    "class", "dir", "lang", "charset", "content", "name", "http-equiv", "href", "title", "rel",
    "start",
}
# fmt: on


def check_safe(source):
    page = Page(source)
    assert set(page.tags) <= SAFE_TAGS
    for tag, name, value in page.attributes:
        assert name in SAFE_ATTRIBUTES, (tag, name)
        if name == "href":
            assert re.match(r"(https?://|mailto:)", value)
            assert ("a", "rel", "noopener noreferrer nofollow") in page.attributes
    assert page.tags.count("style") == page.tags.count("title") == 1
    return page


@pytest.mark.parametrize("text", HOSTILE, ids=[ascii(text)[:24] for text in HOSTILE])
@pytest.mark.parametrize("role", [Role.USER, Role.ASSISTANT])
def test_hostile_html_is_only_text(text, role):
    page = check_safe(text_of(html, said(text, roles=[role])))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", "".join(page.text))


@given(st.text(st.sampled_from("<>&\"'`~[]()!#*_-|\\$ \nab/:=?"), max_size=80))
@settings(max_examples=300, deadline=None)
def test_no_text_brings_its_own_tags_or_attributes_into_html(text):
    check_safe(text_of(html, said(text, text, title=text)))


def test_html_allows_its_style_and_nothing_else():
    source = text_of(html, said("Hi", "```python\nx = 1\n```"))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', source).group(1)
    style = re.search(r"<style>(.*?)</style>", source, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style
    assert "style=" not in source  # the policy would not let it through


def test_html_renders_markdown_of_the_model_and_keeps_that_of_the_user_as_typed():
    source = text_of(html, said("**not** bold", "**bold**\n\n```python\nx = 1\n```"))
    assert '<div class="plain" dir="auto">**not** bold</div>' in source
    assert "<strong>bold</strong>" in source
    assert '<span class="mi">1</span>' in source


def test_html_shows_where_a_picture_is_and_does_not_fetch_it():
    source = text_of(html, said("x", "![a cat](https://e.org/cat.png)"))
    assert "a cat (https://e.org/cat.png)" in source


@pytest.mark.parametrize("text", HOSTILE, ids=[ascii(text)[:24] for text in HOSTILE])
@pytest.mark.parametrize("form", [markdown, plain], ids=["markdown", "plain"])
def test_text_files_hold_nothing_that_commands_a_terminal(form, text):
    source = text_of(form, said(text, text, title=text))
    source.encode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", source)


def headings(source):
    """The headings of the second level that a reader of Markdown sees, outside of anything."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(source)
    return [
        tokens[index + 1].content
        for index, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag == "h2" and token.level == 0
    ]


@pytest.mark.parametrize(
    "text", [t for t in HOSTILE if "##" not in t and "===" not in t], ids=lambda t: ascii(t)[:24]
)
def test_no_message_swallows_the_ones_after_it_in_markdown(text):
    source = text_of(markdown, said(text, text, "last", title="Title"))
    assert headings(source) == ["You", "Assistant (Qwen3-8B)", "You"]


FRAGMENTS = [
    "```",
    "~~~",
    "````",
    "`",
    "\n",
    "    ",
    "> ",
    "- ",
    "<b>",
    "<!--",
    "<div>",
    "a",
    "\\",
    "</",
]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join))
@settings(max_examples=400, deadline=None)
def test_no_mixture_of_fences_and_tags_swallows_what_follows(text):
    source = markdown.contained(text)
    rest = "\n\n## After\n\nend"
    assert headings(source + rest)[-1:] == ["After"]
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(source + rest)
    kinds = {t.type for t in tokens} | {c.type for t in tokens for c in t.children or ()}
    assert not kinds & {"html_block", "html_inline"}


def test_markdown_is_verbatim_where_it_can_be():
    text = "# Mine\n\n* a\n* b\n\n```python\nprint('<b>')\n```\n\n`<i>` <https://e.org>"
    assert text in text_of(markdown, said(text))


def test_markdown_that_shows_tags_as_the_window_does_escapes_them():
    assert markdown.contained("List<String> `<b>`") == "List\\<String> `<b>`"


def test_an_open_fence_is_closed_with_its_own_marks():
    assert markdown.contained("~~~~py\n```\nx") == "~~~~py\n```\nx\n~~~~"
    assert markdown.contained("```\nx\n```") == "```\nx\n```"


def test_text_that_cannot_be_kept_in_is_fenced_longer_than_its_own_fences():
    assert markdown.fenced("````\nx") == "`````text\n````\nx\n`````"


def test_a_long_run_of_backticks_takes_no_time():
    """Tried from each of its beginnings it would take minutes, in which the window stands still."""
    source = "<b>" + "`" * 190_000 + "a"
    assert markdown.contained(source) == "\\" + source


def test_the_shown_branch_or_all_versions():
    shown = text_of(markdown, branched(), ExportOptions())
    assert "Wind" in shown
    assert "Soft" not in shown
    assert "> Stopped." in shown
    whole = text_of(markdown, branched(), ALL)
    order = [whole.index(text) for text in ("A haiku", "Soft *rain*", "More", "Wind")]
    assert order == sorted(order)
    assert "*Version 1 of 2*" in whole
    assert "*Version 2 of 2, in reply to: A haiku*" in whole


@pytest.mark.parametrize("form", FORMS, ids=["markdown", "plain", "html"])
def test_reasoning_and_details_come_where_asked_for(form):
    without = ExportOptions(versions=True, reasoning=False)
    assert "5-7-5" in text_of(form, branched(), ALL)
    assert "5-7-5" not in text_of(form, branched(), without)
    assert "seed 42" in text_of(form, branched(), ALL)
    assert "temperature 0.7" in text_of(form, branched(), ALL)
    assert "seed 42" not in text_of(form, branched(), without)
    assert "Qwen3-8B" in text_of(form, branched(), without)


def test_reasoning_is_folded_in_markdown():
    assert (
        "<details>\n<summary>Reasoning</summary>\n\n5-7-5\n\n</details>\n\nSoft *rain*"
        in text_of(markdown, branched(), ALL)
    )


def test_the_words_are_those_of_the_caller():
    words = Words(you="你", assistant_model="助手（{model}）", language="zh-CN")
    source = "".join(html.rendered(said("a", "b"), ALL, words))
    assert '<html lang="zh-CN">' in source
    assert "<h2>助手（Qwen3-8B）</h2>" in source


def test_a_date_beyond_the_calendar_is_left_out():
    record = said("a")
    record = replace(record, conversation=replace(record.conversation, created_at=1e300))
    assert text_of(markdown, record, ExportOptions()).startswith("# a\n\n## You")


def test_a_copied_conversation_is_what_was_said_without_reasoning():
    assert markdown.copied(branched(), WORDS) == (
        "## You\n\nA haiku\n\n## Assistant (Qwen3-8B)\n\nWind\n"
    )


@given(st.text(st.sampled_from("\\)]a("), min_size=1, max_size=14), st.data())
def test_the_end_of_a_formula_is_no_escaped_backslash(text, data):
    begin = data.draw(st.integers(0, len(text) - 1))
    expected, at = -1, begin
    while (at := text.find("\\", at, len(text) - 1)) >= 0:
        if text[at + 1] == ")":
            expected = at + 2
            break
        at += 2
    assert mathrules._find(text, ")", begin, len(text)) == expected


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", ["a,b\n1,2\n", *HOSTILE[:16]])
def test_files_are_told_with_their_names(form, text):
    message = replace(
        user_message("Sum up.", None, [attached("<b>table</b>.csv", text)]), id="q", created_at=T0
    )
    record = Record(Conversation("c", "Files", T0, T0, Tree().added(message)))
    told = text_of(form, record)
    assert told.count("Sum up.") == 1
    assert told.index("table") < told.index("Sum up.")
    if form is html:
        assert html_.escape(clean(text)) in told
        assert "<b>table" not in told
    else:
        assert clean(text).strip("\n") in told
        # What comes after a file is not in it.
        before = told[: told.index("Sum up.")]
        fence = before.rstrip().removesuffix("</details>").rstrip().split("\n")[-1]
        assert set(fence) == {"`"}
        assert fence not in clean(text)


def test_what_is_copied_names_files_without_their_text():
    message = user_message("Sum up.", None, [attached("table.csv", "secret")])
    record = Record(Conversation("c", "Files", T0, T0, Tree().added(message)))
    copied = markdown.copied(record, WORDS)
    assert "*File: table.csv*" in copied
    assert "secret" not in copied


def test_files_are_printed():
    message = user_message("Sum up.", None, [attached("table.csv", "a < b\n" * 10_000)])
    record = Record(Conversation("c", "Files", T0, T0, Tree().added(message)))
    (turn,) = turns(record, ALL, WORDS)
    pieces = list(printed.pieces(turn, WORDS))
    assert any("File: table.csv" in piece for piece in pieces)
    assert sum(piece.count("a &lt; b") for piece in pieces) == 10_000
    assert max(map(len, pieces)) < 100_000
