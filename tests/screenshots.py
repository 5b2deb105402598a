"""Pictures of the real window in its states, light and dark: `python3 dev.py screenshots [DIR]`.

    python -m tests.screenshots DIR [--language zh_CN] [--theme dark] [--scale 1.5]

All languages, themes and scales, each in a folder of DIR for language and scale. Each is one start
of the program with a profile of its own, some conversations in its list, and the demo checkpoint.
The answers in the pictures are the demo's own, but for two conversations that show what larger
checkpoints write. The large folders are layouts without weights.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from qwen_desktop.chat.events import Stage
from qwen_desktop.chat.messages import (
    AnswerStats,
    Message,
    Part,
    PartKind,
    Role,
    Status,
    user_message,
)
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.storage.store import Store
from tests.list_pictures import put_in_order, take_list
from tests.memory_pictures import take_memory
from tests.models_pictures import take_models
from tests.servers_pictures import take_servers
from tests.turn_pictures import long_talk, take_full, take_stretched, take_thinking, take_turns
from tests.window_pictures import markdown_talk, take_window

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from tests.e2e.driver import Driver

DAY_S = 86_400
THEMES = ("light", "dark")
LANGUAGES = ("en", "zh_CN")
SCALES = ("1", "1.5")

LONG_ANSWER = """\
The cache keeps one **key** and one **value** vector per layer for every token, so memory grows \
*linearly* with the context. 对 7B 模型而言，每个 token 约占 `0.5 MiB`。

```python
def kv_bytes(layers, heads, dim, n, bytes=2):
    return 2 * layers * heads * dim * n * bytes

print(kv_bytes(32, 32, 128, 8192) / 2**30)  # 4.0 GiB
```

| Context | KV cache | Total |
|--:|--:|--:|
| 2,048 | 1.0 GiB | 16.4 GiB |
| 8,192 | 4.0 GiB | 19.6 GiB |

1. Weights are constant.
2. Activations stay small because decoding handles one token at a time.

> Grouped-query attention divides the cache by the number of query heads that share one key.
"""

TALKS = (  # title, question, answer, age in days, status, error
    (
        "KV cache 与显存",
        "Why does GPU memory grow with the context length? 请用中文和英文说明。",
        LONG_ANSWER,
        0.001,
        Status.COMPLETE,
        "",
    ),
    (
        "Streaming decode loop",
        "Write a generator that stops on EOS.",
        "A generator that stops on EOS needs the",
        0.01,
        Status.FAILED,
        "The CUDA device ran out of memory after 9 tokens. The reply so far is kept.",
    ),
    ("翻译：产品说明书", "请把以下段落翻成简体中文", "好的，请贴上原文。", 1.1, "", ""),
    ("SQL window functions", "Explain row_number()", "It numbers rows.", 1.2, "", ""),
    ("Regex for ISO dates", "A regex for ISO dates?", r"`^\d{4}-\d{2}-\d{2}$`", 9, "", ""),
    ("旅游行程 🗾 京都三天", "帮我安排三天", "第一天：清水寺、祇园", 12, "", ""),
)


def fill(file: Path) -> None:
    """Some conversations, newest first."""
    store = Store.open(file)
    ids = {}
    for title, question, answer, age, status, error in reversed(TALKS):
        when = time.time() - age * DAY_S
        asked = user_message(question, None)
        said = Message(
            role=Role.ASSISTANT,
            parts=(Part(PartKind.TEXT, answer),),
            parent_id=asked.id,
            created_at=when,
            status=Status(status or "complete"),
            error=error,
            stats=AnswerStats("Qwen2.5-7B-Instruct", 31, 0, 0, 214, 0.3, 0.25, 5.08),
        )
        tree = Tree.of([asked, said])
        made = Conversation(title=title, created_at=when, updated_at=when, tree=tree)
        store.create(made)
        ids[title] = made.id
    put_in_order(store, ids)
    store.create(markdown_talk(time.time() - 1.15 * DAY_S))
    store.create(long_talk(time.time() - 20 * DAY_S))
    store.close()


def take(folder: Path, theme: str, language: str) -> None:
    """All pictures of one theme."""
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    from qwen_desktop.paths import demo_checkpoint
    from tests.e2e.driver import Driver
    from tests.engine.checkpoints import THINKING, chatty_checkpoint, make_checkpoint
    from tests.layouts import SIZE_7B, qwen2_layout

    work = Path(tempfile.mkdtemp(prefix="qwen-desktop-pictures-"))
    profile = work / "profile"
    fill(profile / "conversations.db")
    large = chatty_checkpoint(work / "Qwen2.5-0.5B-Instruct", megabytes=600)
    split(large, 4)
    driver = Driver(profile, "--checkpoint", str(large), "--theme", theme, "--language", language)
    app = driver.app

    def picture(name: str) -> None:
        driver.wait("the formulas", lambda: not driver.window.timeline.drawing)
        file = folder / f"{name}-{theme}.png"
        driver.picture(file)
        print(file, flush=True)

    def dialog(widget: QWidget, name: str) -> None:
        save(widget, folder / f"{name}-{theme}.png")
        widget.close()

    def during(signal: object, condition: Callable[[], bool], name: str) -> None:
        """Take one picture inside the first `signal` at which `condition` holds."""
        taken: list[str] = []

        def look(*_: object) -> None:
            if not taken and condition() and not driver.window.timeline.drawing:
                taken.append(name)
                picture(name)

        signal.connect(look)  # type: ignore[attr-defined]
        driver.wait(name, lambda: taken)
        signal.disconnect(look)  # type: ignore[attr-defined]

    driver.wait("the list", lambda: len(app.chats.list.top()) == len(TALKS) + 2)
    app.chats.open(next(row.id for row in app.chats.list.top() if row.title == TALKS[0][0]))

    def half_read() -> bool:
        progress = app.models.state.progress
        reading = progress is not None and progress.stage is Stage.READING
        return bool(reading and progress and progress.done > 0.4 * progress.total)

    during(app.models.changed, half_read, "loading")
    app.models.cancel()
    driver.wait("the end of the load", lambda: not app.models.state.busy)
    app.chats.open(next(row.id for row in app.chats.list.top() if row.title == TALKS[1][0]))
    driver.wait("the failed answer", lambda: "9 tokens" in driver.shown())
    picture("failed")

    app.chats.new()
    app.models.open(demo_checkpoint())
    driver.wait_ready()
    driver.wait("the suggestions", lambda: driver.window.empty.more.isVisible())
    seen: list[int] = []
    app.memory.sampled.connect(lambda sample: seen.append(sample.weights))
    driver.wait("the gauge", lambda: seen and 0 < seen[-1] < 2**24)
    picture("empty")
    app.chats.open(next(row.id for row in app.chats.list.top() if row.title == TALKS[0][0]))
    driver.wait("the long answer", lambda: driver.answers())
    picture("conversation")
    take_list(driver, picture, dialog)
    take_window(driver, picture, dialog, work)
    take_models(driver, dialog, demo_checkpoint(), work)
    take_servers(driver, picture, dialog)
    app.chats.new()

    def send(english: str, chinese: str) -> None:
        edit = driver.window.composer.edit  # its accessible name is translated
        edit.setPlainText(chinese if language == "zh_CN" else english)
        QTest.keyClick(edit, Qt.Key.Key_Return)

    send("How do I open a checkpoint?", "怎样打开检查点？")
    driver.wait("the first answer", lambda: driver.answers() and driver.answers()[0])
    driver.wait_idle()
    send("How large is the KV cache?", "KV 缓存有多大？")
    during(app.chats.message_changed, lambda: len(driver.answers()[-1]) > 75, "streaming")
    driver.wait_idle()
    send("Which keyboard shortcuts are there?", "有哪些快捷键？")
    driver.wait("a third answer", lambda: len(driver.answers()) == 3 and driver.answers()[2])
    app.chats.stop()
    driver.wait_idle()
    picture("stopped")

    take_turns(driver, picture, dialog)
    take_full(driver, picture, dialog)
    take_memory(driver, picture, dialog, send)

    broken = work / "Qwen3-8B"
    broken.mkdir()
    driver.drop_folder(broken)
    driver.wait("the sentence", driver.window.banner.isVisible)
    picture("error")
    driver.window.banner.dismiss()

    base = make_checkpoint(work / "Qwen3-0.6B-Base", "qwen3", template=None, num_hidden_layers=28)
    shutil.copy(Path(__file__).parents[1] / "LICENSE", base)
    app.chats.new()
    app.models.open(base)
    driver.wait_ready()
    driver.wait("a base model", lambda: driver.window.header.mode.isVisible())
    picture("completion")
    take_card(driver, folder / f"card-{theme}.png")

    take_thinking(driver, make_checkpoint(work / "Qwen3-0.6B", "qwen3", template=THINKING), picture)

    broken = make_checkpoint(work / "Qwen3-4B", "qwen3", shards=True)
    shards = sorted(broken.glob("*.safetensors"))
    shards[0].unlink()
    os.truncate(shards[1], 200)
    folders = (
        qwen2_layout(work / "Qwen2.5-7B-Instruct", shards=4, **SIZE_7B),
        qwen2_layout(work / "Qwen2.5-72B-Instruct"),
        broken,
    )
    for at, name in zip(folders, ("open", "open-too-large", "open-broken"), strict=True):
        take_dialog(driver, at, folder / f"{name}-{theme}.png")
    take_stretched(driver, folders[0], dialog)
    driver.close()


def split(folder: Path, shards: int) -> None:
    """Spread the single weight file of `folder` over several."""
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    tensors = load_file(file)
    names, index = list(tensors), {}
    for number in range(shards):
        shard = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        part = names[len(names) * number // shards : len(names) * (number + 1) // shards]
        save_file({name: tensors[name] for name in part}, folder / shard)
        index.update(dict.fromkeys(part, shard))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    file.unlink()


def take_card(driver: Driver, file: Path) -> None:
    """The model card, its layers opened."""
    checkpoints = driver.window.checkpoints
    checkpoints.show_card()
    card = checkpoints._card
    assert card is not None
    driver.wait("the card", lambda: card.pages.currentIndex() == 1)
    card.tree.expandToDepth(3)
    save(card, file)
    card.close()


def take_dialog(driver: Driver, folder: Path, file: Path) -> None:
    """The open dialog with what there is to say of a folder."""
    checkpoints = driver.window.checkpoints
    checkpoints.look_into(folder)
    dialog = checkpoints._dialog
    assert dialog is not None
    driver.wait("what there is to say", lambda: not dialog._request_id)
    driver.wait("another look", lambda: dialog.isVisible())
    save(dialog, file)
    dialog.reject()


def save(widget: QWidget, file: Path) -> None:
    """A picture of a window of its own."""
    assert widget.grab().save(str(file))
    print(file, flush=True)


def main() -> int:
    """Each look in a process of its own: there is one application object per process."""
    parser = argparse.ArgumentParser(prog="dev.py screenshots")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("pictures"))
    parser.add_argument("--language", choices=LANGUAGES, help="only in this language")
    parser.add_argument("--theme", choices=THEMES, help="only in this theme")
    parser.add_argument("--scale", choices=SCALES, help="only at this scale of the screen")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        take(given.folder, given.theme, given.language)
        return 0
    for language, scale, theme in product(LANGUAGES, SCALES, THEMES):
        wanted = (given.language or language, given.scale or scale, given.theme or theme)
        if wanted != (language, scale, theme):
            continue
        folder = given.folder / f"{language}-{scale}x"
        arguments = [str(folder), "--one", "--theme", theme, "--language", language]
        subprocess.run(
            [sys.executable, "-m", "tests.screenshots", *arguments],
            check=True,
            env={**os.environ, "QT_SCALE_FACTOR": scale},
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
