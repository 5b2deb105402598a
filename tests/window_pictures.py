"""Pictures of what the window offers besides talking: commands, finding, files, dialogs, looks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qwen_desktop.chat.messages import AnswerStats, Message, Part, PartKind, Role, user_message
from qwen_desktop.chat.tree import Conversation, Tree

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from tests.e2e.driver import Driver

Picture = Callable[[str], None]
Save = Callable[["QWidget", str], None]

MARKDOWN_TALK = "Everything Markdown can"
_REASONING = (
    "The user wants the attention formula and what it costs. I should name the shapes first, then "
    "the sum over positions, and end with a table."
)
_ASKED = "How does attention weigh the values? Formula, code and costs, please."
_SAID = r"""Each query is compared with every key; the weights are

$$\mathrm{softmax}\!\left(\frac{QK^\top}{\sqrt{d_k}}\right)V, \qquad \sum_{j=1}^{n} a_{ij} = 1$$

so for $n$ tokens one layer takes $\mathcal{O}(n^2 d)$ steps.[^1] 在解码时每步只算一行。

- [x] Keys and values are **cached**
- [x] Heads of a group share them
  1. `num_key_value_heads` = 2
  2. `num_attention_heads` = 14
- [ ] ~~Everything is read again~~

```python
def attention(q, k, v):  # (heads, tokens, dim)
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5  # every query with every key: n * n
    return scores.softmax(-1) @ v
```

| Context | Scores of one head | With 14 heads | Cache (BF16) | Read for one token | 说明 |
|--:|--:|--:|--:|--:|:--|
| 1,024 | 1,048,576 | 14,680,064 | 12 MiB | 12 MiB | 短对话 |
| 32,768 | 1,073,741,824 | 15,032,385,536 | 384 MiB | 384 MiB | 整本书 |

> Prices like $5 and $10 are no formulas, and ![a picture](https://example.org/a.png) stays words.

[^1]: See *Attention Is All You Need*, section 3.2.
"""
_FILE = "layer,heads,bytes\n0,14,12582912\n1,14,12582912\n"


def markdown_talk(when: float) -> Conversation:
    """A conversation with a file, reasoning, and an answer with all that Markdown offers."""
    asked = user_message(_ASKED, None, (Part(PartKind.FILE, _FILE * 3, "cache.csv"),))
    said = Message(
        role=Role.ASSISTANT,
        parts=(Part(PartKind.REASONING, _REASONING), Part(PartKind.TEXT, _SAID)),
        parent_id=asked.id,
        created_at=when,
        stats=AnswerStats("Qwen3-4B", 212, 96, 96, 402, 0.31, 0.28, 9.6, 2.3),
    )
    return Conversation(
        title=MARKDOWN_TALK, created_at=when, updated_at=when, tree=Tree.of([asked, said])
    )


def take_window(driver: Driver, picture: Picture, save: Save, work: Path) -> None:
    """With the demo checkpoint open and the talk `MARKDOWN_TALK` in the list."""
    chats = driver.app.chats
    chats.open(next(row.id for row in chats.list.top() if row.title == MARKDOWN_TALK))
    driver.wait("the talk", lambda: driver.window.header.title.text() == MARKDOWN_TALK)
    picture("markdown")
    _take_end(driver, picture)
    _take_finding(driver, picture)
    _take_menus(driver, save)
    _take_composer(driver, picture, save, work)
    _take_commands(driver, picture, save)
    _take_files(driver, save)
    _take_looks(driver, picture)


def _take_end(driver: Driver, picture: Picture) -> None:
    """The lower half, and the reasoning opened above it."""
    bar = driver.window.timeline.verticalScrollBar()
    bar.setValue(bar.maximum())
    settle(driver)
    picture("markdown-end")
    bar.setValue(0)


def _take_finding(driver: Driver, picture: Picture) -> None:
    from qwen_desktop.ui.find_bar import FindBar

    window = driver.window
    window.acts.by_name["find"].trigger()
    bar = window.findChild(FindBar)
    assert bar is not None
    bar.field.setText("cache")
    driver.wait("the count", lambda: bar.count.text())
    settle(driver)
    picture("find")
    bar.leave()


def _take_menus(driver: Driver, save: Save) -> None:
    window = driver.window
    window.commanding.show_menu()
    menu = _popup(driver)
    save(menu, "menu")
    menu.close()


def _take_composer(driver: Driver, picture: Picture, save: Save, work: Path) -> None:
    """Files of a draft, commands as they are typed, the prompt library."""
    from PySide6.QtTest import QTest

    from qwen_desktop.ui.file_chips import FileChip
    from qwen_desktop.ui.prompts_dialog import PromptsDialog

    window, app = driver.window, driver.app
    edit, files = window.composer.edit, window.composer.attachments
    notes, table = work / "会议记录.md", work / "measurements.csv"
    notes.write_text("# 记录\n\n" + "- 显存随上下文线性增长。\n" * 12, encoding="utf-8")
    table.write_text(_FILE * 4, encoding="utf-8")
    window.attach.add([notes, table])

    def chips() -> list[FileChip]:
        return files.area.findChildren(FileChip)

    driver.wait("the files", lambda: len(files.files) == 2)
    edit.setPlainText("Summarise both, 用中文。")
    driver.wait(
        "their tokens",
        lambda: any("token" in c.detail or "词元" in c.detail for c in chips()),
    )
    settle(driver)
    picture("attachments")
    window.composer.clear()

    driver.to_front()
    window.composer.focus_edit()
    QTest.keyClicks(edit, "/")
    driver.wait("the commands", lambda: window.prompts.completion.isVisible())
    picture("commands")
    window.composer.clear()

    for name, text in (
        ("Translate", "Translate into {language}, keep the Markdown:\n\n{text}"),
        ("代码审查", "请审查以下 {language} 代码，先说最严重的问题：\n\n{code}"),
        ("Summary in three sentences", "Summarise in three sentences:\n\n{text}"),
    ):
        app.prompts.save(name, text)
    window.prompts.show_library()
    dialog = top(driver, "promptsDialog")
    assert isinstance(dialog, PromptsDialog)
    save(dialog, "prompts")


def _take_commands(driver: Driver, picture: Picture, save: Save) -> None:
    window = driver.window
    window.commanding.show_palette()
    palette = top(driver, "commandPalette")
    driver.wait("the commands", palette.isVisible)
    picture("palette")
    palette.close()
    window.commanding.show_shortcuts()
    save(top(driver, "shortcutsDialog"), "shortcuts")
    window.commanding.show_settings()
    save(top(driver, "settingsDialog"), "settings")


def _take_files(driver: Driver, save: Save) -> None:
    window = driver.window
    window.outgoing.export_shown()
    save(top(driver, "exportDialog"), "export")
    window.safekeeping.show_backups()
    save(top(driver, "backupsDialog"), "backups")


def _take_looks(driver: Driver, picture: Picture) -> None:
    """High contrast, compact, larger: each by its setting, and back."""
    preferences = driver.app.preferences
    for name, changes in (
        ("high-contrast", {"high_contrast": "on"}),
        ("compact", {"density": "compact"}),
        ("zoom-150", {"zoom": 150}),
    ):
        before = {key: preferences.get(key) for key in changes}
        for key, wanted in changes.items():
            preferences.set(key, wanted)
        settle(driver)
        picture(name)
        for key, kept in before.items():
            preferences.set(key, kept)
        settle(driver)


def top(driver: Driver, name: str) -> QWidget:
    """The window of that object name, once it is shown."""

    from PySide6.QtWidgets import QWidget

    def found() -> list[QWidget]:
        every = [*driver.qt.topLevelWidgets(), *driver.window.findChildren(QWidget)]
        return [w for w in every if w.objectName() == name and w.isVisible()]

    driver.wait(name, found)
    settle(driver)
    return found()[0]


def _popup(driver: Driver) -> QWidget:
    found: list[QWidget] = []

    def look() -> bool:
        widget = driver.qt.activePopupWidget()
        found[:] = [widget] if widget is not None else []
        return bool(found)

    driver.wait("the menu", look)
    return found[0]


def settle(driver: Driver) -> None:
    """Let what changed be laid out and painted: two turns of the event loop."""
    from PySide6.QtCore import QTimer

    turns: list[bool] = []

    def turn() -> None:
        turns.append(True)
        if len(turns) < 2:
            QTimer.singleShot(0, turn)

    turn()
    driver.wait("another look", lambda: len(turns) >= 2)
