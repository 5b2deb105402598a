"""Ten thousand conversations: the list, search, opening, saving while an answer streams, size.

The profile is made once (tests/profiles.py) and kept among the temporary files; what is measured
works on copies. The real application runs offscreen, each run a new process. Times of the GUI
thread are those of whole turns of its event loop.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.profiles import About, Wanted, kept

AS_WRITTEN_SHARE = 10  # the variant with provenance has a tenth of the conversations
TRIGRAM_SAMPLE = 20_000  # messages
ANSWERS = 3
LONGEST_ANSWER = 300  # tokens
OPENINGS = 5
QUERIES = 240
DATABASE = "conversations.db"


# --- in the window ------------------------------------------------------------------------------


def in_window(profile: Path, about: About) -> dict[str, Any]:
    """One start of the application: milliseconds of everything that is seen of it."""
    from PySide6.QtWidgets import QAbstractItemView

    from qwen_desktop import app as application
    from qwen_desktop.options import Options
    from qwen_desktop.paths import Profile
    from tests.bench._turns import Turns, rest, wait

    qt = application.application()
    turns = Turns()
    app = application.App(Options(Profile(profile), overrides={"max_new_tokens": LONGEST_ANSWER}))
    listed: list[float] = []
    view = app.window.sidebar.findChild(QAbstractItemView)
    assert view is not None

    def on_rows(*_: object) -> None:
        if app.chats.list.row_at(0) is not None:
            _when_painted(view.viewport(), listed)

    app.built.connect(lambda: app.chats.list.rows_changed.connect(on_rows))
    app.show()
    wait("the list", lambda: listed)
    rows = app.chats.list
    found: dict[str, Any] = {"list_at": listed[0], "listed": rows.shape.count}
    wait("a checkpoint", lambda: not app.models.state.busy and app.models.state.info)
    rest(1500)

    turns.begin()
    painted: list[float] = []
    began = time.perf_counter()
    view.scrollToBottom()
    wait("the end of the list", lambda: rows.row_at(rows.shape.count - 1) is not None)
    _when_painted(view.viewport(), painted)
    view.viewport().update()
    wait("the last rows", lambda: painted)
    found["list_scroll_ms"] = (time.perf_counter() - began) * 1000
    found["list_turn_ms"] = max(turns.taken())
    view.scrollToTop()
    rest(300)

    others = [row.id for n in range(20) if (row := rows.row_at(n)) and row.id != about.long_id]
    found |= _openings(app, about.long_id, others, turns)
    app.window.close()
    app.close()
    del qt
    return found


def _when_painted(widget: Any, moments: list[float]) -> None:
    """Add the Unix time of the next paint event of `widget`."""
    from PySide6.QtCore import QEvent, QObject

    class Painted(QObject):
        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            if event.type() is QEvent.Type.Paint:
                watched.removeEventFilter(self)
                moments.append(time.time())
            return False

    widget.installEventFilter(Painted(widget))
    widget.update()


def _openings(app: Any, long_id: str, others: Sequence[str], turns: Any) -> dict[str, Any]:
    """Open the long conversation from another one, several times."""
    from tests.bench._turns import rest, wait

    times, alls, waits = [], [], []
    for number in range(OPENINGS + 1):
        app.chats.open(others[number % len(others)])
        rest(800)
        opened: list[float] = []
        painted: list[float] = []

        def show(conversation: Any, opened: list[float] = opened, p: list[float] = painted) -> None:
            opened.append(time.time())
            _when_painted(app.window.timeline.viewport(), p)

        app.chats.opened.connect(show)
        began = time.time()
        turns.begin()
        app.chats.open(long_id)
        wait("the conversation", lambda painted=painted: painted)
        until_painted = turns.taken()
        rest(700)
        app.chats.opened.disconnect(show)
        if number:  # the first one imports
            times.append(sum(until_painted))
            alls.append(sum(turns.taken()))
            waits.append((painted[0] - began) * 1000)
    return {
        "open500_ms": statistics.median(times),
        "open500_later_ms": statistics.median(alls),
        "open500_shown_ms": statistics.median(waits),
    }


# --- search -------------------------------------------------------------------------------------


def queries(about: About, rng: random.Random, count: int) -> list[str]:
    """What people type: words and their beginnings, common and rare, and filters."""

    def word(chinese: bool, rare: bool = False) -> str:
        words = about.rare if rare else about.common
        return rng.choice([w for w in words if (w > "\u3000") is chinese])

    def typed() -> Iterator[str]:
        while True:
            english = word(False, rng.random() < 0.3)
            yield from (english[:n] for n in range(1, len(english) + 1))  # key by key
            yield word(True)
            yield word(True, rare=True)[:2]
            yield word(True)[:1]
            yield word(True) + word(True)
            yield word(True, rare=True)[:3]
            yield f"{word(False)} {word(False)}"
            yield f"{word(False)} {word(True)}"
            yield f"role:user {word(False)}"
            yield f"before:2025-06-01 {word(True)}"
            yield f"tag:code {word(False)}"
            yield word(False, rare=True)

    return [query for query, _ in zip(typed(), range(count))]


def searching(profile: Path, about: About) -> dict[str, Any]:
    """Milliseconds from asking to the hits being told on the main thread; the search alone."""
    from qwen_desktop import app as application
    from qwen_desktop.options import Options
    from qwen_desktop.paths import Profile
    from qwen_desktop.storage.search import Searcher
    from tests.bench._turns import rest, wait

    qt = application.application()
    app = application.App(Options(Profile(profile)))
    app.show()
    wait("the window at work", lambda: hasattr(app, "search"))
    wait("a checkpoint", lambda: not app.models.state.busy and app.models.state.info)
    rest(1500)
    asked = queries(about, random.Random(3), QUERIES)
    times, hits = [], 0
    for query in asked:
        took, count = _search(app.search, query)
        times.append(took)
        hits += count > 0
        rest(20)  # as after a key
    app.window.close()
    app.close()
    del qt
    alone = []
    searcher = Searcher(profile / DATABASE)
    for query in asked:
        began = time.perf_counter()
        searcher.search(query, 50)
        alone.append((time.perf_counter() - began) * 1000)
    searcher.close()
    return {"times": times, "alone": alone, "hits": hits / len(asked), "queries": asked}


def _search(search: Any, query: str) -> tuple[float, int]:
    """Milliseconds until the first hits of `query` are told, and how many they are."""
    from PySide6.QtCore import QEventLoop

    loop = QEventLoop()
    answer: list[tuple[float, int]] = []

    def on_found(found: Any) -> None:
        if found.query == query and not answer:
            answer.append((time.perf_counter(), len(found.hits)))
            loop.quit()

    search.found.connect(on_found)
    began = time.perf_counter()
    search.search(query)
    loop.exec()
    search.found.disconnect(on_found)
    return (answer[0][0] - began) * 1000, answer[0][1]


# --- an answer that streams ---------------------------------------------------------------------


def appending(profile: Path, about: About) -> dict[str, Any]:
    """The GUI thread's work for a piece of an answer in the long conversation, without painting.

    The real bridge, store and engine with the demo checkpoint. A turn counts in which text was
    added: events taken, folded, put into the conversation, given to the store.
    """
    from PySide6.QtCore import QCoreApplication

    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.bridge.engine_client import EngineClient
    from qwen_desktop.bridge.models import Models
    from qwen_desktop.bridge.store_client import StoreClient
    from qwen_desktop.chat.model import LoadRequest
    from qwen_desktop.chat.settings import SETTINGS
    from qwen_desktop.paths import demo_checkpoint
    from tests.bench._turns import Turns, rest, wait

    qt = QCoreApplication([])
    turns = Turns()
    settings = {setting.name: setting.default for setting in SETTINGS}
    settings |= {"max_new_tokens": LONGEST_ANSWER, "loop_guard": False, "temperature": 1.0}
    store, engine = StoreClient(profile / DATABASE), EngineClient()
    models = Models(engine)
    chats = Chats(store, engine, models, lambda: settings)
    store.start()
    engine.start()
    chats.start(about.long_id)
    models.open(LoadRequest(demo_checkpoint()))
    wait("a checkpoint", lambda: not models.state.busy and models.state.info)
    wait("the conversation", lambda: len(chats.current.tree.messages) > 1)
    folds: list[int] = []
    saved: list[Any] = []
    chats.message_changed.connect(lambda _: folds.append(turns.count))
    chats.answer_saved.connect(saved.append)
    times: list[float] = []
    for number in range(ANSWERS):
        assert chats.ask(f"Tell me a long story about number {number}.")
        wait("the answer", lambda: chats.run.running and chats.run.progress is None)
        folds.clear()
        turns.begin()
        wait("the end", lambda number=number: len(saved) > number)
        found = turns.taken()
        ends = max(folds)  # the last one ends the run, with all that follows from it
        times += [found[n] for n in set(folds) if n != ends]
        rest(200)
    chats.close()
    engine.close()
    store.close()
    del qt
    return {"times": times}


# --- size ---------------------------------------------------------------------------------------


def size(file: Path) -> int:
    """Bytes of a database that was closed: nothing is left in its log."""
    assert not file.with_name(file.name + "-wal").exists()
    return file.stat().st_size


def shares(file: Path, text_bytes: int) -> list[tuple[str, float]]:
    """Bytes of each table and index over the text, the largest first."""
    with closing(sqlite3.connect(file)) as connection:
        try:
            found = connection.execute(
                "SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE ORDER BY pgsize DESC"
            ).fetchall()
        except sqlite3.OperationalError:  # a SQLite made without it
            return []
    return [(name, nbytes / text_bytes) for name, nbytes in found]


def trigram(file: Path) -> dict[str, float]:
    """What an index of three characters each would take, over the text, of a sample."""
    from qwen_desktop.storage import rows

    with closing(sqlite3.connect(file)) as connection:
        texts = [
            "\n".join(part.text for part in rows.parts_from(raw, ""))
            for (raw,) in connection.execute(
                "SELECT parts FROM messages WHERE number % 10 = 3 LIMIT ?", (TRIGRAM_SAMPLE,)
            )
        ]
    text_bytes = sum(len(text.encode()) for text in texts)
    found = {}
    for detail in ("none", "full"):
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
            closing(sqlite3.connect(Path(folder) / "trigram.db")) as connection,
        ):
            connection.execute("PRAGMA page_size = 8192")
            connection.execute(
                "CREATE VIRTUAL TABLE words USING fts5(text, content='', columnsize=0,"
                f" detail='{detail}', tokenize='trigram')"
            )
            connection.executemany(
                "INSERT INTO words (rowid, text) VALUES (?, ?)", enumerate(texts)
            )
            connection.execute("INSERT INTO words (words) VALUES ('optimize')")
            connection.commit()
            connection.execute("VACUUM")
            found[f"trigram_{detail}_over_text"] = (
                Path(folder) / "trigram.db"
            ).stat().st_size / text_bytes
    return found


# --- all of it ----------------------------------------------------------------------------------


def child(kind: str, folder: Path, about: About) -> tuple[dict[str, Any], str]:
    """Run one part on a copy of the profile in a process of its own: result, standard error."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["QWEN_DESKTOP_TRACE_FIRST_PAINT"] = "print"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        profile = Path(temporary) / "profile"
        profile.mkdir()
        shutil.copyfile(folder / DATABASE, profile / DATABASE)
        command = [sys.executable, __file__, "--child", kind, str(profile), str(folder)]
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", env=environment, check=False
        )
    if done.returncode:
        raise SystemExit(f"{kind} failed with status {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def first_paint(errors: str) -> float:
    """The Unix time of the first paint that the application told."""
    return next(
        float(line.split()[1]) for line in errors.splitlines() if line.startswith("first-paint ")
    )


def told(what: str) -> Callable[[int, int], None]:
    """A line now and then while a profile is made."""
    last = [time.monotonic()]

    def tell(done: int, total: int) -> None:
        if time.monotonic() - last[0] > 10:
            last[0] = time.monotonic()
            print(f"{what}: {done:,} of {total:,} messages", flush=True)

    return tell


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all are not above."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def measure(wanted: Wanted, runs: int, parts: Sequence[str]) -> dict[str, Any]:
    """Everything; prints a table."""
    text_folder, text = kept(wanted, told("profile"))
    small = Wanted(
        max(2, wanted.conversations // AS_WRITTEN_SHARE),
        max(1000, wanted.messages // AS_WRITTEN_SHARE),
        as_written=True,
    )
    written_folder, written = kept(small, told("profile as written"))
    result: dict[str, Any] = {}

    def line(label: str, key: str, value: float, goal: float | None = None) -> None:
        result[key] = round(value, 2)
        wish = "" if goal is None else f"  wanted {goal:g}" + ("" if value <= goal else "  MISSED")
        print(f"{label:<58}{value:>9.2f}{wish}", flush=True)

    print(f"{text.conversations:,} conversations, {text.messages:,} messages, ", end="")
    print(f"{text.text_bytes / 1e6:.0f} MB of text; as written {written.messages:,} messages")
    if "size" in parts:
        file = text_folder / DATABASE
        line("size over text", "size_over_text", size(file) / text.text_bytes, 1.6)
        for name, share in shares(file, text.text_bytes)[:8]:
            print(f"    {name:<54}{share:>9.3f}")
        for key, share in trigram(file).items():
            line(f"  {key.split('_')[1]} detail: trigram index alone", key, share)
        file = written_folder / DATABASE
        ratio = size(file) / written.text_bytes
        line("size over text as the application writes it", "size_as_written_over_text", ratio)
        for name, share in shares(file, written.text_bytes)[:8]:
            print(f"    {name:<54}{share:>9.3f}")
    if "window" in parts:
        found = []
        for _ in range(runs):
            one, errors = child("window", text_folder, text)
            one["list_ms"] = (one["list_at"] - first_paint(errors)) * 1000
            found.append(one)

        def median(key: str) -> float:
            return statistics.median(one[key] for one in found)

        line("first paint to the list shown, ms", "list_ms", median("list_ms"), 150)
        line("to the end of the list, ms", "list_scroll_ms", median("list_scroll_ms"))
        line("  longest turn of it, ms", "list_turn_ms", median("list_turn_ms"))
        line("opening 500 messages, GUI thread, ms", "open500_ms", median("open500_ms"), 60)
        line("  with what follows, ms", "open500_later_ms", median("open500_later_ms"))
        line("  from the click to the paint, ms", "open500_shown_ms", median("open500_shown_ms"))
        one, _ = child("window", written_folder, written)
        line("  as written, ms", "open500_as_written_ms", one["open500_ms"], 60)
        line(
            "  from the click to the paint", "open500_as_written_shown_ms", one["open500_shown_ms"]
        )
    if "search" in parts:
        one, _ = child("search", text_folder, text)
        times, alone = one["times"], one["alone"]
        line("search, median ms", "search_ms_p50", statistics.median(times), 50)
        line("search, 99 of 100, ms", "search_ms_p99", percentile(times, 0.99), 150)
        line("  alone, median", "search_alone_ms_p50", statistics.median(alone))
        line("  alone, 99 of 100", "search_alone_ms_p99", percentile(alone, 0.99))
        slowest = sorted(zip(times, one["queries"]), reverse=True)[:5]
        print("    slowest: " + ", ".join(f"“{query}” {ms:.0f}" for ms, query in slowest))
        print(f"    {one['hits']:.0%} of {QUERIES} queries hit")
    if "append" in parts:
        one, _ = child("append", written_folder, written)
        times = one["times"]
        line("a piece of an answer, GUI thread, ms", "append_ms", statistics.median(times), 2)
        line("  longest, ms", "append_worst_ms", max(times), 2)
        print(f"    {len(times)} pieces")
    return result | {"runs": runs, "messages": text.messages}


CHILDREN = {"window": in_window, "search": searching, "append": appending}
PARTS = ("size", *CHILDREN)


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py bench storage", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--conversations", type=int, default=Wanted.conversations)
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    parser.add_argument(
        "--child", nargs=3, metavar=("KIND", "PROFILE", "FOLDER"), help=argparse.SUPPRESS
    )
    given = parser.parse_args()
    if given.child:
        kind, profile, folder = given.child
        about = About.read(Path(folder) / "about.json")
        print(json.dumps(CHILDREN[kind](Path(profile), about)))
        return 0
    wanted = Wanted(given.conversations, 20 * given.conversations)
    result = measure(wanted, given.runs, [given.only] if given.only else PARTS)
    if given.json:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
