"""The timeline: opening long conversations, streaming, resizing, jumping, and a soak.

Times are what the GUI thread itself computes (its CPU time), medians over repetitions, painting
included; offscreen, in the size of a usual window. Beside them stands what Qt's plain text browser
takes for the same text, and an empty event loop, on the same machine in the same minute.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from qwen_desktop.chat.messages import (
    AnswerStats,
    Message,
    Part,
    PartKind,
    Role,
    Status,
    user_message,
)

if TYPE_CHECKING:
    from qwen_desktop.ui.timeline.view import Timeline

SIZE = (860, 760)  # px of the pane
REPEATED = 9
FLUSH_S = 0.033
TOKENS_PER_S = 100
CHARACTERS_PER_TOKEN = 4
FLUSHES = 120  # of each kind and length
UNCOUNTED = 3  # flushes before them: what was there before is still being put away
LENGTHS = (100, 2_000, 20_000)
SOAK_S = 60
FORMULAS = ("x_{n}", "\\frac{a}{n}", "n^2", "\\sqrt{n}", "a_n + b")
FORMULA_KINDS = 40
FORMULA_COUNT = 200  # in the paragraph that grows

WORDS = tuple(
    "the cache keeps one key and one value for every layer and token so memory grows with the "  # noqa: SIM905
    "context while weights stay as they are and activations need little because decoding takes "
    "one token at a time 缓存 随着 上下文 增长".split()
)
CODE = '''def kv_bytes(layers: int, heads: int, size: int, count: int) -> int:
    """How many bytes the cache takes."""
    total = 2 * layers * heads * size * count  # keys and values
    return total * 2 if layers > 1 else total

'''


def words(count: int, at: int = 0) -> str:
    """`count` words, beginning somewhere."""
    return " ".join(WORDS[(at * 7 + n) % len(WORDS)] for n in range(count))


def prose(length: int) -> str:
    """Markdown of `length` characters as models write it, ending within a paragraph."""
    parts: list[str] = []
    size = number = 0
    while size < length:
        kind = number % 6
        if kind == 2:
            part = "\n".join(f"- **{words(2, n)}** {words(8, n)}" for n in range(4))
        elif kind == 4:
            part = f"## {words(4, number)}"
        else:
            part = f"{words(30, number)} `code_{number}` *{words(3)}* {words(20, number)}."
        parts.append(part)
        size += len(part) + 2
        number += 1
    parts.append(words(6))
    return "\n\n".join(parts)[: length - 30] + "\n\n" + words(5)[:28]


def code(length: int) -> str:
    """An answer of `length` characters that ends within a block of code."""
    return f"{words(12)}:\n\n```python\n{CODE * (length // len(CODE) + 1)}"[:length]


def formulas(count: int) -> str:
    """One paragraph with that many formulas, ending between two of them."""
    parts = []
    for number in range(count):
        shape = FORMULAS[number % len(FORMULAS)]
        parts.append(f"{words(3, number)} ${shape.replace('n', str(number % FORMULA_KINDS))}$")
    return " ".join(parts) + " "


def answer_text(number: int) -> str:
    """About 2,700 characters: paragraphs, a list, code, a table."""
    table = "| context | cache | total |\n|--:|--:|--:|\n" + "| 2,048 | 1.0 | 16.4 |\n" * 4
    return "\n\n".join((prose(1500), f"```python\n{CODE * 3}```", table, prose(400), str(number)))


def conversation(count: int) -> list[Message]:
    """`count` messages in turn, 1,500 characters each on average."""
    found: list[Message] = []
    for number in range(count // 2):
        found.append(user_message(f"{number}: {words(45, number)}", None))
        stats = AnswerStats("Qwen3-4B", 900, 700, 0, 300, 0.3, 0.2, 5.0)
        text = (Part(PartKind.TEXT, answer_text(number)),)
        found.append(Message(Role.ASSISTANT, text, stats=stats))
    return found


# --- measuring ----------------------------------------------------------------------------------


def spent(action: Callable[[], object]) -> float:
    """Milliseconds of this thread for `action` and for painting what came of it."""
    from PySide6.QtCore import QCoreApplication

    begin = time.thread_time()
    action()
    QCoreApplication.sendPostedEvents()
    return (time.thread_time() - begin) * 1000


def settle(timeline: Timeline) -> None:
    """Let the neighbours be built, and old widgets go."""
    from PySide6.QtCore import QCoreApplication, QEvent, QEventLoop

    for _ in range(60):
        QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def made() -> Timeline:
    """A shown timeline with everything imported that it needs."""
    from PySide6.QtWidgets import QApplication

    from qwen_desktop.ui import theme
    from qwen_desktop.ui.timeline.view import Timeline

    application = QApplication.instance() or QApplication(["bench"])
    assert isinstance(application, QApplication)
    application.setStyle("Fusion")
    theme.use(theme.LIGHT)
    application.setFont(theme.body_font())
    timeline = Timeline()
    timeline.resize(*SIZE)
    timeline.show()
    timeline.set_messages(conversation(4))
    settle(timeline)
    # As the application does after its imports: what is there for good is not looked at again.
    gc.collect()
    gc.freeze()
    return timeline


def repeated(timeline: Timeline, one: Callable[[int], float]) -> float:
    """The median of several times."""
    times = []
    for number in range(REPEATED):
        times.append(one(number))
        settle(timeline)
    return statistics.median(times)


def opening(timeline: Timeline, messages: list[Message], other: list[Message]) -> dict[str, float]:
    """From another conversation to this one: until it is painted, and all that follows."""
    from tests.bench._turns import Turns, rest

    turns = Turns()
    later: list[float] = []

    def one(_: int) -> float:
        timeline.set_messages(other)
        settle(timeline)
        gc.collect()
        took = spent(lambda: timeline.set_messages(messages))
        turns.begin()
        rest(400)
        later.append(sum(turns.taken()))
        return took

    return {"ms": repeated(timeline, one), "later_ms": statistics.median(later)}


def streaming(timeline: Timeline, text: str, grown: str) -> list[float]:
    """Milliseconds of each flush while an answer grows from `text` by pieces of `grown`."""
    from PySide6.QtCore import QCoreApplication, QEvent

    from tests.bench._turns import Turns, rest

    message = Message(
        Role.ASSISTANT,
        (Part(PartKind.TEXT, text),),
        status=Status.STREAMING,
        stats=AnswerStats(model="Qwen3-4B"),
    )
    timeline.set_messages([user_message("q", None), message])
    settle(timeline)
    while timeline.drawing:
        rest(20)
    settle(timeline)
    piece = round(FLUSH_S * TOKENS_PER_S * CHARACTERS_PER_TOKEN)
    turns, times = Turns(), []
    gc.collect()
    for number in range(-UNCOUNTED, FLUSHES):
        begin = time.monotonic()
        message = message.appended(
            PartKind.TEXT, grown[number * piece % len(grown) :][:piece] or grown[:piece]
        )
        turns.begin()
        took = spent(lambda message=message: timeline.change(message))  # type: ignore[misc]
        turns.begin()
        rest(max(1, round((FLUSH_S - (time.monotonic() - begin)) * 1000)))
        # What timers did between two flushes is work for this one, too.
        if number >= 0:
            times.append(took + sum(turns.taken()))
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    return times


def idle_ms() -> float:
    """What the measuring of one flush costs by itself."""
    from tests.bench._turns import Turns, rest

    turns, times = Turns(), []
    for _ in range(20):
        turns.begin()
        rest(33)
        times.append(sum(turns.taken()))
    return statistics.median(times)


def percentile(times: list[float], share: float) -> float:
    """The time that `share` of all do not exceed."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def resizing(timeline: Timeline, messages: list[Message]) -> float:
    """One step of a window that is made narrower and wider."""
    timeline.set_messages(messages)
    settle(timeline)
    widths = [SIZE[0] - 17 * (n % 7 + 1) for n in range(REPEATED * 2)]
    times = []
    for width in widths:
        times.append(spent(lambda width=width: timeline.resize(width, SIZE[1])))  # type: ignore[misc]
        settle(timeline)
    timeline.resize(*SIZE)
    return statistics.median(times)


def jumping(timeline: Timeline, messages: list[Message]) -> dict[str, float]:
    """To messages that have no widget yet, and to the end."""
    timeline.set_messages(messages)
    settle(timeline)
    places = [(n * 977 + 311) % (len(messages) - 60) for n in range(REPEATED)]
    there = repeated(
        timeline, lambda n: spent(lambda: timeline.show_message(messages[places[n]].id))
    )

    def to_end(_: int) -> float:
        timeline.verticalScrollBar().setValue(0)
        settle(timeline)
        bar = timeline.verticalScrollBar()
        return spent(lambda: bar.setValue(bar.maximum()))

    return {"ms": there, "end_ms": repeated(timeline, to_end)}


def soaking(timeline: Timeline, seconds: float) -> dict[str, float]:
    """Answers stream one after another at 100 tokens per second, text and code in turn.

    Gaps are turns of the event loop as the GUI thread computes them; wall times stand beside.
    """
    from tests.bench._turns import Turns, rest

    timeline.set_messages(conversation(40))
    settle(timeline)
    wall: list[float] = []
    end = time.monotonic() + seconds
    piece = round(FLUSH_S * TOKENS_PER_S * CHARACTERS_PER_TOKEN)
    number = 0
    gc.collect()
    turns = Turns()
    turns.begin()
    while time.monotonic() < end:
        timeline.add(user_message(words(20, number), None))
        text = prose(6_000) if number % 2 else answer_text(number) + "\n\n" + code(4_000)
        message = Message(Role.ASSISTANT, (), status=Status.STREAMING)
        timeline.add(message)
        for at in range(0, len(text), piece):
            if time.monotonic() > end:
                break
            message = message.appended(PartKind.TEXT, text[at : at + piece])
            begin = time.monotonic()
            timeline.change(message)
            rest(33)
            wall.append((time.monotonic() - begin) * 1000 - 33)
        timeline.change(Message(**{**vars(message), "status": Status.COMPLETE}))
        rest(33)
        number += 1
    return {
        "longest_gap_ms": max(turns.taken()),
        "late_ms_p99": percentile(wall, 0.99),
        "late_ms_max": max(wall),
        "flushes": len(wall),
    }


def browser(text: str, last: str) -> dict[str, float]:
    """Qt's own text browser with the same text: opened, and set anew with each flush."""
    from PySide6.QtWidgets import QTextBrowser

    shown = QTextBrowser()
    shown.resize(*SIZE)
    shown.show()
    opened = []
    for _ in range(3):
        shown.clear()
        opened.append(spent(lambda: shown.setMarkdown(text)))
    flushes = []
    for number in range(10):
        grown = last + words(3 * number)
        flushes.append(spent(lambda grown=grown: shown.setMarkdown(grown)))  # type: ignore[misc]
    return {"open_ms": statistics.median(opened), "flush_ms": statistics.median(flushes)}


def memory() -> dict[str, float]:
    """MiB that 5,000 messages take, with their text and what is built of them."""
    import psutil

    process = psutil.Process()
    timeline = made()
    gc.collect()
    before = process.memory_info().rss
    messages = conversation(5000)
    gc.collect()
    texts = process.memory_info().rss
    timeline.set_messages(messages)
    settle(timeline)
    bar = timeline.verticalScrollBar()
    for share in (0.1, 0.5, 0.9, 1.0):
        bar.setValue(int(bar.maximum() * share))
        settle(timeline)
    gc.collect()
    after = process.memory_info().rss
    return {"mb": (after - before) / 2**20, "widgets_mb": (after - texts) / 2**20}


# --- the report ---------------------------------------------------------------------------------


def measure(soak: float, parts: tuple[str, ...]) -> dict[str, Any]:
    """All numbers, printed as they come."""
    result: dict[str, Any] = {}

    def line(words: str, key: str, value: float, goal: float = 0) -> None:
        result[key] = round(value, 2)
        told = f"goal {goal:g}" + ("" if value <= goal else "  MISSED") if goal else ""
        print(f"  {words:<52} {value:>9.2f}   {told}", flush=True)

    timeline = made()
    line("an event loop without work, per 33 ms", "idle_ms", idle_ms())
    if "open" in parts:
        small, long = conversation(200), conversation(5000)
        other = conversation(20)
        found = opening(timeline, small, other)
        line("opening 200 messages", "open200_ms", found["ms"], 50)
        line("  what follows while one reads", "open200_later_ms", found["later_ms"])
        found = opening(timeline, long, other)
        line("opening 5,000 messages", "open5000_ms", found["ms"], 80)
        line("  what follows while one reads", "open5000_later_ms", found["later_ms"])
        line("one step of a resize", "resize_ms", resizing(timeline, small), 16)
        found = jumping(timeline, long)
        line("jump to another message of 5,000", "jump_ms", found["ms"], 40)
        line("  to the end", "jump_end_ms", found["end_ms"], 40)
        child = [sys.executable, __file__, "--child-memory"]
        out = subprocess.run(child, check=True, capture_output=True, text=True).stdout
        mb = json.loads(out.splitlines()[-1])
        line("memory of 5,000 messages, MiB", "open5000_mb", mb["mb"], 60)
        line("  without their text", "open5000_widgets_mb", mb["widgets_mb"])
    if "flush" in parts:
        for name, times in flushes(timeline):
            for kind, value, goal in (
                ("mean", statistics.mean(times), 5),
                ("p99", percentile(times, 0.99), 12),
            ):
                line(f"one flush, {name}, {kind}", f"flush_{name}_ms_{kind}", value, goal)
        for kind, goal in (("mean", 5), ("p99", 12)):
            worst = max(v for k, v in result.items() if k.endswith(f"_ms_{kind}"))
            line(f"one flush, the worst of these, {kind}", f"flush_ms_{kind}", worst, goal)
    if "soak" in parts:
        found = soaking(timeline, soak)
        line(
            f"longest turn in {soak:g} s of streaming",
            "longest_gap_ms",
            found["longest_gap_ms"],
            50,
        )
        line("  a flush came late by, p99, wall", "late_ms_p99", found["late_ms_p99"])
        line("  at most", "late_ms_max", found["late_ms_max"])
    if "browser" in parts:
        text = "\n\n".join(message.text for message in conversation(200))
        found = browser(text, prose(20_000))
        line("QTextBrowser, 200 messages", "browser_open200_ms", found["open_ms"])
        line("QTextBrowser, one flush at 20,000", "browser_flush_ms", found["flush_ms"])
    return result


def flushes(timeline: Timeline) -> Iterator[tuple[str, list[float]]]:
    """All kinds and lengths of a last message."""
    for length in LENGTHS:
        yield f"text_{length}", streaming(timeline, prose(length), words(400) + ".\n\n")
        yield f"code_{length}", streaming(timeline, code(length), CODE * 4)
    paragraph = formulas(FORMULA_COUNT)
    yield f"formulas_{FORMULA_COUNT}", streaming(timeline, paragraph, formulas(80))


PARTS = ("open", "flush", "soak", "browser")


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py bench timeline", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--soak", type=float, default=SOAK_S, help="seconds of streaming")
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    parser.add_argument("--child-memory", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child_memory:
        print(json.dumps(memory()))
        return 0
    result = measure(given.soak, (given.only,) if given.only else PARTS)
    if given.json:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
