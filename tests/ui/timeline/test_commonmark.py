"""The examples of the CommonMark specification as our blocks show them, whole and streamed."""

from __future__ import annotations

import re
from dataclasses import replace
from html import escape
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from qwen_desktop.chat.messages import PartKind, Status
from qwen_desktop.ui.timeline import markdown
from qwen_desktop.ui.timeline.blocks import BlockStack
from qwen_desktop.ui.timeline.markdown import MarkdownTail, normalized, parse, web_address
from tests.commonmark import examples
from tests.ui.timeline.conftest import answer, shown_text

EXAMPLES = examples()
# Where an address is refused, what was to be one is read as text, and that has formulas here.
FORMULAS = {495, 498}
DEFINES = re.compile(r"\]:")


class Page(HTMLParser):
    """What a page says: its text, its code blocks, where its links lead."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.text, self.codes, self.links = "", [], []
        self._pre = False
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attributes):
        if tag == "pre":
            self._pre = True
            self.codes.append("")
        if tag == "a":
            self.links.append(dict(attributes).get("href") or "")

    def handle_endtag(self, tag):
        self._pre = self._pre and tag != "pre"

    def handle_data(self, data):
        self.text += data
        if self._pre:
            self.codes[-1] += data


def reference(every_address: bool) -> MarkdownIt:
    """The reference renderer, but with HTML shown as text and pictures named."""
    parser = MarkdownIt("commonmark")
    if not every_address:
        parser.validateLink = web_address

    def html_block(tokens, index, _options, _environment):
        return f"<pre>{escape(tokens[index].content)}</pre>"

    def html_inline(tokens, index, _options, _environment):
        return escape(tokens[index].content)

    def image(tokens, index, options, environment):
        name = parser.renderer.renderInlineAsText(tokens[index].children, options, environment)
        address = tokens[index].attrs["src"]
        return escape(f"{name} ({address})" if name else address)

    parser.renderer.rules.update(html_block=html_block, html_inline=html_inline, image=image)
    return parser


def squeezed(text: str) -> str:
    """Without the space between words and blocks, which is a matter of looks."""
    return re.sub(r"\s+", "", text)


def codes(blocks) -> list[str]:
    """The code of all blocks, in their order."""
    found = []
    for block in blocks:
        if block.kind == "code":
            found.append(block.code)
        found += codes(block.children)
    return found


def links(blocks) -> list[str]:
    found = []
    for block in blocks:
        found += [*Page(block.html).links, *links(block.children)]
    return [link for link in found if link]


@pytest.fixture
def stack(timeline):
    return BlockStack(timeline._shared, timeline.viewport())


def test_the_examples_are_those_of_the_specification():
    assert len(EXAMPLES) >= 650
    parser = MarkdownIt("commonmark")
    for one in EXAMPLES:
        assert squeezed(parser.render(one.markdown)) == squeezed(one.html)


@pytest.mark.parametrize("every_address", [True, False])
def test_every_example_reads_as_in_the_reference(stack, monkeypatch, every_address):
    """Its text as the widgets show it, its code, its links; with any address and with ours."""
    parser = reference(every_address)
    if every_address:
        monkeypatch.setattr(markdown._parser(), "validateLink", parser.validateLink)
    for one in EXAMPLES:
        source = normalized(one.markdown)
        meant = Page(parser.render(source))
        blocks = parse(source)
        stack.sync(0, [], False)
        stack.sync(0, blocks, False)
        text = "".join(leaf.toPlainText() for leaf in stack.leaves())
        if every_address or one.number not in FORMULAS:
            assert squeezed(text) == squeezed(meant.text), one
        assert codes(blocks) == meant.codes, one
        assert links(blocks) == [link for link in meant.links if link], one


def documents(pool) -> st.SearchStrategy[str]:
    """Texts of one to three examples, with or without a line between them."""
    joints = st.sampled_from(["", "\n", "\n\n"])
    parts = st.lists(st.tuples(st.sampled_from(pool), joints), min_size=1, max_size=3)
    return parts.map(lambda found: "".join(one.markdown + joint for one, joint in found))


def chunks(data, source: str):
    """The ends of pieces of `source`, of any size, to the last."""
    at = 0
    while at < len(source):
        at = min(len(source), at + data.draw(st.integers(1, max(2, len(source) // 4))))
        yield at


@settings(max_examples=150, deadline=None)
@given(documents([one for one in EXAMPLES if not DEFINES.search(one.markdown)]), st.data())
def test_growing_examples_give_the_blocks_of_the_whole_text(source, data):
    source = normalized(source)
    tail = MarkdownTail()
    for end in chunks(data, source):
        before = list(tail.blocks)
        first = tail.feed(source[:end])
        assert tail.blocks == parse(source[:end])
        assert tail.blocks[:first] == before[:first]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents(EXAMPLES), st.data())
def test_a_streamed_example_ends_as_it_would_be_opened(timeline, source, data):
    message = answer(status=Status.STREAMING)
    timeline.set_messages([message])
    begin = 0
    for end in chunks(data, source):
        message = message.appended(PartKind.TEXT, source[begin:end])
        timeline.change(message)
        begin = end
    done = replace(message, status=Status.COMPLETE)
    timeline.change(done)
    grown = timeline.view_at(0)
    assert grown.blocks == parse(normalized(source))
    seen = [(type(one), one.geometry()) for one in grown.block_views], shown_text(grown)
    timeline.set_messages([replace(done, id="other")])
    opened = timeline.view_at(0)
    assert ([(type(one), one.geometry()) for one in opened.block_views], shown_text(opened)) == seen
