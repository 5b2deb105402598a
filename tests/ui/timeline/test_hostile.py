"""What a model may write that must not open, load or run anything."""

from __future__ import annotations

import ctypes
import os
import re
import sys

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QImage, QTextDocument
from PySide6.QtNetwork import QHostAddress, QTcpServer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QWidget

from qwen_desktop.chat.messages import PartKind, Status
from qwen_desktop.ui.timeline.leaf import Leaf
from qwen_desktop.ui.timeline.markdown import web_address
from tests.ui.timeline.conftest import answer, point_of, settle, shown_text, user

HOSTILE = r"""![remote](http://127.0.0.1:1/x.png) ![local](file:///etc/hostname)
![](data:image/png;base64,AA)

![share](\\host\share\x.png) [share](\\host\share) [run](javascript:alert(1)) [vb](vbscript:x)

[file](file:///etc/passwd) <file:///etc/passwd> <javascript:alert(1)> [data](data:text/html,x)

<img src="http://127.0.0.1:1/y.png"> <script>alert(1)</script> <a href="file:///etc">x</a>

<style>@import url(file:///etc/passwd)</style><link rel="stylesheet" href="file:///x.css">

<table background="http://127.0.0.1:1/z.png"><tr><td>x</td></tr></table>

| ![c](http://127.0.0.1:1/c.png) | <img src=x> |
|---|---|
| <b>x</b> | [l](file:///x) |

> ![q](http://127.0.0.1:1/q.png)

- ![i](http://127.0.0.1:1/i.png)

[ref]: file:///etc/passwd
[see][ref]

```<img src=x>
<img src="http://127.0.0.1:1/f.png">
```
"""


@pytest.fixture
def asked(monkeypatch):
    """Every address that a document asks for."""
    found = []
    original = Leaf.loadResource
    monkeypatch.setattr(
        Leaf,
        "loadResource",
        lambda self, kind, url: (found.append(str(url)), original(self, kind, url))[1],
    )
    return found


@pytest.mark.parametrize("status", [Status.COMPLETE, Status.STREAMING])
def test_nothing_is_asked_for(timeline, asked, status):
    timeline.resize(828, 2000)
    timeline.set_messages([user(HOSTILE), answer(HOSTILE, status, reasoning=HOSTILE)])
    settle()
    timeline.grab()
    assert asked == []
    html = "".join(leaf.toHtml() for leaf in timeline.view_at(1).leaves())
    assert "<img" not in html
    for scheme in ("file:", "javascript:", "data:", "vbscript:", "\\\\"):
        assert f'href="{scheme}' not in html


def test_what_is_refused_is_shown_as_text(timeline):
    timeline.set_messages([user("q"), answer(HOSTILE)])
    text = shown_text(timeline.view_at(1))
    for part in ("remote (http://127.0.0.1:1/x.png)", "<script>alert(1)</script>", "javascript:"):
        assert part in text


def test_a_streamed_attack_asks_for_nothing(timeline, asked):
    message = answer(status=Status.STREAMING)
    timeline.add(message)
    for at in range(0, len(HOSTILE), 9):
        message = message.appended(PartKind.TEXT, HOSTILE[at : at + 9])
        timeline.change(message)
    settle()
    timeline.grab()
    assert asked == []


@pytest.mark.parametrize(
    "address", ["file:///etc/hostname", "http://127.0.0.1:1/x", "data:image/png;base64,AA", "x.png"]
)
def test_a_text_widget_opens_nothing_even_if_it_is_told_to(timeline, tmp_path, address):
    timeline.set_messages([user("q"), answer("text")])
    (leaf,) = timeline.view_at(1).leaves()
    picture = QImage(40, 40, QImage.Format.Format_ARGB32)
    picture.fill(Qt.GlobalColor.red)
    assert picture.save(str(tmp_path / "x.png"))
    if address.startswith("file:"):
        address = QUrl.fromLocalFile(str(tmp_path / "x.png")).toString()
    leaf.setHtml(f'<img src="{address}">')
    timeline.grab()
    kind = QTextDocument.ResourceType.ImageResource.value
    loaded = leaf.document().resource(kind, QUrl(address))
    assert (loaded.width(), loaded.height()) == (1, 1)


def test_labels_read_no_markup(timeline):
    name = "<img src='file:///x'><b>Q</b>"
    failed = answer("x", Status.FAILED, error="<b>bold</b>", model=name)
    timeline.set_messages([user("q"), failed, answer("```<b>x</b>\n1\n```", model=name)])
    labels = timeline.findChildren(QLabel)
    assert {label.textFormat() for label in labels} == {Qt.TextFormat.PlainText}
    texts = {label.text() for label in labels}
    assert {name, "<b>bold</b>", "<b>x</b>"} <= texts


def test_users_write_plain_text(timeline):
    source = "<b>x</b> *y* [z](https://a.b)\n  indented"
    timeline.set_messages([user(source)])
    (leaf,) = timeline.view_at(0).leaves()
    assert leaf.toPlainText() == source
    assert 'href="https' not in leaf.toHtml()


def test_a_clicked_link_is_only_reported(timeline, mouse, qtbot):
    timeline.set_messages([user("q"), answer("see [this page](https://example.com/a?b=c) now")])
    settle()
    with qtbot.waitSignal(timeline.link_activated) as caught:
        mouse.click(point_of(timeline, 1, 0, 7))
    assert caught.args == [QUrl("https://example.com/a?b=c")]
    assert "this page" in shown_text(timeline.view_at(1))  # still the same document


def test_text_beside_a_link_reports_nothing(timeline, mouse, qtbot):
    timeline.set_messages([user("q"), answer("see [this](https://example.com) now, or later")])
    settle()
    with qtbot.assertNotEmitted(timeline.link_activated):
        mouse.click(point_of(timeline, 1, 0, 16))
        mouse.drag(point_of(timeline, 1, 0, 5), point_of(timeline, 1, 0, 16))


def test_a_link_is_reached_with_the_keyboard(timeline, qtbot):
    timeline.set_messages([user("q"), answer("see [this](https://example.com) now")])
    settle()
    (leaf,) = timeline.view_at(1).leaves()
    timeline.activateWindow()
    timeline.setFocus()
    for _ in range(10):
        if leaf.hasFocus():
            break
        QTest.keyClick(timeline.focusWidget() or timeline, Qt.Key.Key_Tab)
    assert leaf.hasFocus()
    with qtbot.waitSignal(timeline.link_activated) as caught:
        QTest.keyClick(leaf, Qt.Key.Key_Return)
    assert caught.args == [QUrl("https://example.com")]


@pytest.mark.parametrize(
    "source",
    [
        ">" * 500 + " deep",
        "".join("  " * i + "- x\n" for i in range(200)),
        "[" * 2000,
        "*" * 2000 + "a" + "*" * 2000,
        "`" * 3000,
        "$" * 3000,
        "\\(" * 2000,
        "| a " * 300 + "|\n" + "|-" * 300 + "|\n" + "| b " * 300 + "|\n",
        "\u202egnirts\u0000\ufeff\u2028x",
        "a\u0300" * 2000,
        "\ud800 lone",
    ],
)
def test_strange_text_is_shown(timeline, source):
    timeline.set_messages([user(source), answer(source)])
    settle()
    timeline.grab()
    assert timeline.view_at(1).height() > 20


# What leads somewhere, in every form in which a model can write it.
ADDRESSES = [
    "file://{folder}/x.png", "FILE://{folder}/x.png", "{folder}/x.png", "file:{folder}/x.css",
    "http://127.0.0.1:{port}/x.png", "https://127.0.0.1:{port}/x", "//127.0.0.1:{port}/x.png",
    "data:image/png;base64,iVBORw0KGgo=", "\\\\\\\\host\\\\share\\\\x.png", "javascript:alert(1)",
    "qrc:/x.png", ":/x.png", "math:0", "ftp://127.0.0.1:{port}/x",
]  # fmt: skip
FORMS = [
    "![]({0})", "![a](<{0}>)", "[a]({0})", "<{0}>", "[a][r]\n\n[r]: <{0}>", '<img src="{0}">',
    '<link rel="stylesheet" href="{0}">', "<style>p {{background:url({0})}}</style>",
    "| ![]({0}) |\n|-|\n| <img src='{0}'> |", "$\\href{{{0}}}{{x}}$",
    "$$\\text{{<image href='{0}'/>}}$$", "$\\includegraphics{{{0}}}$", "```{0}\n![]({0})\n```",
    "[^1]: ![]({0})\n\na[^1]", "> <img src='{0}'>", "- [ ] ![]({0}) <br> <video src={0}>",
]  # fmt: skip


class Watch:
    """Tells of every file of a folder that is opened, by whatever code of this process (Linux)."""

    OPENED = 0x20 | 0x1  # IN_OPEN, IN_ACCESS

    def __init__(self, folder) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_NONBLOCK)
        assert libc.inotify_add_watch(self._fd, os.fsencode(folder), self.OPENED) >= 0

    def events(self) -> bytes:
        try:
            return os.read(self._fd, 4096)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        os.close(self._fd)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="inotify is Linux's")
def test_no_address_is_opened_whatever_it_stands_in(timeline, asked, tmp_path):
    picture = QImage(4, 4, QImage.Format.Format_ARGB32)
    assert picture.save(str(tmp_path / "x.png"))
    (tmp_path / "x.css").write_text("p { color: red }")
    server = QTcpServer()
    assert server.listen(QHostAddress(QHostAddress.SpecialAddress.LocalHost))
    watch = Watch(tmp_path)
    try:
        (tmp_path / "x.css").read_text()
        assert watch.events()  # it does tell
        timeline.resize(828, 3000)
        count = 0
        for address in ADDRESSES:
            address = address.format(folder=tmp_path, port=server.serverPort())
            sources = [form.format(address) for form in FORMS]
            count += len(sources)
            timeline.set_messages([user(source) for source in sources])
            timeline.grab()
            timeline.set_messages([answer("\n\n".join(sources), reasoning=sources[0])])
            settle()
            timeline.grab()
            html = "".join(leaf.toHtml() for leaf in timeline.view_at(0).leaves())
            assert "<img" not in html.replace('<img src="math:', "")
            for found in re.findall('href="([^"]*)"', html):
                assert web_address(found) or found.startswith("#note:")
        assert count >= 200
        assert asked == []
        assert watch.events() == b""
        assert not server.hasPendingConnections()
    finally:
        watch.close()
        server.close()


MILLION = {
    "a line": "a", "words": "word ", "brackets": "[", "pictures": "![", "dollars": "$",
    "formulas": "$x$ ", "marks": "*a_", "backticks": "`", "tags": "<a ", "comments": "<!--",
    "entities": "&amp;", "combining": "a\u0300", "overrides": "\u202ea\u202d", "joined": "👩‍👧‍👦",
    "links": "[a](http://b) ", "environments": "\\begin{matrix}", "inline": "\\(", "notes": "[^a]",
    "breaks": "<br>", "backslashes": "\\",
}  # fmt: skip


FENCES = [("a line", "```\n"), ("words", "```js\n"), ("comments", "```html\n")]


@pytest.mark.parametrize(("kind", "fence"), [*((kind, "") for kind in MILLION), *FENCES])
def test_a_line_of_a_million_characters_is_shown_in_part(timeline, kind, fence):
    source = fence + MILLION[kind] * (1_000_000 // len(MILLION[kind]))
    timeline.set_messages([user("q"), answer(source)])
    settle()
    timeline.grab()
    view = timeline.view_at(1)
    (leaf,) = view.leaves()
    assert (0 if kind == "backticks" else 1000) <= leaf.length <= 130_000  # as Qt counts
    assert view.shown_end is not None
    assert len(leaf.formulas) <= 20_000


def test_quotes_without_end_are_kept_to_the_last_word(timeline):
    timeline.set_messages([user("q"), answer(">" * 10_000 + " deep"), answer("- " * 200 + "deep")])
    settle()
    for number in (1, 2):
        view = timeline.view_at(number)
        assert shown_text(view).endswith("deep")
        assert len(view.findChildren(QWidget)) < 100


@pytest.mark.parametrize(
    "opening", ["```py\n", "~~~\n", "<!--\n", "<script>\n", "$$\n", "\\[\n", "> ```\n> "]
)
def test_what_is_never_closed_is_shown(timeline, opening):
    timeline.set_messages([user("q"), answer(opening + "the rest")])
    settle()
    assert "the rest" in shown_text(timeline.view_at(1))
