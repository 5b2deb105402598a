"""The prompt inspector with a prompt of 32,768 tokens: opening, scrolling, following, copying.

Times of the window are what the GUI thread itself computes (its CPU time), medians over
repetitions, painting included; offscreen, in the usual size of the dialog. Taking the prompt apart
is the engine's work on its own thread, with the demo checkpoint's tokenizer. As a control, what
Qt's plain text view takes for the same text.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PySide6.QtCore import QObject, Signal

from qwen_desktop.chat import inspected_forms
from qwen_desktop.chat.inspected import Inspected
from qwen_desktop.chat.messages import Message, Part, PartKind, Role, user_message
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.settings import GenerationSettings

if TYPE_CHECKING:
    from qwen_desktop.ui.inspector import Inspector

TOKENS = 32_768
LIMIT = 40_000
REPEATED = 9
PAGES = 200
TEXT = """
the cache keeps one key and one value for every layer and token so memory grows with the context
while weights stay as they are 缓存 随着 上下文 增长 naïve 🎉 <|im_end|>
"""
WORDS = TEXT.split()


class Still(QObject):
    """A look that tells one prompt."""

    inspected = Signal(object)
    waits = Signal(object)
    failed = Signal(object)

    def __init__(self, found: Inspected) -> None:
        super().__init__()
        self.found = found

    def start(self) -> None:
        self.inspected.emit(self.found)

    def close(self) -> None:
        pass


def talk() -> tuple[Message, ...]:
    """Turns of some hundred tokens, more than are wanted."""
    messages: list[Message] = []
    for number in range(400):
        text = " ".join(WORDS[(number * 3 + n) % len(WORDS)] for n in range(90))
        parent = messages[-1].id if messages else None
        if number % 2:
            messages.append(Message(Role.ASSISTANT, (Part(PartKind.TEXT, text),), parent_id=parent))
        else:
            messages.append(user_message(text, parent))
    return tuple(messages)


def prepared() -> tuple[Inspected, float]:
    """A prompt of TOKENS tokens taken apart, and the seconds that took."""
    from qwen_desktop.engine.aside import Aside
    from qwen_desktop.engine.checkpoint import inspect
    from qwen_desktop.engine.inspecting import Inspecting
    from qwen_desktop.engine.loaded import Loaded
    from qwen_desktop.engine.prompting import Prompting
    from qwen_desktop.engine.start import create_engine
    from qwen_desktop.engine.tokenizer import load_tokenizer
    from qwen_desktop.paths import demo_checkpoint

    create_engine(lambda _: None)
    checkpoint = inspect(demo_checkpoint())
    tokenizer = load_tokenizer(checkpoint)
    loaded = Loaded(_Info(), checkpoint, tokenizer, None, frozenset(), {})  # type: ignore[arg-type]
    inspecting = Inspecting(loaded, Prompting(loaded, Aside()), _Nothing())  # type: ignore[arg-type]
    request = GenerationRequest("bench", talk(), GenerationSettings())
    # As many turns as make the wanted length.
    whole = inspecting.now(request, threading.Event(), 10**7)
    share = TOKENS / len(whole.tokens)
    count = int(len(request.messages) * share) // 2 * 2 + 1
    request = replace(request, messages=request.messages[:count])
    taken = []
    for _ in range(3):
        begun = time.perf_counter()
        found = inspecting.now(request, threading.Event(), LIMIT + TOKENS)
        taken.append(time.perf_counter() - begun)
    return replace(found, reused=TOKENS // 2), statistics.median(taken)


class _Info:
    name = "demo"
    fingerprint = ""


class _Nothing:
    """No conversation has been read."""

    def would_keep(self, _conversation: str, _prompt: object) -> int:
        return 0


def spent(action: Callable[[], object]) -> float:
    """Milliseconds of this thread's CPU time."""
    begun = time.thread_time()
    action()
    return (time.thread_time() - begun) * 1000


def opened(found: Inspected) -> Inspector:
    from PySide6.QtWidgets import QApplication

    from qwen_desktop.ui.inspector import Inspector

    dialog = Inspector(Still(found), "Bench", "")  # type: ignore[arg-type]
    dialog.show()
    QApplication.processEvents()
    dialog.view.viewport().repaint()
    return dialog


def pages(dialog: Inspector) -> list[float]:
    """Milliseconds of each page that is scrolled to."""
    bar, times = dialog.view.verticalScrollBar(), []

    def turn() -> None:
        bar.setValue(bar.value() + bar.pageStep())
        dialog.view.viewport().repaint()

    bar.setValue(0)
    while bar.value() < bar.maximum() and len(times) < PAGES:
        times.append(spent(turn))
    return times


def measure() -> dict[str, float]:
    from PySide6.QtWidgets import QApplication, QPlainTextEdit

    from qwen_desktop.ui import theme
    from qwen_desktop.ui.token_layout import Mode

    application = QApplication([])
    application.setStyle("Fusion")
    theme.use(theme.LIGHT)
    found, seconds = prepared()
    result = {"tokens": len(found.tokens), "segments": len(found.segments)}
    result["engine_ms"] = seconds * 1000
    opened(found).close()  # fonts
    times, dialogs = [], []
    for _ in range(REPEATED):
        times.append(spent(lambda: dialogs.append(opened(found))))
        dialogs.pop().close()
    result["open_ms"] = statistics.median(times)
    dialog = opened(found)
    for mode in Mode:
        result[f"mode_{mode.value}_ms"] = spent(
            lambda mode=mode: (dialog.modes[mode].setChecked(True), dialog.view.repaint())
        )
        scrolled = pages(dialog)
        result[f"page_{mode.value}_ms"] = statistics.median(scrolled)
        result[f"page_{mode.value}_max_ms"] = max(scrolled)
    dialog.modes[Mode.TEXT].setChecked(True)
    other = replace(found, reused=1)

    def follow() -> None:
        dialog._show(other)
        dialog.view.viewport().repaint()

    result["follow_ms"] = statistics.median([spent(follow) for _ in range(REPEATED)])
    result["search_ms"] = spent(lambda: dialog.view.search("cache"))
    for name, form in (
        ("text", inspected_forms.as_text),
        ("json", inspected_forms.as_json),
        ("python", inspected_forms.as_python),
    ):
        result[f"copy_{name}_ms"] = spent(lambda form=form: form(found))
    plain = QPlainTextEdit()
    plain.resize(dialog.view.size())
    plain.show()
    text = inspected_forms.as_text(found)
    result["control_plain_text_ms"] = spent(
        lambda: (plain.setPlainText(text), plain.viewport().repaint())
    )
    return result


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py bench inspector", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    given = parser.parse_args()
    result = measure()
    for name, value in result.items():
        print(f"{name:24} {value:10,.1f}")
    if given.json:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
