"""Launch to first paint, as a ratio to a bare window with one list and one editor.

Both are started in turn, in one run, so that whatever else the machine does meets both. A time
begins right before the process is made and ends when the window's first paint event has been
worked off; the figure is the ratio of the medians. With --frozen PROGRAM, the program of a package
is started in turn with them, and compared with the one that runs from source.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

CONVERSATIONS = 40  # a list as a person has it after some weeks


def bare_window() -> None:
    """The child to compare with: Qt and two widgets, no line of the application."""
    from PySide6.QtCore import QEvent, QObject, Qt, QTimer
    from PySide6.QtWidgets import QApplication, QListWidget, QMainWindow, QPlainTextEdit, QSplitter

    qt = QApplication([])
    qt.setStyle("Fusion")
    window = QMainWindow()
    splitter = QSplitter(Qt.Orientation.Horizontal)
    conversations = QListWidget()
    conversations.addItems([f"Conversation {number}" for number in range(CONVERSATIONS)])
    splitter.addWidget(conversations)
    splitter.addWidget(QPlainTextEdit())
    window.setCentralWidget(splitter)
    window.resize(1200, 800)

    class FirstPaint(QObject):
        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            if event.type() is QEvent.Type.Paint:
                watched.removeEventFilter(self)
                QTimer.singleShot(0, told)
            return False

    def told() -> None:
        print(f"first-paint {time.time():.6f}", file=sys.stderr, flush=True)
        os._exit(0)

    first_paint = FirstPaint()
    window.installEventFilter(first_paint)
    window.show()
    qt.exec()


def seed(profile: Path) -> None:
    """Give a profile the conversation list that a start shows first."""
    from qwen_desktop.chat.summary import Summary
    from qwen_desktop.paths import Profile
    from qwen_desktop.storage.state import SidebarCache

    hour = 3600.0
    rows = [
        Summary(f"id{n}", f"Conversation {n}", f"What was said last in {n}", time.time() - n * hour)
        for n in range(CONVERSATIONS)
    ]
    SidebarCache(Profile(profile).sidebar_cache).save(rows)


def launch(command: list[str]) -> float:
    """Start one process; the seconds until its first paint. Raises RuntimeError without one."""
    environment = {**os.environ, "QWEN_DESKTOP_TRACE_FIRST_PAINT": "exit"}
    # A second start finds compiled modules, unless this is set: then it would time the compiler.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.time()
    done = subprocess.run(
        command, stderr=subprocess.PIPE, encoding="utf-8", env=environment, timeout=120, check=False
    )
    for line in done.stderr.splitlines():
        if line.startswith("first-paint "):
            return float(line.split()[1]) - began
    raise RuntimeError(f"no first paint (status {done.returncode}):\n{done.stderr}")


def measure(runs: int, frozen: Path | None = None) -> dict[str, object]:
    """Start each `runs` times in turn, after one start of each that is not counted."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        seeded = Path(folder) / "seeded"
        seeded.mkdir()
        seed(seeded)

        def start_app(number: int) -> float:
            # A profile for each start: the process leaves at once and so leaves its lock behind.
            profile = shutil.copytree(seeded, Path(folder) / f"profile{number}")
            return launch([sys.executable, "-m", "qwen_desktop", "--profile", str(profile)])

        def start_frozen(number: int) -> float:
            profile = shutil.copytree(seeded, Path(folder) / f"frozen{number}")
            return launch([str(frozen), "--profile", str(profile)])

        def start_bare(_: int) -> float:
            return launch([sys.executable, __file__, "--child"])

        starts: dict[str, Callable[[int], float]] = {"app": start_app, "bare": start_bare}
        if frozen is not None:
            starts["frozen"] = start_frozen
        times: dict[str, list[float]] = {name: [] for name in starts}
        for number in range(runs + 1):
            for name in sorted(starts, reverse=number % 2 == 1):
                seconds = starts[name](number)
                if number:
                    times[name].append(seconds * 1000)
    app, bare = statistics.median(times["app"]), statistics.median(times["bare"])
    print(f"{'':<14}{'median ms':>10}{'least ms':>10}{'most ms':>10}")
    labels = {"bare": "bare window", "app": "Qwen Desktop", "frozen": "packaged"}
    for name, values in times.items():
        label = labels[name]
        print(f"{label:<14}{statistics.median(values):>10.0f}{min(values):>10.0f}", end="")
        print(f"{max(values):>10.0f}")
    print(f"ratio {app / bare:.2f} (median of {runs} starts of each, in turn)")
    more: dict[str, object] = {}
    if frozen is not None:
        packaged = statistics.median(times["frozen"])
        print(f"packaged to source {packaged / app:.2f}")
        more = {"frozen_ratio": round(packaged / app, 3), "frozen_ms": round(packaged, 1)}
    return {
        "first_paint_ratio": round(app / bare, 3),
        "app_ms": round(app, 1),
        "bare_ms": round(bare, 1),
        "runs": runs,
        **more,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py bench startup", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--frozen", type=Path, metavar="PROGRAM", help="one of a package, too")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        bare_window()
        return 0
    result = measure(given.runs, given.frozen)
    if given.json:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
