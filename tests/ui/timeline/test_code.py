"""Code blocks: their header, wrapping, and saving as a file."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from qwen_desktop.chat.messages import PartKind, Status
from qwen_desktop.ui.timeline.code import CodeBlock
from qwen_desktop.ui.timeline.filenames import suggested_name
from tests.ui.timeline.conftest import answer, button, click, has_button, settle, user

WIDE = "x = [" + "1, " * 200 + "]"


def shown(timeline, source, status=Status.COMPLETE) -> CodeBlock:
    timeline.set_messages([user("q"), answer(source, status)])
    settle()
    (code,) = (block for block in timeline.view_at(1).block_views if isinstance(block, CodeBlock))
    return code


def test_long_lines_scroll_and_wrap_where_that_is_asked_for(timeline):
    code = shown(timeline, f"```python\n{WIDE}\ny = 2\n```\n\nafter")
    below = timeline.view_at(1).block_views[1]
    height, y = code.height(), below.y()
    assert code.body.horizontalScrollBar().maximum() > 0
    click(button(code, "Wrap lines"))
    assert code.body.horizontalScrollBar().maximum() == 0
    assert code.height() > height
    assert below.y() - y == code.height() - height
    assert button(code, "Wrap lines").isChecked()
    click(button(code, "Wrap lines"))
    assert (code.height(), below.y()) == (height, y)
    assert code.body.horizontalScrollBar().maximum() > 0


def test_wrapping_is_kept_while_code_grows_and_the_window_changes(timeline):
    message = answer(f"```\n{WIDE}\n", Status.STREAMING)
    timeline.set_messages([user("q"), message])
    settle()
    (code,) = timeline.view_at(1).block_views
    click(button(code, "Wrap lines"))
    height = code.height()
    timeline.change(message.appended(PartKind.TEXT, WIDE))
    assert code.height() > height
    narrow = code.height()
    timeline.resize(500, 600)
    settle()
    assert code.height() > narrow
    assert code.body.horizontalScrollBar().maximum() == 0


def test_wrapping_is_offered_only_where_a_line_is_too_long(timeline):
    assert not has_button(shown(timeline, "```\nshort\n```"), "Wrap lines")


def test_a_wrapped_line_is_copied_as_one(timeline):
    code = shown(timeline, f"```\n{WIDE}\n```")
    click(button(code, "Wrap lines"))
    assert code.body.text_between(0, code.body.length) == WIDE


def test_a_wide_block_in_a_list_grows_the_list(timeline):
    timeline.set_messages([user("q"), answer(f"- a\n  ```\n  {WIDE}\n  ```\n- b")])
    settle()
    view = timeline.view_at(1)
    height = view.height()
    click(button(view, "Wrap lines"))
    assert timeline.view_at(1).height() > height


@pytest.mark.parametrize(
    ("language", "name"),
    [
        ("python", "code.py"),
        ("c++", "code.cpp"),
        ("bash", "code.sh"),
        ("R", "code.R"),
        ("dockerfile", "Dockerfile"),
        ("makefile", "Makefile"),
        ("mermaid", "code.txt"),
        ("", "code.txt"),
        ("../../etc/passwd", "code.txt"),
        ("<b>", "code.txt"),
    ],
)
def test_a_file_is_named_by_its_language(timeline, qtbot, language, name):
    code = shown(timeline, f"```{language}\nx\ny\n```")
    with qtbot.waitSignal(timeline.save_requested) as caught:
        click(button(code, "Save code as…"))
    assert caught.args == [name, "x\ny\n"]
    assert suggested_name(language) == name


def test_html_is_code_in_that_language(timeline, qtbot):
    code = shown(timeline, "<div>\n<b>x</b>\n</div>")
    assert code.code == "<div>\n<b>x</b>\n</div>"
    qtbot.waitUntil(lambda: not code.colouring)
    assert code.body.document().firstBlock().layout().formats()


def test_the_buttons_are_reached_with_tab(timeline):
    code = shown(timeline, f"```\n{WIDE}\n```")
    timeline.activateWindow()
    wrap = button(code, "Wrap lines")
    wrap.setFocus(Qt.FocusReason.TabFocusReason)
    QTest.keyClick(wrap, Qt.Key.Key_Space)
    assert wrap.isChecked()


def test_a_line_that_would_hold_up_the_lexer_stays_in_one_colour(timeline):
    source = "<!--" * 15_000
    code = shown(timeline, source)
    assert code.code == source
    assert not code.colouring
    assert not code.body.document().firstBlock().layout().formats()
